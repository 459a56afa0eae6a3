/* Stage by stage, each seen from its rank in the first replica, whose micro-batches are the most. Letters: p members of a group, n
 * floats, t tensor ranks. */
#include "bench/forecast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/batch.h"
#include "bench/compute.h"
#include "bench/footprint.h"
#include "bench/gradient_choice.h"
#include "bench/message.h"
#include "bench/tensor.h"

/* NaN if either is. */
static double larger(double a, double b)
{
    return isnan(a) || isnan(b) ? NAN : fmax(a, b);
}

struct view {
    const struct config *config;
    const struct rates *rates;
    int ranks;
    int *members;             /* [2 ranks] groups of ranks, one after the other */
    struct assignment plan;   /* of the stage in view */
    double samples, slowdown; /* of a micro-batch, the mean; of the slowest rank of the stage */
};

/* One micro-batch through one part. */
struct pass_times {
    double forward_s, input_s, weight_s;
    double tensor_forward_s, tensor_backward_s;
};

static int rank_at(const struct view *v, int data, int stage, int tensor)
{
    const int at[AXIS_COUNT] = { [AXIS_DATA] = data, [AXIS_PIPELINE] = stage, [AXIS_TENSOR] = tensor };
    const int degree[AXIS_COUNT] = { [AXIS_DATA] = (int)v->config->parallel.data,
                                     [AXIS_PIPELINE] = (int)v->config->parallel.pipeline,
                                     [AXIS_TENSOR] = (int)v->config->parallel.tensor };
    return grid_rank(degree, v->config->parallel.order, at);
}

static status look_at(struct view *v, int stage)
{
    const struct config *c = v->config;
    TRY(assignment_open(&v->plan, c, rank_at(v, 0, stage, 0)));
    const int64_t first = v->plan.first_leaf, count = v->plan.micro_batches;
    v->samples = (double)(batch_first_sample(c, first + count) - batch_first_sample(c, first)) / (double)count;
    v->slowdown = 1;
    for (int d = 0; d < c->parallel.data; d++)
        for (int t = 0; t < c->parallel.tensor; t++)
            v->slowdown = fmax(v->slowdown, compute_slowdown(c, rank_at(v, d, stage, t)));
    return STATUS_OK;
}

/* ---- groups -------------------------------------------------------------------------------------------------------------- */

static struct cost_groups groups_of(const struct view *v, int p, int count)
{
    return (struct cost_groups){ &v->rates->cluster, v->members, p, count };
}

/* All groups of tensor ranks: they are at it together. */
static struct cost_groups tensor_groups(const struct view *v)
{
    const struct config *c = v->config;
    int *at = v->members;
    for (int d = 0; d < c->parallel.data; d++)
        for (int s = 0; s < c->parallel.pipeline; s++)
            for (int t = 0; t < c->parallel.tensor; t++)
                *at++ = rank_at(v, d, s, t);
    return groups_of(v, (int)c->parallel.tensor, v->ranks / (int)c->parallel.tensor);
}

/* The replicas of what stages first .. first + stages - 1 hold, of every tensor rank; on two routes that is two stages' ranks. */
static struct cost_groups replica_groups(const struct view *v, int first, int stages)
{
    const struct config *c = v->config;
    const int routes = pipeline_routes(&v->plan.pipeline), last = (int)c->parallel.pipeline - 1;
    int *at = v->members;
    for (int s = first; s < first + stages; s++)
        for (int t = 0; t < c->parallel.tensor; t++)
            for (int d = 0; d < c->parallel.data; d++)
                for (int route = 0; route < routes; route++)
                    *at++ = rank_at(v, d, route ? last - s : s, t);
    return groups_of(v, routes * (int)c->parallel.data, stages * (int)c->parallel.tensor);
}

/* ---- passes -------------------------------------------------------------------------------------------------------------- */

static double sum_s(const struct view *v, const struct cost_groups *g, enum sum_part part, double floats)
{
    return engine_sum_s(&allreduce_ring, part, (size_t)v->config->exchange.segment_B, g, (size_t)floats);
}

