/* Integers are added exactly on their way: all ranks quantise with the same scales, and the symbols are sent with as many bits as
 * their sum over p ranks may have.
 *
 *     scales --largest of all ranks, by doubling--> symbols of b bits --ring of b + ceil(log2 p) bits--> sum of symbols * scale
 *
 *   sent by rank r: 2 (p-1)/p n (b + ceil(log2 p))/8 bytes, a block of the ring rounded up to bytes, and log2 p times the scales
 *
 * A symbol -L .. L travels as 0 .. 2L, so its sum needs no sign. The result has the same bits everywhere, and the error of each
 * rank's own rounding only; but the scale is the largest of all, hence omega and delta are not those of the member alone. How the
 * member itself would code its symbols (Elias, bytes) does not matter here. With feedback a rank's own rounding stays with it.
 * Rides: codes with `levels`.
 * Source: TernGrad's shared scale (Wen et al., NeurIPS 2017) and THC's sums of symbols (Li et al., NSDI 2024), on a ring.
 */
#include <stdio.h>
#include <string.h>

#include "collectives/parcel.h"
#include "kernels/bits.h"
#include "kernels/layers.h"

struct widened {
    float *scales, *other_scales;
    int32_t *integers;       /* [n] -L .. L, or sums of them */
    uint16_t *symbols;       /* [n] the own ones, from 0 */
    uint16_t *other_symbols; /* [longest block] */
    unsigned char *packed;   /* [p * block_B] of each block, the latest sum that this rank knows */
    size_t block_B;
};

static int most(const struct exchange_terms *t)
{
    return t->kind->levels->most(t->coding.options);
}

static int own_width(const struct exchange_terms *t)
{
    return bits_width(2 * (uint32_t)most(t) + 1);
}

static int width(const struct exchange_terms *t)
{
    return own_width(t) + bits_width((uint32_t)t->coding.workers);
}

static const char *refuses(const struct exchange_terms *t)
{
    static char why[128];
    if (!t->kind->levels)
        return "its symbols are no integers that could be summed (fits: \"qsgd\", \"terngrad\"; \"allgather\" takes any code)";
    if (width(t) <= BITS_WIDTH_MAX)
        return NULL;
    snprintf(why, sizeof why, "symbols of %d bits summed over %d ranks need %d (fits: %d, so fewer levels)", own_width(t),
             t->coding.workers, width(t), BITS_WIDTH_MAX);
    return why;
}

/* ---- bytes --------------------------------------------------------------------------------------------------------------- */

static size_t block_B(const struct exchange_terms *t, int block)
{
    return bits_bytes(block_length(t->coding.n, t->coding.workers, block), width(t));
}

static size_t blocks_B(const struct exchange_terms *t)
{
    size_t all = 0;
    for (int block = 0; block < t->coding.workers; block++)
        all += block_B(t, block);
    return all;
}

/* All blocks but the own, and then all but that of the next rank. */
static uint64_t ring_B(const struct exchange_terms *t)
{
    const int p = t->coding.workers, rank = t->coding.worker;
    return p == 1 ? 0 : 2 * blocks_B(t) - block_B(t, rank) - block_B(t, around(rank + 1, p));
}

static bool sent(const struct exchange_terms *t, uint64_t *B_to)
{
    const int p = t->coding.workers, rank = t->coding.worker;
    engine_sent_to(&allreduce_doubling, SUM_ALLREDUCE, t->segment_B, team_of(p, 0), rank, t->kind->levels->scales(&t->coding),
                   B_to);
    for (int r = 0; r < p; r++)
        B_to[r] *= sizeof(float);
    B_to[around(rank + 1, p)] += ring_B(t);
    return true;
}

static uint64_t sent_B(const struct operation *op)
{
    const struct exchange_terms *t = &((struct compressed *)op->data)->terms;
    const size_t scales = t->kind->levels->scales(&t->coding);
    return sizeof(float) * allreduce_doubling.sent_floats(team_of(t->coding.workers, 0), t->coding.worker, scales) + ring_B(t);
}

static size_t group_of(size_t n)
{
    return (n + BITS_GROUP - 1) / BITS_GROUP * BITS_GROUP;
}

static void lay_out(struct compressed *x)
{
    const struct exchange_terms *t = &x->terms;
    const size_t scales_B = t->kind->levels->scales(&t->coding) * sizeof(float);
    struct widened o = { .block_B = block_B(t, 0) };
    o.scales = compressed_take(x, scales_B);
    o.other_scales = compressed_take(x, scales_B);
    o.integers = compressed_take(x, x->n * sizeof *o.integers);
    o.symbols = compressed_take(x, x->n * sizeof *o.symbols);
    o.other_symbols = compressed_take(x, group_of(block_length(x->n, x->ranks, 0)) * sizeof *o.other_symbols);
    o.packed = compressed_take(x, (size_t)x->ranks * o.block_B);
    x->own = compressed_take(x, sizeof o);
    if (x->own)
        memcpy(x->own, &o, sizeof o);
}

/* ---- on their way -------------------------------------------------------------------------------------------------------- */

/* Rounds of the scales; one without messages, to quantise; those of the ring. */
static int scale_rounds(const struct compressed *x)
{
    return allreduce_doubling.rounds(team_of(x->ranks, 0));
}

static struct round scale_round(const struct compressed *x, int i)
{
    struct round r;
    allreduce_doubling.round(team_of(x->ranks, 0), x->rank, x->terms.kind->levels->scales(&x->terms.coding), i, &r);
    return r;
}

static unsigned char *packed(const struct compressed *x, int block)
{
    const struct widened *o = x->own;
    return o->packed + (size_t)around(block, x->ranks) * o->block_B;
}

