/* --explain: what a config would do on this many ranks, worked out without running anything: who sits where and computes what, the
 * bytes of a step by group and by link, the memory of every rank, and the bubble of the pipeline. */
#ifndef DMLBENCH_BENCH_EXPLAIN_H
#define DMLBENCH_BENCH_EXPLAIN_H

#include <stdio.h>

#include "bench/config.h"

/* Local. Prints the plan of a settled config. hosts[ranks]: the name of each rank's host. */
status explain(const struct config *c, int ranks, char *const *hosts, FILE *out);

#endif
