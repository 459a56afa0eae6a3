/* Layers to parts, tasks to counts of what is in flight. */
#include "bench/assignment.h"

#include <stdlib.h>
#include <string.h>

#include "bench/batch.h"
#include "bench/partition.h"
#include "collectives/fabric.h"

/* ---- places -------------------------------------------------------------------------------------------------------------- */

struct pipeline assignment_pipeline(const struct config *c, int micro_batches)
{
    return pipeline_make(c->parallel.schedule.name, c->parallel.schedule.options, (int)c->parallel.pipeline, micro_batches,
                         c->parallel.recompute, c->parallel.recompute_last_stage);
}

bool part_is_first(const struct part_plan *p)
{
    return p->position == 0;
}

bool part_is_last(const struct assignment *a, const struct part_plan *p)
{
    return p->position == pipeline_positions(&a->pipeline) - 1;
}

size_t part_in_floats(const struct part_plan *p)
{
    return part_is_first(p) ? 0 : p->net.layers[0].in_floats;
}

size_t part_out_floats(const struct assignment *a, const struct part_plan *p)
{
    return part_is_last(a, p) ? 0 : p->net.layers[p->net.count - 1].out_floats;
}

/* ---- what is in flight --------------------------------------------------------------------------------------------------- */

static void note_recomputations(struct assignment *a)
{
    for (int i = 0; i < a->tasks.count; i++) {
        const struct task *task = &a->tasks.tasks[i];
        if (task->kind == TASK_RECOMPUTE)
            a->parts[task->chunk].recomputes[task->micro] = true;
    }
}

static void keep_most(int *most, int now)
{
    if (now > *most)
        *most = now;
}

/* Plays the list: what a task begins to keep, and what it is the last to need. */
struct census {
    struct assignment *a;
    int *graphs, *gradients; /* of each part, now */
    int boundaries;
    int task;
};

static void count_boundaries(struct census *n, int more)
{
    n->boundaries += more;
    keep_most(&n->a->kept[n->task], n->boundaries);
    keep_most(&n->a->boundaries, n->boundaries);
}

static void count_forward(struct census *n, struct part_plan *p, int chunk, bool dropped)
{
    const int in = !part_is_first(p), out = !part_is_last(n->a, p);
    keep_most(&p->graphs, ++n->graphs[chunk]);
    count_boundaries(n, in + (dropped ? 0 : out));
    if (dropped)
        n->graphs[chunk]--;
}

static void count_recompute(struct census *n, struct part_plan *p, int chunk)
{
    keep_most(&p->graphs, ++n->graphs[chunk]);
    count_boundaries(n, !part_is_last(n->a, p));
}

static void count_gradient(struct census *n, struct part_plan *p)
{
    count_boundaries(n, !part_is_last(n->a, p));
}

static void count_end(struct census *n, struct part_plan *p, int chunk)
{
    n->graphs[chunk]--;
    n->boundaries -= !part_is_first(p) + 2 * !part_is_last(n->a, p);
}

static void count_task(struct census *n, const struct task *task)
{
    struct part_plan *p = &n->a->parts[task->chunk];
    switch (task->kind) {
    case TASK_FORWARD:
        count_forward(n, p, task->chunk, p->recomputes[task->micro]);
        break;
    case TASK_RECOMPUTE:
        count_recompute(n, p, task->chunk);
        break;
    case TASK_BACKWARD:
        count_gradient(n, p);
        count_end(n, p, task->chunk);
        break;
    case TASK_INPUT_GRAD:
        count_gradient(n, p);
        keep_most(&p->gradients, ++n->gradients[task->chunk]);
        break;
    case TASK_WEIGHT_GRAD:
        n->gradients[task->chunk]--;
        count_end(n, p, task->chunk);
        break;
    }
}

/* Where forwards may overtake recomputations, all inputs of a part may be there at a time. */
static void count_overtaking(struct assignment *a)
{
    const struct schedule *s = a->pipeline.schedule;
    if (!s->reorders || !s->reorders(a->pipeline.options))
        return;
    for (int i = 0; i < a->count; i++)
        a->boundaries += part_is_first(&a->parts[i]) ? 0 : a->micro_batches;
}

