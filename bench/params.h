/* The parameters of a model: one allocation of floats, cut into named, shaped slices in the order of the layers.
 * Gradients and optimizer state have the same layout, so one offset serves all; one buffer is one checkpoint and one allreduce.
 */
#ifndef DMLBENCH_BENCH_PARAMS_H
#define DMLBENCH_BENCH_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
    char name[48];     /* "block.3.attention.qkv.weight" */
    size_t at, n;      /* floats; n = rows * columns */
    int rows, columns; /* a vector has 1 row */
    float mean;        /* the initial values: mean + deviation * normal */
    float deviation;
    bool decays; /* whether weight decay applies: matrices yes, gains and biases no */
};

struct params {
    struct slice *slices;
    int count;
    size_t n; /* floats in all */
};

/* Appends a slice; a matrix (rows > 1) decays. Returns its index. Local; out of memory aborts in params_allocate's caller:
 * p->slices NULL and n 0 say so. */
int params_add(struct params *p, const char *name, int rows, int columns, float mean, float deviation);

/* Initial values of all slices into x[n]: a pure function of the seed and the slice's position in the model. */
void params_initialise(const struct params *p, uint64_t seed, float *x);

void params_free(struct params *p);

#endif
