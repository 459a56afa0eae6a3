/* One rank after the other, each with its own assignment. Letters: p replicas of a part, n floats. */
#include "bench/traffic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/batch.h"
#include "bench/footprint.h"
#include "bench/gradient.h"
#include "bench/gradient_choice.h"
#include "bench/message.h"
#include "bench/places.h"
#include "bench/tensor.h"
#include "collectives/fabric.h"
#include "collectives/ordered.h"

/* One rank's view. */
struct sender {
    struct traffic *traffic;
    const struct config *config;
    struct assignment plan;
    int rank;
    int *group;          /* [2 data] ranks that hold the same part, in the order of their leaves */
    uint64_t *floats_to; /* [ranks] of a group */
};

static void add(struct sender *s, enum purpose p, int to, double B)
{
    *traffic_at(s->traffic, p, s->rank, to) += B;
}

/* Samples of this replica's micro-batch. */
static int samples_of(const struct sender *s, int micro)
{
    const struct gradient_shape blocks = { .leaves = s->plan.leaves };
    const int *at = s->plan.at, *degree = s->plan.degree;
    return batch_samples(s->config, gradient_own_leaf(s->config, &blocks, at[AXIS_DATA], degree[AXIS_DATA], micro));
}

static int rank_at(const struct sender *s, enum axis a, int coordinate)
{
    int at[AXIS_COUNT];
    memcpy(at, s->plan.at, sizeof at);
    at[a] = coordinate;
    return grid_rank(s->plan.degree, s->config->parallel.order, at);
}

/* ---- messages between stages --------------------------------------------------------------------------------------------- */

static void add_message(struct sender *s, enum purpose p, struct place to, size_t floats, int micro)
{
    const int rank = rank_at(s, AXIS_PIPELINE, to.stage);
    add(s, p, rank, (double)message_B(s->config, &s->plan, floats, samples_of(s, micro)));
    add(s, PURPOSE_STAMP, rank, FABRIC_STAMP_B);
}

static void add_messages(struct sender *s)
{
    const struct assignment *a = &s->plan;
    for (int i = 0; i < a->tasks.count; i++) {
        const struct task *task = &a->tasks.tasks[i];
        const struct part_plan *part = &a->parts[task->chunk];
        const struct place here = { a->at[AXIS_PIPELINE], task->chunk };
        const bool forward = task->kind == TASK_FORWARD, backward = task->kind == TASK_BACKWARD || task->kind == TASK_INPUT_GRAD;
        if (forward && !part_is_last(a, part))
            add_message(s, PURPOSE_ACTIVATION, pipeline_next(&a->pipeline, here), part_out_floats(a, part), task->micro);
        if (backward && !part_is_first(part))
            add_message(s, PURPOSE_ACTIVATION_GRADIENT, pipeline_previous(&a->pipeline, here), part_in_floats(part), task->micro);
    }
}

/* ---- sums ---------------------------------------------------------------------------------------------------------------- */

/* B bytes, dealt to the group as the floats are. */
static void deal(struct sender *s, enum purpose p, int members, double B)
{
    uint64_t all = 0;
    for (int k = 0; k < members; k++)
        all += s->floats_to[k];
    for (int k = 0; k < members; k++) {
        if (s->floats_to[k])
            add(s, p, s->group[k], B * (double)s->floats_to[k] / (double)all);
        else if (isnan(B) && s->group[k] != s->rank)
            add(s, p, s->group[k], NAN);
        s->floats_to[k] = 0;
    }
}

/* Who holds the same part: the same place of every replica, on both routes where there are two. Returns how many, and this rank's
 * number among them. */
static int gather_replicas(struct sender *s, int chunk, int *me)
{
    const struct assignment *a = &s->plan;
    const int routes = pipeline_routes(&a->pipeline), replicas = a->degree[AXIS_DATA];
    int at[AXIS_COUNT], count = 0;
    memcpy(at, a->at, sizeof at);
    for (at[AXIS_DATA] = 0; at[AXIS_DATA] < replicas; at[AXIS_DATA]++)
        for (int route = 0; route < routes; route++, count++) {
            at[AXIS_PIPELINE] =
                route == chunk || routes == 1 ? a->at[AXIS_PIPELINE] : a->pipeline.stages - 1 - a->at[AXIS_PIPELINE];
            s->group[count] = grid_rank(a->degree, s->config->parallel.order, at);
            if (s->group[count] == s->rank)
                *me = count;
        }
    return count;
}

