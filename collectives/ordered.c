/* The ordered sum: exchange the nodes' blocks, fold each block in the order of the tree, pass the finished blocks round.
 *
 *   rank r, rounds     1 ..        its node k, the block of rank r+d -> rank r+d        (d = 1 .. p-1, k = 0 .. K-1)
 *                      then        own block: all ranks' nodes, left to right, onto a tree_stack
 *                      last p-1    ring: pass on the block that came in the round before
 *
 * Nodes of different ranks are disjoint and in order, so pushing them rebuilds the one tree over the M leaves. A node whose right
 * part would lie beyond M is the same sum as its left child; the stack always names it by the highest of these levels, so that
 * brothers are known by their indices alone.
 * A rank whose leaves fold to K nodes sends K times what a reduce-scatter would: the price of equal bits.
 */
#include "collectives/ordered.h"

#include <stdlib.h>
#include <string.h>

#include "collectives/operation.h"
#include "kernels/layers.h"

/* ---- the tree ---------------------------------------------------------------------------------------------------------------- */

/* Up to the parent while there is no right brother below `leaves`. */
static struct tree_node highest_name(struct tree_node node, int64_t leaves)
{
    while (node.index % 2 == 0 && node.index > 0 && (node.index + 1) << node.level >= leaves) {
        node.index /= 2;
        node.level++;
    }
    return node;
}

static bool brothers(struct tree_node a, struct tree_node b)
{
    return a.level == b.level && (a.index ^ 1) == b.index;
}

int tree_push(struct tree_stack *s, struct tree_node node)
{
    int merges = 0;
    s->node[s->depth++] = highest_name(node, s->leaves);
    while (s->depth > 1 && brothers(s->node[s->depth - 2], s->node[s->depth - 1])) {
        struct tree_node below = s->node[--s->depth - 1], parent = { below.level + 1, below.index / 2 };
        s->node[s->depth - 1] = highest_name(parent, s->leaves);
        merges++;
    }
    return merges;
}

int tree_cover(int64_t leaves, int64_t first, int64_t count, struct tree_node *nodes)
{
    struct tree_stack s = { .leaves = leaves };
    for (int64_t i = 0; i < count; i++)
        tree_push(&s, (struct tree_node){ 0, first + i });
    memcpy(nodes, s.node, (size_t)s.depth * sizeof *nodes);
    return s.depth;
}

int tree_buffers(int64_t leaves, int64_t first, int64_t count)
{
    int deepest = 0;
    for (int back = 0; back < 2; back++) {
        struct tree_stack s = { .leaves = leaves };
        for (int64_t i = 0; i < count; i++) {
            deepest = s.depth + 1 > deepest ? s.depth + 1 : deepest;
            tree_push(&s, (struct tree_node){ 0, back ? first + count - 1 - i : first + i });
        }
    }
    return deepest;
}

int64_t leaf_start(const struct leaf_owners *o, int p, int rank)
{
    return o->starts ? o->starts[rank] : (int64_t)block_start((size_t)o->leaves, p, rank);
}

/* The nodes of the leaves that `rank` owns. */
static int rank_cover(const struct leaf_owners *o, int p, int rank, struct tree_node *nodes)
{
    const int64_t first = leaf_start(o, p, rank);
    return tree_cover(o->leaves, first, leaf_start(o, p, rank + 1) - first, nodes);
}

/* ---- the operation ----------------------------------------------------------------------------------------------------------- */

struct ordered {
    struct operation op;
    enum sum_part part;
    int p, rank;
    int own_nodes, nodes_most; /* of this rank, and of the rank that has most */
    struct leaf_owners owners; /* starts is the caller's, and used for planning only */
    const float *partial[TREE_DEPTH_MAX];
    float *x;
    int *first;              /* [p + 1] where each rank's nodes begin among all */
    struct tree_node *nodes; /* [first[p]] of all ranks, left to right */
};

static int exchange_rounds(const struct ordered *o)
{
    return (o->p - 1) * o->nodes_most;
}

/* The exchanges, and the round in which the own block is folded. */
static int scatter_rounds(const struct ordered *o)
{
    return o->part == SUM_ALLGATHER ? 0 : exchange_rounds(o) + 1;
}

