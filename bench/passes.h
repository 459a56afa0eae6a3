/* The tasks of a schedule, for real: receive, compute layer by layer, send. Used by the training step and by verification. */
#ifndef DMLBENCH_BENCH_PASSES_H
#define DMLBENCH_BENCH_PASSES_H

#include "bench/trainer.h"

/* What a list of tasks is run for. */
struct work {
    struct trainer *trainer;
    int64_t step;
    float weight;      /* of one row in the gradients */
    int samples;       /* of micro-batch 0, for verification; 0: as the batch is cut, with losses recorded */
    double loss;       /* set by verification: sum over the rows, on the rank that has them */
    int forwards_left; /* until this rank has all its losses */
    struct stopwatch *w;
};

/* Collective over the pipeline. */
void passes_run(struct work *work, const struct task_list *tasks);
/* Local. Gives back what forward passes kept for backward passes that will not come. */
void passes_forget(struct work *work, const struct task_list *tasks);

#endif
