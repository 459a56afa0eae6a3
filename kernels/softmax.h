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

#endif
