/* Private to kernels/: one bit a float, and two numbers for each bucket of floats (sign, ef-sign, onebit). A set bit says x < 0, so
 * that 0, -0 and NaN count as positive.
 *
 *     code = the numbers of all buckets, as the member has them, then the bits
 */
#ifndef DMLBENCH_KERNELS_SIGNS_H
#define DMLBENCH_KERNELS_SIGNS_H

#include "kernels/compressor.h"

struct signs {
    size_t bucket;        /* floats; SIZE_MAX: the whole vector */
    size_t numbers_bytes; /* of a bucket */
    int width;            /* of a symbol: 1; 8: a byte a float */
    /* The bucket's numbers, from its bytes. */
    void (*numbers)(const struct coding *c, const unsigned char *from, float *positive, float *negative);
};

/* offset: of an int64_t of the options, 0: all */
#define SIGNS_BUCKET_KEY(offset)                                                                                                   \
    {                                                                                                                              \
        "bucket", KEY_INT, offset, "\"all\"", 1, 1 << 30, .word = "all", .unit = "floats", .help = "Floats that share a scale."    \
    }

size_t signs_code_bytes(const struct signs *s, size_t n);
size_t signs_scratch_bytes(const struct coding *c);
double signs_logical_bits(const struct signs *s, size_t n);

/* The symbols to the scratch; the numbers are the member's. */
void signs_encode(size_t n, const float *x, void *scratch);
size_t signs_pack(const struct signs *s, size_t n, unsigned char *code, const void *scratch); /* returns the code's bytes */
void signs_decode(const struct signs *s, const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y);

#endif
