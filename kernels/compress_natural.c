/* Natural compression: each float becomes one of the two powers of two around it, the upper one with probability mantissa / 2^23,
 * which random bits added to the mantissa do by carrying into the exponent. Exactly unbiased; no norm, no bucket.
 *
 *     9-bit:  sign and exponent as in the float                     ceil(9 n / 8) bytes
 *             a float below 2^-126 becomes 0 or 2^-126, without bias, too
 *     8-bit:  sign and 7 bits: 0; 1 .. 126 are 2^-108 .. 2^17; 127 is Inf         n bytes
 *             a float below 2^-108 becomes 0 or 2^-108, without bias; one that rounds above 2^17 becomes Inf
 *
 * omega = 1/8 (published), attained at 4/3 of a power of two; floats in the gap above 0, whose width is g, add n (g / 2)^2 /
 * |x|_2^2 (derived). Inf and NaN become Inf. What is claimed holds of floats that do not overflow. Source: Horvath et al., "Natural
 * compression for distributed deep learning", 2019. The 8 bits are GRACE's idea; what deviates is that it clips at 2^18, where here
 * an Inf shows what happened, and that it flushes below 2^-109.
 */
#include <math.h>
#include <string.h>

#include "kernels/bits.h"
#include "kernels/compressor.h"
#include "kernels/norm.h"
#include "kernels/vector.h"

enum { CHUNK = 512, SHIFT = 18 }; /* the exponents of the 8-bit code are a float's less SHIFT */

struct options {
    const char *coding;
};

static const char *const codings[] = { "9-bit", "8-bit", NULL };
static const struct key keys[] = {
    { "coding", KEY_CHOICE, offsetof(struct options, coding), "\"9-bit\"", .choices = codings,
      .help = "All exponents of a float, or those from -108 to 17." },
    { 0 },
};

static int width(const struct coding *c)
{
    return strcmp(((const struct options *)c->options)->coding, "9-bit") == 0 ? 9 : 8;
}

static size_t code_bytes(const struct coding *c)
{
    return bits_bytes(c->n, width(c));
}

static size_t scratch_bytes(const struct coding *c)
{
    return (c->n + LANES) * sizeof(uint16_t);
}

/* In 8 bits a float is first scaled, so that what is below the window has the exponent 0, which is rounded well by itself. */
VEC_INLINE void round_chunk(int bits_count, const float *x, size_t n, const uint32_t *words, uint16_t *symbols)
{
    for (size_t i = 0; i < n; i += LANES) {
        const vec_bits bits = (vec_bits)vec_load_some(x + i, vec_count(n, i), 0), magnitude = bits & 0x7fffffff;
        vec_bits w;
        memcpy(&w, words + i, sizeof w);
        const vec_bits number = bits_count == 9 ? magnitude : (vec_bits)((vec)magnitude * 0x1p-18f);
        const vec_bits exponent = (number + (w >> 9)) >> 23; /* of Inf and NaN: 255 or 256 */
        const vec_bits most = (vec_bits){ 0 } + ((1u << (bits_count - 1)) - 1), above = (vec_bits)(exponent > most);
        const vec_bits symbol = (most & above) | (exponent & ~above) | bits >> 31 << (bits_count - 1);
        const vec_short narrow = __builtin_convertvector(symbol, vec_short);
        memcpy(symbols + i, &narrow, sizeof narrow);
    }
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state, (void)code;
    for (size_t first = 0; first < c->n; first += CHUNK) {
        const size_t m = c->n - first < CHUNK ? c->n - first : CHUNK;
        uint32_t words[CHUNK];
        random_bits(&c->random, first, words, CHUNK);
        if (width(c) == 9)
            round_chunk(9, x + first, m, words, (uint16_t *)scratch + first);
        else
            round_chunk(8, x + first, m, words, (uint16_t *)scratch + first);
    }
    return 0;
}

static size_t pack(const struct coding *c, unsigned char *code, void *scratch)
{
    bits_pack(scratch, c->n, width(c), code);
    return code_bytes(c);
}

VEC_INLINE void add_chunk(int bits_count, const uint16_t *symbols, size_t n, float factor, float *y)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = vec_count(n, i);
        vec_short narrow;
        memcpy(&narrow, symbols + i, sizeof narrow);
        const vec_bits symbol = __builtin_convertvector(narrow, vec_bits), exponent = symbol & ((1u << (bits_count - 1)) - 1);
        const vec_bits is_number = (vec_bits)(exponent > 0), is_inf = (vec_bits)(exponent == 127);
        const vec_bits bits =
            bits_count == 9 ? exponent << 23 : ((exponent + SHIFT) << 23 & is_number & ~is_inf) | (0x7f800000 & is_inf);
        const vec value = (vec)(bits | symbol >> (bits_count - 1) << 31);
        vec_store_some(y + i, vec_load_some(y + i, m, 0) + factor * value, m);
    }
}

static void decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    (void)scratch;
    if (bytes < code_bytes(c))
        return;
    for (size_t first = 0; first < c->n; first += CHUNK) {
        const size_t m = c->n - first < CHUNK ? c->n - first : CHUNK;
        uint16_t symbols[CHUNK] = { 0 };
        bits_unpack(code, bytes, first, m, width(c), symbols);
        if (width(c) == 9)
            add_chunk(9, symbols, m, factor, y + first);
        else
            add_chunk(8, symbols, m, factor, y + first);
    }
}

static double logical_bits(const struct coding *c, const unsigned char *code, size_t bytes)
{
    (void)code, (void)bytes;
    return (double)c->n * width(c);
}

static double omega(const struct coding *c, const float *x)
{
    if (!x)
        return INFINITY;
    const double half_gap = width(c) == 9 ? 0x1p-127 : 0x1p-109, squares = norm_squares(x, c->n);
    return 0.125 + (squares > 0 ? (double)c->n * half_gap * half_gap / squares : 0);
}

const struct compressor compress_natural = {
    .member = { .name = "natural",
                .help = "Rounds to powers of two.",
                .source = "Horvath et al. 2019",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .traits = COMPRESSOR_FIXED_SIZE | COMPRESSOR_UNBIASED,
    .code_bytes = code_bytes,
    .scratch_bytes = scratch_bytes,
    .encode = encode,
    .pack = pack,
    .decode = decode,
    .logical_bits = logical_bits,
    .omega = omega,
};
