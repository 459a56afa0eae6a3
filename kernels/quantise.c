/* Both directions go through the vector in chunks of symbols that stay in the cache, and in a chunk through pieces of buckets. */
#include "kernels/quantise.h"

#include <float.h>
#include <math.h>

#include "kernels/bits.h"
#include "kernels/norm.h"
#include "kernels/vector.h"

enum { CHUNK = 512 };

const char *const quantise_norms[] = { "l2", "max", NULL };
const char *const quantise_packings[] = { "bits", "bytes", NULL };

static bool is(const char *value, const char *word)
{
    return value && strcmp(value, word) == 0;
}

bool quantise_in_bytes(const struct quantise_options *o)
{
    return is(o->packing, "bytes");
}

struct quantiser quantiser_of(const struct quantise_options *o, bool powers)
{
    const int levels = o->levels ? (int)o->levels : 1;
    return (struct quantiser){
        .levels = levels,
        .bucket = o->bucket ? (size_t)o->bucket : SIZE_MAX,
        .norm = is(o->norm, "l2") ? QUANTISE_L2 : QUANTISE_MAX,
        .clip = o->clip,
        .powers = powers,
        .nearest = is(o->rounding, "nearest"),
        .scale_bits = o->scale_bits ? (int)o->scale_bits : 32,
        .width = quantise_in_bytes(o) ? 8 : quantise_width(levels),
    };
}

int quantise_width(int levels)
{
    return bits_width(2 * (uint32_t)levels + 1);
}

static size_t buckets(const struct quantiser *q, size_t n)
{
    return n / q->bucket + (n % q->bucket != 0);
}

size_t quantise_scales_bytes(const struct quantiser *q, size_t n)
{
    return buckets(q, n) * (size_t)q->scale_bits / 8;
}

uint16_t *quantise_symbols(const struct quantiser *q, size_t n, void *scratch)
{
    return (void *)((float *)scratch + buckets(q, n));
}

/* Floats of the bucket that float `at` is in, from `at` to `end` at most. */
static size_t piece(const struct quantiser *q, size_t at, size_t end)
{
    const size_t left = q->bucket - at % q->bucket;
    return end - at < left ? end - at : left;
}

static float round_up_to_bfloat(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0xffff) & 0xffff0000;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float measure(const struct quantiser *q, const float *x, size_t n)
{
    float scale = q->norm == QUANTISE_MAX ? norm_largest(x, n) : (float)sqrt(norm_squares(x, n));
    if (q->clip > 0)
        scale = fminf(scale, (float)(q->clip * sqrt(norm_squares(x, n) / (double)n)));
    if (q->scale_bits == 16 && isfinite(scale)) /* the bits of a NaN would wrap around */
        scale = round_up_to_bfloat(scale);
    if (!isfinite(scale))
        return NAN;
    return scale < (q->powers ? 1 : (float)q->levels) * FLT_MIN ? 0 : scale;
}

static void measure_all(const struct quantiser *q, size_t n, const float *x, float *scales)
{
    for (size_t i = 0, m; i < n; i += m) {
        m = piece(q, i, n);
        *scales++ = measure(q, x + i, m);
    }
}

/* What |x| is multiplied by; never so little that the norm itself would miss its level. */
static float inverse(float levels, float scale)
{
    if (!(scale > 0))
        return 0;
    const float factor = levels / scale;
    return factor * scale < levels ? nextafterf(factor, INFINITY) : factor;
}

VEC_INLINE vec uniform(vec_bits words)
{
    return __builtin_convertvector((vec_int)(words >> 8), vec) * 0x1p-24f;
}

/* |q| of numbers v, in levels. */
VEC_INLINE vec_int round_evenly(vec v, bool nearest, vec_bits words)
{
    const vec_int whole = __builtin_convertvector(v, vec_int);
    const vec fraction = v - __builtin_convertvector(whole, vec);
    return whole - (nearest ? fraction >= 0.5f : uniform(words) < fraction); /* true is -1 */
}

