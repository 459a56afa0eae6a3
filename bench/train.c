/* Set-up in gates: who is in which group, then what each rank holds, then what is planned on it; and the step. */
#include "bench/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/batch.h"
#include "bench/gradient_choice.h"
#include "bench/pages.h"
#include "bench/passes.h"
#include "bench/places.h"
#include "bench/update.h"
#include "collectives/job.h"
#include "collectives/ports.h"

/* ---- groups -------------------------------------------------------------------------------------------------------------- */

static bool is_bidirectional(const struct trainer *t)
{
    return pipeline_routes(&t->plan.pipeline) == 2;
}

/* The group over which a part's gradients are summed. Where all ranks are replicas that is the world, so that one engine (and its
 * thread) makes all calls. Where two stages hold the same two parts, each part has a group of its own, in which the two take turns.
 */
static enum group group_of(const struct trainer *t, const struct part_plan *p)
{
    if (t->plan.degree[AXIS_PIPELINE] * t->plan.degree[AXIS_TENSOR] == 1)
        return GROUP_WORLD;
    return is_bidirectional(t) && 2 * p->position >= t->plan.pipeline.stages ? GROUP_MIRRORED : GROUP_DATA;
}

static void setup_for_replicas(const struct config *c, int replicas, struct fabric_setup *setup)
{
    setup->node_ranks = places_replicas(c, replicas).g;
    if (gradient_shares_memory(c))
        setup->window = engine_window((size_t)c->exchange.segment_B, replicas);
}

static status open_fabric(struct trainer *t, enum group g, MPI_Comm comm)
{
    struct fabric_setup setup = t->setup;
    int members;
    MPI_Comm_size(comm, &members);
    if (g == GROUP_DATA || g == GROUP_MIRRORED || g == group_of(t, &t->plan.parts[0])) /* of replicas */
        setup_for_replicas(t->config, members, &setup);
    return fabric_open(&t->fabrics[g], fabric_find(t->config->fabric.name), &setup, comm);
}

static status open_ports(struct trainer *t)
{
    return fabric_find(t->config->fabric.name)->needs_ports ? ports_open(&t->setup.ports, &t->cluster, t->grid.world) : STATUS_OK;
}

/* Collective over world; every rank calls, those without a colour join nothing. Ordered by key. */
static status split_group(struct trainer *t, enum group g, int colour, int key)
{
    MPI_Comm comm;
    MPI_Comm_split(t->grid.world, colour, key, &comm);
    if (comm == MPI_COMM_NULL)
        return STATUS_OK;
    const status s = open_fabric(t, g, comm);
    MPI_Comm_free(&comm);
    return s;
}

/* The parts on either side of the middle: replicas of one position alternate between the two routes, so that each owns the leaves
 * that follow those of the one before it. */
static status split_mirrored(struct trainer *t)
{
    const struct assignment *a = &t->plan;
    status worst = STATUS_OK;
    for (enum group g = GROUP_DATA; g <= GROUP_MIRRORED; g++)
        for (int c = 0; c < a->count; c++) {
            if (group_of(t, &a->parts[c]) != g)
                continue;
            const int colour = a->parts[c].position * a->degree[AXIS_TENSOR] + a->at[AXIS_TENSOR];
            const status s = split_group(t, g, colour, 2 * a->at[AXIS_DATA] + c);
            worst = s > worst ? s : worst;
        }
    return worst;
}

/* Replicas add up their own tied matrices, unless ZeRO has dealt out their gradients' sums. */
static int tied_colour(const struct trainer *t, const struct tied_group *g)
{
    const int replica = t->config->parallel.zero ? 0 : t->plan.at[AXIS_DATA];
    return g->members > 1 ? replica * t->plan.degree[AXIS_TENSOR] + t->plan.at[AXIS_TENSOR] : MPI_UNDEFINED;
}

