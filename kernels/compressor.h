/* Gradient compressors: one struct, one table, one file per member (compress_<name>.c).
 *
 * A code is the exact bytes that travel. A member turns n floats into a code and back; who sends what to whom, the sum and error
 * feedback belong to the exchange (collectives/exchange.h), not to the member.
 *
 *     x[n] --encode--> symbols --pack--> code[bytes] ~~~~> decode --> y[n] += factor * C(x)
 *
 * What a member claims (traits, omega, delta, bytes) is checked by bench/conformance.c, on vectors of four kinds.
 * Letters: n floats, k of them kept, B floats in a bucket of a quantiser. Codes need no alignment; numbers in them are in host
 * byte order. Everything here is local and pure but for `state`; nothing allocates.
 */
#ifndef DMLBENCH_KERNELS_COMPRESSOR_H
#define DMLBENCH_KERNELS_COMPRESSOR_H

#include <stdbool.h>

#include "kernels/key.h"
#include "kernels/random.h"

/* Which may depend on the options: see compressor_traits. */
enum compressor_traits {
    COMPRESSOR_LOSSLESS = 1,    /* C(x) == x */
    COMPRESSOR_UNBIASED = 2,    /* E C(x) == x, and E |C(x) - x|^2 <= omega |x|^2 */
    COMPRESSOR_TIGHT = 4,       /* ... with equality, for every x */
    COMPRESSOR_CONTRACTIVE = 8, /* |C(x) - x|^2 <= (1 - delta) |x|^2, delta > 0; of random ones, in expectation */
    COMPRESSOR_FIXED_SIZE = 16, /* a code always has code_bytes bytes */
    COMPRESSOR_LINEAR = 32,     /* codes are numbers whose sum over workers is the code of the sum: they ride an allreduce */
    COMPRESSOR_SPARSE = 64, /* a code is a list of entries; it ends with their values as floats. FIXED_SIZE: of most_entries; else
                               it is index[k] (uint32), value[k], nothing between (see kernels/chain.h for the exception) */
    COMPRESSOR_FEEDBACK = 128, /* keeps what it did not send itself, in its state: the exchange must not do so, too */
    COMPRESSOR_MATRIX = 256    /* looks at rows and columns */
};

/* One vector that is compressed: how, by whom, when. */
struct coding {
    const void *options;  /* the member's own struct */
    size_t n;             /* floats */
    size_t rows, columns; /* of the matrix, row-major, that they are: rows * columns == n; rows == 1: no matrix */
    int worker, workers;  /* whose code it is, of how many whose codes are summed */
    int64_t step;         /* 0, 1, ... */
    struct random random; /* of this vector, worker and step */
    struct random shared; /* the same for all workers */
};

/* A piece of a vector: n floats (no matrix), with random numbers of its own for every turn >= 1. turn 0: those of the vector. */
struct coding coding_piece(const struct coding *c, size_t n, uint32_t turn);

enum element { ELEMENT_FLOAT, ELEMENT_HALF, ELEMENT_BFLOAT }; /* of a LINEAR code: 4 bytes, 2 (IEEE binary16), 2 (bfloat16) */
size_t element_bytes(enum element e);

/* LINEAR members. The code is summed in one part or in several, one after the other, because the next follows from the sum of those
 * before (PowerSGD). The parts lie one after the other in the code, which is of whole elements; the last may be empty. encode does
 * all parts for one worker, as if it were alone. */
struct linear {
    enum element element;
    int parts;
    size_t (*part_elements)(const struct coding *c, int part);
    /* Fills this worker's own part of the code; the parts before it are summed already. */
    void (*encode_part)(const struct coding *c, void *state, const float *x, int part, unsigned char *code, void *scratch);
    /* All parts are summed. OPTIONAL; for members that learn from it (a warm start). */
    void (*summed)(const struct coding *c, void *state, const unsigned char *code);
};

/* Members whose symbols are integers -most .. most, times a scale for every so many floats. With the same scales on every worker,
 * symbols may be summed; so a sum needs a maximum of scales first. */
