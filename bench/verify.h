/* The checks that a run makes of itself before it is timed. */
#ifndef DMLBENCH_BENCH_VERIFY_H
#define DMLBENCH_BENCH_VERIFY_H

#include "bench/train.h"

/* Largest relative error that central differences in single precision may show; what the tests of the layers leave is far below. */
#define GRADIENT_TOLERANCE 0.01

/* Local. Compares the backward pass with differences of the forward pass on the first samples of step 0, slice by slice.
 * Along a slice's own gradient, scaled to length 1, the derivative of the mean loss is the gradient's length; the difference
 * quotient is [8 (f(h) - f(-h)) - (f(2h) - f(-2h))] / 12h, whose error is O(h^4). Slices are dealt to `share` of `shares` (the
 * ranks), because all would get the same; returns the largest relative error among its own, 0 if it has none, NaN if there is no
 * memory for the copies. */
double verify_gradients(struct trainer *t, int share, int shares);

/* Local. XXH3-64 of the parameters' bits. */
uint64_t verify_parameter_hash(const struct trainer *t);

#endif
