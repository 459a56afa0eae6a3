/* The loop over instants: the next one at which a stage is free again or gets what it waits for; there these stages decide. What a
 * task sends is on its way, with its time of arrival, from the moment the task starts; so at an instant all that ends or arrives
 * then is known before anybody decides. A scan over the stages finds the next instant: for some hundred stages no slower than a
 * heap.
 */
#include "bench/playback.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/random.h"

/* A stage while it plays. Only forward passes overtake, so what is left of a list is: all from `next` on, but the forward passes
 * before `next_forward`. */
struct actor {
    int next, next_forward;
    double free_s; /* end of the last task */
    double wake_s; /* when to decide again; INFINITY: a message has yet to be sent, or the list is done */
    int held;      /* micro-batches, one for each chunk */
};

struct player {
    const struct playback_input *in;
    struct playback *out;
    const struct task_list *lists;
    struct actor *actors;
    double *activation_s, *gradient_s; /* [place x micro-batch] when it arrives; INFINITY: not sent yet */
    int pieces;                        /* chunks of one copy of the model on each stage */
};

static size_t slot(const struct pipeline *p, struct place at, int micro)
{
    return ((size_t)at.stage * (size_t)pipeline_chunks(p) + (size_t)at.chunk) * (size_t)p->micro_batches + (size_t)micro;
}

/* ---- one task ------------------------------------------------------------------------------------------------------------ */

static bool is_backward(enum task_kind kind) /* sends a gradient */
{
    return kind == TASK_BACKWARD || kind == TASK_INPUT_GRAD;
}

static double base_duration_s(const struct stage_times *t, enum task_kind kind)
{
    switch (kind) {
    case TASK_FORWARD:
        return t->forward_s;
    case TASK_RECOMPUTE:
        return t->recompute_s;
    case TASK_BACKWARD:
        return t->input_grad_s + t->weight_grad_s;
    case TASK_INPUT_GRAD:
        return t->input_grad_s;
    case TASK_WEIGHT_GRAD:
        return t->weight_grad_s;
    }
    return 0;
}

