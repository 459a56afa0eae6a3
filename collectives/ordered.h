/* Sums whose order does not depend on who computed what: `exchange.reduction: "tree"`.
 *
 * The M micro-batches of a global batch are the leaves 0 .. M-1 of one binary tree: node (level, index) is the sum of the leaves
 * [index 2^level, (index+1) 2^level) below M, and equals left child + right child, or the left child alone where the right is
 * empty. A rank owns a contiguous range of leaves, folds them to the few nodes that lie wholly inside it, and the ranks together
 * finish the same tree. So 1, 2, 3 or 8 ranks add the same numbers in the same order and get the same bits.
 */
#ifndef DMLBENCH_COLLECTIVES_ORDERED_H
#define DMLBENCH_COLLECTIVES_ORDERED_H

#include "collectives/engine.h"

enum { TREE_DEPTH_MAX = 64 };

struct tree_node {
    int level;
    int64_t index;
};

/* Who owns the leaves: rank r those from starts[r] to starts[r + 1] - 1. starts NULL: blocks as equal as possible (block_start). */
struct leaf_owners {
    int64_t leaves;
    const int64_t *starts;
};
int64_t leaf_start(const struct leaf_owners *o, int p, int rank);

/* Partial sums of neighbouring nodes; entry i of the stack belongs to the caller's buffer i. */
struct tree_stack {
    int64_t leaves; /* M */
    int depth;
    struct tree_node node[TREE_DEPTH_MAX];
};

/* Pure. Pushes the neighbour of the stack's last node: always the right one, or always the left one (the sum of two floats does not
 * depend on which comes first). Returns how many merges it causes: the caller then adds, that many times, the top buffer into the
 * one below it (buffer[depth] += into buffer[depth-1], depth falling). */
int tree_push(struct tree_stack *s, struct tree_node node);

/* Pure. The nodes to which the leaves [first, first + count) fold, left to right; returns their number (<= TREE_DEPTH_MAX). */
int tree_cover(int64_t leaves, int64_t first, int64_t count, struct tree_node *nodes);

/* Most buffers that folding `count` leaves from `first` on, or back to `first`, needs at a time. */
int tree_buffers(int64_t leaves, int64_t first, int64_t count);

/* Local; plans the sum over ranks, or a part of it.
 * partial[i]  [n] the sum of the i-th node of tree_cover of this rank's leaves (none for an allgather: partial may be NULL)
 * x           [n] receives the total, the same bits on every rank; may be partial[0]. Rank r owns block r of each segment.
 * Every rank sends, for each of its K nodes, the blocks of the others (K (n - n/p) floats), adds what belongs to its own block in
 * the order of the tree (the reduce-scatter), and passes the finished blocks round a ring (n - n/p floats, the allgather). */
status engine_plan_ordered(struct engine *e, enum sum_part part, enum purpose purpose, const float *const *partial, float *x,
                           size_t n, const struct leaf_owners *owners, struct operation **op);
/* Pure. Floats that `rank` of p sends in it, by formula, cut as by an engine of this segment_B; and floats of its own pieces. */
uint64_t ordered_sent_floats(enum sum_part part, size_t segment_B, int p, int rank, size_t n, const struct leaf_owners *owners);
size_t ordered_owned_floats(size_t segment_B, int p, int rank, size_t n);
/* Pure. Adds to floats_to[p] what `rank` sends to each in it. */
void ordered_sent_to(enum sum_part part, size_t segment_B, int p, int rank, size_t n, const struct leaf_owners *owners,
                     uint64_t *floats_to);

#endif
