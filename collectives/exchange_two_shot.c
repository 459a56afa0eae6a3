/* Every rank owns a block of the vector: it gets all ranks' codes of it, adds them up, codes the sum anew and sends that to all.
 *
 *     x[n] --p codes, one a block--> owners --decode, sum, code--> all          sent by rank r: 2 m (p-1)/p in all
 *
 * Round i of the first p takes a code to rank r + i and one from r - i, itself first; then the codes of the sums go round a ring.
 * All decode the owner's code, the owner too, so the sum has the same bits everywhere. Its error is twice an allgather's, whatever
 * p is. With feedback both errors are made up for: this rank's in its vector, the owner's in the sum that it keeps. Options hold
 * for each block. With `ef-sign` this is the compressed_allreduce of 1-bit Adam. Rides: codes without state that take any vector.
 * Source: Tang et al., "1-bit Adam", ICML 2021. Deviates: sums, does not average; any code.
 */
#include <string.h>

#include "collectives/parcel.h"

struct two_shot {
    float *sum;              /* [own block]; with feedback kept: begins as what of the last sum did not travel */
    unsigned char *first;    /* [p] codes of the own vector's blocks */
    unsigned char *incoming; /* another rank's code of the own block */
    unsigned char *second;   /* [p] codes of the sums */
    unsigned char *scratch;  /* of the second code; x->scratch has one for each of the first */
    struct parcel_rooms one, all;
};

/* Rank `by`'s code of a block, one of p that are summed; and the owner's of the sum, alone. */
static struct coding coding_of_one(const struct exchange_terms *t, int by, int block)
{
    return parcel_coding(t, t->coding.workers, block, by, 0);
}

static struct coding coding_of_all(const struct exchange_terms *t, int block)
{
    struct coding c = parcel_coding(t, t->coding.workers, block, block, 1);
    c.worker = 0;
    c.workers = 1;
    return c;
}

static const char *refuses(const struct exchange_terms *t)
{
    const struct coding longest = coding_of_one(t, 0, 0), shortest = coding_of_one(t, 0, t->coding.workers - 1);
    const char *why = parcel_refuses_anew(t);
    return why ? why : parcel_refuses(t, &longest, &shortest);
}

static bool sent(const struct exchange_terms *t, uint64_t *B_to)
{
    const int p = t->coding.workers, rank = t->coding.worker, next = around(rank + 1, p);
    for (int block = 0; parcel_is_fixed(t) && block < p; block++) {
        const struct coding one = coding_of_one(t, rank, block), all = coding_of_all(t, block);
        B_to[block] += block == rank ? 0 : parcel_most_B(t, &one);
        B_to[next] += block == next ? 0 : parcel_most_B(t, &all);
    }
    return parcel_is_fixed(t) || p == 1;
}

static void lay_out(struct compressed *x)
{
    const struct exchange_terms *t = &x->terms;
    const int last = x->ranks - 1;
    const size_t p = (size_t)x->ranks, sum_B = block_length(x->n, x->ranks, x->rank) * sizeof(float);
    const struct coding one[2] = { coding_of_one(t, x->rank, 0), coding_of_one(t, x->rank, last) };
    const struct coding all[2] = { coding_of_all(t, 0), coding_of_all(t, last) };
    struct two_shot o = { .one = parcel_rooms(t, &one[0], &one[1]), .all = parcel_rooms(t, &all[0], &all[1]) };
    o.sum = t->feedback ? compressed_keep(x, sum_B) : compressed_take(x, sum_B);
    o.first = compressed_take(x, p * o.one.parcel_B);
    o.incoming = compressed_take(x, o.one.parcel_B);
    o.second = compressed_take(x, p * o.all.parcel_B);
    o.scratch = compressed_take(x, o.one.scratch_B + o.all.scratch_B);
    x->scratch = compressed_take(x, p * o.one.scratch_B + o.all.scratch_B);
    x->own = compressed_take(x, sizeof o);
    if (x->own)
        memcpy(x->own, &o, sizeof o);
}

/* ---- on their way -------------------------------------------------------------------------------------------------------- */

static struct parcel first(const struct compressed *x, int by, int block)
{
    const struct two_shot *o = x->own;
    return (struct parcel){ .coding = coding_of_one(&x->terms, by, block),
                            .at = by == x->rank ? o->first + (size_t)block * o->one.parcel_B : o->incoming };
}

