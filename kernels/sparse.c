/* Which floats are kept, and lists of entries.
 *
 * The largest: a sample guesses a magnitude that a little more than k floats reach; one pass gathers those as candidates, and
 * counting digits from the top (radix selection) among them finds the k-th largest exactly. The guess decides the speed only: where
 * fewer than k floats reach it, all n are candidates. So the cost is O(n) for any input.
 *
 * At random: every float has a coin that falls with a probability of k / n; then places are drawn, and added or taken away, until
 * there are k. Where k or n - k is small there are no coins. Since no step prefers a float, every set of k is equally likely.
 * Drawn places are exactly uniform: a word w gives place w n / 2^32, and those w are rejected that would make some places likelier.
 * Source of the latter: Lemire, "Fast random integer generation in an interval", ACM TOMACS 2019.
 */
#include "kernels/sparse.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/vector.h"

enum { DIGIT_BITS = 11, BUCKETS = 1 << DIGIT_BITS, SAMPLE_MAX = 16384, SAMPLE_SHARE = 16, DRAWN = 256, COINS_SHARE = 32 };
static const double ratio_default = 0.01;

size_t kept_by_ratio(double ratio, size_t n)
{
    const double product = ratio * (double)n, nearest = rint(product);
    return (size_t)(fabs(product - nearest) <= 2 * DBL_EPSILON * product ? nearest : ceil(product));
}

size_t kept(const struct share *s, size_t n)
{
    return s->k > 0 ? (size_t)s->k : kept_by_ratio(s->ratio, n);
}

double kept_frac(size_t k, size_t n)
{
    return n > 0 ? (double)k / (double)n : 1;
}

const char *indices_refuse(const struct coding *c)
{
    return c->n > UINT32_MAX ? "more than 4294967295 floats do not fit its 32-bit indices" : NULL;
}

const char *share_refuses(const struct share *s, const struct coding *c)
{
    static char why[160];
    if (s->k > 0 && s->ratio != ratio_default)
        snprintf(why, sizeof why, "k = %lld and ratio = %g both say how many floats are sent; one of them can be given",
                 (long long)s->k, s->ratio);
    else if ((size_t)s->k > c->n)
        snprintf(why, sizeof why, "k = %lld of a vector of %zu floats; k can be %zu at most", (long long)s->k, c->n, c->n);
    else
        return indices_refuse(c);
    return why;
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

/* The rank-th largest magnitude of a sample. */
static uint32_t sample(const float *x, size_t n, size_t count, size_t rank, uint32_t *index)
{
    const size_t stride = n / count;
    for (size_t i = 0; i < count; i++) /* at uneven distances, lest they meet one column of a matrix only */
        index[i] = (uint32_t)(i * stride + (i * 2654435761 >> 16) % stride);
    size_t ties;
    return select_magnitude(x, index, count, rank, &ties);
}

float sampled_magnitude(const float *x, size_t n, size_t count, size_t rank, uint32_t *index)
{
    const uint32_t bits = sample(x, n, count, rank, index);
    float m;
    memcpy(&m, &bits, sizeof m);
    return m;
}

/* A magnitude that probably at least k of n floats reach: the sample's quantile, less five standard deviations. */
static uint32_t guess(const float *x, size_t n, size_t k, uint32_t *index)
{
    const size_t count = n / SAMPLE_SHARE < SAMPLE_MAX ? n / SAMPLE_SHARE : SAMPLE_MAX;
    const double expected = (double)k / (double)n * (double)count;
    const size_t rank = (size_t)(expected + 5 * sqrt(expected) + 5);
    return rank > count ? 0 : sample(x, n, count, rank, index);
}

VEC_INLINE uint32_t lane_bits(vec_int mask)
{
#ifdef __AVX512F__
    return _mm512_movepi32_mask((__m512i)mask);
#else
    uint32_t bits = 0;
    for (int l = 0; l < LANES; l++)
        bits |= (uint32_t)(mask[l] & 1) << l;
    return bits;
#endif
}

/* Appends first + i for every set bit i < LANES; may write LANES places, whatever the bits. Returns the new count. */
VEC_INLINE size_t append(uint32_t *index, size_t count, uint32_t first, uint32_t bits)
{
#ifdef __AVX512F__ /* without a branch to mispredict */
    const vec_int lane = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 }, all = lane + (int32_t)first;
    _mm512_storeu_si512(index + count, _mm512_maskz_compress_epi32((__mmask16)bits, (__m512i)all));
    return count + (size_t)__builtin_popcount(bits);
#else
    for (; bits != 0; bits &= bits - 1)
        index[count++] = first + (uint32_t)__builtin_ctz(bits);
    return count;
#endif
}

