/* Shared by the tests of low-rank compressors: matrices whose best approximations are known, because they are made from chosen
 * singular values, and coding with guards around everything that may be written. */
#ifndef DMLBENCH_TESTS_KERNELS_LOWRANK_H
#define DMLBENCH_TESTS_KERNELS_LOWRANK_H

#include "tests/kernels/check.h"

#include "kernels/compressor.h"

enum { SIDE = 128, MOST = SIDE * SIDE, GUARD = 64 };

static float x[MOST], y[MOST];
static double basis_a[MOST], basis_b[MOST];
static unsigned char code[8 * MOST + GUARD];
static _Alignas(64) unsigned char scratch[64 * MOST + GUARD], memory[4 * MOST];

static inline struct coding coding_of(const void *options, size_t a, size_t b)
{
    return (struct coding){ .options = options,
                            .n = a * b,
                            .rows = a,
                            .columns = b,
                            .workers = 1,
                            .random = { .seed = 5, .stream = RANDOM_COMPRESSOR },
                            .shared = { .seed = 6, .stream = RANDOM_COMPRESSOR } };
}

static inline struct coding at_step(struct coding c, int step)
{
    c.step = step;
    c.random.step = c.shared.step = (uint32_t)step;
    return c;
}

static inline double square(const float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * v[i];
    return sum;
}

static inline double distance2(const float *v, const float *w, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)v[i] - w[i]) * ((double)v[i] - w[i]);
    return sum;
}

static inline void normal(float *v, size_t n, uint32_t seed)
{
    random_normal(&(struct random){ .seed = seed, .stream = RANDOM_CHECK }, 1, 0, v, n);
}

/* basis[count][n]: orthonormal rows */
static inline void orthonormal(double *basis, int count, int n, uint32_t seed)
{
    float v[SIDE];
    for (int i = 0; i < count; i++) {
        double *row = basis + i * n, length = 0;
        normal(v, (size_t)n, seed + (uint32_t)i);
        widen(row, v, (size_t)n);
        for (int turn = 0; turn < 2; turn++)
            for (int k = 0; k < i; k++) {
                double share = 0;
                for (int j = 0; j < n; j++)
                    share += row[j] * basis[k * n + j];
                for (int j = 0; j < n; j++)
                    row[j] -= share * basis[k * n + j];
            }
        for (int j = 0; j < n; j++)
            length += row[j] * row[j];
        for (int j = 0; j < n; j++)
            row[j] /= sqrt(length);
    }
}

/* m[a][b] with these singular values. */
static inline void make_matrix(float *m, int a, int b, int count, double (*sigma)(int i), uint32_t seed)
{
    orthonormal(basis_a, count, a, seed);
    orthonormal(basis_b, count, b, seed + 1000);
    for (int i = 0; i < a; i++)
        for (int j = 0; j < b; j++) {
            double sum = 0;
            for (int k = 0; k < count; k++)
                sum += sigma(k) * basis_a[k * a + i] * basis_b[k * b + j];
            m[i * b + j] = (float)sum;
        }
}

static inline double harmonic(int i)
{
    return 1. / (i + 1);
}

static inline double flat(int i)
{
    (void)i;
    return 1;
}

/* y = C(x), and all that must hold whatever is coded: bytes, and nothing written beyond. Returns the code's bytes. */
static inline size_t code_and_decode(const struct compressor *k, const struct coding *c)
{
    const size_t room = k->code_bytes(c), work = compressor_scratch_bytes(k, c);
    unsigned char *odd = code + 1; /* codes need no alignment */
    memset(code, 0xAB, room + GUARD);
    memset(scratch + work, 0xCD, GUARD);
    assert_true(room + GUARD < sizeof code && work + GUARD <= sizeof scratch && compressor_state_bytes(k, c) <= sizeof memory);
    const size_t bytes = compressor_encode(k, c, memory, x, odd, scratch);
    assert_true(bytes <= room);
    if (compressor_traits(k, c->options) & COMPRESSOR_FIXED_SIZE)
        assert_int_equal(bytes, room);
    memset(y, 0, c->n * sizeof *y);
    k->decode(c, odd, bytes, 1, y, scratch);
    for (size_t i = 0; i < GUARD - 1; i++)
        assert_true(odd[room + i] == 0xAB && scratch[work + i] == 0xCD);
    return bytes;
}

static inline double error_frac(const struct coding *c)
{
    return distance2(x, y, c->n) / square(x, c->n);
}

/* Random codes of so many bytes; the first four are a count below `counts`, unless that is 0. */
static inline void assert_hostile_code_stays_inside(const struct compressor *k, const struct coding *c, uint32_t seed, size_t bytes,
                                                    uint32_t counts)
{
    for (uint32_t block = 0; block < sizeof code / 16; block++) {
        uint32_t words[4];
        random_words(&(struct random){ .seed = seed }, block, words);
        memcpy(code + 16 * block, words, sizeof words);
    }
    if (counts)
        memcpy(code, &(uint32_t){ seed % counts }, 4);
    for (size_t i = 0; i < c->n + GUARD; i++)
        y[i] = 3;
    k->decode(c, code, bytes, 1, y, scratch);
    for (size_t i = c->n; i < c->n + GUARD; i++)
        assert_true(y[i] == 3);
}

#endif
