/* Philox4x32-10: a block of four words is a keyed mix of a 128-bit counter,
 *     words = Philox(key = seed, counter = {block, step, worker, stream}),
 * so that any element of any stream is had without drawing those before it. Not for cryptography.
 * Source: Salmon et al., SC'11, by the implementation of Random123.
 */
#include "kernels/random.h"

#include <Random123/philox.h>
#include <math.h>

#include "kernels/vector.h"

enum { ROUNDS = 10, BATCH = 4 * LANES, BULK = 2 * BATCH }; /* a batch: the words of LANES blocks; a bulk is made at a time */

void random_words(const struct random *r, uint32_t block, uint32_t words[4])
{
    const philox4x32_ctr_t counter = { { block, r->step, r->worker, r->stream } };
    const philox4x32_key_t key = { { (uint32_t)r->seed, (uint32_t)(r->seed >> 32) } };
    const philox4x32_ctr_t mixed = philox4x32_R(ROUNDS, counter, key);
    memcpy(words, mixed.v, sizeof mixed.v);
}

typedef uint64_t wide_vec __attribute__((vector_size(64)));

/* 64-bit products of the low halves of the lanes. */
VEC_INLINE wide_vec multiply(wide_vec x, uint32_t factor)
{
#ifdef __AVX512F__ /* the compiler would multiply all 64 bits, which takes three times as long on some processors */
    return (wide_vec)_mm512_mul_epu32((__m512i)x, _mm512_set1_epi64(factor));
#else
    return (x & UINT32_MAX) * factor;
#endif
}

/* The words of BULK / 4 blocks from `block` on, in the order of random_bits. A word has a lane of 64 bits, whose upper half does
 * not matter, so that products need no sorting. Four vectors of eight blocks each hide each other's latency. */
static void bulk_words(const struct random *r, uint32_t block, uint32_t words[BULK])
{
    enum { VECTORS = BULK / LANES / 2 };
    const wide_vec lane = { 0, 1, 2, 3, 4, 5, 6, 7 };
    wide_vec c[VECTORS][4];
    for (uint32_t v = 0; v < VECTORS; v++) {
        c[v][0] = lane + (8 * v + block);
        c[v][1] = lane * 0 + r->step;
        c[v][2] = lane * 0 + r->worker;
        c[v][3] = lane * 0 + r->stream;
    }
    wide_vec key0 = lane * 0 + r->seed, key1 = lane * 0 + (r->seed >> 32);
    for (int round = 0; round < ROUNDS; round++, key0 += PHILOX_W32_0, key1 += PHILOX_W32_1)
        for (int v = 0; v < VECTORS; v++) {
            const wide_vec product0 = multiply(c[v][0], PHILOX_M4x32_0), product2 = multiply(c[v][2], PHILOX_M4x32_1);
            c[v][0] = product2 >> 32 ^ c[v][1] ^ key0;
            c[v][1] = product2;
            c[v][2] = product0 >> 32 ^ c[v][3] ^ key1;
            c[v][3] = product0;
        }
    for (int v = 0; v < VECTORS; v += 2)
        for (int word = 0; word < 4; word++, words += LANES) {
            const vec_bits low = __builtin_shufflevector((vec_bits)c[v][word], (vec_bits)c[v + 1][word], 0, 2, 4, 6, 8, 10, 12, 14,
                                                         16, 18, 20, 22, 24, 26, 28, 30);
            memcpy(words, &low, sizeof low);
        }
}

void random_bits(const struct random *r, uint64_t first, uint32_t *words, size_t n)
{
    while (n > 0) {
        const size_t skipped = (size_t)(first % BULK), m = n < BULK - skipped ? n : BULK - skipped;
        const uint32_t block = (uint32_t)((first - skipped) / 4);
        if (m == BULK) {
            bulk_words(r, block, words);
        } else {
            uint32_t bulk[BULK];
            bulk_words(r, block, bulk);
            memcpy(words, bulk + skipped, m * sizeof *words);
        }
        first += m;
        words += m;
        n -= m;
    }
}