/* Once through n floats, as the exchange of gradients cuts them. */
static void play_vector(struct sender *s, enum sum_part part, size_t n, int me, int members)
{
    const struct config *c = s->config;
    const size_t segment_B = (size_t)c->exchange.segment_B;
    const struct team team = places_replicas(c, members);
    const struct leaf_owners owners = { s->plan.leaves, s->plan.starts };
    if (strcmp(c->exchange.reduction, "tree") == 0)
        ordered_sent_to(part, segment_B, members, me, n, &owners, s->floats_to);
    else
        engine_sent_to(gradient_allreduce(c, team, n), part, segment_B, team, me, n, s->floats_to);
}

static void play_buckets(struct sender *s, const struct gradient_shape *shape, enum sum_part part, int me, int members)
{
    for (int b = 0; b < bucket_count(s->config, shape); b++)
        play_vector(s, part, bucket_place(s->config, shape, b).n, me, members);
}

static status add_codes(struct sender *s, const struct gradient_shape *shape, int me, int members)
{
    double *B_to = calloc((size_t)members, sizeof *B_to);
    if (!B_to)
        return status_fail(STATUS_FAILED, "no memory to predict what %d ranks send", members);
    const bool known = gradient_coded_sent(s->config, shape, me, members, B_to);
    for (int k = 0; k < members; k++)
        if (s->group[k] != s->rank)
            add(s, PURPOSE_GRADIENT, s->group[k], known ? B_to[k] : NAN);
    free(B_to);
    return STATUS_OK;
}

static status add_exchange(struct sender *s, const struct gradient_shape *shape, int me, int members)
{
    const struct gradient_plan plan = gradient_plan(s->config, shape, me, members);
    const bool zero = s->config->parallel.zero > 0;
    if (gradient_is_coded(s->config))
        TRY(add_codes(s, shape, me, members));
    else {
        play_buckets(s, shape, zero ? SUM_REDUCE_SCATTER : SUM_ALLREDUCE, me, members);
        deal(s, PURPOSE_GRADIENT, members, plan.sent_B);
    }
    if (!zero)
        return STATUS_OK;
    play_buckets(s, shape, SUM_ALLGATHER, me, members);
    deal(s, PURPOSE_PARAMETERS, members, plan.parameters_sent_B);
    return STATUS_OK;
}

static status add_gradients(struct sender *s, int chunk)
{
    int me = 0;
    struct gradient_shape shape;
    const int members = gather_replicas(s, chunk, &me);
    TRY(footprint_shape(&s->plan, chunk, &shape));
    const status added = members > 1 ? add_exchange(s, &shape, me, members) : STATUS_OK;
    free((void *)shape.layers);
    return added;
}

/* n floats summed over the group [0, members). */
static void add_sum(struct sender *s, const struct allreduce *how, enum purpose p, size_t n, int me, int members)
{
    const size_t segment_B = (size_t)s->config->exchange.segment_B;
    const struct team team = team_of(members, 0);
    const uint64_t sent = engine_sent_floats(how, SUM_ALLREDUCE, segment_B, team, me, n);
    engine_sent_to(how, SUM_ALLREDUCE, segment_B, team, me, n, s->floats_to);
    deal(s, p, members, 4.0 * (double)sent);
}

/* Rings: all goes to the next rank along the axis. */
static void add_tensor(struct sender *s)
{
    const struct assignment *a = &s->plan;
    const int degree = a->degree[AXIS_TENSOR], next = rank_at(s, AXIS_TENSOR, (a->at[AXIS_TENSOR] + 1) % degree);
    const size_t segment_B = (size_t)s->config->exchange.segment_B;
    if (degree == 1)
        return;
    for (int i = 0; i < a->tasks.count; i++) {
        const struct task *task = &a->tasks.tasks[i];
        const bool forward = task->kind == TASK_FORWARD || task->kind == TASK_RECOMPUTE;
        if (task->kind != TASK_WEIGHT_GRAD)
            add(s, PURPOSE_TENSOR, next,
                (double)tensor_sent_B(&a->parts[task->chunk].net, forward ? TENSOR_FORWARD : TENSOR_BACKWARD,
                                      samples_of(s, task->micro), segment_B));
    }
    add(s, PURPOSE_TENSOR, next,
        4.0 * (double)engine_sent_floats(&allreduce_ring, SUM_ALLREDUCE, segment_B, team_of(degree, 0), a->at[AXIS_TENSOR],
                                         assignment_partial(a)));
}