/* Row j of the workspace: node j, this rank's block of the segment. */
static float *row(const struct ordered *o, const struct segment *segment, int j)
{
    return (float *)segment->workspace + (size_t)j * block_length(segment->n, o->p, o->rank);
}

static void exchange_step(const struct ordered *o, const struct segment *segment, int i, struct step *out)
{
    int distance = 1 + i / o->nodes_most, k = i % o->nodes_most;
    int to = (o->rank + distance) % o->p, from = (o->rank - distance + o->p) % o->p;
    *out = (struct step){ .to = -1, .from = -1 };
    if (k < o->own_nodes) {
        out->to = to;
        out->send = o->partial[k] + segment->at + block_start(segment->n, o->p, to);
        out->send_B = block_length(segment->n, o->p, to) * sizeof(float);
    }
    if (k < o->first[from + 1] - o->first[from]) {
        out->from = from;
        out->recv = row(o, segment, o->first[from] + k);
        out->recv_B = block_length(segment->n, o->p, o->rank) * sizeof(float);
    }
}

static void ring_step(const struct ordered *o, const struct segment *segment, int i, struct step *out)
{
    int p = o->p, sent = (o->rank - i + p) % p, received = (sent - 1 + p) % p;
    *out = (struct step){
        .to = (o->rank + 1) % p,
        .from = (o->rank - 1 + p) % p,
        .send = o->x + segment->at + block_start(segment->n, p, sent),
        .send_B = block_length(segment->n, p, sent) * sizeof(float),
        .recv = o->x + segment->at + block_start(segment->n, p, received),
        .recv_B = block_length(segment->n, p, received) * sizeof(float),
    };
}

static void ordered_step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    const struct ordered *o = (const struct ordered *)op;
    const int scattering = scatter_rounds(o);
    if (i >= scattering)
        ring_step(o, segment, i - scattering, out);
    else if (i < scattering - 1)
        exchange_step(o, segment, i, out);
    else
        *out = (struct step){ .to = -1, .from = -1, .landing = LANDING_LOCAL };
}

static void fold_own_block(const struct operation *op, const struct segment *segment, int i)
{
    (void)i;
    const struct ordered *o = (const struct ordered *)op;
    size_t n = block_length(segment->n, o->p, o->rank), at = segment->at + block_start(segment->n, o->p, o->rank);
    struct tree_stack stack = { .leaves = o->owners.leaves };
    float *sum[TREE_DEPTH_MAX] = { NULL };
    for (int j = 0; j < o->first[o->p]; j++) {
        sum[stack.depth] = row(o, segment, j);
        if (j >= o->first[o->rank] && j < o->first[o->rank + 1])
            memcpy(sum[stack.depth], o->partial[j - o->first[o->rank]] + at, n * sizeof(float));
        int merges = tree_push(&stack, o->nodes[j]);
        for (int top = stack.depth - 1 + merges; top >= stack.depth; top--)
            add(sum[top - 1], sum[top], n);
    }
    memcpy(o->x + at, sum[0], n * sizeof(float));
}

static uint64_t ordered_sent(const struct operation *op, size_t n)
{
    const struct ordered *o = (const struct ordered *)op;
    const uint64_t scattered = (uint64_t)o->own_nodes * (n - block_length(n, o->p, o->rank));
    const uint64_t gathered = n - block_length(n, o->p, (o->rank + 1) % o->p);
    return (o->part == SUM_ALLGATHER ? 0 : scattered) + (o->part == SUM_REDUCE_SCATTER ? 0 : gathered);
}

static struct range ordered_owned(const struct operation *op, size_t n)
{
    const struct ordered *o = (const struct ordered *)op;
    return (struct range){ block_start(n, o->p, o->rank), block_length(n, o->p, o->rank) };
}

/* All but what needs the list of nodes. */
static struct ordered ordered_of(enum sum_part part, size_t segment_B, int p, int rank, size_t n)
{
    size_t segment_n = segment_B / sizeof(float) * (size_t)p;
    return (struct ordered){
        .op = { .n = n,
                .element_B = sizeof(float),
                .segment_n = segment_n < n ? segment_n : n,
                .rounds = 1,
                .step = ordered_step,
                .local = fold_own_block,
                .sent_elements = ordered_sent,
                .owned = ordered_owned },
        .part = part,
        .p = p,
        .rank = rank,
    };
}