static status take_census(struct assignment *a)
{
    struct census n = { .a = a, .graphs = calloc(2 * (size_t)a->count, sizeof(int)) };
    a->kept = calloc((size_t)a->tasks.count + 1, sizeof *a->kept);
    if (!n.graphs || !a->kept) {
        free(n.graphs);
        return status_fail(STATUS_FAILED, "no memory to plan %d tasks", a->tasks.count);
    }
    n.gradients = n.graphs + a->count;
    for (n.task = 0; n.task < a->tasks.count; n.task++) {
        a->kept[n.task] = n.boundaries;
        count_task(&n, &a->tasks.tasks[n.task]);
    }
    count_overtaking(a);
    free(n.graphs);
    return STATUS_OK;
}

/* ---- parts --------------------------------------------------------------------------------------------------------------- */

static status take_parts(struct assignment *a, const struct config *c, const struct network *whole, int *starts)
{
    const bool own_copies = !strcmp(c->exchange.reduction, "tree");
    TRY(partition_layers(c, whole, pipeline_positions(&a->pipeline), starts));
    for (int i = 0; i < pipeline_chunks(&a->pipeline); i++) {
        struct part_plan *p = &a->parts[i];
        p->position = pipeline_position(&a->pipeline, (struct place){ a->at[AXIS_PIPELINE], i });
        p->recomputes = calloc((size_t)a->micro_batches, sizeof(bool));
        a->count++;
        if (!p->recomputes)
            return status_fail(STATUS_FAILED, "no memory to plan %d micro-batches", a->micro_batches);
        const int first = starts[p->position];
        TRY(network_take(&p->net, whole, first, starts[p->position + 1] - first, own_copies, &p->tied));
    }
    return STATUS_OK;
}

static void measure_boundaries(struct assignment *a)
{
    size_t most = 0;
    for (int i = 0; i < a->count; i++) {
        const size_t in = part_in_floats(&a->parts[i]), out = part_out_floats(a, &a->parts[i]);
        most = most > in ? most : in;
        most = most > out ? most : out;
    }
    a->boundary_floats = most * (size_t)a->samples + FABRIC_STAMP_B / sizeof(float);
}

/* The stage's own list of all stages'. */
static status take_tasks(struct assignment *a)
{
    const int stage = a->at[AXIS_PIPELINE];
    struct task_list *lists = calloc((size_t)a->pipeline.stages, sizeof *lists);
    if (!lists)
        return status_fail(STATUS_FAILED, "no memory for the schedule of %d stages", a->pipeline.stages);
    const status s = pipeline_lists(&a->pipeline, lists);
    if (s == STATUS_OK) {
        a->tasks = lists[stage];
        lists[stage] = (struct task_list){ 0 };
        pipeline_free_lists(&a->pipeline, lists);
    }
    free(lists);
    return s;
}

/* Where the replicas of a part are the two routes of each replica of the model, its micro-batches are theirs in turn. */
static status deal_leaves(struct assignment *a, const struct config *c)
{
    const int replicas = a->degree[AXIS_DATA];
    if (pipeline_routes(&a->pipeline) == 1)
        return STATUS_OK;
    a->starts = calloc(2 * (size_t)replicas + 1, sizeof *a->starts);
    if (!a->starts)
        return status_fail(STATUS_FAILED, "no memory to plan %d replicas", replicas);
    for (int r = 0; r < replicas; r++) {
        a->starts[2 * r] = batch_first_leaf(c, r);
        a->starts[2 * r + 1] = batch_first_leaf(c, r) + (batch_leaves_of(c, r) + 1) / 2;
    }
    a->starts[2 * replicas] = a->leaves;
    return STATUS_OK;
}

