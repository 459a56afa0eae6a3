/* Gradient compressors: one struct, one table, one file per member (compress_<name>.c).
 *
 * A code is the exact bytes that travel. The member turns n floats into a code and back; who sends what to whom, error feedback
 * and the sum belong to the exchange (bench/gradient.c), not to the member.
 */
#ifndef DMLBENCH_KERNELS_COMPRESSOR_H
#define DMLBENCH_KERNELS_COMPRESSOR_H

#include "kernels/key.h"
#include "kernels/random.h"

enum compressor_traits {
    COMPRESSOR_LOSSLESS = 1,   /* decode(encode(x)) == x */
    COMPRESSOR_LINEAR = 2,     /* codes are floats that may be summed by an allreduce */
    COMPRESSOR_UNBIASED = 4,   /* E decode(encode(x)) == x */
    COMPRESSOR_CONTRACTIVE = 8 /* |decode(encode(x)) - x|^2 <= (1 - delta) |x|^2 */
};

struct compressor {
    struct member member;
    unsigned traits;
    /* NULL, or why n floats cannot be compressed with these options (one sentence part: "ratio 0 keeps nothing"). OPTIONAL. */
    const char *(*refuses)(const void *options, size_t n);
    /* Bytes of the code of n floats: exact, a function of options and n alone. REQUIRED. */
    size_t (*code_bytes)(const void *options, size_t n);
    /* Bytes of scratch that encode needs. REQUIRED. */
    size_t (*scratch_bytes)(const void *options, size_t n);
    /* code[code_bytes] from x[n]. `random` keys the randomness of members that have any. Cost O(n) for any input. REQUIRED. */
    void (*encode)(const void *options, const struct random *random, const float *x, size_t n, unsigned char *code, void *scratch);
    /* y[n] += decoded code. A hostile code never writes outside y: entries that cannot be are left out. REQUIRED. */
    void (*decode_add)(const void *options, const unsigned char *code, float *y, size_t n);
    /* y[n] -= decoded code: with y = what was encoded, this leaves the error. REQUIRED. */
    void (*decode_subtract)(const void *options, const unsigned char *code, float *y, size_t n);
};

extern const struct compressor compress_none, compress_topk;

extern const struct compressor *const compressors[];        /* NULL-ended; the first is the default */
const struct compressor *compressor_find(const char *name); /* NULL: no such member */

#endif