struct levels {
    int (*most)(const void *options);
    size_t (*scales)(const struct coding *c); /* how many */
    void (*measure)(const struct coding *c, const float *x, float *scales);
    void (*quantise)(const struct coding *c, const float *x, const float *scales, int32_t *symbols);
    /* y[n] += symbols of any number of workers */
    void (*add)(const struct coding *c, const int32_t *symbols, const float *scales, float *y);
};

struct compressor {
    struct member member;
    unsigned traits;                              /* whatever the options */
    unsigned (*more_traits)(const void *options); /* OPTIONAL: and these */
    /* NULL, or why this vector cannot be compressed (a part of a sentence that names the option, its value and what would fit);
     * valid until the next call. OPTIONAL. */
    const char *(*refuses)(const struct coding *c);
    /* Bytes of the code, at most; exactly so many if FIXED_SIZE. A function of options, n, rows, columns, workers. REQUIRED. */
    size_t (*code_bytes)(const struct coding *c);
    /* Bytes that encode, pack, decode and the rest may overwrite. OPTIONAL: none. 64-byte aligned. */
    size_t (*scratch_bytes)(const struct coding *c);
    /* Bytes that the member keeps from step to step, 64-byte aligned, without pointers: saved and restored as they are. They begin
     * as zeros, then state_begin. OPTIONAL: none. */
    size_t (*state_bytes)(const struct coding *c);
    void (*state_begin)(const struct coding *c, void *state);
    /* x[n] to a code; returns its bytes. Where there is a `pack`, leaves symbols in scratch, and returns nothing of use. Cost O(n)
     * for any input, but for matrices. REQUIRED. */
    size_t (*encode)(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch);
    size_t (*pack)(const struct coding *c, unsigned char *code, void *scratch); /* symbols to the code's bits. OPTIONAL. */
    /* y[n] += factor * decoded code of the worker that c is of. A hostile code never writes outside y, and none is read behind its
     * bytes: what cannot be is left out. REQUIRED. */
    void (*decode)(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch);
    /* The sum of all workers' decoded codes becomes what counts as their sum (a majority vote). OPTIONAL. */
    void (*finish_sum)(const struct coding *c, float *y);
    /* Bits of information in a code as the literature counts them, where that is not 8 per byte. OPTIONAL. */
    double (*logical_bits)(const struct coding *c, const unsigned char *code, size_t bytes);
    /* What is claimed of x[n], or of every x if that is known: UNBIASED; CONTRACTIVE. x NULL: of every x (INFINITY or 0 if nothing)
     */
    double (*omega)(const struct coding *c, const float *x);
    double (*delta)(const struct coding *c, const float *x);
    const struct linear *linear; /* LINEAR */
    const struct levels *levels; /* OPTIONAL */
    /* SPARSE: index[k] ascending, below n, whatever the code; value[k]; returns k <= most_entries, for which there must be room. */
    size_t (*entries)(const struct coding *c, const unsigned char *code, size_t bytes, uint32_t *index, float *value,
                      void *scratch);
    size_t (*most_entries)(const struct coding *c);
};

extern const struct compressor compress_none, compress_fp16, compress_bf16, compress_topk, compress_randk, compress_permk,
    compress_threshold, compress_dgc, compress_gaussiank, compress_sidco, compress_qsgd, compress_terngrad, compress_natural,
    compress_natural_dithering, compress_sign, compress_ef_sign, compress_onebit, compress_powersgd, compress_atomo;

extern const struct compressor *const compressors[];        /* NULL-ended; the first is the default */
const struct compressor *compressor_find(const char *name); /* NULL: no such member */

unsigned compressor_traits(const struct compressor *k, const void *options);
size_t compressor_scratch_bytes(const struct compressor *k, const struct coding *c);
size_t compressor_state_bytes(const struct compressor *k, const struct coding *c);
void compressor_state_begin(const struct compressor *k, const struct coding *c, void *state); /* zeros, then the member's own */
/* encode, and pack where there is one; returns the code's bytes. */
size_t compressor_encode(const struct compressor *k, const struct coding *c, void *state, const float *x, unsigned char *code,
                         void *scratch);
double compressor_logical_bits(const struct compressor *k, const struct coding *c, const unsigned char *code, size_t bytes);

#endif