/* As tensor_sent_B has it: operators f and g as sums, or with sequence parallelism as halves of one in either pass; and the loss.
 */
static void add_operators(const struct view *v, const struct layer *l, struct pass_times *out)
{
    if (v->config->parallel.tensor == 1 || !v->rates->linked)
        return;
    const struct cost_groups g = tensor_groups(v);
    const double n = v->samples * (double)l->operator_floats, rows = v->samples * (double)l->loss_rows;
    const bool halves = l->shard.sequence;
    const double one_s = l->operators_f + l->operators_g ? sum_s(v, &g, halves ? SUM_ALLGATHER : SUM_ALLREDUCE, n) : 0;
    out->tensor_forward_s += (l->operators_g + halves * l->operators_f) * one_s + 3 * sum_s(v, &g, SUM_ALLREDUCE, rows);
    out->tensor_backward_s += (l->operators_f + halves * l->operators_g) * one_s;
}

static double layer_s(const struct view *v, const struct layer *l, double flop, double (*stated_s)(const void *options))
{
    const double share = v->samples / v->plan.samples / v->plan.degree[AXIS_TENSOR];
    const double s = stated_s && l->repeated ? stated_s(v->config->compute.options) * share : 0;
    return v->slowdown * fmax(s, flop * v->samples / v->rates->flop_per_s);
}

static struct pass_times times_of(const struct view *v, const struct part_plan *part)
{
    const struct compute *compute = compute_find(v->config->compute.name);
    struct pass_times out = { 0 };
    for (int i = 0; i < part->net.count; i++) {
        const struct layer *l = &part->net.layers[i];
        out.forward_s += layer_s(v, l, l->flop_forward, compute->forward_s);
        out.input_s += layer_s(v, l, l->flop_input_grad, compute->gradient_s);
        out.weight_s += layer_s(v, l, l->flop_weight_grad, compute->gradient_s);
        add_operators(v, l, &out);
    }
    return out;
}

/* What the stage in view does in a step, and what a micro-batch costs it. */
struct stage_load {
    double compute_s, tensor_s;
    struct stage_times times;
};

static struct stage_load load_of(const struct view *v)
{
    const struct assignment *a = &v->plan;
    const double routes = pipeline_routes(&a->pipeline);
    struct stage_load load = { 0 };
    for (int c = 0; c < a->count; c++) {
        const struct pass_times p = times_of(v, &a->parts[c]);
        const double compute_s[] = { [TASK_FORWARD] = p.forward_s,
                                     [TASK_RECOMPUTE] = p.forward_s,
                                     [TASK_BACKWARD] = p.input_s + p.weight_s,
                                     [TASK_INPUT_GRAD] = p.input_s,
                                     [TASK_WEIGHT_GRAD] = p.weight_s };
        const double tensor_s[] = { [TASK_FORWARD] = p.tensor_forward_s,
                                    [TASK_RECOMPUTE] = p.tensor_forward_s,
                                    [TASK_BACKWARD] = p.tensor_backward_s,
                                    [TASK_INPUT_GRAD] = p.tensor_backward_s,
                                    [TASK_WEIGHT_GRAD] = 0 };
        for (int i = 0; i < a->tasks.count; i++)
            if (a->tasks.tasks[i].chunk == c) {
                load.compute_s += compute_s[a->tasks.tasks[i].kind];
                load.tensor_s += tensor_s[a->tasks.tasks[i].kind];
            }
        load.times.forward_s += (p.forward_s + p.tensor_forward_s) / routes;
        load.times.input_grad_s += (p.input_s + p.tensor_backward_s) / routes;
        load.times.weight_grad_s += p.weight_s / routes;
    }
    load.times.recompute_s = load.times.forward_s;
    return load;
}

/* ---- messages between stages --------------------------------------------------------------------------------------------- */

/* How many ranks of the node of `from` send on their stage's messages to other nodes, over the one link that they share. */
static int sharers(const struct view *v, int stage, int next)
{
    const struct config *c = v->config;
    const struct cluster *n = &v->rates->cluster;
    const int from = rank_at(v, 0, stage, 0);
    int count = 0;
    for (int d = 0; d < c->parallel.data; d++)
        for (int t = 0; t < c->parallel.tensor; t++) {
            const int other = rank_at(v, d, stage, t);
            count += cluster_is_inside(n, from, other) && !cluster_is_inside(n, other, rank_at(v, d, next, t));
        }
    return n->shared && count ? count : 1;
}

