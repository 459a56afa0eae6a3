/* One clock for all hosts: rank 0's, as far as another host can know it.
 *
 *     rank 0    t1 --------------- t2        by rank 0's clock
 *                 \             /
 *     host          --- there ---            by the host's: it is ahead by there - (t1 + t2)/2, give or take (t2 - t1)/2,
 *                                            however unequal the two ways are
 *
 * The shortest of many round trips counts. Two readings some time apart also tell how much faster the host's clock goes; a third at
 * the end tells how wrong that became. Ranks on one host have one clock already, and so have simulated hosts.
 * It does not set clocks, and does not follow them through a run: whoever wants more has NTP.
 * Source: Cristian 1989, "Probabilistic clock synchronization".
 */
#ifndef DMLBENCH_COLLECTIVES_CLOCK_H
#define DMLBENCH_COLLECTIVES_CLOCK_H

#include <mpi.h>

struct fabric;

struct clock_reading {
    double at_s;          /* by this host's clock */
    double ahead_s;       /* of rank 0's */
    double uncertainty_s; /* the true difference is within ahead_s -+ this */
};

struct clock_fit {
    double at_s, ahead_s, drift; /* at x of this host's clock, rank 0's shows x - ahead_s - drift (x - at_s) */
};

/* Collective over f->comm, by MPI's collectives: in no count of bytes. host: the ranks that have this one's clock; MPI_COMM_NULL:
 * those that share its memory. The same for all ranks of a host; all zeros on rank 0's. */
void clock_read(struct clock_reading *r, struct fabric *f, MPI_Comm host);
/* Pure. The line through both; level where their difference is within what they do not know. */
struct clock_fit clock_fit(const struct clock_reading *first, const struct clock_reading *second);
/* Pure. Rank 0's time at now_s of this host's clock. */
double clock_common_s(const struct clock_fit *fit, double now_s);
/* Pure. How wrong the fit may be at a later reading. */
double clock_error_s(const struct clock_fit *fit, const struct clock_reading *later);

#endif
