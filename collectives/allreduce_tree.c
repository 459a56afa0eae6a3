/* Binomial tree: sums climb to rank 0 in rounds of distance 1, 2, 4, ..., and the total climbs down the same way.
 *
 *   up:   1 -> 0   3 -> 2   5 -> 4   7 -> 6        down, in reverse:   0 -> 4
 *         2 -> 0            6 -> 4                                     0 -> 2   4 -> 6
 *         4 -> 0                                                       0 -> 1   2 -> 3   4 -> 5   6 -> 7
 *
 * Time 2 log2 p (alpha + n beta): the plain reference, any p, no folding; rank 0 alone decides the bits.
 * Source: Thakur, Rabenseifner, Gropp, "Optimization of collective communication operations in MPICH", IJHPCA 2005.
 */
#include "collectives/allreduce.h"

static int levels(int p)
{
    int k = 0;
    while (1 << k < p)
        k++;
    return k;
}

static int rounds(struct team t)
{
    return 2 * levels(t.p);
}

static void play(struct team t, int rank, size_t n, int i, struct round *out)
{
    int top = levels(t.p);
    bool up = i < top;
    int distance = 1 << (up ? i : 2 * top - 1 - i);
    bool child = rank % (2 * distance) == distance, parent = rank % (2 * distance) == 0 && rank + distance < t.p;
    *out = (struct round){ .to = -1, .from = -1, .add = up };
    if (up ? child : parent) {
        out->to = up ? rank - distance : rank + distance;
        out->send_n = n;
    } else if (up ? parent : child) {
        out->from = up ? rank + distance : rank - distance;
        out->recv_n = n;
    }
}

/* Once to the parent (but rank 0), once to each child rank + 2^k, 2^k below the rank's lowest bit. */
static uint64_t sent_floats(struct team t, int rank, size_t n)
{
    uint64_t messages = rank != 0;
    for (int bit = 1; !(rank & bit) && rank + bit < t.p; bit *= 2)
        messages++;
    return messages * n;
}

const struct allreduce allreduce_tree = {
    .member = { .name = "tree",
                .help = "binomial reduction to rank 0 and broadcast from it; the plain reference",
                .source = "Thakur, Rabenseifner & Gropp 2005, Optimization of collective communication operations in MPICH" },
    .rounds = rounds,
    .round = play,
    .sent_floats = sent_floats,
};
