/* Private to kernels/: the softmax of one row, which attention and the loss share. */
#ifndef DMLBENCH_KERNELS_SOFTMAX_H
#define DMLBENCH_KERNELS_SOFTMAX_H

#include <stddef.h>

/* log(sum of exp(x)) = max + log(sum) */
struct softmax {
    float max, sum;
};

/* x[n] becomes exp(x - max) / sum, n >= 1. A NaN in x makes all of it NaN. */
struct softmax softmax_row(float *x, size_t n);

/* Its three passes. The largest, NaNs passed over; x becomes exp(x - max), returns the sum; x becomes x / sum. */
float softmax_max(const float *x, size_t n);
float softmax_exponentials(float *x, float max, size_t n);
void softmax_divide(float *x, float sum, size_t n);

#endif
