/* The parameters of a model: one allocation of floats, cut into named, shaped slices in the order of the layers.
 * Gradients and optimizer state have the same layout, so one offset serves all; one buffer is one checkpoint and one allreduce.
 */
#ifndef DMLBENCH_BENCH_PARAMS_H
#define DMLBENCH_BENCH_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectives/status.h"

struct slice {
    char name[48];     /* "block.3.attention.qkv.weight" */
    size_t at, n;      /* floats; n = rows * columns */
    int rows, columns; /* a vector has 1 row */
    float mean;        /* initial value where deviation is 0 */
    float deviation;   /* of the normal initial values, whose mean is 0; 0: all equal to mean */
    bool decays;       /* whether weight decay applies: matrices yes, gains and biases no */
};

struct params {
    struct slice *slices;
    int count;
    size_t n; /* floats in all */
};

/* Local. Room for `slices` slices. If it failed there is nothing to free. */
status params_reserve(struct params *p, int slices);

/* Appends a slice, within what was reserved; one with random initial values decays. `name` and `part` are joined by a dot. Returns
 * its offset. */
size_t params_add(struct params *p, const char *name, const char *part, int rows, int columns, float mean, float deviation);

/* Initial values of all slices into x[n]: a pure function of the seed and the slice's position in the model. */
void params_initialise(const struct params *p, uint64_t seed, float *x);

void params_free(struct params *p);

#endif
