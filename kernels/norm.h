/* Norms of x[n], the same bits for any alignment and processor. Sums are in double precision, in 16 running lanes, so that the
 * square of any float counts. An Inf or NaN in x makes the result Inf or NaN. */
#ifndef DMLBENCH_KERNELS_NORM_H
#define DMLBENCH_KERNELS_NORM_H

#include <stddef.h>

float norm_largest(const float *x, size_t n);     /* max |x_i|; 0 of nothing */
double norm_magnitudes(const float *x, size_t n); /* sum |x_i| */
double norm_squares(const float *x, size_t n);    /* sum x_i^2 */

/* The sums of x_i >= 0 (and of NaN) and of x_i < 0; returns how many are < 0. */
size_t norm_sides(const float *x, size_t n, double *positive, double *negative);

/* The sum of |x_i| - threshold over those above the threshold, which a NaN is not; returns how many are. */
size_t norm_excess(const float *x, size_t n, float threshold, double *excess);

#endif
