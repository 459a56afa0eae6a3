/* A ring allreduce of codes: at every hop a block's partial sum is decoded, the own part added, and the sum coded anew.
 *
 *     x_r --C--> [] + x_r+1 --C--> [] + x_r+2 --C--> ... --C--> the block's code, which goes round unchanged      2 m (p-1)/p
 *
 * The ring is allreduce_ring's: round i sends block r - 1 - i, and the last code of a block is its owner's, r's of block r. A block
 * is coded p times, its sums growing, so its error is (p+1)/2 times an allgather's: sum of j for j <= p, over p (derived).
 * With feedback the error of a hop stays with the rank that made it, in its vector: vector += what came; what is sent is
 * subtracted. So nothing of the sum of all ranks' vectors is lost. Options hold for each block. Rides: codes without state that
 * take any vector. Not two-shot, which codes twice only; it is here to be compared with.
 */
#include <string.h>

#include "collectives/parcel.h"

struct ring {
    unsigned char *codes; /* [p] of each block, the latest that this rank knows */
    struct parcel_rooms rooms;
};

/* A block's code after `hops` hops: of a partial sum, alone. Block b's first is by rank b + 1. */
static struct coding coding_of(const struct exchange_terms *t, int block, int hops)
{
    const int p = t->coding.workers;
    struct coding c = parcel_coding(t, p, block, (block + 1 + hops) % p, (uint32_t)hops);
    c.worker = 0;
    c.workers = 1;
    return c;
}

static const char *refuses(const struct exchange_terms *t)
{
    const struct coding longest = coding_of(t, 0, 0), shortest = coding_of(t, t->coding.workers - 1, 0);
    const char *why = parcel_refuses_anew(t);
    return why ? why : parcel_refuses(t, &longest, &shortest);
}

static bool sent(const struct exchange_terms *t, uint64_t *B_to)
{
    const int p = t->coding.workers, rank = t->coding.worker, next = around(rank + 1, p);
    for (int block = 0; parcel_is_fixed(t) && p > 1 && block < p; block++) {
        const struct coding c = coding_of(t, block, 0);
        B_to[next] += (uint64_t)((block != rank) + (block != next)) * parcel_most_B(t, &c);
    }
    return parcel_is_fixed(t) || p == 1;
}

static void lay_out(struct compressed *x)
{
    const struct coding longest = coding_of(&x->terms, 0, 0), shortest = coding_of(&x->terms, x->ranks - 1, 0);
    struct ring o = { .rooms = parcel_rooms(&x->terms, &longest, &shortest) };
    o.codes = compressed_take(x, (size_t)x->ranks * o.rooms.parcel_B);
    x->scratch = compressed_take(x, o.rooms.scratch_B);
    x->own = compressed_take(x, sizeof o);
    if (x->own)
        memcpy(x->own, &o, sizeof o);
}

/* ---- on their way -------------------------------------------------------------------------------------------------------- */

static struct parcel parcel_of(const struct compressed *x, int block, int hops)
{
    const struct ring *o = x->own;
    return (struct parcel){ .coding = coding_of(&x->terms, block, hops), .at = o->codes + (size_t)block * o->rooms.parcel_B };
}

/* What this rank sends in round i; it receives what the rank before sends. */
static struct parcel sent_by(const struct compressed *x, int rank, int i)
{
    const int p = x->ranks;
    return parcel_of(x, around(rank - 1 - i, p), i < p - 1 ? i : p - 1);
}

static float *part(const struct compressed *x, int block)
{
    return x->vector + block_start(x->n, x->ranks, block);
}

static void step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    (void)segment;
    const struct compressed *x = op->data;
    const int next = around(x->rank + 1, x->ranks), previous = around(x->rank - 1, x->ranks);
    const struct parcel mine = sent_by(x, x->rank, i), theirs = sent_by(x, previous, i);
    *out = parcel_step(&x->terms, next, &mine, previous, &theirs);
}

/* What came is added to the own part, and takes its place as the code of both. */
static void landed(struct operation *op, int i)
{
    struct compressed *x = op->data;
    if (i >= x->ranks - 1)
        return;
    const int block = around(x->rank - 2 - i, x->ranks);
    const struct parcel theirs = parcel_of(x, block, i), ours = parcel_of(x, block, i + 1);
    parcel_decode(x, &theirs, 1, part(x, block), x->scratch);
    parcel_fill(x, &ours, NULL, part(x, block), x->scratch);
    if (x->terms.feedback)
        parcel_decode(x, &ours, -1, part(x, block), x->scratch);
}

/* All p codes that this rank made, and all that it passed on. */
static uint64_t sent_B(const struct operation *op)
{
    const struct compressed *x = op->data;
    const int p = x->ranks;
    uint64_t all = (uint64_t)x->code_B + (uint64_t)p * parcel_head_B(&x->terms);
    for (int block = 0; block < p; block++) {
        const struct parcel last = parcel_of(x, block, p - 1);
        all += block == x->rank || block == around(x->rank + 1, p) ? 0 : parcel_B(&x->terms, &last);
    }
    return all;
}

static status plan(struct compressed *x)
{
    struct operation op = { .data = x, .rounds = 2 * (x->ranks - 1), .step = step, .landed = landed, .sent_B = sent_B };
    return compressed_plan(x, &op, sizeof op);
}

/* ---- before and after ---------------------------------------------------------------------------------------------------- */

static void encode(struct compressed *x)
{
    const struct parcel mine = sent_by(x, x->rank, 0);
    parcel_encode(x, &mine, NULL, part(x, around(x->rank - 1, x->ranks)), x->scratch);
}

static void pack(struct compressed *x)
{
    const struct parcel mine = sent_by(x, x->rank, 0);
    parcel_pack(x, &mine, x->scratch);
}

static void residual(struct compressed *x)
{
    const struct parcel mine = sent_by(x, x->rank, 0);
    parcel_decode(x, &mine, -1, part(x, around(x->rank - 1, x->ranks)), x->scratch);
}

static void decode(struct compressed *x, float *sum)
{
    for (int block = 0; block < x->ranks; block++) {
        const struct parcel last = parcel_of(x, block, x->ranks - 1);
        parcel_decode(x, &last, 1, sum + block_start(x->n, x->ranks, block), x->scratch);
    }
}

const struct exchange exchange_ring_requantised = {
    .member = { .name = "ring-requantised",
                .help =
                    "a ring that decodes, adds and codes anew at every hop; 2 m (p-1)/p bytes, and an error that grows with p" },
    .refuses = refuses,
    .sent = sent,
    .hollow = true,
    .lay_out = lay_out,
    .plan = plan,
    .encode = encode,
    .pack = pack,
    .residual = residual,
    .residual_moment = BEFORE_START,
    .decode = decode,
};