/* |q| of numbers v in 0 .. 1: random bits added to a mantissa carry into the exponent as often as they should. */
VEC_INLINE vec_int round_to_powers(vec v, int levels, vec_bits words)
{
    const int32_t lowest_exponent = 127 + 1 - levels;
    const vec lowest = (vec)(((vec_int){ 0 } + lowest_exponent) << 23),
              inverse_of_it = (vec)(((vec_int){ 0 } + (254 - lowest_exponent)) << 23);
    const vec_int above = (vec_int)(((vec_bits)v + (words >> 9)) >> 23) - (lowest_exponent - 1);
    const vec_int below = -(uniform(words) < v * inverse_of_it), is_below = v < lowest;
    return (below & is_below) | (above & ~is_below);
}

VEC_INLINE void round_piece(bool powers, bool nearest, int levels, float scale, const float *x, size_t n, const uint32_t *words,
                            uint16_t *symbols)
{
    const float most = powers ? 1 : (float)levels, factor = inverse(most, scale);
    for (size_t i = 0; i < n; i += LANES) {
        const vec_int bits = (vec_int)vec_load_some(x + i, vec_count(n, i), 0), sign = bits < 0;
        const vec scaled = (vec)(bits & 0x7fffffff) * factor, v = vec_select(scaled < most, scaled, vec_set(most));
        vec_bits w = { 0 };
        if (!nearest)
            memcpy(&w, words + i, sizeof w);
        const vec_int q = powers ? round_to_powers(v, levels, w) : round_evenly(v, nearest, w);
        const vec_short symbol = __builtin_convertvector((q ^ sign) - sign + levels, vec_short);
        memcpy(symbols + i, &symbol, sizeof symbol);
    }
}

/* Symbols first .. first + n - 1, n <= CHUNK; room for LANES more. */
static void round_chunk(const struct quantiser *q, const struct coding *c, const float *x, const float *scales, size_t first,
                        size_t n, uint16_t *symbols)
{
    uint32_t words[CHUNK + LANES];
    if (!q->nearest) {
        random_bits(&c->random, first, words, n);
        memset(words + n, 0, LANES * sizeof *words);
    }
    for (size_t i = 0, m; i < n; i += m) {
        m = piece(q, first + i, first + n);
        const float scale = scales[(first + i) / q->bucket];
        if (q->powers)
            round_piece(true, false, q->levels, scale, x + first + i, m, words + i, symbols + i);
        else if (q->nearest)
            round_piece(false, true, q->levels, scale, x + first + i, m, words + i, symbols + i);
        else
            round_piece(false, false, q->levels, scale, x + first + i, m, words + i, symbols + i);
    }
}

void quantise_encode(const struct quantiser *q, const struct coding *c, const float *x, unsigned char *code, void *scratch)
{
    float *const scales = scratch;
    uint16_t *const symbols = quantise_symbols(q, c->n, scratch);
    measure_all(q, c->n, x, scales);
    const size_t count = buckets(q, c->n), bytes = (size_t)q->scale_bits / 8;
    for (size_t b = 0; b < count; b++)
        memcpy(code + b * bytes, (const unsigned char *)(scales + b) + sizeof *scales - bytes, bytes);
    for (size_t first = 0; first < c->n; first += CHUNK)
        round_chunk(q, c, x, scales, first, c->n - first < CHUNK ? c->n - first : CHUNK, symbols + first);
}

static float read_scale(const struct quantiser *q, const unsigned char *scales, size_t b)
{
    const size_t bytes = (size_t)q->scale_bits / 8;
    float scale = 0;
    memcpy((unsigned char *)&scale + sizeof scale - bytes, scales + b * bytes, bytes);
    return scale;
}

VEC_INLINE vec value(bool powers, int levels, vec_int q)
{
    if (!powers)
        return __builtin_convertvector(q, vec);
    const vec_int sign = q < 0, magnitude = (q ^ sign) - sign;
    const vec_bits bits = (vec_bits)(magnitude + (127 - levels)) << 23 & (vec_bits)(magnitude > 0);
    return (vec)(bits | (vec_bits)sign << 31);
}

