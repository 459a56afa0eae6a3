/* Private to kernels/: what the quantisers with a scale share (qsgd, terngrad, natural-dithering).
 *
 * A vector is cut into buckets of B floats. A float becomes an integer q in -s .. s, its bucket a norm N, and is decoded to
 *
 *     sign(q) N |q| / s          evenly spaced
 *     sign(q) N 2^(|q| - s)      by powers of two; q = 0 is 0
 *
 * |x| / N lies between two such levels. It goes to the upper one with the probability that makes the mean |x| (or to the nearer
 * one). Float i takes number i of the coding's random_bits; 24 of its bits count.
 *
 *     code = N of every bucket (float; or bfloat16, rounded up), then the symbols q + s
 *
 * What is not finite, or has no finite norm, makes its whole bucket NaN. A bucket whose smallest level would be below 2^-126 is
 * sent as zeros. The largest number a bucket has by the norm "max" is always at level s.
 *
 * Error, derived: a float's variance is (l' - |x|)(|x| - l) between levels l < l'. Where they are D N apart, it is at most D N |x|
 * and (D N)^2 / 4, and sum |x| <= sqrt(B) |x|_2, N sum |x| <= (1 + sqrt(B)) / 2 |x|_2^2 if N is the largest |x|. Hence
 *     omega = D min(a, B D / 4),  a = sqrt(B) for the norm of length, (1 + sqrt(B)) / 2 for the largest;  D = 1 / s, or, by powers
 * of two, the lowest level 2^(1 - s), and 1/8 more for the levels above, which are twice the one below.
 */
#ifndef DMLBENCH_KERNELS_QUANTISE_H
#define DMLBENCH_KERNELS_QUANTISE_H

#include "kernels/compressor.h"

enum quantise_norm { QUANTISE_L2, QUANTISE_MAX };

struct quantiser {
    int levels;    /* s */
    size_t bucket; /* B; SIZE_MAX: the whole vector */
    enum quantise_norm norm;
    double clip; /* > 0: N is at most so many times the root mean square, and what is above counts as N */
    bool powers, nearest;
    int scale_bits; /* 32; 16: bfloat16 */
    int width;      /* bits of a packed symbol */
};

size_t quantise_scales_bytes(const struct quantiser *q, size_t n);
int quantise_width(int levels); /* ceil(log2(2 s + 1)) bits */

/* Where encode leaves the symbols. */
uint16_t *quantise_symbols(const struct quantiser *q, size_t n, void *scratch);

/* The code's norms to `code`; the symbols to the scratch. */
void quantise_encode(const struct quantiser *q, const struct coding *c, const float *x, unsigned char *code, void *scratch);

/* Symbols first .. first + n - 1, first a multiple of 8, of bytes of a code; as bits_unpack. */
typedef void quantise_unpack(const unsigned char *code, size_t bytes, size_t first, size_t n, int width, uint16_t *symbols);

/* y[n] += factor * what norms at `scales` and symbols in bytes at `code` say. */
void quantise_decode(const struct quantiser *q, size_t n, const unsigned char *scales, quantise_unpack *unpack,
                     const unsigned char *code, size_t bytes, float factor, float *y);

double quantise_omega(const struct quantiser *q, size_t n); /* of every x; see above */

/* The options of all members, each of which has rows for some. The others stay 0: one level, the largest as the norm, 32 bits. */
struct quantise_options {
    int64_t levels, bucket, scale_bits;
    double clip;
    const char *norm, *rounding, *coding, *packing;
};

#define QUANTISE_BUCKET_KEY(fallback)                                                                                              \
    {                                                                                                                              \
        "bucket", KEY_INT, offsetof(struct quantise_options, bucket), fallback, 1, 1 << 30, .word = "all", .unit = "floats",       \
                                                                                            .help = "Floats that share a norm."    \
    }
#define QUANTISE_NORM_KEY                                                                                                          \
    {                                                                                                                              \
        "norm", KEY_CHOICE, offsetof(struct quantise_options, norm), "\"l2\"", .choices = quantise_norms,                          \
                                                                               .help = "Length, or largest magnitude."             \
    }
#define QUANTISE_PACKING_KEY                                                                                                       \
    {                                                                                                                              \
        "packing", KEY_CHOICE, offsetof(struct quantise_options, packing), "\"bits\"",                                             \
            .choices = quantise_packings, .help = "\"bytes\": a byte a float, as other frameworks send it."                        \
    }
extern const char *const quantise_norms[], *const quantise_packings[];

struct quantiser quantiser_of(const struct quantise_options *o, bool powers);
bool quantise_in_bytes(const struct quantise_options *o);
size_t quantise_scratch(const struct coding *c); /* a member's scratch_bytes */
extern const struct levels quantise_levels;      /* of members with evenly spaced levels */

#endif
