/* Optimizers: one struct, one table, one file per member (optimizer_<name>.c). */
#ifndef DMLBENCH_KERNELS_OPTIMIZER_H
#define DMLBENCH_KERNELS_OPTIMIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/key.h"

/* What every member's options begin with, and their rows. */
struct learning_rate {
    double most;
    int64_t warmup_steps;
};
#define LEARNING_RATE_KEY(fallback)                                                                                                \
    {                                                                                                                              \
        "learning_rate", KEY_REAL, offsetof(struct learning_rate, most), fallback, 1e-12, 1e6, .help = "Step size."                \
    }
#define LEARNING_RATE_WARMUP_KEY                                                                                                   \
    {                                                                                                                              \
        "warmup_steps", KEY_INT, offsetof(struct learning_rate, warmup_steps), "0", 0, 1e9,                                        \
            .unit = "steps", .help = "Step t = 0, 1, ... takes (t + 1) / this of the learning rate, until it is whole."            \
    }

struct optimizer {
    struct member member;
    int state_arrays; /* arrays of n floats kept between steps, zero at the start, one after the other in `state` */
    /* One step over n parameters, in place. grad[n] is the mean gradient of the global batch.
     * state: the member's state_arrays arrays, each `stride` floats after the one before (n may be a slice of a larger allocation).
     * decays: whether weight decay applies (matrices yes, gains and biases no).
     * step counts from 1. options: the member's own struct, which begins with a struct learning_rate. Element-wise, hence
     * independent of how the parameters are split. */
    void (*step)(const void *options, int64_t step, float *param, const float *grad, float *state, size_t stride, bool decays,
                 size_t n);
};

extern const struct optimizer optimizer_sgd, optimizer_momentum, optimizer_adamw;

/* NULL-ended; the first is the default. */
extern const struct optimizer *const optimizers[];
const struct optimizer *optimizer_find(const char *name); /* NULL: no such member */

/* Pure. What the learning rate of a step, counted from 0, is of the full one: min(1, (step + 1) / warmup_steps). options: of any
 * member. Source: Goyal et al., "Accurate, Large Minibatch SGD", 2017. */
double optimizer_rate_frac(const void *options, int64_t step);

#endif
