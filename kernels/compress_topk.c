/* Top-k: the k = ceil(ratio n) floats of largest magnitude, at least one; of equals the lower index. NaN counts as the largest, so
 * that it is not hidden.
 *
 *     code = index[k] (uint32, ascending), then value[k] (float), in host byte order, nothing between
 *
 * Magnitudes compare as the integers of their bits without the sign. A sample guesses a magnitude that a little more than k floats
 * reach; one pass gathers those as candidates, and counting digits from the top (radix selection) among them finds the k-th largest
 * exactly. The guess decides the speed only: where fewer than k floats reach it, all n are candidates. Cost O(n) for any input.
 * Biased, hence of use with error feedback.
 * Source: Aji & Heafield, EMNLP 2017; Stich, Cordonnier, Jaggi, NeurIPS 2018.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/compressor.h"

struct options {
    double ratio;
};

static const struct key keys[] = {
    { "ratio", KEY_REAL, offsetof(struct options, ratio), "0.01", 1e-9, 1, .help = "Share of the floats that is sent." },
    { 0 },
};

enum { DIGIT_BITS = 11, BUCKETS = 1 << DIGIT_BITS, SAMPLE_MAX = 16384, SAMPLE_SHARE = 16 };

static const char *refuses(const struct coding *c)
{
    return c->n > UINT32_MAX ? "more than 4294967295 floats do not fit its 32-bit indices" : NULL;
}

/* ceil(ratio n), where a product that misses an integer by rounding alone is that integer: 0.07 * 100 is 7. */
static size_t kept(const struct coding *c)
{
    const struct options *o = c->options;
    const double product = o->ratio * (double)c->n, nearest = rint(product);
    const double k = fabs(product - nearest) <= 2 * DBL_EPSILON * product ? nearest : ceil(product);
    return k < 1 ? c->n > 0 : (size_t)k;
}

static size_t code_bytes(const struct coding *c)
{
    return kept(c) * (sizeof(uint32_t) + sizeof(float));
}

static size_t scratch_bytes(const struct coding *c)
{
    return c->n * sizeof(uint32_t); /* candidates */
}

static uint32_t magnitude(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffff;
}

/* The rank-th largest magnitude (1 <= rank <= count) among x[index[i]]; *ties: how many of that magnitude are among the largest. */
static uint32_t select_magnitude(const float *x, const uint32_t *index, size_t count, size_t rank, size_t *ties)
{
    uint32_t found = 0; /* the digits known so far */
    for (int shift = 2 * DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
        uint32_t buckets[BUCKETS] = { 0 };
        const uint32_t known = ~(uint32_t)0 << shift << DIGIT_BITS;
        for (size_t i = 0; i < count; i++) {
            const uint32_t m = magnitude(x[index[i]]);
            if (((m ^ found) & known) == 0)
                buckets[m >> shift & (BUCKETS - 1)]++;
        }
        uint32_t digit = BUCKETS - 1;
        for (; buckets[digit] < rank; digit--)
            rank -= buckets[digit];
        found |= digit << shift;
    }
    *ties = rank;
    return found;
}

/* A magnitude that probably at least k of n floats reach: the sample's quantile, less five standard deviations. index: scratch. */
static uint32_t guess(const float *x, size_t n, size_t k, uint32_t *index)
{
    const size_t count = n / SAMPLE_SHARE < SAMPLE_MAX ? n / SAMPLE_SHARE : SAMPLE_MAX;
    const double expected = (double)k / (double)n * (double)count;
    const size_t rank = (size_t)(expected + 5 * sqrt(expected) + 5);
    if (rank > count)
        return 0;
    const size_t stride = n / count;
    for (size_t i = 0; i < count; i++) /* at uneven distances, lest they meet one column of a matrix only */
        index[i] = (uint32_t)(i * stride + (i * 2654435761 >> 16) % stride);
    size_t ties;
    return select_magnitude(x, index, count, rank, &ties);
}

/* Indices, ascending, of the floats that reach a magnitude; returns their number. */
static size_t gather(const float *x, size_t n, uint32_t least, uint32_t *index)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        index[count] = (uint32_t)i; /* overwritten unless counted: no branch to mispredict */
        count += magnitude(x[i]) >= least;
    }
    return count;
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state;
    const size_t n = c->n, k = kept(c);
    uint32_t *index = scratch;
    if (k == 0)
        return 0;
    size_t count = gather(x, n, guess(x, n, k, index), index), ties;
    if (count < k)
        count = gather(x, n, 0, index);
    const uint32_t least = select_magnitude(x, index, count, k, &ties);
    unsigned char *values = code + k * sizeof *index;
    for (size_t i = 0; i < count; i++) {
        const uint32_t m = magnitude(x[index[i]]);
        if (m < least || (m == least && ties == 0))
            continue;
        ties -= m == least;
        memcpy(code, index + i, sizeof *index);
        memcpy(values, x + index[i], sizeof *x);
        code += sizeof *index;
        values += sizeof *x;
    }
    return code_bytes(c);
}

static void decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    (void)bytes, (void)scratch;
    const size_t k = kept(c);
    for (size_t i = 0; i < k; i++) {
        uint32_t index;
        float value;
        memcpy(&index, code + i * sizeof index, sizeof index);
        memcpy(&value, code + k * sizeof index + i * sizeof value, sizeof value);
        if (index < c->n)
            y[index] += factor * value;
    }
}

static size_t entries(const struct coding *c, const unsigned char *code, size_t bytes, uint32_t *index, float *value, void *scratch)
{
    (void)bytes, (void)scratch;
    const size_t k = kept(c);
    memcpy(index, code, k * sizeof *index);
    memcpy(value, code + k * sizeof *index, k * sizeof *value);
    return k;
}

static double delta(const struct coding *c, const float *x)
{
    (void)x;
    return (double)kept(c) / (double)c->n;
}

const struct compressor compress_topk = {
    .member = { .name = "topk",
                .help = "Keeps the floats of largest magnitude.",
                .source = "Aji & Heafield 2017; Stich et al. 2018",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .traits = COMPRESSOR_CONTRACTIVE | COMPRESSOR_FIXED_SIZE | COMPRESSOR_SPARSE,
    .refuses = refuses,
    .code_bytes = code_bytes,
    .scratch_bytes = scratch_bytes,
    .encode = encode,
    .decode = decode,
    .delta = delta,
    .entries = entries,
    .most_entries = kept,
};
