/* The two 16-bit formats of floats, in arrays of any alignment.
 *
 *     binary16 (half)  s eeeee mmmmmmmmmm    ulp 2^-10 |x| at most, normal 2^-14 .. 65504, below that multiples of 2^-24
 *     bfloat16         s eeeeeeee mmmmmmm    the upper half of a float: ulp 2^-7 |x| at most, a float's range
 *
 * Rounding is to the nearest, ties to even, or stochastic: to one of the two neighbours, such that the mean is the number. What
 * rounds above the largest number is Inf. NaN stays NaN, which one may depend on the processor; nothing else does.
 * Source: IEEE 754-2019; Gupta et al., ICML 2015, for the stochastic rounding.
 */
#ifndef DMLBENCH_KERNELS_HALF_H
#define DMLBENCH_KERNELS_HALF_H

#include "kernels/compressor.h"

/* e: ELEMENT_HALF or ELEMENT_BFLOAT. to[n] = x[n], to the nearest. */
void half_round(enum element e, const float *x, size_t n, void *to);

/* The same, stochastically; float i takes number i of random_bits. Exactly unbiased, but for binary16 below 2^-14: to 2^-48. */
void half_round_stochastic(enum element e, const float *x, size_t n, const struct random *r, void *to);

/* y[n] += factor * from[n] */
void half_add_scaled(enum element e, const void *from, size_t n, float factor, float *y);

/* to[n] += from[n], each sum made in single precision and rounded once, to the nearest. */
void add_half(void *to, const void *from, size_t n);
void add_bfloat(void *to, const void *from, size_t n);

#endif
