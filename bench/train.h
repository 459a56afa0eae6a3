/* The training loop: one loop for every layout of ranks; a degree of 1 means absent.
 *
 * A step takes the next batch.global samples, cut into micro-batches. Every replica computes its block of them: each of its stages
 * runs its list of tasks (schedule.h), forward and backward passes through its parts of the model, and the optimizer steps where
 * the summed gradient has arrived. The loss is weighted by samples, so the gradient is the mean over the global batch whatever the
 * layout. Nothing is allocated inside a step.
 */
#ifndef DMLBENCH_BENCH_TRAIN_H
#define DMLBENCH_BENCH_TRAIN_H

#include "bench/assignment.h"
#include "bench/compute.h"
#include "bench/gradient.h"
#include "bench/links.h"
#include "bench/stash.h"
#include "bench/tensor.h"
#include "collectives/grid.h"
#include "kernels/optimizer.h"

/* A micro-batch on its way through a part: what is kept of it here. NULL where there is nothing. */
struct flight {
    float *in, *out, *dout; /* messages, from the links' pool */
    struct graph *graph;
    struct gradients *gradients;
};

/* One chunk of the model, with all that belongs to it. */
struct part {
    const struct part_plan *plan;
    float *params, *state;
    struct engine *engine; /* over its replicas */
    struct gradient *gradient;
    float *checked; /* while gradients are verified: where they go instead */
    struct stash stash;
    struct flight *flights; /* [micro_batches] */
};

/* Groups of ranks with a fabric of their own. */
enum group { GROUP_WORLD, GROUP_PIPELINE, GROUP_TENSOR, GROUP_TIED, GROUP_DATA, GROUP_MIRRORED, GROUP_COUNT };

struct trainer {
    const struct config *config;
    struct grid grid;
    MPI_Comm replica; /* the ranks that together hold one copy of the model (two, if it is bidirectional) */
    struct assignment plan;
    struct fabric fabrics[GROUP_COUNT]; /* ops NULL: this layout has no such group, or this rank is not in it */
    struct engine *engines[GROUP_COUNT];
    struct fabric *clock; /* the world's */
    struct links *links;
    struct tensor tensor;
    struct data data;
    const struct optimizer *optimizer;
    const struct compute *compute;
    struct part *parts; /* [plan.count] */
    float *losses;      /* [plan.leaves]: mean loss of each micro-batch, times its share of the global batch */
    int last_forwards;  /* forward passes of a step that end in a loss on this rank */
    struct operation *loss_sum, *tied_sum;
    float *waiting;         /* gradients that have something to be added yet */
    struct task_list check; /* one micro-batch forward and backward, for verification */
};

/* Collective over world, in phases that end in gates; if it failed on any rank, it failed on all and there is nothing to close. */
status trainer_open(struct trainer *t, const struct config *c, MPI_Comm world);
void trainer_close(struct trainer *t);

/* Collective. One step, counted from 0. Returns the mean loss of the global batch before the update, nats per symbol or class, the
 * same bits on every rank; a loss that is not finite leaves the parameters as they were. */
double trainer_step(struct trainer *t, int64_t step, struct stopwatch *w);

/* Collective over the replica. The first `samples` samples of micro-batch 0 of a step through the model: returns the sum over their
 * rows of the loss, nats, the same on every rank. backward: adds their gradients, times weight per row, to the parts' `checked`. */
double trainer_check(struct trainer *t, int64_t step, int samples, bool backward, float weight);

/* Local. Whether another rank holds the same parameters as this one. */
bool trainer_has_replicas(const struct trainer *t);
/* Collective. Seconds that the exchange of all gradients takes when nothing is computed. Overwrites the sums. */
double trainer_exchange_alone_s(struct trainer *t);

/* Local. Bytes by purpose over all fabrics of this rank. */
struct ledger trainer_ledger(const struct trainer *t);

#endif