size_t append_bits(uint32_t *index, size_t count, size_t most, uint32_t first, uint64_t bits)
{
    if (most - count >= 64)
        for (int i = 0; i < 64; i += LANES)
            count = append(index, count, first + (uint32_t)i, bits >> i & 0xffff);
    else
        for (; bits != 0 && count < most; bits &= bits - 1)
            index[count++] = first + (uint32_t)__builtin_ctzll(bits);
    return count;
}

/* Indices, ascending, of the floats that reach a magnitude; returns their number. */
static size_t gather(const float *x, size_t n, uint32_t least, uint32_t *index)
{
    size_t count = 0, i = 0;
    for (; n - i >= LANES; i += LANES) /* count <= i: there is room for all lanes */
        count = append(index, count, (uint32_t)i, lane_bits(((vec_int)vec_load(x + i) & INT32_MAX) >= (int32_t)least));
    for (; i < n; i++)
        if (magnitude(x[i]) >= least)
            index[count++] = (uint32_t)i;
    return count;
}

void select_largest(const float *x, size_t n, size_t k, uint32_t *index)
{
    if (k == 0)
        return;
    size_t count = gather(x, n, guess(x, n, k, index), index), ties;
    if (count < k)
        count = gather(x, n, 0, index);
    const uint32_t least = select_magnitude(x, index, count, k, &ties);
    for (size_t i = 0, j = 0; j < k; i++) {
        const uint32_t m = magnitude(x[index[i]]);
        if (m < least || (m == least && ties == 0))
            continue;
        ties -= m == least;
        index[j++] = index[i];
    }
}

size_t select_above(const float *x, size_t n, float threshold, uint32_t *index)
{
    return gather(x, n, magnitude(threshold) + 1, index);
}

size_t count_above(const float *x, size_t n, float threshold)
{
    const uint32_t least = magnitude(threshold) + 1;
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += magnitude(x[i]) >= least;
    return count;
}

float threshold_finite(double estimate)
{
    return estimate < FLT_MAX ? (float)estimate : FLT_MAX;
}

/* A coin for each float: sets bits with a probability of limit / 2^32; returns how many. */
static size_t flip_coins(const struct random *r, size_t n, uint32_t limit, uint64_t *map)
{
    size_t count = 0;
    for (size_t first = 0; first < n; first += DRAWN) {
        vec_bits words[DRAWN / LANES];
        random_bits(r, first, (uint32_t *)words, DRAWN);
        for (size_t at = first, i = 0; i < DRAWN / LANES && at < n; at += 64) {
            uint64_t bits = n - at < 64 ? ((uint64_t)1 << (n - at)) - 1 : UINT64_MAX, fallen = 0;
            for (int shift = 0; shift < 64; shift += LANES)
                fallen |= (uint64_t)lane_bits(words[i++] < limit) << shift;
            map[at / 64] = bits & fallen;
            count += (size_t)__builtin_popcountll(bits & fallen);
        }
    }
    return count;
}

/* Draws places from number `first` on, and sets (or clears) each, until `count` more bits are set (or clear). */
static void draw(const struct random *r, uint64_t first, size_t n, size_t count, bool set, uint64_t *map)
{
    const uint64_t flipped = set ? 0 : UINT64_MAX;
    for (; count > 0; first += DRAWN) {
        uint32_t words[DRAWN];
        const uint32_t least = (uint32_t)(((uint64_t)1 << 32) % n);
        random_bits(r, first, words, DRAWN);
        for (int i = 0; i < DRAWN && count > 0; i++) {
            const uint64_t product = (uint64_t)words[i] * n, place = product >> 32;
            uint64_t *word = &map[place / 64], fresh = ~(*word ^ flipped) >> place % 64 & ((uint32_t)product >= least);
            *word ^= fresh << place % 64;
            count -= fresh;
        }
    }
}

