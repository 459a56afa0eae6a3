/* Philox4x32-10: a block of four words is a keyed mix of a 128-bit counter,
 *     words = Philox(key = seed, counter = {block, step, worker, stream}),
 * so that any element of any stream is had without drawing those before it. Not for cryptography.
 * Source: Salmon et al., SC'11, by the implementation of Random123.
 */
#include "kernels/random.h"

#include <Random123/philox.h>
#include <math.h>

#include "kernels/vector.h"

enum { ROUNDS = 10, BATCH = 4 * LANES }; /* BATCH numbers are made at a time: the words of LANES blocks */

void random_words(const struct random *r, uint32_t block, uint32_t words[4])
{
    const philox4x32_ctr_t counter = { { block, r->step, r->worker, r->stream } };
    const philox4x32_key_t key = { { (uint32_t)r->seed, (uint32_t)(r->seed >> 32) } };
    const philox4x32_ctr_t mixed = philox4x32_R(ROUNDS, counter, key);
    memcpy(words, mixed.v, sizeof mixed.v);
}

typedef uint32_t words_vec __attribute__((vector_size(64)));
typedef uint64_t wide_vec __attribute__((vector_size(64)));

/* The high halves of the 64-bit products of 32-bit lanes; *low: the low halves. */
VEC_INLINE words_vec multiply(words_vec x, uint32_t factor, words_vec *low)
{
    const uint64_t half = UINT32_MAX;
    const wide_vec even = ((wide_vec)x & half) * factor, odd = ((wide_vec)x >> 32) * factor;
    *low = (words_vec)((even & half) | odd << 32);
    return (words_vec)(even >> 32 | (odd & ~half));
}

/* The words of LANES blocks from `block` on, computed side by side: first word 0 of each, then word 1 of each, 2, 3. */
static void batch_words(const struct random *r, uint32_t block, uint32_t words[BATCH])
{
    const words_vec lane = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    words_vec c[4] = { block + lane, r->step + (words_vec){ 0 }, r->worker + (words_vec){ 0 }, r->stream + (words_vec){ 0 } };
    uint32_t key0 = (uint32_t)r->seed, key1 = (uint32_t)(r->seed >> 32);
    for (int round = 0; round < ROUNDS; round++, key0 += PHILOX_W32_0, key1 += PHILOX_W32_1) {
        words_vec low0, low2;
        const words_vec high0 = multiply(c[0], PHILOX_M4x32_0, &low0), high2 = multiply(c[2], PHILOX_M4x32_1, &low2);
        c[0] = high2 ^ c[1] ^ key0;
        c[1] = low2;
        c[2] = high0 ^ c[3] ^ key1;
        c[3] = low0;
    }
    memcpy(words, c, sizeof c);
}

void random_uniform(const struct random *r, float *x, size_t n)
{
    for (size_t i = 0; i < n; i += BATCH) {
        uint32_t words[BATCH];
        batch_words(r, (uint32_t)(i / 4), words);
        const size_t m = n - i < BATCH ? n - i : BATCH;
        for (size_t j = 0; j < m; j++)
            x[i + j] = (float)(words[j] >> 8) * 0x1p-24f;
    }
}

void random_bits(const struct random *r, uint64_t first, uint32_t *words, size_t n)
{
    for (size_t i = 0; i < n; i += BATCH) {
        uint32_t batch[BATCH];
        batch_words(r, (uint32_t)((first + i) / 4), batch);
        memcpy(words + i, batch, (n - i < BATCH ? n - i : BATCH) * sizeof *words);
    }
}

/* Numbers i .. i + BATCH - 1, where i is a multiple of BATCH.
 * Box-Muller: two uniform numbers u in (0, 1] and v in [0, 1) give sqrt(-2 log u) (cos, sin)(2 pi v). The first half of a batch's
 * words makes the u, the second the v; numbers j and j + BATCH/2 are a pair. */
static void batch_normal(const struct random *r, uint64_t i, float deviation, float x[BATCH])
{
    uint32_t words[BATCH];
    batch_words(r, (uint32_t)(i / 4), words);
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
        const size_t skipped = (size_t)(first % BATCH), m = n < BATCH - skipped ? n : BATCH - skipped;
        float batch[BATCH];
        batch_normal(r, first - skipped, deviation, batch);
        memcpy(x, batch + skipped, m * sizeof *x);
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
