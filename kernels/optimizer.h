/* Optimizers: one struct, one table, one file per member (optimizer_<name>.c). */
#ifndef DMLBENCH_KERNELS_OPTIMIZER_H
#define DMLBENCH_KERNELS_OPTIMIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/key.h"

struct optimizer {
    struct member member;
    int state_arrays; /* arrays of n floats kept between steps, zero at the start, one after the other in `state` */
    /* One step over n parameters, in place. grad[n] is the mean gradient of the global batch.
     * state: the member's state_arrays arrays, each `stride` floats after the one before (n may be a slice of a larger allocation).
     * decays: whether weight decay applies (matrices yes, gains and biases no).
     * step counts from 1. options: the member's own struct. Element-wise, hence independent of how the parameters are split. */
    void (*step)(const void *options, int64_t step, float *param, const float *grad, float *state, size_t stride, bool decays,
                 size_t n);
};

extern const struct optimizer optimizer_sgd, optimizer_momentum, optimizer_adamw;

/* NULL-ended; the first is the default. */
extern const struct optimizer *const optimizers[];
const struct optimizer *optimizer_find(const char *name); /* NULL: no such member */

#endif
