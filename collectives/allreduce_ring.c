/* Ring: the vector in p blocks; each block goes once round to be summed, and once round to be known.
 *
 *   p = 3, block b as summed by ranks:   rank 0       rank 1       rank 2
 *   round 0 (add)   0 -> 1 -> 2 -> 0     c: 0+2       a: 0+1       b: 1+2
 *   round 1 (add)                        b: 0+1+2     c: 0+1+2     a: 0+1+2
 *   rounds 2, 3 (replace)                the finished blocks go round
 *
 * Time 2 (p-1) (alpha + n/p beta): least possible volume, 2 (p-1)/p n per rank, but latency linear in p. Every block is summed by
 * a chain, whose last rank decides its bits, so all ranks get the same.
 * Source: Patarasuk & Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", JPDC 2009.
 */
#include "collectives/allreduce.h"

static int rounds(int p)
{
    return 2 * (p - 1);
}

static int blocks(int p)
{
    return p;
}

static void play(int p, int rank, size_t n, int i, struct round *out)
{
    bool add = i < p - 1;
    int first = add ? rank - i : rank - i + p; /* the block received in one round is sent in the next */
    int sent = (first + p) % p, received = (first - 1 + p) % p;
    *out = (struct round){
        .to = (rank + 1) % p,
        .from = (rank + p - 1) % p,
        .send_at = block_start(n, p, sent),
        .send_n = block_length(n, p, sent),
        .recv_at = block_start(n, p, received),
        .recv_n = block_length(n, p, received),
        .add = add,
    };
}

/* All blocks but r+1 while summing (it ends here), all but r+2 while passing on (it ends here). */
static uint64_t sent_floats(int p, int rank, size_t n)
{
    return p == 1 ? 0 : 2 * n - block_length(n, p, (rank + 1) % p) - block_length(n, p, (rank + 2) % p);
}

static int scatter_rounds(int p)
{
    return p - 1;
}

static struct range owned(int p, int rank, size_t n)
{
    const int block = (rank + 1) % p;
    return (struct range){ block_start(n, p, block), block_length(n, p, block) };
}

static uint64_t scatter_sent_floats(int p, int rank, size_t n)
{
    return n - block_length(n, p, (rank + 1) % p);
}

const struct allreduce allreduce_ring = {
    .member = { .name = "ring",
                .help = "each block goes round once to be summed and once to be known; least volume, latency linear in ranks",
                .source = "Patarasuk & Yuan 2009, Bandwidth optimal all-reduce algorithms for clusters of workstations" },
    .rounds = rounds,
    .blocks = blocks,
    .round = play,
    .sent_floats = sent_floats,
    .scatter_rounds = scatter_rounds,
    .owned = owned,
    .scatter_sent_floats = scatter_sent_floats,
};
