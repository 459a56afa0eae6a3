/* Pipeline schedules as pure data: for every stage one list of tasks, in the order in which the stage runs them.
 *
 * Sends and receives follow from the tasks: a forward pass needs the activation of the position before it, a backward pass the
 * gradient of the position after it. So one list feeds the real run, the simulated run, dmlplan and the tests.
 *
 * A stage (a rank along the pipeline axis) holds `chunks` pieces of the model. The positions of a route are the pieces in the order
 * in which a micro-batch passes them:
 *   looped         position = chunk * stages + stage: one route round the stages, `chunks` times        (chunks = 1: a chain)
 *   bidirectional  chunk 0: position = stage; chunk 1: position = stages - 1 - stage: two routes, each with a copy of the model;
 *                  the first ceil(m / 2) micro-batches take route 0, the others route 1
 * Letters: p stages, m micro-batches, v chunks.
 */
#ifndef DMLBENCH_BENCH_SCHEDULE_H
#define DMLBENCH_BENCH_SCHEDULE_H

#include <stdbool.h>

#include "collectives/status.h"
#include "kernels/key.h"

enum task_kind {
    TASK_FORWARD,
    TASK_RECOMPUTE,  /* the forward pass again, because only its input was kept */
    TASK_BACKWARD,   /* both gradients */
    TASK_INPUT_GRAD, /* the critical half of the backward pass ... */
    TASK_WEIGHT_GRAD /* ... and the one that nobody waits for; both come for every micro-batch, or neither */
};

struct task {
    enum task_kind kind;
    int chunk, micro;
};

struct task_list {
    struct task *tasks;
    int count;
};

enum placement { PLACEMENT_LOOPED, PLACEMENT_BIDIRECTIONAL };

struct schedule;

/* What a schedule is asked for. */
struct pipeline {
    const struct schedule *schedule;
    const void *options; /* the member's own struct */
    int stages, micro_batches;
    bool recompute;      /* forward passes keep their input only ... */
    bool recompute_last; /* ... on the last position of a route too */
};

struct schedule {
    struct member member;
    enum placement placement;
    bool recomputes, recomputes_last;      /* what its source does */
    int (*chunks)(const void *options);    /* OPTIONAL: NULL is 1; a bidirectional one has 2 */
    bool (*reorders)(const void *options); /* whether forwards may overtake recomputations at run time; OPTIONAL */
    /* NULL, or why it cannot, a part of a sentence with what would fit, unless that is another number of micro-batches; valid until
     * the next call. OPTIONAL. */
    const char *(*refuses)(const struct pipeline *p);
    /* Appends every stage's tasks to lists[stages], by task_append; room is reserved. Fails for lack of memory only. */
    status (*fill)(const struct pipeline *p, struct task_list *lists);
    /* Most micro-batches, in units of a whole stage's activations (or inputs, with recompute), that `stage` holds at a time by the
     * source's formula: from the end of the forward pass to the end of the backward pass, weight gradient included. For a schedule
     * that reorders at run time: of the static order. */
    double (*memory)(const struct pipeline *p, int stage);
};

extern const struct schedule schedule_1f1b, schedule_gpipe, schedule_interleaved, schedule_varuna, schedule_zb_h1, schedule_zb_h2,
    schedule_chimera;
extern const struct schedule *const schedules[]; /* NULL-ended; the first is the default */
const struct schedule *schedule_find(const char *name);

/* "auto" becomes what the member's source does; recompute, recompute_last: enum setting. */
struct pipeline pipeline_make(const char *schedule, const void *options, int stages, int micro_batches, int64_t recompute,
                              int64_t recompute_last);
/* Pure. NULL, or why the member cannot make such a pipeline: a part of a sentence, valid until the next call. */
const char *pipeline_refuses(const struct pipeline *p);
/* Pure. The same in text[PIPELINE_MISFIT_BYTES], followed by " (fits: KEY = 4 or 8)" where another number of micro-batches would
 * do: the nearest ones, each times `unit`. */
enum { PIPELINE_MISFIT_BYTES = 256 };
const char *pipeline_misfit(const struct pipeline *p, const char *key, int64_t unit, char text[PIPELINE_MISFIT_BYTES]);
/* Local. lists[p->stages]; pipeline_free_lists frees them. Fails for lack of memory only: ask pipeline_refuses first. */
status pipeline_lists(const struct pipeline *p, struct task_list *lists);
void pipeline_free_lists(const struct pipeline *p, struct task_list *lists);

/* Lists wait for each other where a stage cannot have enough messages on their way that nobody has received yet. This many each way
 * (activations, gradients), on all routes together, are enough for every member: when a message is received as its task starts, and
 * a task waits until its own message has room. */
enum { PIPELINE_MESSAGES = 3 };

/* A piece of the model: chunk `chunk` of stage `stage`; stage -1: none. */
struct place {
    int stage, chunk;
};
int pipeline_chunks(const struct pipeline *p);
int pipeline_routes(const struct pipeline *p); /* each with a copy of the model */
bool pipeline_reorders(const struct pipeline *p);
int pipeline_positions(const struct pipeline *p); /* of a route */
int pipeline_position(const struct pipeline *p, struct place at);
struct place pipeline_next(const struct pipeline *p, struct place at);     /* none behind the last position */
struct place pipeline_previous(const struct pipeline *p, struct place at); /* none before the first */

/* ---- for the members ----------------------------------------------------------------------------------------------------- */

void task_append(struct task_list *list, enum task_kind kind, int chunk, int micro);
/* Whether forward passes of this place keep their input only. */
bool schedule_recomputes(const struct pipeline *p, struct place at);
/* A whole backward pass, with its recomputation before it where there is one. */
void schedule_append_backward(const struct pipeline *p, struct place at, int micro, struct task_list *list);
/* `warmup` forward passes, then one forward and one backward pass in turn, then the backward passes that are left. Groups of p
 * micro-batches pass chunk after chunk. lag: input gradients instead, and each weight gradient `lag` input gradients later (one
 * chunk only). */
enum { SCHEDULE_MERGED = -1 /* no lag: whole backward passes */ };
void schedule_alternate(const struct pipeline *p, int stage, int warmup, int lag, struct task_list *list);

#endif
