/* Perm-k: the floats are dealt out to the workers at random, each to exactly one; a worker sends its own, times the workers P.
 *
 *     C_w(x)_i = P x_i if i belongs to worker w, else 0       E C_w(x) = x,  E |C_w(x) - x|^2 = (P - 1) |x|^2 for every x
 *     code = value[ceil(n / P)] (float); a worker that has one less ends with a zero
 *
 * The mean over the workers is exact where their inputs are equal: what one leaves out another has.
 * Deviates from the source, which cuts a uniformly random permutation of all n into blocks: here every row of P neighbouring floats
 * is turned by a random amount (known to all, from the shared numbers), and worker w has column w. That is a permutation, too, and
 * every float belongs to every worker with probability 1 / P, which is all that the claims need; but a worker finds its floats,
 * in ascending order, in O(n / P), without a table. Probabilities are 1 / P to 2^-32.
 * Source: Szlendak, Tyurin, Richtarik, ICLR 2022.
 */
#include <string.h>

#include "kernels/sparse.h"

enum { ROWS = 1024 }; /* random numbers made at a time */

static size_t most_entries(const struct coding *c)
{
    const size_t workers = (size_t)c->workers;
    return (c->n + workers - 1) / workers;
}

static size_t code_bytes(const struct coding *c)
{
    return most_entries(c) * sizeof(float);
}

static size_t scratch_bytes(const struct coding *c)
{
    return most_entries(c) * sizeof(uint32_t);
}

/* Fills index with the floats of c->worker, ascending; returns their number. */
static size_t own(const struct coding *c, uint32_t *index)
{
    const size_t rows = most_entries(c), workers = (size_t)c->workers;
    size_t count = 0;
    for (size_t first = 0; first < rows; first += ROWS) {
        uint32_t words[ROWS];
        const size_t m = rows - first < ROWS ? rows - first : ROWS;
        random_bits(&c->shared, first, words, m);
        for (size_t i = 0; i < m; i++) {
            const size_t turn = (size_t)((uint64_t)words[i] * workers >> 32), column = (size_t)c->worker + turn;
            const size_t at = (first + i) * workers + (column < workers ? column : column - workers);
            index[count] = (uint32_t)at;
            count += at < c->n;
        }
    }
    return count;
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state;
    const size_t k = own(c, scratch), bytes = code_bytes(c);
    const size_t used = entries_write(&index_seed, x, c->n, scratch, k, (float)c->workers, code);
    memset(code + used, 0, bytes - used);
    return bytes;
}

static void decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    const size_t k = own(c, scratch);
    entries_add(entries_read(&index_seed, code, bytes, c->n, k, scratch), c->n, factor, y);
}

static size_t entries(const struct coding *c, const unsigned char *code, size_t bytes, uint32_t *index, float *value, void *scratch)
{
    (void)scratch;
    const size_t k = own(c, index);
    return entries_copy(entries_read(&index_seed, code, bytes, c->n, k, index), c->n, k, index, value);
}

static double omega(const struct coding *c, const float *x)
{
    (void)x;
    return c->workers - 1;
}

const struct compressor compress_permk = {
    .member = { .name = "permk",
                .help = "Deals the floats out to the workers at random, each to one.",
                .source = "Szlendak, Tyurin, Richtarik 2022" },
    .traits = COMPRESSOR_UNBIASED | COMPRESSOR_TIGHT | COMPRESSOR_FIXED_SIZE | COMPRESSOR_SPARSE,
    .refuses = indices_refuse,
    .code_bytes = code_bytes,
    .scratch_bytes = scratch_bytes,
    .encode = encode,
    .decode = decode,
    .omega = omega,
    .entries = entries,
    .most_entries = most_entries,
};
