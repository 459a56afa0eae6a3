/* The checks that a run makes of itself before it is timed. */
#ifndef DMLBENCH_BENCH_VERIFY_H
#define DMLBENCH_BENCH_VERIFY_H

#include "bench/train.h"

/* Largest relative error that central differences in single precision may show; what the tests of the layers leave is far below. */
#define GRADIENT_TOLERANCE 0.01

/* Local. Compares the backward pass with differences of the forward pass on the first samples of step 0 (of later steps too where
 * it does not agree: relu has kinks), slice by slice: along the slice's own gradient, where the derivative is its length, and along
 * random signs, where a missing gradient shows. The difference quotient is [8 (f(h) - f(-h)) - (f(2h) - f(-2h))] / 12h, whose error
 * is O(h^4). Slices are dealt to `share` of `shares` (the ranks), because all would get the same; *worst is the largest error among
 * its own, relative to the length of the slice's gradient; 0 if it has none. Fails for lack of memory (three copies of the
 * parameters). */
status verify_gradients(struct trainer *t, int share, int shares, double *worst);

/* Local. Whether every parameter is a finite number. */
bool verify_finite(const struct trainer *t);

/* Local. XXH3-64 of the parameters' bits. */
uint64_t verify_parameter_hash(const struct trainer *t);

#endif
