/* From config to playback. */
#include "bench/plan.h"

#include <stdlib.h>

#include "bench/batch.h"
#include "bench/forecast.h"

/* A number of the plan, or of the run, that dmlplan can play. */
static status check_count(const struct config *c, const char *what, int64_t count, int64_t most)
{
    if (count <= most)
        return STATUS_OK;
    return status_fail(STATUS_USAGE, "%s: %lld %s are more than dmlplan plays (at most %lld)", c->origin, (long long)count, what,
                       (long long)most);
}

static status count_stages(const struct config *c, int *stages)
{
    const int64_t count = c->plan.stages ? c->plan.stages : c->parallel.pipeline;
    if (c->plan.stages == 0 && !config_was_given(c, "parallel.pipeline"))
        return status_fail(STATUS_USAGE, "%s: neither plan.stages nor parallel.pipeline is given (fits: plan.stages = 4, say)",
                           c->origin);
    if (count == 0)
        return status_fail(STATUS_USAGE,
                           "%s: parallel.pipeline = \"auto\" needs the ranks of a run (fits: a number there, or plan.stages)",
                           c->origin);
    TRY(check_count(c, "stages", count, PLAN_STAGES_MAX));
    *stages = (int)count;
    return STATUS_OK;
}

/* Replicas may differ by one micro-batch; the largest is played. */
static status count_micro_batches(const struct config *c, int *micro_batches)
{
    const int64_t replicas = c->parallel.data;
    if (c->plan.micro_batches == 0 && replicas == 0)
        return status_fail(STATUS_USAGE,
                           "%s: parallel.data = \"auto\" needs the ranks of a run (fits: a number there, or plan.micro_batches)",
                           c->origin);
    const int64_t count = c->plan.micro_batches ? c->plan.micro_batches : (batch_leaves(c) + replicas - 1) / replicas;
    TRY(check_count(c, "micro-batches", count, PLAN_MICRO_BATCHES_MAX));
    *micro_batches = (int)count;
    return STATUS_OK;
}

static int64_t first_set(int64_t setting, int64_t otherwise)
{
    return setting == SETTING_AUTO ? otherwise : setting;
}

static status make_pipeline(const struct config *c, struct pipeline *p)
{
    const bool own = config_was_given(c, "plan.schedule.name");
    const struct choice *schedule = own ? &c->plan.schedule : &c->parallel.schedule;
    int stages = 0, micro_batches = 0;
    TRY(count_stages(c, &stages));
    TRY(count_micro_batches(c, &micro_batches));
    *p = pipeline_make(schedule->name, schedule->options, stages, micro_batches,
                       first_set(c->plan.recompute, own ? SETTING_AUTO : c->parallel.recompute),
                       first_set(c->plan.recompute_last_stage, own ? SETTING_AUTO : c->parallel.recompute_last_stage));
    const double tasks = 3.0 * stages * micro_batches * pipeline_chunks(p);
    if (tasks > PLAN_TASKS_MAX)
        return status_fail(STATUS_USAGE,
                           "%s: %d stages x %d micro-batches x %d chunks make up to %.3g tasks (at most %.3g are played)",
                           c->origin, stages, micro_batches, pipeline_chunks(p), tasks, (double)PLAN_TASKS_MAX);
    char why[PIPELINE_MISFIT_BYTES];
    if (pipeline_misfit(p, "plan.micro_batches", 1, why))
        return status_fail(STATUS_USAGE, "%s: %s.schedule.name = \"%s\": %s", c->origin, own ? "plan" : "parallel", schedule->name,
                           why);
    return STATUS_OK;
}

static struct stage_times times_of(const struct config *c)
{
    const bool split = c->plan.weight_grad_s > 0;
    const double input_s = split ? c->plan.backward_s : c->plan.backward_s / 2;
    const double weight_s = split ? c->plan.weight_grad_s : c->plan.backward_s / 2;
    return (struct stage_times){ c->plan.forward_s, c->plan.recompute_s, input_s, weight_s };
}

static bool any_given(const struct config *c, const char *const *keys)
{
    bool given = false;
    for (; *keys; keys++)
        given |= config_was_given(c, *keys);
    return given;
}

/* The run that the config describes, with the plan's stages and one replica if nobody has said how many. */
static status forecast(struct plan *plan, const struct config *c)
{
    static const char *const message_keys[] = { "plan.latency_s", "plan.message_B", "plan.bandwidth_B_per_s", NULL };
    struct config run = *c;
    double message_s;
    run.parallel.pipeline = plan->input.pipeline.stages;
    run.parallel.data = c->parallel.data ? c->parallel.data : 1;
    run.parallel.tensor = c->parallel.tensor ? c->parallel.tensor : 1;
    if (config_was_given(c, "plan.schedule.name"))
        run.parallel.schedule = c->plan.schedule;
    const int64_t ranks = run.parallel.data * run.parallel.pipeline * run.parallel.tensor;
    TRY(check_count(c, "ranks", ranks, PLAN_TASKS_MAX));
    TRY(config_settle(&run, (int)ranks));
    TRY(rates_of(&plan->rates, &run, (int)ranks, false));
    if (any_given(c, message_keys)) /* and so with tensor ranks */
        plan->rates.linked = false;
    TRY(forecast_stages(&run, (int)ranks, &plan->rates, plan->times, &message_s));
    if (plan->rates.linked)
        plan->input.latency_s = message_s;
    return STATUS_OK;
}

static status fill_times(struct plan *plan, const struct config *c)
{
    static const char *const time_keys[] = { "plan.forward_s", "plan.backward_s", "plan.weight_grad_s", "plan.recompute_s", NULL };
    const int last = plan->input.pipeline.stages - 1;
    const double factor = c->plan.last_stage_factor;
    if (any_given(c, time_keys) || !(c->calibration[0] || c->charge.rate_flop_per_s > 0)) {
        for (int s = 0; s <= last; s++)
            plan->times[s] = times_of(c);
    } else {
        TRY(forecast(plan, c));
    }
    struct stage_times *t = &plan->times[last];
    *t =
        (struct stage_times){ factor * t->forward_s, factor * t->recompute_s, factor * t->input_grad_s, factor * t->weight_grad_s };
    return STATUS_OK;
}

status plan_make(struct plan *plan, const struct config *c)
{
    *plan = (struct plan){ .input = { .latency_s = c->plan.latency_s,
                                      .message_B = c->plan.message_B,
                                      .bandwidth_B_per_s = c->plan.bandwidth_B_per_s,
                                      .jitter_network_s = c->plan.jitter_network_s,
                                      .jitter_compute_s = c->plan.jitter_compute_s,
                                      .seed = (uint64_t)c->plan.seed,
                                      .recompute_waits = c->plan.recompute_waits } };
    struct pipeline *p = &plan->input.pipeline;
    TRY(make_pipeline(c, p));
    plan->uneven = c->plan.micro_batches == 0 && batch_leaves(c) % c->parallel.data != 0;
    plan->times = malloc((size_t)p->stages * sizeof *plan->times);
    if (!plan->times)
        return status_fail(STATUS_FAILED, "no memory for %d stages", p->stages);
    plan->input.times = plan->times;
    status played = fill_times(plan, c);
    if (played == STATUS_OK)
        played = playback_run(&plan->input, &plan->playback);
    if (played != STATUS_OK)
        plan_free(plan);
    return played;
}

void plan_free(struct plan *plan)
{
    playback_free(&plan->playback);
    free(plan->times);
    *plan = (struct plan){ 0 };
}
