/* TernGrad: sign(x) N Bernoulli(|x| / N), N the largest |x| of a bucket: one level of kernels/quantise.h.
 *
 *     two-bit: norms | 2 bits a float             4 ceil(n / B) + ceil(n / 4) bytes
 *     base3:   norms | 5 floats a byte            4 ceil(n / B) + m,  m = ceil(n / 5)
 *              byte i = sum over j < 5 of 3^j (1 + sign of float j m + i), so that both ways are plain loops over five parts
 *
 * Exactly unbiased, omega = sum over buckets of (|x|_1 |x|_inf - |x|_2^2), by |x|_2^2 (derived); at most (sqrt(B) - 1) / 2.
 * The paper clips at 2.5 standard deviations first, which lowers the variance and makes a bias, so that it is off by default and
 * then claims nothing. What deviates: the deviation is about 0, because a constant vector would be clipped to nothing.
 * Source: Wen et al., NeurIPS 2017.
 */
#include <math.h>
#include <string.h>

#include "kernels/bits.h"
#include "kernels/norm.h"
#include "kernels/quantise.h"

enum { BASE = 3, DIGITS = 5 };

static const char *const codings[] = { "two-bit", "base3", NULL };

static const struct key keys[] = {
    QUANTISE_BUCKET_KEY("\"all\""),
    { "clip", KEY_REAL, offsetof(struct quantise_options, clip), "0", 0, 1000, .unit = "standard deviations",
      .help = "Where floats are clipped (the paper: 2.5); 0: nowhere." },
    { "coding", KEY_CHOICE, offsetof(struct quantise_options, coding), "\"two-bit\"", .choices = codings,
      .help = "2 bits a float, or 5 floats in a byte." },
    QUANTISE_PACKING_KEY,
    { 0 },
};

static bool is_base3(const struct quantise_options *o)
{
    return strcmp(o->coding, "base3") == 0;
}

static unsigned more_traits(const void *options)
{
    return ((const struct quantise_options *)options)->clip > 0 ? 0 : COMPRESSOR_UNBIASED;
}

static const char *refuses(const struct coding *c)
{
    return is_base3(c->options) && quantise_in_bytes(c->options)
               ? "coding = \"base3\" and packing = \"bytes\" exclude each other (fits: one of them)"
               : NULL;
}

static size_t symbols_bytes(const struct coding *c)
{
    return is_base3(c->options) ? c->n / DIGITS + (c->n % DIGITS != 0) : bits_bytes(c->n, quantiser_of(c->options, false).width);
}

static size_t code_bytes(const struct coding *c)
{
    const struct quantiser q = quantiser_of(c->options, false);
    return quantise_scales_bytes(&q, c->n) + symbols_bytes(c);
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state;
    const struct quantiser q = quantiser_of(c->options, false);
    quantise_encode(&q, c, x, code, scratch);
    return 0;
}

static void pack_base3(const uint16_t *symbols, size_t n, size_t bytes, unsigned char *code)
{
    memset(code, 0, bytes);
    for (size_t part = 0, power = 1; part < DIGITS && part * bytes < n; part++, power *= BASE) {
        const uint16_t *digit = symbols + part * bytes;
        const size_t m = n - part * bytes < bytes ? n - part * bytes : bytes;
        for (size_t i = 0; i < m; i++)
            code[i] = (unsigned char)(code[i] + power * digit[i]);
    }
}

/* Bytes from 243 on have a fifth digit that is 0 again. */
static void unpack_base3(const unsigned char *code, size_t bytes, size_t first, size_t n, int width, uint16_t *symbols)
{
    static const uint32_t powers[DIGITS] = { 1, 3, 9, 27, 81 };
    (void)width;
    for (size_t i = 0, m; i < n; i += m) {
        const size_t part = (first + i) / bytes, at = (first + i) % bytes;
        const uint32_t inverse = (1 << 16) / powers[part] + 1; /* exact for numbers below 256 */
        m = n - i < bytes - at ? n - i : bytes - at;
        for (size_t j = 0; j < m; j++) {
            const uint32_t digits = code[at + j] * inverse >> 16;
            symbols[i + j] = (uint16_t)(digits % BASE);
        }
    }
}

static size_t pack(const struct coding *c, unsigned char *code, void *scratch)
{
    const struct quantiser q = quantiser_of(c->options, false);
    const uint16_t *symbols = quantise_symbols(&q, c->n, scratch);
    unsigned char *to = code + quantise_scales_bytes(&q, c->n);
    if (is_base3(c->options))
        pack_base3(symbols, c->n, symbols_bytes(c), to);
    else
        bits_pack(symbols, c->n, q.width, to);
    return code_bytes(c);
}

static void decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    (void)scratch;
    const struct quantiser q = quantiser_of(c->options, false);
    if (bytes >= code_bytes(c))
        quantise_decode(&q, c->n, code, is_base3(c->options) ? unpack_base3 : bits_unpack, code + quantise_scales_bytes(&q, c->n),
                        symbols_bytes(c), factor, y);
}

static double logical_bits(const struct coding *c, const unsigned char *code, size_t bytes)
{
    (void)code;
    const struct quantiser q = quantiser_of(c->options, false);
    return (double)(is_base3(c->options) ? 8 * bytes : 8 * quantise_scales_bytes(&q, c->n) + 2 * c->n);
}

static double omega(const struct coding *c, const float *x)
{
    const struct quantise_options *o = c->options;
    const size_t bucket = quantiser_of(o, false).bucket;
    if (o->clip > 0)
        return INFINITY;
    if (!x)
        return (sqrt((double)(c->n < bucket ? c->n : bucket)) - 1) / 2;
    double variance = 0;
    for (size_t i = 0; i < c->n;) {
        const size_t m = c->n - i < bucket ? c->n - i : bucket;
        variance += norm_magnitudes(x + i, m) * (double)norm_largest(x + i, m) - norm_squares(x + i, m);
        i += m;
    }
    const double squares = norm_squares(x, c->n);
    return squares > 0 ? variance / squares : 0;
}

const struct compressor compress_terngrad = {
    .member = { .name = "terngrad",
                .help = "Sends each float's sign as often as its size says, times the largest.",
                .source = "Wen et al., NeurIPS 2017",
                .keys = keys,
                .options_bytes = sizeof(struct quantise_options) },
    .traits = COMPRESSOR_FIXED_SIZE,
    .more_traits = more_traits,
    .refuses = refuses,
    .code_bytes = code_bytes,
    .scratch_bytes = quantise_scratch,
    .encode = encode,
    .pack = pack,
    .decode = decode,
    .logical_bits = logical_bits,
    .omega = omega,
    .levels = &quantise_levels,
};
