/* Between calibrate.c, which measures what a rank does by itself, and calibrate_links.c, which measures messages. */
#ifndef DMLBENCH_BENCH_CALIBRATE_PARTS_H
#define DMLBENCH_BENCH_CALIBRATE_PARTS_H

#include "bench/calibrate.h"
#include "collectives/fabric.h"

enum { LINK_SIZES = 13 /* 4^0 .. 4^12 bytes */ };

/* Collective. Ping-pong between the ranks pair[0] and pair[1] (-1: there are no such; nothing is sent). On rank 0 fills *out, but
 * its name, and messages[LINK_SIZES]. Sizes that would take longer than a second are left out. */
status measure_link(const struct job *job, struct fabric *f, const int pair[2], struct measured_message *messages,
                    struct measured_link *out);

#endif
