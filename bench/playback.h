/* Plays a pipeline schedule in virtual time: when every task of every stage starts and ends, and why stages are idle.
 *
 * A stage runs its list. A forward pass waits for its activation, a backward pass for its gradient; a message takes
 * latency + bytes / bandwidth and never queues. At each instant all that ends or arrives then is applied first, then the stages
 * decide in the order of their index; so the same input gives the same times, bit by bit.
 *
 * A schedule that reorders: where a recomputation is next and its gradient is not there, the next forward pass of the list goes
 * first, and if its activation is not there either, the stage waits for the earlier of the two.
 *
 * Not here: MPI, the optimizer, the gradients' exchange between replicas.
 */
#ifndef DMLBENCH_BENCH_PLAYBACK_H
#define DMLBENCH_BENCH_PLAYBACK_H

#include "bench/schedule.h"

/* Of one micro-batch through a whole stage; a chunk of it takes its share (1 / v where a stage holds v chunks of one copy of the
 * model). A backward pass that is not split takes both gradients' time. */
struct stage_times {
    double forward_s, recompute_s, input_grad_s, weight_grad_s;
};

struct playback_input {
    struct pipeline pipeline;
    const struct stage_times *times;                /* [stages] */
    double latency_s, message_B, bandwidth_B_per_s; /* bandwidth 0: infinite */
    double jitter_network_s;                        /* |N(0, jitter)| more for each message */
    double jitter_compute_s;                        /* N(0, jitter) more for each task, which takes no less than 0 */
    uint64_t seed;                                  /* of the jitter */
    bool recompute_waits;                           /* a recomputation waits for its gradient, as in Varuna's published simulator */
};

struct played_task {
    struct task task;
    double start_s, end_s;
};

struct played_stage {
    struct played_task *tasks; /* in the order in which they ran */
    int count;
    double busy_s, idle_s;                                      /* makespan = busy + idle */
    double fill_s, drain_s, wait_activation_s, wait_gradient_s; /* idle by cause: before the first task, after the last, between */
    /* Most micro-batches held, from the end of the forward pass to that of the backward pass, weight gradient included; in units of
     * a whole stage, so a chunk counts its share. */
    double peak_activations;
};

struct playback {
    double makespan_s;   /* until the last stage is done */
    double span_s;       /* the longest that a stage takes from its first task to its last */
    double bubble_frac;  /* idle time / (stages x makespan) */
    double bubble_ratio; /* idle time / busy time */
    int stage_count;
    struct played_stage *stages;
};

/* Local. The pipeline must not be refused. Fails for lack of memory, or when the lists wait for each other; playback_free frees. */
status playback_run(const struct playback_input *in, struct playback *out);
void playback_free(struct playback *b);

/* Local. The bubble fraction with forward = recomputation = input gradient = weight gradient = 1 on every stage and messages that
 * take no time; NaN without memory. */
double pipeline_bubble_theory(const struct pipeline *p);

#endif
