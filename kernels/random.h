/* Counter-based random numbers: a value is a pure function of (seed, stream, worker, step, index), so that a result depends
 * neither on the number of ranks nor on the order of calls.
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11; Philox4x32-10 of Random123.
 */
#ifndef DMLBENCH_KERNELS_RANDOM_H
#define DMLBENCH_KERNELS_RANDOM_H

#include <stddef.h>
#include <stdint.h>

enum random_stream { /* what the numbers are for; two purposes never share numbers */
                     RANDOM_PARAMETERS,
                     RANDOM_SAMPLES,
                     RANDOM_SHUFFLE,
                     RANDOM_TEACHER,
                     RANDOM_COMPRESSOR,
                     RANDOM_CHECK,
                     RANDOM_JITTER,
                     RANDOM_MESSAGE,
                     RANDOM_LINK
};

struct random {
    uint64_t seed;
    uint32_t stream, worker, step;
};

/* The four words of block `block` (0, 1, ...) of this generator. */
void random_words(const struct random *r, uint32_t block, uint32_t words[4]);

/* words[i] is word first + i < 2^34 (fast where first is a multiple of 128) of a sequence that depends on r alone: number j of it
 * is word j / 16 % 4 of block 16 (j / 64) + j % 16, the order in which sixteen blocks side by side are made. */
void random_bits(const struct random *r, uint64_t first, uint32_t *words, size_t n);

/* x[i], i < n <= 2^34: uniform in [0, 1), multiples of 2^-24: the upper 24 bits of number i of random_bits. */
void random_uniform(const struct random *r, float *x, size_t n);

/* x[i] is number first + i < 2^34 of a sequence that depends on r alone: normal with mean 0 and standard deviation `deviation`
 * (Box-Muller). */
void random_normal(const struct random *r, float deviation, uint64_t first, float *x, size_t n);

/* A number in [0, below), below >= 1, drawn from block `block`; bias below 2^-64 * below. */
uint64_t random_below(const struct random *r, uint32_t block, uint64_t below);

/* Where index i of 0..n-1 goes in a random permutation of n: a keyed bijection (Feistel network over Philox, walking cycles),
 * so that an epoch's shuffle is a pure function of the seed and needs no table. */
uint64_t random_permute(const struct random *r, uint64_t i, uint64_t n);

#endif
