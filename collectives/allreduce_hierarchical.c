/* Hierarchical: g ranks of a node scatter the sum among them, the ranks of one place in all N = p/g nodes sum their block, and the
 * node gathers.
 *
 *   p = 6, g = 3      reduce-scatter in a node     allreduce between nodes      allgather in a node
 *   node 0: 0 1 2     0 -> 1 -> 2 -> 0             0 <-> 3   1 <-> 4   2 <-> 5  0 -> 1 -> 2 -> 0
 *   node 1: 3 4 5     3 -> 4 -> 5 -> 3             each a third of the vector   3 -> 4 -> 5 -> 3
 *
 * All three are rings. Time 2 (g-1) (alpha + n/g beta) inside, 2 (N-1) (alpha' + n/p beta') between: the latency between nodes is
 * paid N - 1 times, not p - 1, and a node sends 2 (N-1)/N n, as one rank of a ring would. One node, or nodes of one rank: a ring.
 * Source: Ueno & Yokota 2019, "Exhaustive study of hierarchical allreduce patterns for large messages"; the same three phases as
 * Horovod's hierarchical allreduce.
 */
#include "collectives/allreduce.h"

/* A rank's place in its node, and that node; the ranks of a node, and those of a place, as teams. */
struct place {
    int at, node;
    struct team inside, between;
};

static struct place place_of(struct team t, int rank)
{
    return (struct place){ rank % t.g, rank / t.g, team_of(t.g, 0), team_of(t.p / t.g, 0) };
}

static int inside_rounds(struct team t)
{
    return t.g - 1;
}

static int scatter_rounds(struct team t)
{
    return inside_rounds(t) + t.p / t.g - 1;
}

static int rounds(struct team t)
{
    return 2 * scatter_rounds(t);
}

/* The longest messages are those within a node. */
static int blocks(struct team t)
{
    return t.g > 1 ? t.g : t.p;
}

/* Of the place, after the first phase. */
static struct range inside_owned(const struct place *l, size_t n)
{
    return allreduce_ring.owned(l->inside, l->at, n);
}

static void play(struct team t, int rank, size_t n, int i, struct round *out)
{
    const struct place l = place_of(t, rank);
    const int inside = inside_rounds(t), between = rounds(t) - 2 * inside;
    if (i >= inside && i < inside + between) {
        const struct range own = inside_owned(&l, n);
        allreduce_ring.round(l.between, l.node, own.n, i - inside, out);
        out->send_at += own.at;
        out->recv_at += own.at;
        out->to = out->to * t.g + l.at;
        out->from = out->from * t.g + l.at;
    } else {
        allreduce_ring.round(l.inside, l.at, n, i < inside ? i : i - between, out);
        out->to += l.node * t.g;
        out->from += l.node * t.g;
    }
}

static uint64_t sent_floats(struct team t, int rank, size_t n)
{
    const struct place l = place_of(t, rank);
    return allreduce_ring.sent_floats(l.inside, l.at, n) + allreduce_ring.sent_floats(l.between, l.node, inside_owned(&l, n).n);
}

static struct range owned(struct team t, int rank, size_t n)
{
    const struct place l = place_of(t, rank);
    const struct range block = inside_owned(&l, n);
    struct range own = allreduce_ring.owned(l.between, l.node, block.n);
    own.at += block.at;
    return own;
}

/* The reduce-scatter of all, then that of the block. */
static uint64_t scatter_sent_floats(struct team t, int rank, size_t n)
{
    return n - owned(t, rank, n).n;
}

const struct allreduce allreduce_hierarchical = {
    .member = { .name = "hierarchical",
                .help =
                    "reduce-scatter within nodes, a ring between nodes for each share, allgather within; for slow links between "
                    "nodes",
                .source = "Ueno & Yokota 2019, Exhaustive study of hierarchical allreduce patterns for large messages" },
    .rounds = rounds,
    .blocks = blocks,
    .round = play,
    .sent_floats = sent_floats,
    .scatter_rounds = scatter_rounds,
    .owned = owned,
    .scatter_sent_floats = scatter_sent_floats,
};