static struct step scale_step(const struct compressed *x, int i)
{
    const struct widened *o = x->own;
    const struct round r = scale_round(x, i);
    return (struct step){
        .to = r.to,
        .from = r.from,
        .send = o->scales + r.send_at,
        .send_B = r.send_n * sizeof *o->scales,
        .recv = (r.add ? o->other_scales : o->scales) + r.recv_at,
        .recv_B = r.recv_n * sizeof *o->scales,
        .landing = LANDING_REPLACE,
    };
}

static struct step ring_step(const struct compressed *x, int i)
{
    const int p = x->ranks, goes = x->rank - 1 - i, comes = goes - 1;
    return (struct step){
        .to = around(x->rank + 1, p),
        .from = around(x->rank - 1, p),
        .send = packed(x, goes),
        .send_B = block_B(&x->terms, around(goes, p)),
        .recv = packed(x, comes),
        .recv_B = block_B(&x->terms, around(comes, p)),
        .landing = LANDING_REPLACE,
    };
}

static void step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    (void)segment;
    const struct compressed *x = op->data;
    const int quantised = scale_rounds(x);
    *out = i < quantised    ? scale_step(x, i)
           : i == quantised ? (struct step){ .to = -1, .from = -1 }
                            : ring_step(x, i - quantised - 1);
}

static void pack_block(const struct compressed *x, int block)
{
    const struct widened *o = x->own;
    bits_pack(o->symbols + block_start(x->n, x->ranks, block), block_length(x->n, x->ranks, block), width(&x->terms),
              packed(x, block));
}

/* Into other_symbols. */
static void unpack_block(const struct compressed *x, int block)
{
    bits_unpack(packed(x, block), block_B(&x->terms, block), 0, block_length(x->n, x->ranks, block), width(&x->terms),
                ((struct widened *)x->own)->other_symbols);
}

/* What travels is taken from the vector as the symbols' negatives are added. */
static void quantise(struct compressed *x)
{
    const struct widened *o = x->own;
    const struct levels *levels = x->terms.kind->levels;
    const struct coding c = compressed_coding(x, x->rank);
    const int32_t zero = most(&x->terms);
    levels->quantise(&c, x->vector, o->scales, o->integers);
    for (size_t i = 0; i < x->n; i++) {
        o->symbols[i] = (uint16_t)(o->integers[i] + zero);
        o->integers[i] = -o->integers[i];
    }
    if (x->terms.feedback)
        levels->add(&c, o->integers, o->scales, x->vector);
    pack_block(x, around(x->rank - 1, x->ranks));
}

static void add_block(const struct compressed *x, int block)
{
    const struct widened *o = x->own;
    uint16_t *const own = o->symbols + block_start(x->n, x->ranks, block);
    const size_t n = block_length(x->n, x->ranks, block);
    unpack_block(x, block);
    for (size_t i = 0; i < n; i++)
        own[i] = (uint16_t)(own[i] + o->other_symbols[i]);
    pack_block(x, block);
}

static void landed(struct operation *op, int i)
{
    struct compressed *x = op->data;
    const struct widened *o = x->own;
    const int quantised = scale_rounds(x);
    if (i < quantised) {
        const struct round r = scale_round(x, i);
        if (r.add)
            maximum(o->scales + r.recv_at, o->other_scales + r.recv_at, r.recv_n);
    } else if (i == quantised) {
        quantise(x);
    } else if (i - quantised < x->ranks) {
        add_block(x, around(x->rank - 1 - (i - quantised), x->ranks));
    }
}

static status plan(struct compressed *x)
{
    struct operation op = {
        .data = x, .rounds = scale_rounds(x) + 1 + 2 * (x->ranks - 1), .step = step, .landed = landed, .sent_B = sent_B
    };
    return compressed_plan(x, &op, sizeof op);
}

/* ---- before and after ---------------------------------------------------------------------------------------------------- */

static void encode(struct compressed *x)
{
    const struct exchange_terms *t = &x->terms;
    const struct coding c = compressed_coding(x, x->rank);
    const double scales = (double)t->kind->levels->scales(&c);
    compressed_encodes(x, x->n);
    t->kind->levels->measure(&c, x->vector, ((struct widened *)x->own)->scales);
    x->floats = (double)x->n;
    x->code_B = (double)blocks_B(t) + sizeof(float) * scales;
    x->bits = (double)x->n * own_width(t) + 8 * sizeof(float) * scales;
}

static void decode(struct compressed *x, float *sum)
{
    const struct widened *o = x->own;
    const struct coding c = compressed_coding(x, x->rank);
    const int32_t zero = x->ranks * most(&x->terms);
    compressed_decodes(x, x->n);
    for (int block = 0; block < x->ranks; block++) {
        const struct range at = { block_start(x->n, x->ranks, block), block_length(x->n, x->ranks, block) };
        unpack_block(x, block);
        for (size_t i = 0; i < at.n; i++)
            o->integers[at.at + i] = (int32_t)o->other_symbols[i] - zero;
    }
    x->terms.kind->levels->add(&c, o->integers, o->scales, sum);
}

const struct exchange exchange_ring_widened = {
    .member = { .name = "ring-widened",
                .help = "integers with common scales are added exactly, in enough bits; 2n (b + log2 p)/8 (p-1)/p bytes",
                .source = "Wen et al. 2017, TernGrad; Li et al. 2024, THC" },
    .refuses = refuses,
    .sent = sent,
    .lay_out = lay_out,
    .plan = plan,
    .encode = encode,
    .decode = decode,
};