static status open_groups(struct trainer *t)
{
    const struct assignment *a = &t->plan;
    const struct tied_group tied = assignment_tied(t->config, a);
    status s = open_fabric(t, GROUP_WORLD, t->grid.world);
    status worst = s;
    if (a->pipeline.stages > 1 || a->count > 1)
        worst = (s = open_fabric(t, GROUP_PIPELINE, t->grid.along[AXIS_PIPELINE])) > worst ? s : worst;
    if (t->fabrics[GROUP_PIPELINE].ops && t->setup.hollow)
        fabric_share_stamps(&t->fabrics[GROUP_PIPELINE], links_tags(a));
    if (a->degree[AXIS_TENSOR] > 1)
        worst = (s = open_fabric(t, GROUP_TENSOR, t->grid.along[AXIS_TENSOR])) > worst ? s : worst;
    worst = (s = split_group(t, GROUP_TIED, tied_colour(t, &tied), tied.me)) > worst ? s : worst;
    if (is_bidirectional(t))
        s = split_mirrored(t);
    else if (group_of(t, &a->parts[0]) == GROUP_DATA)
        s = open_fabric(t, GROUP_DATA, t->grid.along[AXIS_DATA]);
    return s > worst ? s : worst;
}

/* ---- what a rank holds --------------------------------------------------------------------------------------------------- */

static status allocate_part(struct trainer *t, int c)
{
    struct part *part = &t->parts[c];
    part->plan = &t->plan.parts[c];
    part->params = pages_open(part->plan->net.params.n, t->setup.hollow);
    part->flights = calloc((size_t)t->plan.micro_batches, sizeof *part->flights);
    if (!part->params || !part->flights)
        return status_fail(STATUS_FAILED, "no memory for %zu parameters", part->plan->net.params.n);
    return stash_open(&part->stash, &t->plan, part->plan, t->setup.hollow);
}

/* One micro-batch through one route, forward through the rank's parts and back. */
static status list_check(struct trainer *t)
{
    const int parts = is_bidirectional(t) ? 1 : t->plan.count;
    t->check.tasks = calloc(2 * (size_t)parts, sizeof(struct task));
    if (!t->check.tasks)
        return status_fail(STATUS_FAILED, "no memory for a list of %d tasks", 2 * parts);
    for (int c = 0; c < parts; c++)
        task_append(&t->check, TASK_FORWARD, c, 0);
    for (int c = parts - 1; c >= 0; c--)
        task_append(&t->check, TASK_BACKWARD, c, 0);
    return STATUS_OK;
}

static void count_last_forwards(struct trainer *t)
{
    for (int i = 0; i < t->plan.tasks.count; i++) {
        const struct task *task = &t->plan.tasks.tasks[i];
        t->last_forwards += task->kind == TASK_FORWARD && part_is_last(&t->plan, &t->plan.parts[task->chunk]);
    }
}

static status load(struct trainer *t)
{
    const struct config *c = t->config;
    const struct sample_shape shape = t->plan.parts[0].net.shape;
    t->optimizer = optimizer_find(c->optimizer.name);
    t->slowdown = compute_slowdown(c, t->clock->rank);
    if (!t->setup.hollow)
        TRY(data_open(&t->data, dataset_find(c->data.name), c->data.options, c->folder, shape, (uint64_t)c->seed));
    t->parts = calloc((size_t)t->plan.count, sizeof *t->parts);
    t->losses = calloc((size_t)t->plan.leaves, sizeof(float));
    if (!t->parts || !t->losses)
        return status_fail(STATUS_FAILED, "no memory for %d parts and %lld micro-batches", t->plan.count,
                           (long long)t->plan.leaves);
    for (int i = 0; i < t->plan.count; i++)
        TRY(allocate_part(t, i));
    count_last_forwards(t);
    return list_check(t);
}

/* ---- what is planned ----------------------------------------------------------------------------------------------------- */