/* Adds what the messages that leave the stage in view take, and their number. */
static void add_messages(const struct view *v, double *s, double *count)
{
    const struct assignment *a = &v->plan;
    for (int c = 0; c < a->count && v->rates->linked; c++) {
        const int stage = a->at[AXIS_PIPELINE], next = pipeline_next(&a->pipeline, (struct place){ stage, c }).stage;
        const int from = rank_at(v, 0, stage, 0), to = next < 0 ? from : rank_at(v, 0, next, 0);
        if (to == from)
            continue;
        const struct cluster_link link = cluster_link(&v->rates->cluster, from, to);
        const double B = FABRIC_STAMP_B +
                         (double)message_B(v->config, a, part_out_floats(a, &a->parts[c]), a->samples) * v->samples / a->samples;
        *s += link.latency_s + sharers(v, stage, next) * B / link.bandwidth_B_per_s;
        *count += 1;
    }
}

/* ---- gradients ----------------------------------------------------------------------------------------------------------- */

/* So many bytes of every member, in whatever pattern: the busiest link of a ring that carries as many, and one message's latency.
 */
static double bytes_s(const struct cost_groups *g, double sent_B)
{
    if (isnan(sent_B))
        return NAN;
    const struct rounds_cost ring = cost_of_gather(g, (size_t)(sent_B / (g->p - 1)));
    return ring.busiest_s + (ring.alone_s - ring.busiest_s) / ring.rounds;
}

/* Segments end where buckets do. */
static size_t segment_of(const struct config *c, int p)
{
    const size_t segment_B = (size_t)c->exchange.segment_B, share_B = (size_t)c->exchange.bucket_B / (size_t)p;
    const size_t B = segment_B < share_B ? segment_B : share_B;
    return B > sizeof(float) ? B : sizeof(float);
}

/* ZeRO's scatters and gathers: each with one of the other is a whole sum, whose parts may travel at once, and the two ways of a
 * link; so may those of several micro-batches. The rest comes one after the other. */
static double parts_s(const struct allreduce *a, size_t segment_B, const struct cost_groups *g, size_t n, double scatters,
                      double gathers)
{
    const double both = fmin(scatters, gathers);
    return engine_sum_s(a, SUM_ALLREDUCE, segment_B, g, (size_t)(both * (double)n)) +
           (scatters - both) * engine_sum_s(a, SUM_REDUCE_SCATTER, segment_B, g, n) +
           (gathers - both) * engine_sum_s(a, SUM_ALLGATHER, segment_B, g, n);
}

static double exchange_s(const struct config *c, const struct cost_groups *g, const struct gradient_shape *shape)
{
    const struct gradient_plan plan = gradient_plan(c, shape, 0, g->p);
    const struct team team = cost_team(g);
    const struct allreduce *a = gradient_allreduce(c, team, bucket_place(c, shape, 0).n);
    const size_t segment_B = segment_of(c, g->p);
    if (gradient_is_coded(c) || strcmp(c->exchange.reduction, "tree") == 0)
        return bytes_s(g, plan.sent_B + plan.parameters_sent_B);
    if (c->parallel.zero == 0)
        return engine_sum_s(a, SUM_ALLREDUCE, segment_B, g, shape->n);
    const double gathered_B = 4 * (double)engine_sent_floats(a, SUM_ALLGATHER, segment_B, team, 0, shape->n);
    return parts_s(a, segment_B, g, shape->n, plan.logical_B / (4 * (double)shape->n), plan.parameters_sent_B / gathered_B);
}