/* N(0, deviation), a function of the seed, what for, the stage and the place in its list. */
enum purpose { COMPUTE, NETWORK };
static double jitter_s(const struct player *y, enum purpose purpose, double deviation, int stage, int i)
{
    const struct random r = { y->in->seed, RANDOM_JITTER, (uint32_t)stage, (uint32_t)purpose };
    uint32_t words[4];
    if (deviation == 0)
        return 0;
    random_words(&r, (uint32_t)i, words);
    const double u = (words[0] + 0.5) * 0x1p-32, v = words[1] * 0x1p-32;
    return deviation * sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

static double hop_s(const struct player *y, int stage, int i)
{
    const struct playback_input *in = y->in;
    const double bytes_s = in->bandwidth_B_per_s > 0 ? in->message_B / in->bandwidth_B_per_s : 0;
    return in->latency_s + bytes_s + fabs(jitter_s(y, NETWORK, in->jitter_network_s, stage, i));
}

/* Task i of a stage's list will end at end_s: whoever waits for what it sends knows when to wake. */
static void send(struct player *y, int stage, int i, double end_s)
{
    const struct pipeline *p = &y->in->pipeline;
    const struct task t = y->lists[stage].tasks[i];
    const struct place from = { stage, t.chunk };
    const bool forward = t.kind == TASK_FORWARD;
    if (!forward && !is_backward(t.kind))
        return;
    const struct place to = forward ? pipeline_next(p, from) : pipeline_previous(p, from);
    if (to.stage < 0)
        return;
    const double arrival_s = end_s + (to.stage == stage ? 0 : hop_s(y, stage, i));
    (forward ? y->activation_s : y->gradient_s)[slot(p, to, t.micro)] = arrival_s;
    struct actor *receiver = &y->actors[to.stage];
    receiver->wake_s = fmin(receiver->wake_s, fmax(receiver->free_s, arrival_s));
}

/* +1 with a forward pass, -1 when the last part of its backward pass is done. */
static void hold(const struct player *y, struct actor *a, struct played_stage *s, enum task_kind kind)
{
    if (kind == TASK_FORWARD)
        a->held++;
    else if (kind == TASK_BACKWARD || kind == TASK_WEIGHT_GRAD)
        a->held--;
    s->peak_activations = fmax(s->peak_activations, (double)a->held / y->pieces);
}

/* Idle time until now was spent waiting for what this task needs. */
static void start(struct player *y, int stage, int i, double now_s)
{
    struct actor *a = &y->actors[stage];
    struct played_stage *s = &y->out->stages[stage];
    const struct task_list *list = &y->lists[stage];
    const struct task task = list->tasks[i];
    double *cause_s = s->count == 0 ? &s->fill_s : task.kind == TASK_FORWARD ? &s->wait_activation_s : &s->wait_gradient_s;
    const double base_s = base_duration_s(&y->in->times[stage], task.kind) / y->pieces;
    const double duration_s = fmax(base_s + jitter_s(y, COMPUTE, y->in->jitter_compute_s, stage, i), 0);
    *cause_s += now_s - a->free_s;
    a->free_s = a->wake_s = now_s + duration_s;
    s->tasks[s->count++] = (struct played_task){ task, now_s, a->free_s };
    s->busy_s += duration_s;
    hold(y, a, s, task.kind);
    a->next += i == a->next;
    a->next_forward += i == a->next_forward;
    while (a->next_forward < list->count && list->tasks[a->next_forward].kind != TASK_FORWARD)
        a->next_forward++;
    while (a->next < a->next_forward && a->next < list->count && list->tasks[a->next].kind == TASK_FORWARD)
        a->next++;
    send(y, stage, i, a->free_s);
}

/* ---- the loop ------------------------------------------------------------------------------------------------------------ */

/* When task i of a stage's list can start; INFINITY: what it needs is not sent yet. */
static double ready_s(const struct player *y, int stage, int i)
{
    const struct task t = y->lists[stage].tasks[i];
    const size_t at = slot(&y->in->pipeline, (struct place){ stage, t.chunk }, t.micro);
    if (t.kind == TASK_FORWARD)
        return y->activation_s[at];
    if (is_backward(t.kind) || (t.kind == TASK_RECOMPUTE && y->in->recompute_waits))
        return y->gradient_s[at];
    return 0;
}

static void start_when_ready(struct player *y, int stage, int i, double now_s)
{
    const double at_s = ready_s(y, stage, i);
    if (at_s <= now_s)
        start(y, stage, i, now_s);
    else
        y->actors[stage].wake_s = fmin(y->actors[stage].wake_s, at_s);
}

static void decide(struct player *y, int stage, double now_s)
{
    const struct pipeline *p = &y->in->pipeline;
    const struct task_list *list = &y->lists[stage];
    struct actor *a = &y->actors[stage];
    a->wake_s = INFINITY;
    if (a->next == list->count)
        return;
    const struct task next = list->tasks[a->next];
    const double gradient_s = y->gradient_s[slot(p, (struct place){ stage, next.chunk }, next.micro)];
    if (next.kind != TASK_RECOMPUTE || !pipeline_reorders(p) || gradient_s <= now_s || a->next_forward == list->count) {
        start_when_ready(y, stage, a->next, now_s);
        return;
    }
    a->wake_s = gradient_s;
    start_when_ready(y, stage, a->next_forward, now_s);
}

static void play(struct player *y)
{
    const int stages = y->in->pipeline.stages;
    for (double now_s = 0; now_s < INFINITY;) {
        for (int s = 0; s < stages; s++)
            if (y->actors[s].wake_s <= now_s)
                decide(y, s, now_s);
        now_s = INFINITY;
        for (int s = 0; s < stages; s++)
            now_s = fmin(now_s, y->actors[s].wake_s);
    }
}

/* ---- before and after ---------------------------------------------------------------------------------------------------- */

/* The first position has its activations, the last its gradients. */
static void mark_arrivals(struct player *y)
{
    const struct pipeline *p = &y->in->pipeline;
    for (int s = 0; s < p->stages; s++)
        for (int chunk = 0; chunk < pipeline_chunks(p); chunk++) {
            const struct place at = { s, chunk };
            const double activation_s = pipeline_previous(p, at).stage < 0 ? 0 : INFINITY;
            const double gradient_s = pipeline_next(p, at).stage < 0 ? 0 : INFINITY;
            for (int j = 0; j < p->micro_batches; j++) {
                y->activation_s[slot(p, at, j)] = activation_s;
                y->gradient_s[slot(p, at, j)] = gradient_s;
            }
        }
}

static status sum_up(const struct player *y)
{
    struct playback *b = y->out;
    double busy_s = 0, idle_s = 0;
    for (int s = 0; s < b->stage_count; s++) {
        if (y->actors[s].next < y->lists[s].count)
            return status_fail(STATUS_FAILED, "the schedule's lists wait for each other: stage %d stops at its task %d", s,
                               y->actors[s].next);
        b->makespan_s = fmax(b->makespan_s, y->actors[s].free_s);
        b->span_s = fmax(b->span_s, y->actors[s].free_s - b->stages[s].fill_s);
    }
    for (int s = 0; s < b->stage_count; s++) {
        struct played_stage *stage = &b->stages[s];
        stage->drain_s = b->makespan_s - y->actors[s].free_s;
        stage->idle_s = stage->fill_s + stage->wait_activation_s + stage->wait_gradient_s + stage->drain_s;
        busy_s += stage->busy_s;
        idle_s += stage->idle_s;
    }
    b->bubble_frac = busy_s + idle_s > 0 ? idle_s / (busy_s + idle_s) : 0;
    b->bubble_ratio = busy_s > 0 ? idle_s / busy_s : 0;
    return STATUS_OK;
}

static bool make_room(struct player *y)
{
    const struct pipeline *p = &y->in->pipeline;
    const size_t stages = (size_t)p->stages, places = stages * (size_t)pipeline_chunks(p) * (size_t)p->micro_batches;
    bool all = (y->out->stages = calloc(stages, sizeof *y->out->stages)) != NULL;
    y->out->stage_count = all ? p->stages : 0;
    for (size_t s = 0; all && s < stages; s++)
        all = (y->out->stages[s].tasks = malloc((size_t)y->lists[s].count * sizeof(struct played_task))) != NULL;
    return all && (y->actors = calloc(stages, sizeof *y->actors)) && (y->activation_s = malloc(places * sizeof(double))) &&
           (y->gradient_s = malloc(places * sizeof(double)));
}

static status play_lists(struct player *y)
{
    status s = STATUS_OK;
    if (make_room(y)) {
        mark_arrivals(y);
        play(y);
        s = sum_up(y);
    } else
        s = status_fail(STATUS_FAILED, "no memory to play a schedule");
    free(y->actors);
    free(y->activation_s);
    free(y->gradient_s);
    if (s != STATUS_OK)
        playback_free(y->out);
    return s;
}

status playback_run(const struct playback_input *in, struct playback *out)
{
    const struct pipeline *p = &in->pipeline;
    struct task_list *lists = calloc((size_t)p->stages, sizeof *lists);
    *out = (struct playback){ 0 };
    if (!lists)
        return status_fail(STATUS_FAILED, "no memory for a schedule of %d stages", p->stages);
    status s = pipeline_lists(p, lists);
    if (s == STATUS_OK) {
        s = play_lists(&(struct player){ in, out, lists, .pieces = pipeline_positions(p) / p->stages });
        pipeline_free_lists(p, lists);
    }
    free(lists);
    return s;
}

void playback_free(struct playback *b)
{
    for (int s = 0; s < b->stage_count; s++)
        free(b->stages[s].tasks);
    free(b->stages);
    *b = (struct playback){ 0 };
}

double pipeline_bubble_theory(const struct pipeline *p)
{
    struct playback b;
    struct stage_times *times = malloc((size_t)p->stages * sizeof *times);
    for (int s = 0; times && s < p->stages; s++)
        times[s] = (struct stage_times){ 1, 1, 1, 1 };
    const status s = times ? playback_run(&(struct playback_input){ .pipeline = *p, .times = times }, &b) : STATUS_FAILED;
    const double bubble_frac = s == STATUS_OK ? b.bubble_frac : NAN;
    free(times);
    if (s == STATUS_OK)
        playback_free(&b);
    return bubble_frac;
}
