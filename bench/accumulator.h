/* Adds up micro-batches: plainly, into one buffer, or as the nodes of the fixed tree (collectives/ordered.h), in as many buffers as
 * that takes. Leaves come one after the other, in ascending or in descending order; the tree's bits do not depend on which.
 *
 *   leaf(l) -> the buffer to fill;   merge(range) ... merge(range): what lies there is complete and joins what it belongs to
 */
#ifndef DMLBENCH_BENCH_ACCUMULATOR_H
#define DMLBENCH_BENCH_ACCUMULATOR_H

#include "collectives/ordered.h"

struct accumulator {
    float *buffers; /* [count * n], the owner's; at the end the i-th node of the leaves, left to right, is in the i-th */
    size_t n;
    bool tree;
    int64_t first;    /* leaf */
    int count, nodes; /* of buffers; of the sums that are left at the end */
    struct tree_stack stack;
    bool started, descending;
    int merges; /* of the leaf in work */
};

/* All but the buffers. `leaves` of the whole tree, of which [first, first + count) come here. */
struct accumulator accumulator_of(bool tree, size_t n, int64_t leaves, int64_t first, int64_t count);

void accumulator_begin(struct accumulator *a);
/* Begins a leaf. *fresh: what is in the buffer is old; else the leaf is to be added to it. */
float *accumulator_leaf(struct accumulator *a, int64_t leaf, bool *fresh);
/* Each float once for every leaf, before the next leaf begins. */
void accumulator_merge(struct accumulator *a, struct range range);

#endif
