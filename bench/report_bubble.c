/* The bubble of a pipeline three ways: by its schedule, by playing the schedule with this run's own times, and as measured.
 *
 *   a rank      T = busy + transfer + idle      busy: passes, samples, codes of messages, collectives inside layers
 *   a replica   M = the largest T of its ranks  whoever is done before the slowest is idle until then, wherever that was charged
 *   measured    sum (M - busy - transfer) / sum M, over all ranks, T over all measured steps
 *
 * Waiting for a message that had been sent is transfer, not idle: so a slow network is not taken for a bubble. What the exchange of
 * gradients and the optimizer take is in none of these. Messages carry the time of their sending: by rank 0's clock (collectives/
 * clock.h), and where that is known too badly all of this is null.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/batch.h"
#include "bench/playback.h"
#include "bench/report_parts.h"

/* The bubbles' own tolerance, in theory against measured. */
#define CLOCK_DOUBT_MOST 0.02

/* Seconds of a phase, over the measured steps of a rank. */
static double spent_s(const struct result *out, size_t rank, enum phase p)
{
    const double *x = out->samples.phase_s[p] + rank * out->samples.steps;
    double sum = 0;
    for (size_t i = (size_t)out->samples.warmup_steps; i < out->samples.steps; i++)
        sum += x[i];
    return sum;
}

static double passes_s(const struct result *out, size_t rank)
{
    return spent_s(out, rank, PHASE_FORWARD) + spent_s(out, rank, PHASE_RECOMPUTE) + spent_s(out, rank, PHASE_BACKWARD) +
           spent_s(out, rank, PHASE_WEIGHT);
}

static double busy_s(const struct result *out, size_t rank)
{
    return passes_s(out, rank) + spent_s(out, rank, PHASE_DATA) + spent_s(out, rank, PHASE_TENSOR) +
           spent_s(out, rank, PHASE_MESSAGE_ENCODE) + spent_s(out, rank, PHASE_MESSAGE_DECODE);
}

/* Busy, on its way, idle. */
static double own_s(const struct result *out, size_t r)
{
    return busy_s(out, r) + spent_s(out, r, PHASE_TRANSFER) + spent_s(out, r, PHASE_IDLE_ACTIVATION) +
           spent_s(out, r, PHASE_IDLE_GRADIENT) + spent_s(out, r, PHASE_IDLE_SEND);
}

/* What the clocks of two hosts may be wrong by, for every message that was waited for, as a share of the ranks' time: by so much
 * the bubble may be wrong. */
static double clock_doubt_frac(const struct result *out, const struct run *run)
{
    const double doubt_s = 2 * out->platform.clock_uncertainty_s * run->awaited;
    double all_s = 0;
    for (size_t r = 0; r < out->n_ranks; r++)
        all_s += own_s(out, r);
    return doubt_s > 0 ? doubt_s / all_s : 0;
}

static void fill_idle(struct result *out, bool known)
{
    const double steps = out->samples.measured_steps;
    for (size_t r = 0; r < out->n_ranks; r++) {
        struct rank_row *row = &out->ranks[r];
        row->idle_activation_s = known ? spent_s(out, r, PHASE_IDLE_ACTIVATION) / steps : NAN;
        row->idle_gradient_s = known ? spent_s(out, r, PHASE_IDLE_GRADIENT) / steps : NAN;
        row->idle_send_s = known ? spent_s(out, r, PHASE_IDLE_SEND) / steps : NAN;
        row->transfer_s = known ? spent_s(out, r, PHASE_TRANSFER) / steps : NAN;
    }
}

/* ---- measured ------------------------------------------------------------------------------------------------------------ */

/* longest_s: room for a double a rank. */
static double measured_frac(const struct result *out, double *longest_s)
{
    double idle_s = 0, all_s = 0;
    memset(longest_s, 0, out->n_ranks * sizeof *longest_s); /* of replica r: there are no more replicas than ranks */
    for (size_t r = 0; r < out->n_ranks; r++) {
        double *longest = &longest_s[(size_t)out->ranks[r].data];
        *longest = fmax(*longest, own_s(out, r));
    }
    for (size_t r = 0; r < out->n_ranks; r++) {
        const double M = longest_s[(size_t)out->ranks[r].data];
        idle_s += M - busy_s(out, r) - spent_s(out, r, PHASE_TRANSFER);
        all_s += M;
    }
    return idle_s / all_s;
}

/* ---- planned ------------------------------------------------------------------------------------------------------------- */

/* Sums over the ranks of a stage. */
struct stage_sum {
    double passes_s, busy_s, forward_s, recompute_s, backward_s, weight_s, micro_batches, recomputed;
};