static void add_tied(struct sender *s)
{
    const struct assignment *a = &s->plan;
    const struct tied_group g = assignment_tied(s->config, a);
    const int stages = a->pipeline.stages > 1 ? 2 : 1;
    int at[AXIS_COUNT];
    if (g.members == 1)
        return;
    memcpy(at, a->at, sizeof at);
    for (int i = 0; i < g.members; i++) {
        at[AXIS_DATA] = s->config->parallel.zero ? i / stages : a->at[AXIS_DATA];
        at[AXIS_PIPELINE] = g.stages[i % stages];
        s->group[i] = grid_rank(a->degree, s->config->parallel.order, at);
    }
    add_sum(s, &allreduce_ring, PURPOSE_TIED, (size_t)g.copies * g.n, g.me, g.members);
}

static void add_loss(struct sender *s)
{
    for (int r = 0; r < s->traffic->ranks; r++)
        s->group[r] = r;
    add_sum(s, &allreduce_doubling, PURPOSE_LOSS, (size_t)s->plan.leaves, s->rank, s->traffic->ranks);
    if (gradient_is_coded(s->config)) /* whether all gradients were finite */
        add_sum(s, &allreduce_doubling, PURPOSE_LOSS, 1, s->rank, s->traffic->ranks);
}

/* ---- all of it ----------------------------------------------------------------------------------------------------------- */

static status add_rank(struct sender *s)
{
    TRY(assignment_open(&s->plan, s->config, s->rank));
    status made = STATUS_OK;
    for (int c = 0; c < s->plan.count && made == STATUS_OK; c++)
        made = add_gradients(s, c);
    add_messages(s);
    add_tensor(s);
    add_tied(s);
    add_loss(s);
    assignment_close(&s->plan);
    return made;
}

status traffic_open(struct traffic *t, const struct config *c, int ranks)
{
    const size_t all = (size_t)ranks, most = 2 * all + 1; /* two routes have two replicas a rank */
    struct sender s = { .traffic = t, .config = c };
    *t = (struct traffic){ ranks, calloc(PURPOSE_COUNT * all * all, sizeof *t->sent_B) };
    s.group = calloc(most, sizeof *s.group);
    s.floats_to = calloc(most, sizeof *s.floats_to);
    status made = STATUS_OK;
    if (!t->sent_B || !s.group || !s.floats_to)
        made = status_fail(STATUS_FAILED, "no memory to predict the traffic between %d ranks", ranks);
    for (s.rank = 0; s.rank < ranks && made == STATUS_OK; s.rank++)
        made = add_rank(&s);
    free(s.group);
    free(s.floats_to);
    if (made != STATUS_OK)
        traffic_close(t);
    return made;
}

void traffic_close(struct traffic *t)
{
    free(t->sent_B);
    *t = (struct traffic){ 0 };
}

double *traffic_at(const struct traffic *t, enum purpose p, int from, int to)
{
    return &t->sent_B[((size_t)p * (size_t)t->ranks + (size_t)from) * (size_t)t->ranks + (size_t)to];
}

const char *traffic_group(enum purpose p)
{
    static const char *const groups[PURPOSE_COUNT] = {
        [PURPOSE_GRADIENT] = "data",       [PURPOSE_PARAMETERS] = "data",
        [PURPOSE_ACTIVATION] = "pipeline", [PURPOSE_ACTIVATION_GRADIENT] = "pipeline",
        [PURPOSE_STAMP] = "pipeline",      [PURPOSE_TIED] = "pipeline",
        [PURPOSE_TENSOR] = "tensor",       [PURPOSE_LOSS] = "all",
        [PURPOSE_CHECK] = "data",
    };
    return groups[p];
}

double traffic_link_B(const struct traffic *t, int from, int to)
{
    double B = 0;
    for (int p = 0; p < PURPOSE_COUNT; p++)
        B += *traffic_at(t, (enum purpose)p, from, to);
    return B;
}

double traffic_sent_B(const struct traffic *t, enum purpose p, int from)
{
    double B = 0;
    for (int to = 0; to < t->ranks; to++)
        B += *traffic_at(t, p, from, to);
    return B;
}
