/* What one rank of a layout has to do and to hold, worked out from the config alone: the same plan feeds the run, --explain and the
 * footprint.
 *
 * The whole model's layers are cut into as many groups as a route has positions; a rank holds one part for every chunk of its
 * stage. Its list of tasks says how many micro-batches are in flight at a time, and so how much memory they need.
 */
#ifndef DMLBENCH_BENCH_ASSIGNMENT_H
#define DMLBENCH_BENCH_ASSIGNMENT_H

#include "bench/config.h"
#include "bench/part.h"
#include "bench/schedule.h"
#include "collectives/grid.h"

/* Part c of a rank is chunk c of its stage. */
struct part_plan {
    struct network net;
    struct tied_slice tied;
    int position;     /* in its route */
    int graphs;       /* micro-batches whose activations are kept at a time, the one in work included */
    int gradients;    /* ... whose weight gradient is still to come, where the schedule has it apart; 0: it has not */
    bool *recomputes; /* [micro_batches] whether only the input is kept until the backward pass */
};

/* Of the whole model, however it is cut. */
struct whole_model {
    size_t parameters;                  /* a tied matrix counts once */
    double flop_forward, flop_backward; /* of its matrix products, per sample */
};

struct assignment {
    struct whole_model model;
    int degree[AXIS_COUNT], at[AXIS_COUNT];
    struct pipeline pipeline;
    struct task_list tasks;
    struct part_plan *parts;
    int count;                  /* parts */
    int64_t leaves, first_leaf; /* micro-batches of the global batch; this replica's first */
    int64_t *starts;            /* [replicas of a part + 1] where their micro-batches begin; NULL: blocks (see gradient.h) */
    int micro_batches;          /* of this replica */
    int samples;                /* of the largest micro-batch */
    size_t boundary_floats;     /* of its largest message, with room for the stamp */
    int *kept;                  /* [tasks] messages kept while each task runs */
    int boundaries;             /* messages kept at a time: inputs, outputs and gradients of micro-batches in flight */
};

/* Local. Out of memory is the only failure of a settled config. If it failed there is nothing to close. */
status assignment_open(struct assignment *a, const struct config *c, int rank);
void assignment_close(struct assignment *a);

/* Pure. The pipeline of a settled config, for a replica of so many micro-batches. */
struct pipeline assignment_pipeline(const struct config *c, int micro_batches);
/* Whether a part is the first or last of its route. */
bool part_is_first(const struct part_plan *p);
bool part_is_last(const struct assignment *a, const struct part_plan *p);
/* Floats of the messages that enter and leave a part, per sample; 0: none. */
size_t part_in_floats(const struct part_plan *p);
size_t part_out_floats(const struct assignment *a, const struct part_plan *p);

/* A tied matrix that is there twice: how many of its two copies this rank holds, of n floats each, and who is in the sum of their
 * gradients: the ranks with the same tensor coordinate that hold one, of this replica, or with ZeRO, where each has pieces of the
 * sum only, of all. */
struct tied_group {
    int copies;
    size_t n;
    int me, members; /* 1 member: what there is to add is all here */
    int stages[2];   /* members in order: of each replica these stages; the same stage twice: one */
};
struct tied_group assignment_tied(const struct config *c, const struct assignment *a);

/* Floats of gradients that sequence parallel ranks have parts of. */
size_t assignment_partial(const struct assignment *a);
/* Floats of the gradients that wait for more to be added, brought together: of tied matrices or partial ones, one after the other.
 */
size_t assignment_waiting(const struct config *c, const struct assignment *a);

#endif
