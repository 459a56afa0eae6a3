/* The parameters of a model: one allocation of floats, cut into named, shaped slices in the order of the layers.
 * Gradients and optimizer state have the same layout, so one offset serves all; one buffer is one checkpoint and one allreduce.
 */
#ifndef DMLBENCH_BENCH_PARAMS_H
#define DMLBENCH_BENCH_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectives/status.h"

/* Which share of every split matrix is meant: that of tensor rank `rank` of `ranks`. */
struct shard {
    int ranks, rank;
    bool sequence; /* what is not split within layers is split along the sequence */
};
extern const struct shard shard_whole; /* rank 0 of 1 */

enum cut {
    CUT_NONE,          /* every tensor rank holds the whole slice */
    CUT_ROWS,          /* a block of its rows */
    CUT_COLUMNS,       /* a block of its columns */
    CUT_THREE_COLUMNS, /* its columns are three matrices side by side (queries, keys, values): a block of columns of each */
};

struct slice {
    char name[48]; /* "block.3.attention.qkv.weight" */
    int index;     /* its number in the whole model, however that is split and cut */
    size_t at, n;  /* floats: rows * columns, and zeros up to the largest share of any tensor rank, so that all have one layout */
    int rows, columns; /* of what is here; a vector has 1 row */
    float mean;        /* initial value where deviation is 0 */
    float deviation;   /* of the normal initial values, whose mean is 0; 0: all equal to mean */
    bool decays;       /* whether weight decay applies: matrices yes, gains and biases no */
    bool partial;      /* whole on every tensor rank, and the sum of their gradients is the gradient (see tensor_sum_partial) */

    /* What is here of the whole slice: rows from first_row on, and of each of `groups` equal groups of columns, those from
     * first_column on. */
    int whole_rows, whole_columns, first_row, first_column, groups;
};

struct params {
    struct slice *slices;
    int count;
    size_t n; /* floats in all */
};

/* Local. Room for `slices` slices. If it failed there is nothing to free. */
status params_reserve(struct params *p, int slices);

/* A slice as the model has it, before it is split. */
struct slice_form {
    const char *part;
    int rows, columns;
    float mean, deviation;
    enum cut cut;
};
/* Appends the shard of a slice, within what was reserved; one with random initial values decays. `name` and `form.part` are joined
 * by a dot. Returns its offset. What is cut must have as many rows or columns (of each group) as there are tensor ranks. */
size_t params_add(struct params *p, const char *name, const struct slice_form *form, const struct shard *shard);

/* Where the run of floats that is row `row` of column group `group` here, columns / groups of them, begins in the whole slice. */
size_t slice_place(const struct slice *s, int row, int group);
/* Whether all tensor ranks hold the same of it: all. */
bool slice_is_whole(const struct slice *s);

/* Initial values of all slices into x[n]: a pure function of the seed, the slice's index and the place in the whole slice. */
void params_initialise(const struct params *p, uint64_t seed, float *x);

void params_free(struct params *p);

#endif
