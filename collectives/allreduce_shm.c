/* Shared memory: every rank writes its vector where all can read it, sums its own block of all, and reads the others' sums.
 *
 *   p = 3, blocks a b c      rank 0            rank 1            rank 2
 *   write                    - b c             a - c             a b -          all but the own block
 *   sum the own block        a0 + a1 + a2      b1 + b2 + b0      c2 + c0 + c1
 *   read the others'         b c               a c               a b
 *
 * No message is sent. What others read of a rank's memory counts as sent by it: the blocks of others, each by one rank, and the sum
 * of its own by p-1. That is 2 (p-1)/p n, a ring's volume, in two waits for each other instead of 2 (p-1). The rounds below say who
 * reads what from whom, as if it were sent one block at a time: by them bytes are predicted, and costs. share does it all at once.
 * A block is summed by one rank, from its own on, so all ranks get the same bits.
 * Source: Graham & Shipman 2008, MPI support for multi-core architectures: optimized shared memory collectives.
 */
#include <string.h>

#include "collectives/allreduce.h"
#include "collectives/window.h"

static int rounds(struct team t)
{
    return 2 * (t.p - 1);
}

static int blocks(struct team t)
{
    return t.p;
}

static struct range owned(struct team t, int rank, size_t n)
{
    return (struct range){ block_start(n, t.p, rank), block_length(n, t.p, rank) };
}

static void play(struct team t, int rank, size_t n, int i, struct round *out)
{
    const bool add = i < t.p - 1;
    const int distance = i % (t.p - 1) + 1, to = (rank + distance) % t.p, from = (rank - distance + t.p) % t.p;
    const struct range sent = owned(t, add ? to : rank, n), received = owned(t, add ? rank : from, n);
    *out = (struct round){
        .to = to, .from = from, .send_at = sent.at, .send_n = sent.n, .recv_at = received.at, .recv_n = received.n, .add = add
    };
}

static uint64_t scatter_sent_floats(struct team t, int rank, size_t n)
{
    return n - owned(t, rank, n).n;
}

static uint64_t sent_floats(struct team t, int rank, size_t n)
{
    return scatter_sent_floats(t, rank, n) + (uint64_t)(t.p - 1) * owned(t, rank, n).n;
}

static int scatter_rounds(struct team t)
{
    return t.p - 1;
}

/* ---- through the window -------------------------------------------------------------------------------------------------- */

/* Sums have a place of their own, which no vector, however long, is written over while they are read: the next one's is written
 * when all have signalled that they are done with these. */
static size_t sums_at(const struct sharing *s)
{
    return window_slot_B(s->window) / (size_t)(s->team.p + 1) * (size_t)s->team.p;
}

static void write_vector(const struct sharing *s, struct range own)
{
    const size_t behind = (own.at + own.n) * s->element_B;
    window_write(s->window, s->slot, 0, s->x, own.at * s->element_B, 1);
    window_write(s->window, s->slot, behind, s->x + behind, s->n * s->element_B - behind, 1);
}

static void sum_own_block(const struct sharing *s, struct range own)
{
    const size_t at = own.at * s->element_B, B = own.n * s->element_B;
    for (int k = 1; k < s->team.p; k++)
        s->combine(s->x + at, window_read(s->window, (s->rank + k) % s->team.p, s->slot, at), B);
}

static void read_sums(const struct sharing *s)
{
    for (int k = 1; k < s->team.p; k++) {
        const int rank = (s->rank + k) % s->team.p;
        const struct range block = owned(s->team, rank, s->n);
        const size_t B = block.n * s->element_B;
        memcpy(s->x + block.at * s->element_B, window_read(s->window, rank, s->slot, sums_at(s)), B);
    }
}

static void share(const struct sharing *s, int phase)
{
    const struct range own = owned(s->team, s->rank, s->n);
    if (phase == 0 && s->scatters)
        write_vector(s, own);
    if (phase == 1 && s->scatters)
        sum_own_block(s, own);
    if (phase == 1 && s->gathers)
        window_write(s->window, s->slot, sums_at(s), s->x + own.at * s->element_B, own.n * s->element_B, s->team.p - 1);
    if (phase == 2)
        read_sums(s);
}

const struct allreduce allreduce_shm = {
    .member = { .name = "shm",
                .help = "through memory that the ranks of one host share; no messages",
                .source = "Graham & Shipman 2008, MPI support for multi-core architectures" },
    .rounds = rounds,
    .blocks = blocks,
    .round = play,
    .sent_floats = sent_floats,
    .scatter_rounds = scatter_rounds,
    .owned = owned,
    .scatter_sent_floats = scatter_sent_floats,
    .share = share,
};