static struct parcel second(const struct compressed *x, int block)
{
    const struct two_shot *o = x->own;
    return (struct parcel){ .coding = coding_of_all(&x->terms, block), .at = o->second + (size_t)block * o->all.parcel_B };
}

static void step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    (void)segment;
    const struct compressed *x = op->data;
    const int p = x->ranks, rank = x->rank;
    if (i == 0) {
        *out = (struct step){ .to = -1, .from = -1 };
    } else if (i < p) {
        const int to = around(rank + i, p), from = around(rank - i, p);
        const struct parcel mine = first(x, rank, to), theirs = first(x, from, rank);
        *out = parcel_step(&x->terms, to, &mine, from, &theirs);
    } else {
        const struct parcel known = second(x, around(rank - i, p)), new = second(x, around(rank - i - 1, p));
        *out = parcel_step(&x->terms, around(rank + 1, p), &known, around(rank - 1, p), &new);
    }
}

static void landed(struct operation *op, int i)
{
    struct compressed *x = op->data;
    const struct two_shot *o = x->own;
    if (i == 0 && !x->terms.feedback && !compressed_is_hollow(x))
        memset(o->sum, 0, block_length(x->n, x->ranks, x->rank) * sizeof *o->sum);
    if (i < x->ranks) {
        const struct parcel theirs = first(x, around(x->rank - i, x->ranks), x->rank);
        parcel_decode(x, &theirs, 1, o->sum, o->scratch);
    }
    if (i == x->ranks - 1) {
        const struct parcel own = second(x, x->rank);
        parcel_fill(x, &own, NULL, o->sum, o->scratch);
        if (x->terms.feedback)
            parcel_decode(x, &own, -1, o->sum, o->scratch);
    }
}

static uint64_t sent_B(const struct operation *op)
{
    const struct compressed *x = op->data;
    uint64_t all = 0;
    for (int block = 0; block < x->ranks; block++) {
        const struct parcel mine = first(x, x->rank, block), sum = second(x, block);
        all += block == x->rank ? 0 : parcel_B(&x->terms, &mine);
        all += block == around(x->rank + 1, x->ranks) ? 0 : parcel_B(&x->terms, &sum);
    }
    return all;
}

static status plan(struct compressed *x)
{
    struct operation op = { .data = x, .rounds = 2 * x->ranks - 1, .step = step, .landed = landed, .sent_B = sent_B };
    return compressed_plan(x, &op, sizeof op);
}

/* ---- before and after ---------------------------------------------------------------------------------------------------- */

static unsigned char *scratch_of(const struct compressed *x, int block)
{
    return (unsigned char *)x->scratch + (size_t)block * ((const struct two_shot *)x->own)->one.scratch_B;
}

static void encode(struct compressed *x)
{
    for (int block = 0; block < x->ranks; block++) {
        const struct parcel mine = first(x, x->rank, block);
        parcel_encode(x, &mine, NULL, x->vector + block_start(x->n, x->ranks, block), scratch_of(x, block));
    }
}

static void pack(struct compressed *x)
{
    for (int block = 0; block < x->ranks; block++) {
        const struct parcel mine = first(x, x->rank, block);
        parcel_pack(x, &mine, scratch_of(x, block));
    }
}

static void residual(struct compressed *x)
{
    for (int block = 0; block < x->ranks; block++) {
        const struct parcel mine = first(x, x->rank, block);
        parcel_decode(x, &mine, -1, x->vector + block_start(x->n, x->ranks, block), x->scratch);
    }
}

static void decode(struct compressed *x, float *sum)
{
    for (int block = 0; block < x->ranks; block++) {
        const struct parcel code = second(x, block);
        parcel_decode(x, &code, 1, sum + block_start(x->n, x->ranks, block), x->scratch);
    }
}

const struct exchange exchange_two_shot = {
    .member = { .name = "two-shot",
                .help = "codes of blocks go to the blocks' owners, whose codes of the sums go to all; 2 m (p-1)/p bytes",
                .source = "Tang et al. 2021, 1-bit Adam" },
    .refuses = refuses,
    .sent = sent,
    .hollow = true,
    .lay_out = lay_out,
    .plan = plan,
    .encode = encode,
    .pack = pack,
    .residual = residual,
    .residual_moment = AFTER_START,
    .decode = decode,
};