size_t select_random_bytes(size_t n)
{
    return (n + 63) / 64 * sizeof(uint64_t);
}

void select_random(const struct random *r, size_t n, size_t k, uint32_t *index, void *map)
{
    const bool few = k < n / COINS_SHARE, most = n - k < n / COINS_SHARE;
    uint64_t *words = map;
    size_t count = few ? 0 : n;
    memset(words, few ? 0 : 0xff, select_random_bytes(n));
    if (!few && !most)
        count = flip_coins(r, n, (uint32_t)(kept_frac(k, n) * UINT32_MAX), words);
    const uint64_t not_for_coins = (uint64_t)(n + DRAWN - 1) / DRAWN * DRAWN;
    draw(r, not_for_coins, n, count < k ? k - count : count - k, count < k, words);
    for (size_t i = 0, listed = 0; listed < k; i++)
        listed = append_bits(index, listed, k, (uint32_t)(64 * i), words[i]);
}

struct entries entries_read(const struct index_coding *coding, const unsigned char *code, size_t bytes, size_t n, size_t k,
                            uint32_t *room)
{
    const size_t side = coding->bytes(n, k);
    if (bytes < side + k * sizeof(float))
        return (struct entries){ 0 };
    if (coding->read)
        coding->read(code, n, k, room);
    return (struct entries){ k, coding->read ? (const unsigned char *)room : code, code + side };
}

size_t entries_write(const struct index_coding *coding, const float *x, size_t n, const uint32_t *index, size_t k, float scale,
                     unsigned char *code)
{
    const size_t side = coding->bytes(n, k);
    coding->write(index, n, k, code);
    for (size_t i = 0; i < k; i++)
        memcpy(code + side + i * sizeof *x, &(float){ scale * x[index[i]] }, sizeof *x);
    return side + k * sizeof *x;
}

/* Entry i; false if its index is not in last + 1 .. n - 1. */
static bool take(struct entries e, size_t i, uint64_t next, size_t n, uint32_t *index, float *value)
{
    memcpy(index, e.index + i * sizeof *index, sizeof *index);
    memcpy(value, e.value + i * sizeof *value, sizeof *value);
    return *index >= next && *index < n;
}

void entries_add(struct entries e, size_t n, float factor, float *y)
{
    uint64_t next = 0;
    for (size_t i = 0; i < e.k; i++) {
        uint32_t index;
        float value;
        if (!take(e, i, next, n, &index, &value))
            continue;
        y[index] += factor * value;
        next = (uint64_t)index + 1;
    }
}

size_t entries_copy(struct entries e, size_t n, size_t most, uint32_t *index, float *value)
{
    uint64_t next = 0;
    size_t count = 0;
    for (size_t i = 0; i < e.k && count < most; i++)
        if (take(e, i, next, n, index + count, value + count))
            next = (uint64_t)index[count++] + 1;
    return count;
}

size_t list_most_entries(const struct coding *c)
{
    return c->n;
}

size_t list_code_bytes(const struct coding *c)
{
    return c->n * (sizeof(uint32_t) + sizeof(float));
}

size_t list_scratch_bytes(const struct coding *c)
{
    return c->n * sizeof(uint32_t);
}

struct entries list_read(const unsigned char *code, size_t bytes)
{
    return entries_read(&index_list, code, bytes, 0, bytes / (sizeof(uint32_t) + sizeof(float)), NULL);
}

void list_decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    (void)scratch;
    entries_add(list_read(code, bytes), c->n, factor, y);
}

size_t list_entries(const struct coding *c, const unsigned char *code, size_t bytes, uint32_t *index, float *value, void *scratch)
{
    (void)scratch;
    return entries_copy(list_read(code, bytes), c->n, c->n, index, value);
}

size_t list_encode_above(const struct coding *c, const float *x, float threshold, unsigned char *code, void *scratch)
{
    const size_t k = select_above(x, c->n, threshold, scratch);
    return entries_write(&index_list, x, c->n, scratch, k, 1, code);
}

double delta_above(const struct coding *c, const float *x, float threshold)
{
    return kept_frac(count_above(x, c->n, threshold), c->n);
}
