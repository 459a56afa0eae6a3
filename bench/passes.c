/* One small function per kind of task. A flight says what is kept of a micro-batch; whoever needs it last gives it back. */
#include "bench/passes.h"

#include "bench/batch.h"

/* ---- samples ------------------------------------------------------------------------------------------------------------- */

/* Micro-batch `micro` of this replica among all of the global batch; verification has one, the first. */
static int64_t leaf_of(const void *who, int micro)
{
    const struct work *work = who;
    const struct trainer *t = work->trainer;
    const struct gradient_shape blocks = { .leaves = t->plan.leaves };
    return work->samples ? 0 : gradient_own_leaf(t->config, &blocks, t->plan.at[AXIS_DATA], t->plan.degree[AXIS_DATA], micro);
}

static int samples_of(const void *who, int micro)
{
    const struct work *work = who;
    return work->samples ? work->samples : batch_samples(work->trainer->config, leaf_of(work, micro));
}

static bool computes_loss(const struct work *work, const struct part *part)
{
    return part_is_last(&work->trainer->plan, part->plan);
}

/* A micro-batch's samples, where the part reads them: at either end of the route. */
static void load_samples(struct work *work, const struct part *part, int micro, const struct graph *g)
{
    const struct trainer *t = work->trainer;
    const struct network *net = &part->plan->net;
    if (t->setup.hollow || (!part_is_first(part->plan) && !computes_loss(work, part)))
        return;
    const size_t length = (size_t)net->shape.length, rows = (size_t)net->rows_per_sample;
    const uint64_t first = (uint64_t)(work->step * t->config->batch.global + batch_first_sample(t->config, leaf_of(work, micro)));
    const enum phase was = stopwatch_switch(work->w, PHASE_DATA);
    for (size_t i = 0; i < (size_t)samples_of(work, micro); i++) {
        const struct sample s = {
            .symbols = g->symbols ? g->symbols + i * length : NULL,
            .features = g->features ? g->features + i * length : NULL,
            .targets = g->targets + i * rows,
        };
        t->data.kind->sample(&t->data, first + i, &s);
    }
    stopwatch_switch(work->w, was);
}

/* ---- one layer ----------------------------------------------------------------------------------------------------------- */

static float *last_or(const struct part *part, int i, float *message, float *own)
{
    return i == part->plan->net.count - 1 && message ? message : own;
}

static struct pass pass_of(struct work *work, const struct part *part, int micro, int i)
{
    const struct flight *f = &part->flights[micro];
    const struct graph *g = f->graph;
    return (struct pass){
        .samples = samples_of(work, micro),
        .symbols = g->symbols,
        .features = g->features,
        .targets = g->targets,
        .tensor = work->trainer->plan.degree[AXIS_TENSOR] > 1 ? &work->trainer->tensor : NULL,
        .params = part->params,
        .in = i                           ? g->out[i - 1]
              : part_is_first(part->plan) ? g->features
                                          : f->in,
        .out = last_or(part, i, f->out, g->out[i]),
        .saved = g->saved[i],
        .scratch = part->stash.scratch,
        .weight = work->weight,
    };
}

static void add_gradients(struct pass *p, const struct part *part, int micro, int i, float *din)
{
    const struct flight *f = &part->flights[micro];
    p->kept = f->gradients->kept[i];
    p->dout = last_or(part, i, f->dout, f->gradients->dout[i]);
    p->din = i ? f->gradients->dout[i - 1] : din;
}

/* What is on its way gets a chance to move between layers. */
static void poll(const struct trainer *t, struct stopwatch *w)
{
    for (int c = 0; c < t->plan.count; c++)
        gradient_poll(t->parts[c].gradient, w);
    if (t->plan.pipeline.stages > 1) /* the last stage is done first, and should not have to wait for its loss to be taken */
        engine_poll(t->engines[GROUP_WORLD]);
    links_poll(t->links);
}

/* The calls of a layer, with what they have to do, and what they exchange. */
enum call { CALL_FORWARD, CALL_INPUT_GRAD, CALL_WEIGHT_GRAD };