static status open_engines(struct trainer *t)
{
    const char *const names[] = { "none", "poll", "thread" };
    enum progress progress = PROGRESS_NONE;
    while (strcmp(names[progress], t->config->exchange.progress))
        progress++;
    for (int g = 0; g < GROUP_COUNT; g++)
        if (g != GROUP_PIPELINE && t->fabrics[g].ops)
            TRY(engine_open(&t->engines[g], &t->fabrics[g], progress, (size_t)t->config->exchange.segment_B));
    return STATUS_OK;
}

static void initialise(struct trainer *t, struct part *part)
{
    const struct params *p = &part->plan->net.params;
    for (int i = 0; i < p->count; i++) { /* one by one, so that what ZeRO drops at once is never there together */
        const struct params one = { .slices = &p->slices[i], .count = 1, .n = p->n };
        params_initialise(&one, (uint64_t)t->config->seed, part->params);
        gradient_adopt(part->gradient, (struct range){ p->slices[i].at, p->slices[i].n });
    }
}

static size_t state_floats(const struct trainer *t, const struct part *part)
{
    return gradient_state_floats(part->gradient) * (size_t)t->optimizer->state_arrays;
}

static status plan_part(struct trainer *t, struct part *part)
{
    const struct gradient_shape shape = { .n = part->plan->net.params.n,
                                          .leaves = t->plan.leaves,
                                          .starts = t->plan.starts,
                                          .part = (uint32_t)part->plan->position,
                                          .params = &part->plan->net.params };
    TRY(gradient_open(&part->gradient, t->engines[group_of(t, part->plan)], t->config, &shape, part->params));
    if (!t->setup.hollow)
        initialise(t, part);
    part->state = pages_open(state_floats(t, part), t->setup.hollow);
    return part->state ? STATUS_OK : status_fail(STATUS_FAILED, "no memory for the optimizer's state");
}

static status plan(struct trainer *t)
{
    TRY(open_engines(t));
    TRY(links_open(&t->links, &t->fabrics[GROUP_PIPELINE], t->config, &t->plan));
    for (int i = 0; i < t->plan.count; i++)
        TRY(plan_part(t, &t->parts[i]));
    TRY(tensor_open(&t->tensor, t->engines[GROUP_TENSOR], &t->plan.parts[0].net.shard));
    TRY(update_plan(t));
    if (gradient_is_coded(t->config))
        TRY(engine_plan_max(t->engines[GROUP_WORLD], &allreduce_doubling, PURPOSE_LOSS, &t->faulty, 1, &t->faulty_max));
    return engine_plan_sum(t->engines[GROUP_WORLD], &allreduce_doubling, PURPOSE_LOSS, t->losses, (size_t)t->plan.leaves,
                           &t->loss_sum);
}

static status prepare(struct trainer *t, const struct config *c, int rank)
{
    TRY(charge_open(&t->charge, c, rank));
    t->setup = (struct fabric_setup){ .cluster = &t->cluster,
                                      .clock = &t->common,
                                      .hollow = t->compute->hollow,
                                      .encode_B_per_s = t->charge.encode_B_per_s,
                                      .decode_B_per_s = t->charge.decode_B_per_s };
    return assignment_open(&t->plan, c, rank);
}

