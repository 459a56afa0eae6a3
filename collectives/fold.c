/* The folding rounds: the first, in which ranks q .. p-1 give their vectors away, and the last, in which they get the sum back.
 * In all rounds between they idle, and the others play the algorithm's own. */
#include "collectives/fold.h"

int fold_levels(int p)
{
    int levels = 0;
    while (2 << levels <= p)
        levels++;
    return levels;
}

int fold_ranks(int p)
{
    return 1 << fold_levels(p);
}

int fold_rounds(int p, int inner)
{
    return p == fold_ranks(p) ? inner : inner + 2;
}

int fold_round(int p, int rank, size_t n, int i, int inner, struct round *out)
{
    int q = fold_ranks(p);
    if (p == q)
        return i;
    bool first = i == 0, last = i == inner + 1, folded = rank >= q, partner = rank < p - q;
    if (!first && !last && !folded)
        return i - 1;
    *out = (struct round){ .to = -1, .from = -1, .add = first };
    if ((first && folded) || (last && partner)) {
        out->to = folded ? rank - q : rank + q;
        out->send_n = n;
    } else if ((first && partner) || (last && folded)) {
        out->from = folded ? rank - q : rank + q;
        out->recv_n = n;
    }
    return -1;
}

uint64_t fold_sent_floats(int p, int rank, size_t n)
{
    int q = fold_ranks(p);
    return rank >= q || rank < p - q ? n : 0;
}