static int count_recomputed(const struct task_list *list)
{
    int count = 0;
    for (int i = 0; i < list->count; i++)
        count += list->tasks[i].kind == TASK_RECOMPUTE;
    return count;
}

/* list: of the first replica. */
static struct stage_sum sum_stage(const struct result *out, const struct run *run, int stage, const struct task_list *list)
{
    const struct pipeline *p = &run->trainer.plan.pipeline;
    const int chunks = pipeline_chunks(p) / pipeline_routes(p);
    const double recomputed_frac = (double)count_recomputed(list) / chunks / p->micro_batches;
    struct stage_sum s = { 0 };
    for (size_t r = 0; r < out->n_ranks; r++) {
        if ((int)out->ranks[r].pipeline != stage)
            continue;
        const double passed = (double)batch_leaves_of(run->config, (int)out->ranks[r].data) * out->samples.measured_steps;
        s.passes_s += passes_s(out, r);
        s.busy_s += busy_s(out, r);
        s.forward_s += spent_s(out, r, PHASE_FORWARD);
        s.recompute_s += spent_s(out, r, PHASE_RECOMPUTE);
        s.backward_s += spent_s(out, r, PHASE_BACKWARD);
        s.weight_s += spent_s(out, r, PHASE_WEIGHT);
        s.micro_batches += passed;
        s.recomputed += passed * recomputed_frac;
    }
    return s;
}

/* What is not a pass (samples, codes, collectives inside layers) is dealt to the passes in proportion. */
static struct stage_times times_of(const struct stage_sum *s)
{
    const double each = s->busy_s / s->passes_s / s->micro_batches;
    const bool split = s->weight_s > 0;
    return (struct stage_times){
        .forward_s = s->forward_s * each,
        .recompute_s = s->recomputed > 0 ? s->recompute_s * each * s->micro_batches / s->recomputed : 0,
        .input_grad_s = s->backward_s * each * (split ? 1 : 0.5),
        .weight_grad_s = split ? s->weight_s * each : s->backward_s * each * 0.5,
    };
}

static status plan_bubble(const struct result *out, const struct run *run, struct task_list *lists, struct stage_times *times,
                          double *bubble_frac)
{
    const struct pipeline *p = &run->trainer.plan.pipeline;
    struct playback played;
    TRY(pipeline_lists(p, lists));
    for (int stage = 0; stage < p->stages; stage++) {
        const struct stage_sum sum = sum_stage(out, run, stage, &lists[stage]);
        times[stage] = times_of(&sum);
    }
    pipeline_free_lists(p, lists);
    TRY(playback_run(&(struct playback_input){ .pipeline = *p, .times = times, .latency_s = run->message_s }, &played));
    *bubble_frac = played.bubble_frac;
    playback_free(&played);
    return STATUS_OK;
}

static status planned_frac(const struct result *out, const struct run *run, double *bubble_frac)
{
    const size_t stages = (size_t)run->trainer.plan.pipeline.stages;
    struct task_list *lists = calloc(stages, sizeof *lists);
    struct stage_times *times = calloc(stages, sizeof *times);
    status s = STATUS_OK;
    if (lists && times)
        s = plan_bubble(out, run, lists, times, bubble_frac);
    else
        s = status_fail(STATUS_FAILED, "no memory to play a schedule of %zu stages", stages);
    free(lists);
    free(times);
    return s;
}

status fill_bubble(struct result *out, const struct run *run, double *work)
{
    const struct pipeline *p = &run->trainer.plan.pipeline;
    const bool piped = p->stages > 1, all = out->n_ranks == (size_t)run->job->ranks, sampled = out->samples.measured_steps > 0;
    const bool timed = !sampled || clock_doubt_frac(out, run) <= CLOCK_DOUBT_MOST;
    const char *why = !piped     ? "there is no pipeline"
                      : !all     ? "the run was interrupted"
                      : !sampled ? "no step was measured"
                      : !timed   ? "the hosts' clocks are not known well enough to tell when messages were sent"
                                 : NULL;
    double planned = NAN, measured = NAN;
    fill_idle(out, piped && timed);
    if (!why) {
        TRY(planned_frac(out, run, &planned));
        measured = measured_frac(out, work);
    }
    out->metrics.bubble_frac_theory = maybe(piped ? pipeline_bubble_theory(p) : NAN, why);
    out->metrics.bubble_frac_planned = maybe(planned, why);
    out->metrics.bubble_frac_measured = maybe(measured, why);
    out->metrics.bubble_ratio_measured = maybe(measured / (1 - measured), why);
    return STATUS_OK;
}