status trainer_open(struct trainer *t, const struct config *c, MPI_Comm world)
{
    const int degree[AXIS_COUNT] = {
        [AXIS_TENSOR] = (int)c->parallel.tensor, [AXIS_PIPELINE] = (int)c->parallel.pipeline, [AXIS_DATA] = (int)c->parallel.data
    };
    const struct job job = job_of(world);
    *t = (struct trainer){ .config = c, .replica = MPI_COMM_NULL };
    t->clock = &t->fabrics[GROUP_WORLD];
    t->cluster = config_cluster(c, job.ranks);
    t->compute = compute_find(c->compute.name);
    grid_open(&t->grid, degree, c->parallel.order, world);
    MPI_Comm_split(world, t->grid.at[AXIS_DATA], job.rank, &t->replica);
    status s = status_agree(prepare(t, c, job.rank), world);
    if (s == STATUS_OK)
        s = open_ports(t);
    if (s == STATUS_OK)
        s = status_agree(open_groups(t), world);
    if (s == STATUS_OK)
        s = status_agree(load(t), world);
    if (s == STATUS_OK && !job_same(&job, t->data.hash))
        s = status_fail(STATUS_USAGE, "data.name = \"%s\": the ranks do not read the same data", c->data.name);
    if (s == STATUS_OK)
        s = status_agree(plan(t), world);
    if (s != STATUS_OK)
        trainer_close(t);
    return s;
}

static void close_part(const struct trainer *t, struct part *part)
{
    pages_close(part->state, part->state ? state_floats(t, part) : 0);
    gradient_close(part->gradient);
    stash_close(&part->stash);
    pages_close(part->params, part->plan ? part->plan->net.params.n : 0);
    free(part->flights);
}

void trainer_close(struct trainer *t)
{
    for (int i = 0; t->parts && i < t->plan.count; i++)
        close_part(t, &t->parts[i]);
    update_close(t);
    links_close(t->links);
    for (int g = 0; g < GROUP_COUNT; g++) {
        if (t->engines[g])
            engine_close(t->engines[g]);
        if (t->fabrics[g].ops)
            fabric_close(&t->fabrics[g]);
    }
    ports_close(t->setup.ports);
    if (t->data.kind)
        data_close(&t->data);
    free(t->parts);
    free(t->losses);
    free(t->check.tasks);
    assignment_close(&t->plan);
    MPI_Comm_free(&t->replica);
    grid_close(&t->grid);
    *t = (struct trainer){ 0 };
}

bool trainer_has_replicas(const struct trainer *t)
{
    return t->plan.degree[AXIS_DATA] > 1 || is_bidirectional(t);
}

double trainer_exchange_alone_s(struct trainer *t, bool dense)
{
    double s = 0;
    for (int i = 0; i < t->plan.count; i++)
        s += (dense ? gradient_dense_alone_s : gradient_alone_s)(update_part(t, i)->gradient, t->clock);
    return s;
}

struct gradient_codes trainer_codes(const struct trainer *t)
{
    struct gradient_codes all = { 0 };
    for (int i = 0; t->parts && i < t->plan.count; i++) {
        const struct gradient_codes one = gradient_codes(t->parts[i].gradient);
        all.floats += one.floats;
        all.bits += one.bits;
        all.B += one.B;
    }
    return all;
}

struct ledger trainer_ledger(const struct trainer *t)
{
    struct ledger sum = { 0 };
    for (int g = 0; g < GROUP_COUNT; g++)
        ledger_add(&sum, &t->fabrics[g].ledger);
    return sum;
}

/* ---- a step -------------------------------------------------------------------------------------------------------------- */

static float row_weight(const struct trainer *t)
{
    return (float)(1.0 / ((double)t->config->batch.global * t->plan.parts[0].net.rows_per_sample));
}

/* Gradients may be on their way through the same engine. */
static void wait_for(struct trainer *t, struct operation *op, struct stopwatch *w)
{
    struct engine *const e = t->engines[GROUP_WORLD];
    const double worked_s = engine_work_s(e);
    stopwatch_switch(w, PHASE_WAIT);
    engine_wait(e, op);
    stopwatch_move(w, PHASE_WAIT, PHASE_DECODE, engine_work_s(e) - worked_s);
}

/* Every rank has every micro-batch's loss, so every rank adds them in the same order. */
static double wait_for_loss(struct trainer *t, struct stopwatch *w)
{
    wait_for(t, t->loss_sum, w);
    double loss = 0;
    for (int64_t i = 0; i < t->plan.leaves; i++)
        loss += (double)t->losses[i];
    return loss;
}