static status plan(struct assignment *a, const struct config *c, const struct network *whole)
{
    const size_t positions = (size_t)pipeline_positions(&a->pipeline);
    int *starts = calloc(positions + 1, sizeof *starts);
    a->parts = calloc((size_t)pipeline_chunks(&a->pipeline), sizeof *a->parts);
    status s =
        starts && a->parts ? take_parts(a, c, whole, starts) : status_fail(STATUS_FAILED, "no memory for the parts of a model");
    free(starts);
    TRY(s);
    TRY(take_tasks(a));
    TRY(deal_leaves(a, c));
    measure_boundaries(a);
    note_recomputations(a);
    return take_census(a);
}

static status weigh_model(struct assignment *a, const struct config *c)
{
    struct network whole;
    TRY(network_open(&whole, model_find(c->model.name), c->model.options, &shard_whole));
    a->model = (struct whole_model){ whole.params.n, network_flop_forward(&whole), network_flop_backward(&whole) };
    network_close(&whole);
    return STATUS_OK;
}

status assignment_open(struct assignment *a, const struct config *c, int rank)
{
    struct network whole;
    *a = (struct assignment){ .degree = { [AXIS_TENSOR] = (int)c->parallel.tensor,
                                          [AXIS_PIPELINE] = (int)c->parallel.pipeline,
                                          [AXIS_DATA] = (int)c->parallel.data } };
    grid_coordinates(a->degree, c->parallel.order, rank, a->at);
    a->leaves = batch_leaves(c);
    a->first_leaf = batch_first_leaf(c, a->at[AXIS_DATA]);
    a->micro_batches = (int)batch_leaves_of(c, a->at[AXIS_DATA]);
    a->samples = batch_most_samples(c);
    a->pipeline = assignment_pipeline(c, a->micro_batches);
    TRY(weigh_model(a, c));
    const struct shard shard = { a->degree[AXIS_TENSOR], a->at[AXIS_TENSOR], c->parallel.sequence };
    TRY(network_open(&whole, model_find(c->model.name), c->model.options, &shard));
    const status s = plan(a, c, &whole);
    network_close(&whole);
    if (s != STATUS_OK)
        assignment_close(a);
    return s;
}

struct tied_group assignment_tied(const struct config *c, const struct assignment *a)
{
    const int last = a->pipeline.stages - 1, stages = last > 0 ? 2 : 1;
    struct tied_group g = { .members = 1, .stages = { 0, last } };
    for (int i = 0; i < a->count; i++) {
        const struct tied_slice *t = &a->parts[i].tied;
        const int slice = t->original >= 0 ? t->original : t->copy;
        g.copies += (t->original >= 0) + (t->copy >= 0);
        g.n = slice >= 0 ? a->parts[i].net.params.slices[slice].n : g.n;
    }
    const bool dealt = c->parallel.zero > 0;
    if (g.copies == 1 || (g.copies == 2 && dealt))
        g.members = stages * (dealt ? a->degree[AXIS_DATA] : 1);
    g.me = (dealt ? stages * a->at[AXIS_DATA] : 0) + (last > 0 && a->at[AXIS_PIPELINE] == last);
    return g;
}

size_t assignment_partial(const struct assignment *a)
{
    size_t n = 0;
    for (int c = 0; c < a->count; c++)
        for (int i = 0; i < a->parts[c].net.params.count; i++)
            n += a->parts[c].net.params.slices[i].partial ? a->parts[c].net.params.slices[i].n : 0;
    return n;
}

size_t assignment_waiting(const struct config *c, const struct assignment *a)
{
    const struct tied_group g = assignment_tied(c, a);
    const size_t tied = (size_t)g.copies * g.n, partial = assignment_partial(a);
    return tied > partial ? tied : partial;
}

void assignment_close(struct assignment *a)
{
    for (int i = 0; i < a->count; i++) {
        network_close(&a->parts[i].net);
        free(a->parts[i].recomputes);
    }
    free(a->parts);
    free(a->tasks.tasks);
    free(a->starts);
    free(a->kept);
    *a = (struct assignment){ 0 };
}
