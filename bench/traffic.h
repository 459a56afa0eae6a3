/* What every rank sends to every other in one step, worked out from the config alone: messages between stages by the schedule's
 * lists of tasks, sums by playing their algorithms' rounds. --explain shows it; a run's ledger is held against it.
 *
 * Payload bytes, as the ledger counts them.
 */
#ifndef DMLBENCH_BENCH_TRAFFIC_H
#define DMLBENCH_BENCH_TRAFFIC_H

#include "bench/config.h"
#include "collectives/ledger.h"

struct traffic {
    int ranks;
    double *sent_B; /* [PURPOSE_COUNT][ranks][ranks], from, to; NaN where the MPI library does not say what it sends */
};

/* Local. For a settled config; out of memory is the only failure, and then there is nothing to close. */
status traffic_open(struct traffic *t, const struct config *c, int ranks);
void traffic_close(struct traffic *t);

double *traffic_at(const struct traffic *t, enum purpose p, int from, int to);
/* The axis of the grid along which a purpose's messages run, or "all". */
const char *traffic_group(enum purpose p);
/* Sums: over all purposes; over all receivers. */
double traffic_link_B(const struct traffic *t, int from, int to);
double traffic_sent_B(const struct traffic *t, enum purpose p, int from);

#endif
