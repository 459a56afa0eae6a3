/* The checks that a run makes of itself: its gradients before it is timed, its parameters when it is done. */
#ifndef DMLBENCH_BENCH_VERIFY_H
#define DMLBENCH_BENCH_VERIFY_H

#include "bench/train.h"

/* Largest relative error that central differences in single precision may show; what the tests of the layers leave is far below. */
#define GRADIENT_TOLERANCE 0.01

/* Collective over world; fails, on all ranks alike, for lack of memory (two copies of the parameters). Compares the backward pass
 * with differences of the forward pass on the first samples of step 0 (of later steps too where it does not agree: relu has kinks),
 * through the whole pipeline and all tensor ranks, slice by slice: along the slice's own gradient, where the derivative is its
 * length, and along random signs, where a missing gradient shows. A slice that tensor ranks share is moved by all of them at once.
 * The difference quotient is [8 (f(h) - f(-h)) - (f(2h) - f(-2h))] / 12h, whose error is O(h^4). Slices are dealt to the replicas,
 * because all would get the same; *worst is the largest error among its own replica's, relative to the length of the slice's
 * gradient; 0 if it has none. */
status verify_gradients(struct trainer *t, double *worst);

/* Local. Whether every parameter that this rank updates is a finite number. */
bool verify_finite(const struct trainer *t);

/* Collective over world. XXH3-64 over the slices' XXH3-64 of their bits, in the model's order: the same for the same model, however
 * it is cut into stages and replicas. *identical: whether all ranks that hold the same have the same bits. Fails like
 * verify_gradients. */
status verify_parameters(struct trainer *t, uint64_t *hash, bool *identical);

#endif