void random_uniform(const struct random *r, float *x, size_t n)
{
    for (size_t i = 0; i < n; i += BULK) {
        uint32_t words[BULK];
        bulk_words(r, (uint32_t)(i / 4), words);
        const size_t m = n - i < BULK ? n - i : BULK;
        for (size_t j = 0; j < m; j++)
            x[i + j] = (float)(words[j] >> 8) * 0x1p-24f;
    }
}

/* A batch of numbers from its words. Box-Muller: two uniform numbers u in (0, 1] and v in [0, 1) give sqrt(-2 log u) (cos, sin)(2
 * pi v). The first half of a batch's words makes the u, the second the v; numbers j and j + BATCH/2 are a pair. */
static void batch_normal(const uint32_t words[BATCH], float deviation, float x[BATCH])
{
    float u[BATCH / 2], angle[BATCH / 2];
    for (int j = 0; j < BATCH / 2; j++) {
        u[j] = (float)words[j] * 0x1p-32f + 0x1p-33f;
        angle[j] = (float)(words[BATCH / 2 + j] >> 8) * (float)(2 * M_PI * 0x1p-24);
    }
    float radius[BATCH / 2];
    for (int j = 0; j < BATCH / 2; j += LANES)
        vec_store(radius + j, -2 * vec_log(vec_load(u + j)));
    for (int j = 0; j < BATCH / 2; j++)
        radius[j] = deviation * sqrtf(radius[j]);
    for (int j = 0; j < BATCH / 2; j += LANES) {
        vec_store(x + j, vec_load(radius + j) * vec_cos(vec_load(angle + j)));
        vec_store(x + BATCH / 2 + j, vec_load(radius + j) * vec_sin(vec_load(angle + j)));
    }
}

void random_normal(const struct random *r, float deviation, uint64_t first, float *x, size_t n)
{
    while (n > 0) {
        const size_t skipped = (size_t)(first % BULK), m = n < BULK - skipped ? n : BULK - skipped;
        uint32_t words[BULK];
        float bulk[BULK];
        bulk_words(r, (uint32_t)((first - skipped) / 4), words);
        for (int i = 0; i < BULK; i += BATCH)
            batch_normal(words + i, deviation, bulk + i);
        memcpy(x, bulk + skipped, m * sizeof *x);
        first += m;
        x += m;
        n -= m;
    }
}

uint64_t random_below(const struct random *r, uint32_t block, uint64_t below)
{
    uint32_t words[4];
    random_words(r, block, words);
    const uint64_t word = (uint64_t)words[0] << 32 | words[1];
    return (uint64_t)((unsigned __int128)word * below >> 64);
}

/* Smallest a with a * a >= n; at most 2^32. */
static uint64_t root_above(uint64_t n)
{
    uint64_t a = (uint64_t)sqrt((double)n);
    while (a > 0 && (unsigned __int128)(a - 1) * (a - 1) >= n)
        a--;
    while ((unsigned __int128)a * a < n)
        a++;
    return a;
}

/* A pseudo-random function of one coordinate: word `round` of its block. Even blocks belong to right, odd ones to left. */
static uint32_t round_word(const struct random *r, uint64_t coordinate, int is_left, int round)
{
    uint32_t words[4];
    random_words(r, (uint32_t)(2 * coordinate) + (uint32_t)is_left, words);
    return words[round];
}

/* The index is a point (left, right) of a rectangle a x b that just holds n; a round turns each coordinate by an angle that depends
 * on the other, which can be undone, so that it is a bijection. Points outside 0..n-1, fewer than a, are walked over. Two rounds
 * would do for large n; with four, neighbours do not stay neighbours even where n is 10. */
uint64_t random_permute(const struct random *r, uint64_t i, uint64_t n)
{
    const uint64_t a = root_above(n), b = n / a + (n % a != 0);
    do {
        uint64_t left = i / b, right = i % b;
        for (int round = 0; round < 4; round++) {
            left = (left + round_word(r, right, 0, round)) % a;
            right = (right + round_word(r, left, 1, round)) % b;
        }
        i = left * b + right;
    } while (i >= n);
    return i;
}