/* What a level is worth, or with powers of two the highest. */
static float unit(const struct quantiser *q, float scale)
{
    return q->powers ? scale : scale / (float)q->levels;
}

VEC_INLINE void add_piece(bool powers, int levels, float scale, const uint16_t *symbols, size_t n, float *y)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = vec_count(n, i);
        vec_short symbol;
        memcpy(&symbol, symbols + i, sizeof symbol);
        const vec_int q = __builtin_convertvector(symbol, vec_int) - levels;
        vec_store_some(y + i, vec_load_some(y + i, m, 0) + scale * value(powers, levels, q), m);
    }
}

void quantise_decode(const struct quantiser *q, size_t n, const unsigned char *scales, quantise_unpack *unpack,
                     const unsigned char *code, size_t bytes, float factor, float *y)
{
    for (size_t first = 0; first < n; first += CHUNK) {
        const size_t end = n - first < CHUNK ? n : first + CHUNK;
        uint16_t symbols[CHUNK + LANES] = { 0 };
        unpack(code, bytes, first, end - first, q->width, symbols);
        for (size_t i = first, m; i < end; i += m) {
            m = piece(q, i, end);
            const float scale = factor * unit(q, read_scale(q, scales, i / q->bucket));
            if (q->powers)
                add_piece(true, q->levels, scale, symbols + (i - first), m, y + i);
            else
                add_piece(false, q->levels, scale, symbols + (i - first), m, y + i);
        }
    }
}

double quantise_omega(const struct quantiser *q, size_t n)
{
    const double B = (double)(n < q->bucket ? n : q->bucket), rounded_up = q->scale_bits == 16 ? 1 + 0x1p-7 : 1;
    const double apart = rounded_up * (q->powers ? ldexp(1, 1 - q->levels) : 1.0 / q->levels);
    const double length = q->norm == QUANTISE_MAX ? (1 + sqrt(B)) / 2 : sqrt(B);
    return (q->powers ? 0.125 : 0) + apart * fmin(length, B * apart / 4);
}

/* From here on: what members with evenly spaced levels use as it is. Scratch does not depend on the spacing. */

size_t quantise_scratch(const struct coding *c)
{
    const struct quantiser q = quantiser_of(c->options, false);
    return buckets(&q, c->n) * sizeof(float) + (c->n + LANES) * sizeof(uint16_t);
}

static int most(const void *options)
{
    return quantiser_of(options, false).levels;
}

static size_t scales_count(const struct coding *c)
{
    const struct quantiser q = quantiser_of(c->options, false);
    return buckets(&q, c->n);
}

static void measure_scales(const struct coding *c, const float *x, float *scales)
{
    const struct quantiser q = quantiser_of(c->options, false);
    measure_all(&q, c->n, x, scales);
}

static void quantise(const struct coding *c, const float *x, const float *scales, int32_t *symbols)
{
    const struct quantiser q = quantiser_of(c->options, false);
    for (size_t first = 0; first < c->n; first += CHUNK) {
        const size_t m = c->n - first < CHUNK ? c->n - first : CHUNK;
        uint16_t some[CHUNK + LANES];
        round_chunk(&q, c, x, scales, first, m, some);
        for (size_t i = 0; i < m; i++)
            symbols[first + i] = some[i] - q.levels;
    }
}

static void add(const struct coding *c, const int32_t *symbols, const float *scales, float *y)
{
    const struct quantiser q = quantiser_of(c->options, false);
    for (size_t i = 0, m; i < c->n; i += m) {
        m = piece(&q, i, c->n);
        const float scale = unit(&q, *scales++);
        for (size_t j = i; j < i + m; j++)
            y[j] += scale * (float)symbols[j];
    }
}

const struct levels quantise_levels = {
    .most = most, .scales = scales_count, .measure = measure_scales, .quantise = quantise, .add = add
};
