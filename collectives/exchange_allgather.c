/* Every rank's code goes to all, round a ring, and all decode and add them in the order of ranks: the sum has the same bits
 * everywhere. Rides: any code of a whole vector.
 *
 *   sent by rank r: the codes of all ranks but that of r + 1, m (p-1) in all; beats a dense ring while p < 2 * 4n / m
 *
 * Codes of one size are cut into segments like any gather. Where sizes depend on the data each message begins with its code's
 * length, 4 bytes; an empty code is a message, too.
 */
#include <string.h>

#include "collectives/exchange_parts.h"

struct allgather {
    unsigned char *codes; /* [p * slot_B] in the order of ranks */
    size_t slot_B;        /* head and the longest code */
};

enum { HEAD_B = sizeof(uint32_t) };

static bool is_fixed(const struct exchange_terms *t)
{
    return compressor_traits(t->kind, t->coding.options) & COMPRESSOR_FIXED_SIZE;
}

static const char *refuses(const struct exchange_terms *t)
{
    const struct linear *l = t->kind->linear;
    if (compressor_traits(t->kind, t->coding.options) & COMPRESSOR_LINEAR && l->parts > 1)
        return "its later part follows from the sum of the first, which no allgather has (fits: \"allreduce\")";
    return !is_fixed(t) && t->kind->code_bytes(&t->coding) > UINT32_MAX ? "codes of more than 4294967295 bytes" : NULL;
}

static bool sent(const struct exchange_terms *t, uint64_t *B_to)
{
    const int p = t->coding.workers, next = (t->coding.worker + 1) % p;
    if (!is_fixed(t))
        return p == 1;
    B_to[next] += (uint64_t)(p - 1) * t->kind->code_bytes(&t->coding);
    return true;
}

static void lay_out(struct compressed *x)
{
    const struct exchange_terms *t = &x->terms;
    whole_lay_out(x, false);
    struct allgather *own = compressed_take(x, sizeof *own);
    const size_t slot_B = t->kind->code_bytes(&t->coding) + (is_fixed(t) ? 0 : HEAD_B);
    unsigned char *codes = compressed_take(x, (size_t)x->ranks * slot_B);
    if (!own)
        return;
    *own = (struct allgather){ codes, slot_B };
    x->own = own;
    x->code = codes + (size_t)x->rank * slot_B + (is_fixed(t) ? 0 : HEAD_B);
}

/* ---- sizes that depend on the data --------------------------------------------------------------------------------------- */

struct passing {
    struct operation op;
    struct compressed *x;
};

static unsigned char *slot(const struct compressed *x, int rank)
{
    const struct allgather *a = x->own;
    return a->codes + (size_t)((rank + 2 * x->ranks) % x->ranks) * a->slot_B;
}

/* A hostile length is cut to what can be. */
static size_t length(const struct compressed *x, int rank)
{
    const struct allgather *a = x->own;
    uint32_t bytes;
    memcpy(&bytes, slot(x, rank), sizeof bytes);
    return bytes < a->slot_B - HEAD_B ? bytes : a->slot_B - HEAD_B;
}

static void step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    (void)segment;
    const struct compressed *x = ((const struct passing *)op)->x;
    const struct allgather *a = x->own;
    *out = (struct step){
        .to = (x->rank + 1) % x->ranks,
        .from = (x->rank + x->ranks - 1) % x->ranks,
        .send = slot(x, x->rank - i),
        .send_B = HEAD_B + length(x, x->rank - i),
        .recv = slot(x, x->rank - i - 1),
        .recv_B = a->slot_B,
        .landing = LANDING_REPLACE,
    };
}

static uint64_t sent_B(const struct operation *op)
{
    const struct compressed *x = ((const struct passing *)op)->x;
    uint64_t all = 0;
    for (int r = 0; r < x->ranks; r++)
        all += r == (x->rank + 1) % x->ranks ? 0 : HEAD_B + length(x, r);
    return all;
}

static status plan(struct compressed *x)
{
    const struct allgather *a = x->own;
    struct passing passing = { .op = { .rounds = x->ranks - 1, .step = step, .sent_B = sent_B }, .x = x };
    if (is_fixed(&x->terms))
        return engine_plan_gather(x->engine, x->terms.purpose, a->codes, a->slot_B, &x->op);
    return compressed_plan(x, &passing.op, sizeof passing);
}

/* ---- both ---------------------------------------------------------------------------------------------------------------- */

static void note_length(struct compressed *x)
{
    const uint32_t bytes = (uint32_t)x->bytes;
    if (!is_fixed(&x->terms))
        memcpy(slot(x, x->rank), &bytes, sizeof bytes);
}

static void encode(struct compressed *x)
{
    whole_encode(x);
    note_length(x);
}

static void pack(struct compressed *x)
{
    whole_pack(x);
    note_length(x);
}

static void decode(struct compressed *x, float *sum)
{
    const bool fixed = is_fixed(&x->terms);
    for (int r = 0; r < x->ranks; r++) {
        const struct coding c = compressed_coding(x, r);
        const size_t bytes = fixed ? ((const struct allgather *)x->own)->slot_B : length(x, r);
        x->terms.kind->decode(&c, slot(x, r) + (fixed ? 0 : HEAD_B), bytes, 1, sum, x->scratch);
    }
}

const struct exchange exchange_allgather = {
    .member = { .name = "allgather", .help = "every code goes to all, round a ring; rides any code; m (p-1) bytes" },
    .refuses = refuses,
    .sent = sent,
    .lay_out = lay_out,
    .plan = plan,
    .encode = encode,
    .pack = pack,
    .residual = whole_residual,
    .residual_moment = AFTER_START,
    .decode = decode,
};