static bool is_charged(const struct trainer *t)
{
    return t->charge.flop_per_s > 0 && !t->compute->forward_s;
}

static void compute(struct trainer *t, const struct layer *l, enum call call, struct pass *p)
{
    void (*const calls[])(const struct layer *, struct pass *) = { l->kind->forward, l->kind->input_grad, l->kind->weight_grad };
    if (!t->setup.hollow)
        calls[call](l, p);
    else if (call != CALL_WEIGHT_GRAD)
        tensor_play(p->tensor, l, call == CALL_FORWARD ? TENSOR_FORWARD : TENSOR_BACKWARD, p->samples, p->scratch);
}

/* What a layer's call takes, as it is charged in virtual time; 0: nothing is. */
static double charged_s(const struct trainer *t, const struct layer *l, enum call call, int samples)
{
    const double flop[] = { l->flop_forward, l->flop_input_grad, l->flop_weight_grad };
    return is_charged(t) ? flop[call] * samples / t->charge.flop_per_s : 0;
}

/* As it is stated: its share of a full micro-batch and of a split layer. */
static double stated_s(const struct trainer *t, const struct layer *l, enum call call, int samples)
{
    double (*const s)(const void *) = call == CALL_FORWARD ? t->compute->forward_s : t->compute->gradient_s;
    return s && l->repeated ? s(t->config->compute.options) * samples / t->plan.samples / t->plan.degree[AXIS_TENSOR] : 0;
}

/* Calls a layer, which takes the time that is charged or stated for it; a straggler takes as many times as long. Verification is
 * not timed. */
static void run_layer(struct work *work, const struct layer *l, enum call call, struct pass *p)
{
    struct trainer *t = work->trainer;
    const double stated = stated_s(t, l, call, p->samples);
    if (work->samples || (stated == 0 && (is_charged(t) || t->slowdown == 1))) {
        fabric_sleep(t->clock, work->samples ? 0 : charged_s(t, l, call, p->samples));
        compute(t, l, call, p);
    } else {
        const double began_s = fabric_now_s(t->clock);
        compute(t, l, call, p);
        const double took_s = fabric_now_s(t->clock) - began_s;
        fabric_sleep(t->clock, t->slowdown * (stated > 0 ? stated : took_s) - took_s);
    }
    poll(t, work->w);
}

/* With ZeRO 3 a layer's parameters are here only while it needs them. A pass lets a layer go when it has the next one, because a
 * bucket may have some of both; before the first layer and behind the last there is none. */
static void hold_layer(const struct work *work, const struct part *part, int i)
{
    struct range own, shared;
    part_layer_ranges(&part->plan->net, i, &own, &shared);
    gradient_hold(part->gradient, own, work->w);
    gradient_hold(part->gradient, shared, work->w);
}

static void release_layer(const struct part *part, int i)
{
    if (i < 0 || i >= part->plan->net.count)
        return;
    struct range own, shared;
    part_layer_ranges(&part->plan->net, i, &own, &shared);
    gradient_release(part->gradient, own);
    gradient_release(part->gradient, shared);
}

/* ---- forward ------------------------------------------------------------------------------------------------------------- */

/* All layers of a part; returns the sum over the rows of the loss, if it ends in one. */
static double run_layers(struct work *work, const struct part *part, int micro)
{
    double loss = 0;
    for (int i = 0; i < part->plan->net.count; i++) {
        const struct layer *l = &part->plan->net.layers[i];
        struct pass p = pass_of(work, part, micro, i);
        hold_layer(work, part, i);
        release_layer(part, i - 1);
        run_layer(work, l, CALL_FORWARD, &p);
        loss = p.loss;
    }
    release_layer(part, part->plan->net.count - 1);
    return loss;
}

static void take_graph(struct work *work, struct part *part, int micro)
{
    struct flight *f = &part->flights[micro];
    f->graph = stash_take_graph(&part->stash);
    f->out = computes_loss(work, part) ? NULL : links_take(work->trainer->links);
    load_samples(work, part, micro, f->graph);
}

