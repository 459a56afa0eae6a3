/* Set-up in gates, then the step. Letters: B samples of a micro-batch. */
#include "bench/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/job.h"
#include "collectives/ordered.h"

/* ---- set-up -------------------------------------------------------------------------------------------------------------- */

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Floats of one micro-batch's activations, and of its parts that layers share. */
struct activations {
    size_t layers, kept, boundary, scratch;
};

static struct activations activations_of(const struct network *net, size_t B)
{
    struct activations a = { .scratch = B * net->scratch_floats };
    for (int i = 0; i < net->count; i++) {
        const struct layer *l = &net->layers[i];
        a.layers += B * (l->out_floats + l->saved_floats);
        a.kept = most(a.kept, B * l->kept_floats);
        a.boundary = most(a.boundary, B * most(l->in_floats, l->out_floats));
    }
    return a;
}

static size_t arena_floats(struct activations a)
{
    return a.layers + a.kept + 2 * a.boundary + a.scratch;
}

/* Bytes of one sample: what the model takes, and its targets. */
static size_t sample_B(const struct network *net)
{
    const size_t length = (size_t)net->shape.length;
    return net->shape.kind == SAMPLE_SYMBOLS ? 2 * length * sizeof(int32_t) : length * sizeof(float) + sizeof(int32_t);
}

struct footprint trainer_footprint(const struct config *c, const struct network *net, int rank, int ranks)
{
    const double params_B = 4.0 * (double)net->params.n;
    const struct gradient_plan g = gradient_plan(c, net->params.n, c->batch.global / c->batch.micro, rank, ranks);
    return (struct footprint){
        .parameters_B = params_B,
        .gradients_B = g.sums_B,
        .optimizer_B = params_B * optimizer_find(c->optimizer.name)->state_arrays,
        .exchange_B = g.error_B + g.codes_B,
        .activations_B = 4.0 * (double)arena_floats(activations_of(net, (size_t)c->batch.micro)),
        .verification_B = c->measure.verify ? 3 * params_B : 0,
        .batch_B = (double)(sample_B(net) * (size_t)c->batch.micro),
    };
}

static float *take(float **arena, size_t n)
{
    float *x = *arena;
    *arena += n;
    return x;
}

static void share_arena(struct trainer *t, struct activations a)
{
    const size_t B = (size_t)t->config->batch.micro;
    float *at = t->arena;
    for (int i = 0; i < t->net.count; i++) {
        t->out[i] = take(&at, B * t->net.layers[i].out_floats);
        t->saved[i] = take(&at, B * t->net.layers[i].saved_floats);
    }
    t->kept = take(&at, a.kept);
    t->dout = take(&at, a.boundary);
    t->din = take(&at, a.boundary);
    t->scratch = take(&at, a.scratch);
}

static status allocate(struct trainer *t)
{
    const size_t n = t->net.params.n, layers = (size_t)t->net.count, B = (size_t)t->config->batch.micro;
    const size_t length = (size_t)t->net.shape.length, rows = B * (size_t)t->net.rows_per_sample;
    const struct activations a = activations_of(&t->net, B);
    t->params = malloc(n * sizeof(float));
    t->state = calloc(n * (size_t)t->optimizer->state_arrays + 1, sizeof(float));
    t->arena = calloc(arena_floats(a), sizeof(float)); /* zero: weight gradients may read what no layer has written yet */
    t->out = calloc(2 * layers, sizeof(float *));
    t->targets = malloc(rows * sizeof(int32_t));
    if (t->net.shape.kind == SAMPLE_SYMBOLS)
        t->symbols = malloc(B * length * sizeof(int32_t));
    else
        t->features = malloc(B * length * sizeof(float));
    t->losses = calloc((size_t)t->leaves, sizeof(float));
    if (!t->params || !t->state || !t->arena || !t->out || !t->targets || !(t->symbols || t->features) || !t->losses)
        return status_fail(STATUS_FAILED, "no memory for training: %zu parameters and %zu floats of activations", n,
                           arena_floats(a));
    t->saved = t->out + layers;
    share_arena(t, a);
    params_initialise(&t->net.params, (uint64_t)t->config->seed, t->params);
    return STATUS_OK;
}

