/* QSGD: the integers of kernels/quantise.h, evenly spaced, s levels on each side of 0.
 *
 *     fixed:  norms | ceil(log2(2 s + 1)) bits a float          code_bytes = (4 | 2) ceil(n / B) + ceil(n width / 8)
 *     elias:  1 byte: which | norms | a stream of bits          code_bytes = 1 + the same, at most
 *         which = 0: as fixed; 1: dense, 2: sparse, as in kernels/elias.h
 *     The shortest of the three is sent, hence the bound.
 *
 * omega, published: min(B / s^2, sqrt(B) / s) for the norm of length; derived and claimed here: see kernels/quantise.h.
 * Rounding to the nearest has a bias. With the norm "max" it is contractive: the largest float is off by e N at most and no other
 * by more than itself, or e N, e = 1 / (2 s), so that delta = max((1 - e^2) / B, 1 - B e^2); with "l2" all may vanish. Source:
 * Alistarh, Grubic, Li, Tomioka, Vojnovic, NeurIPS 2017, whose two codes these are. What deviates: the count in front of the sparse
 * code, the third choice, and the norms "max" and in 16 bits, as in CocktailSGD (Wang et al., ICML 2023).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/bits.h"
#include "kernels/elias.h"
#include "kernels/quantise.h"

static const char *const codings[] = { "fixed", "elias", NULL };
static const char *const roundings[] = { "stochastic", "nearest", NULL };

static const struct key keys[] = {
    { "levels", KEY_INT, offsetof(struct quantise_options, levels), "16", 1, 32767, .help = "Steps between 0 and the norm." },
    QUANTISE_BUCKET_KEY("512"),
    QUANTISE_NORM_KEY,
    { "scale_bits", KEY_INT, offsetof(struct quantise_options, scale_bits), "32", 16, 32, .unit = "bits",
      .help = "Of a norm on the wire: 32 (float) or 16 (bfloat16, rounded up)." },
    { "rounding", KEY_CHOICE, offsetof(struct quantise_options, rounding), "\"stochastic\"", .choices = roundings,
      .help = "\"stochastic\" has no bias." },
    { "coding", KEY_CHOICE, offsetof(struct quantise_options, coding), "\"fixed\"", .choices = codings,
      .help = "As many bits for every float, or Elias's, which are fewer the more floats are near 0." },
    QUANTISE_PACKING_KEY,
    { 0 },
};

enum which { FIXED, DENSE, SPARSE };

static bool is_elias(const struct quantise_options *o)
{
    return strcmp(o->coding, "elias") == 0;
}

static const char *refuses(const struct coding *c)
{
    static char why[128];
    const struct quantise_options *o = c->options;
    if (o->scale_bits != 16 && o->scale_bits != 32) {
        snprintf(why, sizeof why, "scale_bits = %lld is no size of a float (fits: 16, 32)", (long long)o->scale_bits);
        return why;
    }
    if (quantise_in_bytes(o) && o->levels > 127) {
        snprintf(why, sizeof why, "packing = \"bytes\" has no room for levels = %lld (fits: 127 at most, or packing = \"bits\")",
                 (long long)o->levels);
        return why;
    }
    if (quantise_in_bytes(o) && is_elias(o))
        return "packing = \"bytes\" and coding = \"elias\" exclude each other (fits: one of them)";
    if (is_elias(o) && c->n >= UINT32_MAX)
        return "coding = \"elias\" counts fewer than 4294967295 floats (fits: coding = \"fixed\", or a smaller bucket)";
    return NULL;
}

static unsigned more_traits(const void *options)
{
    const struct quantise_options *o = options;
    const struct quantiser q = quantiser_of(o, false);
    const unsigned claim = !q.nearest ? COMPRESSOR_UNBIASED : q.norm == QUANTISE_MAX ? COMPRESSOR_CONTRACTIVE : 0;
    return claim | (is_elias(o) ? 0 : COMPRESSOR_FIXED_SIZE);
}

static size_t code_bytes(const struct coding *c)
{
    const struct quantiser q = quantiser_of(c->options, false);
    return (is_elias(c->options) && c->n > 0) + quantise_scales_bytes(&q, c->n) + bits_bytes(c->n, q.width);
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state;
    const struct quantiser q = quantiser_of(c->options, false);
    quantise_encode(&q, c, x, code + is_elias(c->options), scratch);
    return 0;
}

static size_t pack_elias(const struct quantiser *q, size_t n, unsigned char *code, const uint16_t *symbols)
{
    const size_t start = 1 + quantise_scales_bytes(q, n), fixed = n * (size_t)q->width;
    const struct elias_lengths l = elias_measure(symbols, n, q->levels);
    const size_t dense = l.bits[ELIAS_DENSE], sparse = l.bits[ELIAS_SPARSE];
    *code = fixed <= dense && fixed <= sparse ? FIXED : dense <= sparse ? DENSE : SPARSE;
    if (*code != FIXED)
        return start + elias_pack(*code == DENSE ? ELIAS_DENSE : ELIAS_SPARSE, symbols, n, q->levels, &l, code + start);
    bits_pack(symbols, n, q->width, code + start);
    return start + bits_bytes(n, q->width);
}

static size_t pack(const struct coding *c, unsigned char *code, void *scratch)
{
    const struct quantiser q = quantiser_of(c->options, false);
    const uint16_t *symbols = quantise_symbols(&q, c->n, scratch);
    if (c->n == 0)
        return 0;
    if (is_elias(c->options))
        return pack_elias(&q, c->n, code, symbols);
    bits_pack(symbols, c->n, q.width, code + quantise_scales_bytes(&q, c->n));
    return code_bytes(c);
}

static void unpack_read(const unsigned char *code, size_t bytes, size_t first, size_t n, int width, uint16_t *symbols)
{
    (void)bytes, (void)width;
    memcpy(symbols, code + first * sizeof *symbols, n * sizeof *symbols);
}

static void decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    const struct quantiser q = quantiser_of(c->options, false);
    const size_t n = c->n, start = is_elias(c->options) + quantise_scales_bytes(&q, n);
    if (n == 0 || bytes < start)
        return;
    const enum which which = is_elias(c->options) ? *code : FIXED;
    const unsigned char *scales = code + is_elias(c->options);
    if (which == DENSE || which == SPARSE) {
        uint16_t *const symbols = quantise_symbols(&q, n, scratch);
        elias_unpack(which == DENSE ? ELIAS_DENSE : ELIAS_SPARSE, code + start, bytes - start, n, q.levels, symbols);
        quantise_decode(&q, n, scales, unpack_read, (const unsigned char *)symbols, n * sizeof *symbols, factor, y);
    } else if (which == FIXED && bytes - start >= bits_bytes(n, q.width)) {
        quantise_decode(&q, n, scales, bits_unpack, code + start, bytes - start, factor, y);
    }
}

static double logical_bits(const struct coding *c, const unsigned char *code, size_t bytes)
{
    (void)code;
    const struct quantiser q = quantiser_of(c->options, false);
    const size_t fixed = 8 * quantise_scales_bytes(&q, c->n) + c->n * (size_t)quantise_width(q.levels);
    return (double)(is_elias(c->options) ? 8 * bytes : fixed);
}

static double omega(const struct coding *c, const float *x)
{
    (void)x;
    const struct quantiser q = quantiser_of(c->options, false);
    return q.nearest ? INFINITY : quantise_omega(&q, c->n);
}

static double delta(const struct coding *c, const float *x)
{
    (void)x;
    const struct quantiser q = quantiser_of(c->options, false);
    if (!q.nearest || q.norm != QUANTISE_MAX)
        return 0;
    const double B = (double)(c->n < q.bucket ? c->n : q.bucket), e = (q.scale_bits == 16 ? 1 + 0x1p-7 : 1) / (2.0 * q.levels);
    return fmax((1 - e * e) / B, 1 - B * e * e);
}

const struct compressor compress_qsgd = {
    .member = { .name = "qsgd",
                .help = "Rounds to evenly spaced levels of a bucket's norm.",
                .source = "Alistarh et al., NeurIPS 2017",
                .keys = keys,
                .options_bytes = sizeof(struct quantise_options) },
    .more_traits = more_traits,
    .refuses = refuses,
    .code_bytes = code_bytes,
    .scratch_bytes = quantise_scratch,
    .encode = encode,
    .pack = pack,
    .decode = decode,
    .logical_bits = logical_bits,
    .omega = omega,
    .delta = delta,
    .levels = &quantise_levels,
};
