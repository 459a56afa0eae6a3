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

/* Partial sums from the left; entry i of the stack belongs to the caller's buffer i. */
struct tree_stack {
    int64_t leaves; /* M */
    int depth;
    struct tree_node node[TREE_DEPTH_MAX];
};

/* Pure. Pushes the node that follows the stack's last one; returns how many merges it causes: the caller then adds, that many
 * times, the top buffer into the one below it (buffer[depth] += into buffer[depth-1], depth falling). */
int tree_push(struct tree_stack *s, struct tree_node node);

/* Pure. The nodes to which the leaves [first, first + count) fold, left to right; returns their number (<= TREE_DEPTH_MAX). */
int tree_cover(int64_t leaves, int64_t first, int64_t count, struct tree_node *nodes);

/* Most buffers that folding `count` leaves from `first` on needs at a time. */
int tree_buffers(int64_t leaves, int64_t first, int64_t count);

/* Local; plans the sum over ranks. Rank r owns the leaves block_start(M,p,r) .. + block_length(M,p,r).
 * partial[i]  [n] the sum of the i-th node of tree_cover of this rank's leaves
 * x           [n] receives the total, the same bits on every rank; may be partial[0]
 * Every rank sends, for each of its K nodes, the blocks of the others (K (n - n/p) floats), adds what belongs to its own block in
 * the order of the tree, and passes the finished blocks round a ring (n - n/p floats). */
status engine_plan_ordered(struct engine *e, enum purpose purpose, const float *const *partial, float *x, size_t n, int64_t leaves,
                           struct operation **op);
/* Pure. Floats that `rank` of p sends in it, by formula, cut as by an engine of this segment_B. */
uint64_t ordered_sent_floats(size_t segment_B, int p, int rank, size_t n, int64_t leaves);

#endif
