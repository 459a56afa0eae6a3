/* The stack of the tree keeps neighbours next to each other, so that only its top ever merges. Seen from the left its lowest
 * entries are the first nodes; when leaves come from the right they are the last ones, and the buffers are taken in reverse. */
#include "bench/accumulator.h"

#include "kernels/layers.h"

struct accumulator accumulator_of(bool tree, size_t n, int64_t leaves, int64_t first, int64_t count)
{
    struct tree_node nodes[TREE_DEPTH_MAX];
    return (struct accumulator){
        .n = n,
        .tree = tree,
        .first = first,
        .count = tree ? tree_buffers(leaves, first, count) : 1,
        .nodes = tree ? tree_cover(leaves, first, count, nodes) : 1,
        .stack = { .leaves = leaves },
    };
}

static float *buffer(const struct accumulator *a, int depth)
{
    const int i = a->descending && depth < a->nodes ? a->nodes - 1 - depth : depth;
    return a->buffers + (size_t)i * a->n;
}

void accumulator_begin(struct accumulator *a)
{
    a->stack.depth = 0;
    a->started = false;
}

float *accumulator_leaf(struct accumulator *a, int64_t leaf, bool *fresh)
{
    *fresh = a->tree || !a->started;
    if (!a->started)
        a->descending = leaf != a->first;
    a->started = true;
    if (!a->tree)
        return a->buffers;
    float *x = buffer(a, a->stack.depth);
    a->merges = tree_push(&a->stack, (struct tree_node){ 0, leaf });
    return x;
}

void accumulator_merge(struct accumulator *a, struct range range)
{
    for (int top = a->stack.depth + a->merges - 1; top >= a->stack.depth; top--)
        add(buffer(a, top - 1) + range.at, buffer(a, top) + range.at, range.n);
}
