/* Recursive doubling: in round k everybody exchanges the whole vector with the rank that differs in bit k, and adds.
 *
 *   0 <-> 1   2 <-> 3        a+b  a+b  c+d  c+d
 *   0 <-> 2   1 <-> 3        all have (a+b)+(c+d), in bits too: x + y and y + x are the same float
 *
 * Time log2 p (alpha + n beta): least latency, for small vectors; log2 p times n floats per rank.
 * Other than a power of two: folded (fold.h).
 * Source: Thakur, Rabenseifner, Gropp, "Optimization of collective communication operations in MPICH", IJHPCA 2005.
 */
#include "collectives/fold.h"

static int rounds(struct team t)
{
    return fold_rounds(t.p, fold_levels(t.p));
}

static void play(struct team t, int rank, size_t n, int i, struct round *out)
{
    int level = fold_round(t.p, rank, n, i, fold_levels(t.p), out);
    if (level < 0)
        return;
    int peer = rank ^ (1 << level);
    *out = (struct round){ .to = peer, .from = peer, .send_n = n, .recv_n = n, .add = true };
}

static uint64_t sent_floats(struct team t, int rank, size_t n)
{
    uint64_t own = rank < fold_ranks(t.p) ? (uint64_t)fold_levels(t.p) * n : 0;
    return own + fold_sent_floats(t.p, rank, n);
}

const struct allreduce allreduce_doubling = {
    .member = { .name = "doubling",
                .help = "pairs at distance 1, 2, 4, ... exchange and add whole vectors; least latency, for small vectors",
                .source = "Thakur, Rabenseifner & Gropp 2005, Optimization of collective communication operations in MPICH" },
    .rounds = rounds,
    .round = play,
    .sent_floats = sent_floats,
};