uint64_t ordered_sent_floats(enum sum_part part, size_t segment_B, int p, int rank, size_t n, const struct leaf_owners *owners)
{
    struct tree_node nodes[TREE_DEPTH_MAX];
    struct ordered o = ordered_of(part, segment_B, p, rank, n);
    o.own_nodes = rank_cover(owners, p, rank, nodes);
    operation_cut(&o.op);
    return operation_sent_elements(&o.op);
}

/* So many segments of n floats. */
static void send_blocks(const struct ordered *o, size_t n, size_t segments, uint64_t *floats_to)
{
    const int next = (o->rank + 1) % o->p;
    for (int to = 0; o->part != SUM_ALLGATHER && to < o->p; to++)
        if (to != o->rank)
            floats_to[to] += segments * (size_t)o->own_nodes * block_length(n, o->p, to);
    if (o->part != SUM_REDUCE_SCATTER)
        floats_to[next] += segments * (n - block_length(n, o->p, next));
}

void ordered_sent_to(enum sum_part part, size_t segment_B, int p, int rank, size_t n, const struct leaf_owners *owners,
                     uint64_t *floats_to)
{
    struct tree_node nodes[TREE_DEPTH_MAX];
    struct ordered o = ordered_of(part, segment_B, p, rank, n);
    o.own_nodes = rank_cover(owners, p, rank, nodes);
    operation_cut(&o.op);
    if (!o.op.segments)
        return;
    send_blocks(&o, o.op.segment_n, o.op.segments - 1, floats_to);
    send_blocks(&o, n - (o.op.segments - 1) * o.op.segment_n, 1, floats_to);
}

size_t ordered_owned_floats(size_t segment_B, int p, int rank, size_t n)
{
    struct ordered o = ordered_of(SUM_REDUCE_SCATTER, segment_B, p, rank, n);
    operation_cut(&o.op);
    return operation_owned_elements(&o.op);
}

/* Fills first, nodes and their numbers; the storage is one allocation, which starts at nodes. */
static status list_nodes(struct ordered *o)
{
    struct tree_node cover[TREE_DEPTH_MAX];
    size_t all = 0, ranks = (size_t)o->p;
    for (int r = 0; r < o->p; r++)
        all += (size_t)rank_cover(&o->owners, o->p, r, cover);
    o->op.storage = o->nodes = malloc(all * sizeof *o->nodes + (ranks + 1) * sizeof *o->first);
    if (!o->nodes)
        return status_fail(STATUS_FAILED, "no memory to plan exchange.reduction \"tree\"");
    o->first = (int *)(o->nodes + all);
    o->first[0] = 0;
    for (int r = 0; r < o->p; r++) {
        int count = rank_cover(&o->owners, o->p, r, o->nodes + o->first[r]);
        o->first[r + 1] = o->first[r] + count;
        o->nodes_most = count > o->nodes_most ? count : o->nodes_most;
    }
    o->own_nodes = o->first[o->rank + 1] - o->first[o->rank];
    return STATUS_OK;
}

status engine_plan_ordered(struct engine *e, enum sum_part part, enum purpose purpose, const float *const *partial, float *x,
                           size_t n, const struct leaf_owners *owners, struct operation **op)
{
    const struct fabric *f = engine_fabric(e);
    struct ordered o = ordered_of(part, engine_segment_B(e), f->ranks, f->rank, n);
    o.op.purpose = purpose;
    o.x = x;
    o.owners = *owners;
    TRY(list_nodes(&o));
    if (part != SUM_ALLGATHER) {
        memcpy(o.partial, partial, (size_t)o.own_nodes * sizeof *partial);
        o.op.workspace_B = (size_t)o.first[o.p] * block_length(o.op.segment_n, o.p, 0) * sizeof(float);
    }
    o.op.rounds = scatter_rounds(&o) + (part == SUM_REDUCE_SCATTER ? 0 : o.p - 1);
    status s = engine_plan(e, &o.op, sizeof o, op);
    if (s != STATUS_OK)
        free(o.op.storage);
    return s;
}