/* Every rank has all losses at the end, because each is zero everywhere but here. Tensor ranks have the same; one says it. */
static void record_loss(struct work *work, int micro, double loss)
{
    struct trainer *t = work->trainer;
    const struct network *net = &t->plan.parts[0].net;
    work->loss = loss;
    if (work->samples)
        return;
    if (t->plan.at[AXIS_TENSOR] == 0)
        t->losses[leaf_of(work, micro)] = (float)(loss / ((double)t->config->batch.global * net->rows_per_sample));
    if (--work->forwards_left == 0)
        engine_start(t->engines[GROUP_WORLD], t->loss_sum);
}

static void run_forward(struct work *work, struct part *part, int chunk, int micro)
{
    struct links *links = work->trainer->links;
    struct flight *f = &part->flights[micro];
    const bool dropped = !work->samples && part->plan->recomputes[micro];
    if (!part_is_first(part->plan))
        f->in = links_receive(links, TO_NEXT, chunk, micro, work->w);
    stopwatch_switch(work->w, PHASE_FORWARD);
    take_graph(work, part, micro);
    const double loss = run_layers(work, part, micro);
    if (computes_loss(work, part))
        record_loss(work, micro, loss);
    else
        links_send(links, TO_NEXT, chunk, micro, f->out, dropped, work->w);
    if (dropped) {
        stash_return_graph(&part->stash, f->graph);
        f->graph = NULL;
        f->out = NULL;
    }
}

static void run_recompute(struct work *work, struct part *part, int micro)
{
    stopwatch_switch(work->w, PHASE_RECOMPUTE);
    take_graph(work, part, micro);
    run_layers(work, part, micro);
}

/* ---- backward ------------------------------------------------------------------------------------------------------------ */

static void take_gradient(struct work *work, struct part *part, int chunk, int micro)
{
    struct flight *f = &part->flights[micro];
    if (!computes_loss(work, part))
        f->dout = links_receive(work->trainer->links, TO_PREVIOUS, chunk, micro, work->w);
    f->gradients = stash_take_gradients(&part->stash);
    stopwatch_switch(work->w, PHASE_BACKWARD);
}

/* The input gradient of layer i; `sent` is where that of the first layer goes. */
static void input_grad(struct work *work, struct part *part, int micro, int i, float *sent)
{
    const struct layer *l = &part->plan->net.layers[i];
    struct pass p = pass_of(work, part, micro, i);
    add_gradients(&p, part, micro, i, sent);
    run_layer(work, l, CALL_INPUT_GRAD, &p);
}

static float *take_sent(struct work *work, const struct part *part)
{
    return part_is_first(part->plan) ? NULL : links_take(work->trainer->links);
}

/* To the stage before, when the task is done: a schedule whose backward passes are whole means them so. */
static void send_gradient(struct work *work, const struct part *part, int chunk, int micro, float *sent)
{
    if (!part_is_first(part->plan))
        links_send(work->trainer->links, TO_PREVIOUS, chunk, micro, sent, true, work->w);
}

static void weight_grad(struct work *work, struct part *part, int micro, int i, float *grads)
{
    const struct network *net = &part->plan->net;
    const struct layer *l = &net->layers[i];
    struct pass p = pass_of(work, part, micro, i);
    add_gradients(&p, part, micro, i, NULL);
    p.grads = grads;
    run_layer(work, l, CALL_WEIGHT_GRAD, &p);
    if (!part->checked)
        gradient_ready(part->gradient, i ? net->params.slices[l->first_slice].at : 0, work->w);
}

static float *gradients_go(struct work *work, struct part *part, int micro)
{
    return part->checked ? part->checked : gradient_leaf(part->gradient, leaf_of(work, micro), work->w);
}

static void end_flight(struct work *work, struct part *part, int micro)
{
    struct links *links = work->trainer->links;
    struct flight *f = &part->flights[micro];
    links_return(links, f->in);
    links_return(links, f->out);
    links_return(links, f->dout);
    stash_return_graph(&part->stash, f->graph);
    stash_return_gradients(&part->stash, f->gradients);
    *f = (struct flight){ 0 };
}

