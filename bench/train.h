/* The training loop: one loop for every layout of ranks; a degree of 1 means absent.
 *
 * A step takes the next batch.global samples, cut into micro-batches. Every replica computes its block of them: each of its stages
 * runs its list of tasks (schedule.h), forward and backward passes through its parts of the model, and the optimizer steps where
 * the summed gradient has arrived. The loss is weighted by samples, so the gradient is the mean over the global batch whatever the
 * layout. Nothing is allocated inside a step.
 */
#ifndef DMLBENCH_BENCH_TRAIN_H
#define DMLBENCH_BENCH_TRAIN_H

#include "bench/trainer.h"

/* Collective over world, in phases that end in gates; if it failed on any rank, it failed on all and there is nothing to close. */
status trainer_open(struct trainer *t, const struct config *c, MPI_Comm world);
void trainer_close(struct trainer *t);

/* Collective. One step, counted from 0. Returns the mean loss of the global batch before the update, nats per symbol or class, the
 * same bits on every rank; a loss that is not finite leaves the parameters as they were. */
double trainer_step(struct trainer *t, int64_t step, struct stopwatch *w);

/* Collective over the replica. The first `samples` samples of micro-batch 0 of a step through the model: returns the sum over their
 * rows of the loss, nats, the same on every rank. backward: adds their gradients, times weight per row, to the parts' `checked`. */
double trainer_check(struct trainer *t, int64_t step, int samples, bool backward, float weight);

/* Local. The tensor whose gradient this rank could not compress in the last step, because it was not finite; NULL: none. All ranks
 * know whether there is one on any (trainer->faulty); the parameters are then as they were before the step. */
const char *trainer_fault(const struct trainer *t);

/* Local. Whether another rank holds the same parameters as this one. */
bool trainer_has_replicas(const struct trainer *t);
/* Collective. Seconds that the exchange of all gradients takes when nothing is computed; or would, if it were dense. Overwrites the
 * sums. */
double trainer_exchange_alone_s(struct trainer *t, bool dense);

/* Local. What went into this rank's codes of gradients, and came out, in all steps. */
struct gradient_codes trainer_codes(const struct trainer *t);

/* Local. Bytes by purpose over all fabrics of this rank. */
struct ledger trainer_ledger(const struct trainer *t);

#endif
