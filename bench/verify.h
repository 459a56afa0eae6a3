/* The checks that a run makes of itself before it is timed. */
#ifndef DMLBENCH_BENCH_VERIFY_H
#define DMLBENCH_BENCH_VERIFY_H

#include "bench/train.h"

/* Largest relative error that central differences in single precision may show; what the tests of the layers leave is far below. */
#define GRADIENT_TOLERANCE 0.02

/* Local. Compares the backward pass with differences of the forward pass on the first micro-batch of step 0, layer by layer.
 * Along the direction u of a layer, its slices' gradients each scaled to length 1, the derivative of the mean loss is the sum of
 * the lengths; the difference quotient is [8 (f(h) - f(-h)) - (f(2h) - f(-2h))] / 12h, whose error is O(h^4). Layers are dealt to
 * `share` of `shares` (the ranks), because all would get the same; returns the largest relative error among its own, 0 if it has
 * none, NaN if there is no memory for the copies. */
double verify_gradients(struct trainer *t, int share, int shares);

/* Local. XXH3-64 of the parameters' bits. */
uint64_t verify_parameter_hash(const struct trainer *t);

#endif
