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

static int rounds(struct team t)
{
    return 2 * (t.p - 1);
}

static int blocks(struct team t)
{
    return t.p;
}

static void play(struct team t, int rank, size_t n, int i, struct round *out)
{
    bool add = i < t.p - 1;
    int first = add ? rank - i : rank - i + t.p; /* the block received in one round is sent in the next */
    int sent = (first + t.p) % t.p, received = (first - 1 + t.p) % t.p;
    *out = (struct round){
        .to = (rank + 1) % t.p,
        .from = (rank + t.p - 1) % t.p,
        .send_at = block_start(n, t.p, sent),
        .send_n = block_length(n, t.p, sent),
        .recv_at = block_start(n, t.p, received),
        .recv_n = block_length(n, t.p, received),
        .add = add,
    };
}

/* All blocks but r+1 while summing (it ends here), all but r+2 while passing on (it ends here). */
static uint64_t sent_floats(struct team t, int rank, size_t n)
{
    return t.p == 1 ? 0 : 2 * n - block_length(n, t.p, (rank + 1) % t.p) - block_length(n, t.p, (rank + 2) % t.p);
}

static int scatter_rounds(struct team t)
{
    return t.p - 1;
}

static struct range owned(struct team t, int rank, size_t n)
{
    const int block = (rank + 1) % t.p;
    return (struct range){ block_start(n, t.p, block), block_length(n, t.p, block) };
}

static uint64_t scatter_sent_floats(struct team t, int rank, size_t n)
{
    return n - block_length(n, t.p, (rank + 1) % t.p);
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