static status load(struct trainer *t)
{
    const struct config *c = t->config;
    TRY(network_open(&t->net, model_find(c->model.name), c->model.options, &shard_whole));
    TRY(data_open(&t->data, dataset_find(c->data.name), c->data.options, c->folder, t->net.shape, (uint64_t)c->seed));
    t->optimizer = optimizer_find(c->optimizer.name);
    return allocate(t);
}

static status plan(struct trainer *t)
{
    const struct config *c = t->config;
    const char *const names[] = { "none", "poll", "thread" };
    enum progress progress = PROGRESS_NONE;
    while (strcmp(names[progress], c->exchange.progress))
        progress++;
    TRY(engine_open(&t->engine, &t->fabric, progress, (size_t)c->exchange.segment_B));
    TRY(gradient_open(&t->gradient, t->engine, c, t->net.params.n, t->leaves, t->fabric.rank, t->fabric.ranks));
    return engine_plan_sum(t->engine, &allreduce_doubling, PURPOSE_LOSS, t->losses, (size_t)t->leaves, &t->loss_sum);
}

status trainer_open(struct trainer *t, const struct config *c, MPI_Comm world)
{
    const int degree[AXIS_COUNT] = { [AXIS_TENSOR] = 1, [AXIS_PIPELINE] = 1, [AXIS_DATA] = (int)c->parallel.data };
    *t = (struct trainer){ .config = c, .samples = (int)c->batch.micro, .leaves = c->batch.global / c->batch.micro };
    grid_open(&t->grid, degree, c->parallel.order, world);
    status s = fabric_open(&t->fabric, fabric_find(c->fabric.name), c->fabric.options, t->grid.along[AXIS_DATA]);
    if (s == STATUS_OK) {
        t->first_leaf = (int64_t)block_start((size_t)t->leaves, t->fabric.ranks, t->fabric.rank);
        t->micro_batches = (int64_t)block_length((size_t)t->leaves, t->fabric.ranks, t->fabric.rank);
        s = status_agree(load(t), world);
    }
    const struct job job = job_of(world);
    if (s == STATUS_OK && !job_same(&job, t->data.hash))
        s = status_fail(STATUS_USAGE, "data.name = \"%s\": the ranks do not read the same data", c->data.name);
    if (s == STATUS_OK)
        s = status_agree(plan(t), world);
    if (s != STATUS_OK)
        trainer_close(t);
    return s;
}

void trainer_close(struct trainer *t)
{
    gradient_close(t->gradient);
    if (t->engine)
        engine_close(t->engine);
    if (t->data.kind)
        data_close(&t->data);
    network_close(&t->net);
    float *const arrays[] = { t->params, t->state, t->arena, t->features, t->losses };
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        free(arrays[i]);
    free(t->out);
    free(t->symbols);
    free(t->targets);
    if (t->fabric.ops)
        fabric_close(&t->fabric);
    grid_close(&t->grid);
    *t = (struct trainer){ 0 };
}

/* ---- one micro-batch ----------------------------------------------------------------------------------------------------- */

static void load_samples(struct trainer *t, int64_t step, int64_t leaf)
{
    const size_t length = (size_t)t->net.shape.length, rows = (size_t)t->net.rows_per_sample;
    const uint64_t first = (uint64_t)(step * t->config->batch.global + leaf * t->config->batch.micro);
    for (size_t i = 0; i < (size_t)t->samples; i++) {
        const struct sample s = {
            .symbols = t->symbols ? t->symbols + i * length : NULL,
            .features = t->features ? t->features + i * length : NULL,
            .targets = t->targets + i * rows,
        };
        t->data.kind->sample(&t->data, first + i, &s);
    }
}

/* The pass of layer i, forward or backward; gradients arrive in dout and leave in din. */
static struct pass pass_of(const struct trainer *t, int i, const float *params)
{
    return (struct pass){
        .samples = t->samples,
        .symbols = t->symbols,
        .features = t->features,
        .targets = t->targets,
        .params = params,
        .in = i ? t->out[i - 1] : t->features,
        .out = t->out[i],
        .saved = t->saved[i],
        .kept = t->kept,
        .dout = t->dout,
        .din = i ? t->din : NULL,
        .scratch = t->scratch,
    };
}