/* A gradient that is not finite has no code. Nobody updates by what one rank left out. First come the codes, through which the
 * engine has to go anyway: so their time is told apart. */
static void agree_on_faults(struct trainer *t, struct stopwatch *w)
{
    if (!t->faulty_max)
        return;
    for (int i = 0; i < t->plan.count; i++)
        for (int b = 0; b < gradient_buckets(update_part(t, i)->gradient); b++)
            gradient_wait(update_part(t, i)->gradient, b, w);
    t->faulty = trainer_fault(t) != NULL;
    engine_start(t->engines[GROUP_WORLD], t->faulty_max);
    wait_for(t, t->faulty_max, w);
}

const char *trainer_fault(const struct trainer *t)
{
    for (int i = 0; i < t->plan.count; i++) {
        const struct params *p = &t->plan.parts[i].net.params;
        const size_t at = gradient_fault(t->parts[i].gradient);
        for (int k = 0; k < p->count; k++)
            if (at >= p->slices[k].at && at < p->slices[k].at + p->slices[k].n)
                return p->slices[k].name;
    }
    return NULL;
}

/* A part sees all micro-batches of its replica, or those of its route. */
static void predict_messages(struct trainer *t)
{
    const struct assignment *a = &t->plan;
    const int half = (a->micro_batches + 1) / 2;
    for (int c = 0; c < a->count; c++) {
        const int from = is_bidirectional(t) && c == 1 ? half : 0, to = is_bidirectional(t) && c == 0 ? half : a->micro_batches;
        const int64_t samples =
            batch_first_sample(t->config, a->first_leaf + to) - batch_first_sample(t->config, a->first_leaf + from);
        links_predict(t->links, c, samples, to - from);
    }
}

double trainer_step(struct trainer *t, int64_t step, struct stopwatch *w)
{
    struct work work = { .trainer = t, .step = step, .weight = row_weight(t), .forwards_left = t->last_forwards, .w = w };
    memset(t->losses, 0, (size_t)t->plan.leaves * sizeof *t->losses);
    t->tensor.watch = w;
    for (int i = 0; i < t->plan.count; i++)
        gradient_begin(t->parts[i].gradient, step);
    if (t->last_forwards == 0)
        engine_start(t->engines[GROUP_WORLD], t->loss_sum);
    predict_messages(t);
    passes_run(&work, &t->plan.tasks);
    const double loss = wait_for_loss(t, w);
    agree_on_faults(t, w);
    update_parameters(t, step, isfinite(loss) && t->faulty == 0, w);
    t->tensor.watch = NULL;
    return loss;
}

/* ---- verification -------------------------------------------------------------------------------------------------------- */

/* The tensor ranks' gradients of what none of them has whole. */
static void sum_partial_checked(struct trainer *t)
{
    for (int c = 0; c < t->plan.count; c++) {
        const struct params *p = &t->plan.parts[c].net.params;
        for (int i = 0; i < p->count && t->parts[c].checked; i++)
            if (p->slices[i].partial)
                tensor_sum_partial(&t->tensor, t->parts[c].checked + p->slices[i].at, p->slices[i].n);
    }
}

double trainer_check(struct trainer *t, int64_t step, int samples, bool backward, float weight)
{
    struct stopwatch ignored;
    struct work work = { .trainer = t, .step = step, .samples = samples, .weight = weight, .w = &ignored };
    const struct task_list tasks = { t->check.tasks, backward ? t->check.count : t->check.count / 2 };
    const struct job replica = job_of(t->replica);
    stopwatch_start(&ignored, t->clock, PHASE_DATA);
    passes_run(&work, &tasks);
    if (backward)
        sum_partial_checked(t);
    else
        passes_forget(&work, &tasks);
    return job_sum(&replica, t->plan.at[AXIS_TENSOR] == 0 ? work.loss : 0);
}