/* Of what the stage in view shares with other replicas, when the stages first .. first + stages - 1 exchange as much at once. */
static status add_exchange(const struct view *v, int first, int stages, double *s)
{
    const int parts = pipeline_routes(&v->plan.pipeline) == 2 ? 1 : v->plan.count; /* the other part is a mirrored stage's */
    const struct cost_groups g = replica_groups(v, first, stages);
    for (int part = 0; part < parts && g.p > 1; part++) {
        struct gradient_shape shape;
        TRY(footprint_shape(&v->plan, part, &shape));
        *s += v->rates->linked ? exchange_s(v->config, &g, &shape) : NAN;
        free((void *)shape.layers);
    }
    return STATUS_OK;
}

/* ---- all of it ----------------------------------------------------------------------------------------------------------- */

struct survey {
    double compute_s, tensor_s; /* of the stage that has most */
    double exchange_s;          /* likewise, each stage by itself */
    double together_s;          /* all at once, the mean */
    double message_s;           /* mean */
    struct stage_times *times;  /* [stages] */
    struct pipeline pipeline;
};

static status see_stage(struct view *v, int stage, struct survey *out, double *messages)
{
    const int stages = (int)v->config->parallel.pipeline;
    const struct stage_load load = load_of(v);
    double own_s = 0, all_s = 0;
    TRY(add_exchange(v, stage, 1, &own_s));
    if (stages > 1)
        TRY(add_exchange(v, 0, stages, &all_s));
    out->times[stage] = load.times;
    out->compute_s = fmax(out->compute_s, load.compute_s);
    out->tensor_s = fmax(out->tensor_s, load.tensor_s);
    out->exchange_s = larger(out->exchange_s, own_s);
    out->together_s += all_s / stages;
    out->pipeline = v->plan.pipeline;
    add_messages(v, &out->message_s, messages);
    return STATUS_OK;
}

static status see_all(const struct config *c, int ranks, const struct rates *r, struct survey *out)
{
    struct view v = { .config = c, .rates = r, .ranks = ranks, .members = malloc(2 * (size_t)ranks * sizeof(int)) };
    double messages = 0;
    status s = v.members ? STATUS_OK : status_fail(STATUS_FAILED, "no memory to forecast a step of %d ranks", ranks);
    for (int stage = 0; stage < c->parallel.pipeline && s == STATUS_OK; stage++) {
        s = look_at(&v, stage);
        if (s != STATUS_OK)
            break;
        s = see_stage(&v, stage, out, &messages);
        assignment_close(&v.plan);
    }
    out->message_s = messages > 0 ? out->message_s / messages : 0;
    free(v.members);
    return s;
}

status forecast_stages(const struct config *c, int ranks, const struct rates *r, struct stage_times *times, double *message_s)
{
    struct survey all = { .times = times };
    TRY(see_all(c, ranks, r, &all));
    *message_s = all.message_s;
    return STATUS_OK;
}

static status play(const struct survey *all, double *span_s)
{
    struct playback played;
    const struct playback_input input = { .pipeline = all->pipeline, .times = all->times, .latency_s = all->message_s };
    TRY(playback_run(&input, &played));
    *span_s = played.span_s;
    playback_free(&played);
    return STATUS_OK;
}

status forecast_make(struct forecast *out, const struct config *c, int ranks, const struct rates *r)
{
    struct survey all = { .times = calloc((size_t)c->parallel.pipeline, sizeof(struct stage_times)) };
    const bool sends = c->parallel.pipeline * c->parallel.tensor > 1;
    double span_s = NAN;
    status s = all.times ? see_all(c, ranks, r, &all)
                         : status_fail(STATUS_FAILED, "no memory to forecast %lld stages", (long long)c->parallel.pipeline);
    if (s == STATUS_OK && !isnan(r->flop_per_s))
        s = play(&all, &span_s);
    free(all.times);
    *out = (struct forecast){
        .compute_s = isnan(r->flop_per_s) ? NAN : all.compute_s,
        .tensor_s = sends && !r->linked ? NAN : all.tensor_s,
        .pipeline_s = sends && !r->linked ? NAN : span_s,
        .exchange_s = larger(all.exchange_s, all.together_s),
    };
    out->step_s = fmax(fmax(out->compute_s, out->pipeline_s), out->exchange_s);
    out->serial_s = out->pipeline_s + out->exchange_s;
    return s;
}