static double forward(struct trainer *t, const float *params)
{
    double loss = 0;
    for (int i = 0; i < t->net.count; i++) {
        const struct layer *l = &t->net.layers[i];
        struct pass p = pass_of(t, i, params);
        l->kind->forward(l, &p);
        loss = p.loss;
        gradient_poll(t->gradient);
    }
    return loss;
}

/* Both gradients of layer i; then its input gradient is the output gradient of the layer before. */
static void backward_layer(struct trainer *t, int i, const float *params, float *grads, float weight)
{
    const struct layer *l = &t->net.layers[i];
    struct pass p = pass_of(t, i, params);
    p.grads = grads;
    p.weight = weight;
    l->kind->input_grad(l, &p);
    gradient_poll(t->gradient);
    l->kind->weight_grad(l, &p);
    gradient_poll(t->gradient);
    float *const used = t->dout;
    t->dout = t->din;
    t->din = used;
}

double trainer_forward(struct trainer *t, int64_t step, int64_t leaf, const float *params)
{
    load_samples(t, step, leaf);
    return forward(t, params);
}

void trainer_backward(struct trainer *t, const float *params, float *grads, float weight)
{
    for (int i = t->net.count - 1; i >= 0; i--)
        backward_layer(t, i, params, grads, weight);
}

/* ---- one step ------------------------------------------------------------------------------------------------------------ */

static float row_weight(const struct trainer *t)
{
    return (float)(1.0 / ((double)t->config->batch.global * t->net.rows_per_sample));
}

static void compute_leaf(struct trainer *t, int64_t step, int64_t micro, struct stopwatch *w)
{
    const int64_t leaf = t->first_leaf + micro;
    const bool last = micro == t->micro_batches - 1;
    stopwatch_switch(w, PHASE_DATA);
    load_samples(t, step, leaf);
    stopwatch_switch(w, PHASE_FORWARD);
    t->losses[leaf] = (float)(forward(t, t->params) / ((double)t->config->batch.global * t->net.rows_per_sample));
    stopwatch_switch(w, PHASE_BACKWARD);
    if (last)
        engine_start(t->engine, t->loss_sum);
    float *grads = gradient_buffer(t->gradient);
    for (int i = t->net.count - 1; i >= 0; i--) {
        backward_layer(t, i, t->params, grads, row_weight(t));
        if (last)
            gradient_ready(t->gradient, i ? t->net.params.slices[t->net.layers[i].first_slice].at : 0, step, w);
    }
    if (!last)
        gradient_done(t->gradient);
}

/* The parameters in `range` take their step; slices that straddle its ends take it in parts, which changes nothing (element-wise).
 */
static void update(struct trainer *t, struct bucket_range range, int64_t step)
{
    const struct params *p = &t->net.params;
    const float *sum = gradient_sum(t->gradient);
    for (int i = 0; i < p->count; i++) {
        const struct slice *s = &p->slices[i];
        const size_t from = most(s->at, range.at), end = range.at + range.n;
        const size_t to = s->at + s->n < end ? s->at + s->n : end;
        if (from < to)
            t->optimizer->step(t->config->optimizer.options, step + 1, t->params + from, sum + from, t->state + from, p->n,
                               s->decays, to - from);
    }
}

/* Every rank has every micro-batch's loss, so every rank adds them in the same order. */
static double wait_for_loss(struct trainer *t, struct stopwatch *w)
{
    stopwatch_switch(w, PHASE_WAIT);
    engine_wait(t->engine, t->loss_sum);
    double loss = 0;
    for (int64_t i = 0; i < t->leaves; i++)
        loss += (double)t->losses[i];
    return loss;
}

double trainer_step(struct trainer *t, int64_t step, struct stopwatch *w)
{
    memset(t->losses, 0, (size_t)t->leaves * sizeof *t->losses);
    gradient_begin(t->gradient);
    for (int64_t micro = 0; micro < t->micro_batches; micro++)
        compute_leaf(t, step, micro, w);
    const double loss = wait_for_loss(t, w);
    for (int b = 0; b < gradient_buckets(t->gradient); b++) {
        const struct bucket_range range = gradient_wait(t->gradient, b, w);
        if (!isfinite(loss))
            continue;
        stopwatch_switch(w, PHASE_OPTIMIZER);
        update(t, range, step);
        gradient_poll(t->gradient);
    }
    return loss;
}
