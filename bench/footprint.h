/* Bytes that a rank allocates for training, known before anything is: the same plans that the run allocates by. */
#ifndef DMLBENCH_BENCH_FOOTPRINT_H
#define DMLBENCH_BENCH_FOOTPRINT_H

#include "bench/assignment.h"
#include "bench/gradient.h"

enum { VERIFIED_SAMPLES = 2 }; /* of a micro-batch, at most: the check costs eight forward passes a slice */

struct footprint {
    double parameters_B, gradients_B, optimizer_B, exchange_B; /* the last: codes, error feedback, and what is tied or partial */
    double activations_B;                                      /* of the micro-batches in flight */
    double messages_B;                                         /* between stages */
    double verification_B; /* parameters and all else that is there while gradients are verified, before the first step; 0: they are
                              not */
    double gradients_sent_B, parameters_sent_B; /* by this rank in a step, to the other replicas; NaN: unknown */
};

/* The most that is there at a time: while training, or while verifying. */
double footprint_most_B(const struct footprint *f);

/* Local. Fails where memory is short, or where gradient_check does. */
status footprint_of(const struct config *c, const struct assignment *a, struct footprint *f);

/* Local. What the exchange of a part's gradients is planned by; shape->layers is the caller's to free. */
status footprint_shape(const struct assignment *a, int part, struct gradient_shape *shape);

/* The replicas of a part: which of how many this rank is. */
void footprint_replica(const struct assignment *a, int part, int *rank, int *ranks);

#endif
