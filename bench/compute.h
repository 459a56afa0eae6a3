/* How long the layers take: as long as they take, a stated time, or what their flops are worth; for pipelines on machines with
 * fewer cores than ranks.
 *
 * The arithmetic is real in both: `sleep` computes too, and then waits until the stated time is over. So losses and bytes stay what
 * they are, and idle ranks do not lend their core to busy ones in what is measured. `model` computes nothing: virtual time alone
 * passes (charge.h).
 */
#ifndef DMLBENCH_BENCH_COMPUTE_H
#define DMLBENCH_BENCH_COMPUTE_H

#include "bench/config.h"
#include "bench/model.h"
#include "collectives/fabric.h"

struct compute {
    struct member member;
    /* Seconds that a forward pass, and each half of a backward pass, take per repeated layer and full micro-batch. NULL: as long as
     * they take. */
    double (*forward_s)(const void *options);
    double (*gradient_s)(const void *options);
    bool hollow; /* nothing is computed, and no float is there: sizes and flops only */
};

extern const struct compute *const computes[]; /* NULL-ended; the first is the default */
const struct compute *compute_find(const char *name);

/* Pure. How many times as long computing takes this rank of the job: 1, or as compute.slowdown says. */
double compute_slowdown(const struct config *c, int rank);

#endif
