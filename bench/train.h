/* The training loop: one loop for every layout of ranks; a degree of 1 means absent.
 *
 * A step takes the next batch.global samples, cut into micro-batches; every data rank computes its block of them, forward and
 * backward layer by layer, and the optimizer steps where the summed gradient has arrived. The loss is weighted by samples, so the
 * gradient is the mean over the global batch whatever the layout. Nothing is allocated inside a step.
 */
#ifndef DMLBENCH_BENCH_TRAIN_H
#define DMLBENCH_BENCH_TRAIN_H

#include "bench/config.h"
#include "bench/gradient.h"
#include "bench/model.h"
#include "collectives/grid.h"
#include "kernels/optimizer.h"

/* Bytes that a rank allocates for training; known before anything is. */
struct footprint {
    double parameters_B, gradients_B, optimizer_B, exchange_B, activations_B, batch_B;
    double verification_B; /* until the first step */
};

struct trainer {
    const struct config *config;
    struct grid grid;
    struct fabric fabric; /* of the data axis */
    struct engine *engine;
    struct network net;
    struct data data;
    const struct optimizer *optimizer;
    float *params, *state;
    struct gradient *gradient;
    int samples;                               /* of a micro-batch: batch.micro, fewer while gradients are verified */
    int64_t leaves, first_leaf, micro_batches; /* of the global batch; this rank's first, and how many */

    float *arena;                       /* activations of one micro-batch: the arrays below */
    float **out, **saved;               /* per layer */
    float *kept, *dout, *din, *scratch; /* shared by the layers: each is used up before the next needs it */
    float *features;
    int32_t *symbols, *targets;
    float *losses; /* [leaves]: mean loss of each micro-batch, times its share of the global batch */
    struct operation *loss_sum;
};

struct footprint trainer_footprint(const struct config *c, const struct network *net, int rank, int ranks);

/* Collective over world, in phases that end in gates; if it failed on any rank, it failed on all and there is nothing to close. */
status trainer_open(struct trainer *t, const struct config *c, MPI_Comm world);
void trainer_close(struct trainer *t);

/* Collective. One step, counted from 0. Returns the mean loss of the global batch before the update, nats per symbol or class, the
 * same bits on every rank; a loss that is not finite leaves the parameters as they were. */
double trainer_step(struct trainer *t, int64_t step, struct stopwatch *w);

/* Local. Loads the first t->samples of micro-batch `leaf` of a step, runs them forward, and returns the sum over their rows of the
 * loss, nats. */
double trainer_forward(struct trainer *t, int64_t step, int64_t leaf, const float *params);
/* Local. The gradients of the samples last run forward, times weight per row, added to grads. */
void trainer_backward(struct trainer *t, const float *params, float *grads, float weight);

#endif
