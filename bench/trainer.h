/* What a rank has while it trains: its groups, its parts of the model, and what is in flight. Plain data, which the set-up
 * (train.c) fills and the tasks (passes.c), the end of a step (update.c) and verification use.
 */
#ifndef DMLBENCH_BENCH_TRAINER_H
#define DMLBENCH_BENCH_TRAINER_H

#include "bench/assignment.h"
#include "bench/charge.h"
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
    struct cluster cluster;  /* as the config states it */
    struct clock_fit common; /* this host's clock against rank 0's; zeros until run.c has read it */
    struct fabric_setup setup;
    struct charge charge;
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
    double slowdown;    /* of this rank */
    struct part *parts; /* [plan.count] */
    float *losses;      /* [plan.leaves]: mean loss of each micro-batch, times its share of the global batch */
    int last_forwards;  /* forward passes of a step that end in a loss on this rank */
    float faulty;       /* whether some rank's gradient cannot be compressed in this step */
    struct operation *loss_sum, *tied_sum, *faulty_max;
    float *waiting;         /* gradients that have something to be added yet */
    struct task_list check; /* one micro-batch forward and backward, for verification */
};

#endif