static void run_backward(struct work *work, struct part *part, int chunk, int micro)
{
    take_gradient(work, part, chunk, micro);
    float *grads = gradients_go(work, part, micro), *sent = take_sent(work, part);
    for (int i = part->plan->net.count - 1; i >= 0; i--) {
        hold_layer(work, part, i);
        release_layer(part, i + 1);
        input_grad(work, part, micro, i, sent);
        weight_grad(work, part, micro, i, grads);
    }
    release_layer(part, 0);
    send_gradient(work, part, chunk, micro, sent);
    end_flight(work, part, micro);
}

static void run_input_grad(struct work *work, struct part *part, int chunk, int micro)
{
    take_gradient(work, part, chunk, micro);
    float *sent = take_sent(work, part);
    for (int i = part->plan->net.count - 1; i >= 0; i--) {
        hold_layer(work, part, i);
        release_layer(part, i + 1);
        input_grad(work, part, micro, i, sent);
    }
    release_layer(part, 0);
    send_gradient(work, part, chunk, micro, sent);
}

static void run_weight_grad(struct work *work, struct part *part, int micro)
{
    stopwatch_switch(work->w, PHASE_WEIGHT);
    float *grads = gradients_go(work, part, micro);
    for (int i = part->plan->net.count - 1; i >= 0; i--)
        weight_grad(work, part, micro, i, grads);
    end_flight(work, part, micro);
}

/* ---- a list -------------------------------------------------------------------------------------------------------------- */

static void run_task(struct work *work, const struct task *task)
{
    struct part *part = &work->trainer->parts[task->chunk];
    switch (task->kind) {
    case TASK_FORWARD:
        run_forward(work, part, task->chunk, task->micro);
        break;
    case TASK_RECOMPUTE:
        run_recompute(work, part, task->micro);
        break;
    case TASK_BACKWARD:
        run_backward(work, part, task->chunk, task->micro);
        break;
    case TASK_INPUT_GRAD:
        run_input_grad(work, part, task->chunk, task->micro);
        break;
    case TASK_WEIGHT_GRAD:
        run_weight_grad(work, part, task->micro);
        break;
    }
}

void passes_forget(struct work *work, const struct task_list *tasks)
{
    for (int i = 0; i < tasks->count; i++)
        end_flight(work, &work->trainer->parts[tasks->tasks[i].chunk], tasks->tasks[i].micro);
}

/* The next forward pass from task i on; the list's end: none. */
static int next_forward(const struct task_list *tasks, int i)
{
    while (i < tasks->count && tasks->tasks[i].kind != TASK_FORWARD)
        i++;
    return i;
}

/* Where the gradient that a recomputation prepares for is not there yet, the next forward passes go first. Only forward passes
 * move, and they keep their order, so messages do too; where neither is there, whichever comes first decides. Source: Athlur et al.
 * 2022 (Varuna), its run-time scheduler. */
static void run_reordering(struct work *work, const struct task_list *tasks)
{
    struct links *links = work->trainer->links;
    int forward = next_forward(tasks, 0); /* the first that has not run; those before it have */
    for (int i = 0; i < tasks->count; i++) {
        const struct task *task = &tasks->tasks[i];
        if (task->kind == TASK_FORWARD) {
            if (i < forward)
                continue;
            forward = next_forward(tasks, i + 1);
        }
        while (task->kind == TASK_RECOMPUTE && forward < tasks->count && !links_has_arrived(links, TO_PREVIOUS)) {
            if (!links_has_arrived(links, TO_NEXT)) {
                links_wait_for_either(links, work->w);
                continue;
            }
            run_task(work, &tasks->tasks[forward]);
            forward = next_forward(tasks, forward + 1);
        }
        run_task(work, task);
    }
}

void passes_run(struct work *work, const struct task_list *tasks)
{
    struct trainer *t = work->trainer;
    const struct pipeline *p = &t->plan.pipeline;
    links_begin(t->links, tasks, &(const struct links_batch){ samples_of, leaf_of, work, work->step, .coded = !work->samples });
    if (!work->samples && pipeline_reorders(p))
        run_reordering(work, tasks);
    else
        for (int i = 0; i < tasks->count; i++) {
            links_advance(t->links, i);
            run_task(work, &tasks->tasks[i]);
        }
    links_finish(t->links, work->w);
}
