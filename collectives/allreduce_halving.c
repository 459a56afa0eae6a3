/* Recursive halving and doubling (Rabenseifner): halve the vector level by level until each rank has the sum of one block, then
 * double back.
 *
 *   p = 4, blocks 0 1 2 3:   0 <-> 2 sends its [2 3], keeps the sum of [0 1]       (1 <-> 3 alike)
 *                            0 <-> 1 sends its [1],   keeps the sum of [0]
 *                            0 <-> 1 exchange finished [0] and [1];   0 <-> 2 exchange finished [0 1] and [2 3]
 *
 * Time 2 log2 p alpha + 2 (p-1)/p n beta: the ring's volume at the tree's latency, for p a power of two; else folded (fold.h),
 * which costs n more on some ranks.
 * Source: Rabenseifner, "Optimization of collective reduction operations", ICCS 2004; Thakur, Rabenseifner, Gropp 2005.
 */
#include "collectives/fold.h"

static int rounds(struct team t)
{
    return fold_rounds(t.p, 2 * fold_levels(t.p));
}

static int blocks(struct team t)
{
    return t.p == 1 ? 1 : 2;
}

/* The aligned group of `size` blocks around block `rank`, of n floats in q blocks. */
static size_t group_start(size_t n, int q, int rank, int size)
{
    return block_start(n, q, rank & -size);
}

static size_t group_length(size_t n, int q, int rank, int size)
{
    return block_start(n, q, (rank & -size) + size) - group_start(n, q, rank, size);
}

static void play(struct team t, int rank, size_t n, int i, struct round *out)
{
    int levels = fold_levels(t.p), q = 1 << levels;
    int level = fold_round(t.p, rank, n, i, 2 * levels, out);
    if (level < 0)
        return;
    bool halving = level < levels;
    int size = 1 << (halving ? levels - 1 - level : level - levels);
    int peer = rank ^ size, sent = halving ? peer : rank, received = halving ? rank : peer;
    *out = (struct round){
        .to = peer,
        .from = peer,
        .send_at = group_start(n, q, sent, size),
        .send_n = group_length(n, q, sent, size),
        .recv_at = group_start(n, q, received, size),
        .recv_n = group_length(n, q, received, size),
        .add = halving,
    };
}

/* Halving sends all but the own block; doubling sends the groups of 1, 2, 4, ... q/2 blocks around it. With n = c q + e the group
 * of s blocks from block g on is c s floats and one for each of its blocks below e. */
static uint64_t sent_floats(struct team t, int rank, size_t n)
{
    size_t q = (size_t)fold_ranks(t.p), r = (size_t)rank, c = n / q, e = n % q;
    if (r >= q)
        return fold_sent_floats(t.p, rank, n);
    uint64_t sent = n - c - (r < e);
    for (size_t s = 1; s < q; s *= 2) {
        size_t g = r - r % s;
        sent += c * s + (e <= g ? 0 : e - g < s ? e - g : s);
    }
    return sent + fold_sent_floats(t.p, rank, n);
}

/* The folding round comes first, and the one that gives the sum back to the folded ranks last: they own nothing. */
static int scatter_rounds(struct team t)
{
    return fold_levels(t.p) + (t.p != fold_ranks(t.p));
}

static struct range owned(struct team t, int rank, size_t n)
{
    const int q = fold_ranks(t.p);
    return rank < q ? (struct range){ block_start(n, q, rank), block_length(n, q, rank) } : (struct range){ n, 0 };
}

static uint64_t scatter_sent_floats(struct team t, int rank, size_t n)
{
    return n - owned(t, rank, n).n;
}

const struct allreduce allreduce_halving = {
    .member = { .name = "halving",
                .help = "recursive halving, then doubling; the ring's volume at logarithmic latency when ranks are a power of two",
                .source = "Rabenseifner 2004, Optimization of collective reduction operations" },
    .rounds = rounds,
    .blocks = blocks,
    .round = play,
    .sent_floats = sent_floats,
    .scatter_rounds = scatter_rounds,
    .owned = owned,
    .scatter_sent_floats = scatter_sent_floats,
};
