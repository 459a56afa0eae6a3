/* Set-up, and the way of a micro-batch's gradient into the buckets. Letters: n floats, p ranks. */
#include "bench/gradient.h"

#include <stdlib.h>
#include <string.h>

#include "bench/gradient_choice.h"
#include "bench/gradient_parts.h"
#include "bench/pages.h"
#include "bench/places.h"

enum { BUCKETS_MAX = 1000000 };

/* ---- set-up ------------------------------------------------------------------------------------------------------------------ */

static status plan_ordered(struct gradient *g, struct bucket *b, const struct leaf_owners *o)
{
    const enum sum_part part = g->zero ? SUM_REDUCE_SCATTER : SUM_ALLREDUCE;
    float *x = g->sums + b->place.at;
    const float *partial[TREE_DEPTH_MAX];
    for (int i = 0; i < g->local.count; i++)
        partial[i] = x + (size_t)i * g->n;
    TRY(engine_plan_ordered(g->engine, part, PURPOSE_GRADIENT, partial, x, b->place.n, o, &b->op));
    if (g->zero)
        TRY(engine_plan_ordered(g->engine, SUM_ALLGATHER, PURPOSE_PARAMETERS, NULL, g->params + b->place.at, b->place.n, o,
                                &b->gather));
    return STATUS_OK;
}

static const struct allreduce *algorithm_of(const struct gradient *g, const struct bucket *b)
{
    return gradient_allreduce(g->config, places_replicas(g->config, g->ranks), b->place.n);
}

static status plan_gather(struct gradient *g, struct bucket *b)
{
    const struct allreduce *a = algorithm_of(g, b);
    return engine_plan_part(g->engine, SUM_ALLGATHER, a, PURPOSE_PARAMETERS, g->params + b->place.at, b->place.n, &b->gather);
}

static status plan_fast(struct gradient *g, struct bucket *b)
{
    const struct allreduce *a = algorithm_of(g, b);
    const enum sum_part part = g->zero ? SUM_REDUCE_SCATTER : SUM_ALLREDUCE;
    TRY(engine_plan_part(g->engine, part, a, PURPOSE_GRADIENT, g->sums + b->place.at, b->place.n, &b->op));
    return g->zero ? plan_gather(g, b) : STATUS_OK;
}

/* Beside the codes, planned already. */
static status plan_dense(struct gradient *g, struct bucket *b)
{
    const struct allreduce *a = algorithm_of(g, b);
    TRY(engine_plan_sum(g->engine, a, PURPOSE_GRADIENT, g->sums + b->place.at, b->place.n, &b->op));
    return g->zero ? plan_gather(g, b) : STATUS_OK;
}

static status plan_bucket(struct gradient *g, struct bucket *b, const struct gradient_shape *shape)
{
    const struct leaf_owners o = exchanged_leaves(g->config, shape, g->ranks);
    switch (g->way) {
    case FAST:
        return plan_fast(g, b);
    case ORDERED:
        return plan_ordered(g, b, &o);
    case CODED:
        break;
    }
    return plan_dense(g, b);
}

static status allocate(struct gradient *g, const struct gradient_shape *shape)
{
    g->sums = pages_open((size_t)g->local.count * g->n, g->hollow);
    g->buckets = calloc((size_t)g->count + 1, sizeof *g->buckets);
    if (!g->sums || !g->buckets)
        return status_fail(STATUS_FAILED, "no memory for %d x %zu floats of gradients", g->local.count, g->n);
    g->local.buffers = g->sums;
    for (int i = 0; i < g->count; i++)
        g->buckets[i].place = bucket_place(g->config, shape, i);
    if (g->way == CODED)
        TRY(coded_allocate(g, shape));
    for (int i = 0; i < g->count; i++)
        TRY(plan_bucket(g, &g->buckets[i], shape));
    return g->zero ? zero_allocate(g, shape) : STATUS_OK;
}

status gradient_open(struct gradient **out, struct engine *e, const struct config *c, const struct gradient_shape *shape,
                     float *params)
{
    const struct fabric *f = engine_fabric(e);
    if (shape->n / ((size_t)c->exchange.bucket_B / sizeof(float)) >= BUCKETS_MAX)
        return status_fail(STATUS_USAGE,
                           "exchange.bucket_B = %lld cuts %zu parameters into more than %d buckets (larger ones would fit)",
                           (long long)c->exchange.bucket_B, shape->n, BUCKETS_MAX);
    struct gradient *g = calloc(1, sizeof *g);
    if (!g)
        return status_fail(STATUS_FAILED, "no memory for the exchange of gradients");
    *g = (struct gradient){
        .config = c,
        .engine = e,
        .way = way_of(c),
        .zero = c->parallel.zero,
        .n = shape->n,
        .rank = f->rank,
        .ranks = f->ranks,
        .hollow = f->setup.hollow,
        .part = shape->part,
        .own_leaves = own_leaves(shape, f->rank, f->ranks),
        .params = params,
        .local = local_accumulator(c, shape, f->rank, f->ranks),
        .count = bucket_count(c, shape),
        .own_n = shape->n,
    };
    const status s = allocate(g, shape);
    if (s == STATUS_OK)
        *out = g;
    else
        gradient_close(g);
    return s;
}

void gradient_close(struct gradient *g)
{
    if (!g)
        return;
    pages_close(g->sums, (size_t)g->local.count * g->n);
    for (int i = 0; g->buckets && i < g->count; i++)
        compressed_close(g->buckets[i].coded);
    free(g->buckets);
    pages_close(g->own_sums.buffers, (size_t)g->own_sums.count * g->own_n);
    pages_close(g->own_params, g->own_n);
    pages_close(g->error, g->n);
    free(g);
}

/* ---- one step ---------------------------------------------------------------------------------------------------------------- */

void gradient_begin(struct gradient *g, int64_t step)
{
    g->step = step;
    g->begun = 0;
    g->started = g->collected = 0;
    g->fault = g->n;
    accumulator_begin(&g->local);
    accumulator_begin(&g->own_sums);
}

float *gradient_leaf(struct gradient *g, int64_t leaf, struct stopwatch *w)
{
    g->begun++;
    g->complete = g->n;
    if (exchanges_leaves(g->config)) {
        zero_collect(g, 0, w);
        g->started = g->collected = 0;
        g->own_top = accumulator_leaf(&g->own_sums, leaf / g->ranks, &g->own_fresh);
        return g->sums; /* zero: collecting has left it so */
    }
    bool fresh;
    float *x = accumulator_leaf(&g->local, leaf, &fresh);
    if (fresh && !g->hollow)
        memset(x, 0, g->n * sizeof *x);
    return x;
}

static void start_bucket(struct gradient *g, int b, struct stopwatch *w)
{
    if (g->way == CODED)
        coded_start(g, &g->buckets[b], w);
    else
        engine_start(g->engine, g->buckets[b].op);
}

void gradient_ready(struct gradient *g, size_t from, struct stopwatch *w)
{
    const bool each = exchanges_leaves(g->config);
    if (!each && !g->hollow)
        accumulator_merge(&g->local, (struct range){ from, g->complete - from });
    g->complete = from;
    if (!each && (g->begun < g->own_leaves || (from > 0 && !g->config->exchange.overlap)))
        return;
    while (g->started < g->count && g->buckets[g->started].place.at >= from) {
        start_bucket(g, g->started++, w);
        if (each)
            zero_collect(g, buckets_in_flight(g->config), w);
    }
}

void gradient_poll(struct gradient *g, struct stopwatch *w)
{
    const double worked_s = engine_work_s(g->engine);
    engine_poll(g->engine);
    stopwatch_move(w, w->phase, PHASE_DECODE, engine_work_s(g->engine) - worked_s);
}

int gradient_buckets(const struct gradient *g)
{
    return g->count;
}

static void sum_wait(struct gradient *g, struct bucket *b, struct stopwatch *w)
{
    const enum phase was = stopwatch_switch(w, PHASE_WAIT);
    const double began_s = w->since_s;
    engine_wait(g->engine, b->op);
    stopwatch_switch(w, was);
    stopwatch_divide_wait(w, began_s, operation_heard_s(b->op), 0);
}

struct range gradient_wait(struct gradient *g, int i, struct stopwatch *w)
{
    struct bucket *b = &g->buckets[i];
    if (g->way == CODED)
        coded_wait(g, b, w);
    else if (exchanges_leaves(g->config))
        zero_collect(g, g->count - 1 - i, w);
    else
        sum_wait(g, b, w);
    return b->place;
}

/* Codes are those of the last step. */
static void play_start(struct gradient *g, const struct bucket *b, bool coded)
{
    if (coded) {
        compressed_again(b->coded);
        compressed_start(b->coded);
    } else {
        engine_start(g->engine, b->op);
    }
}

static void play_wait(struct gradient *g, const struct bucket *b, bool coded)
{
    if (coded)
        compressed_wait(b->coded);
    else
        engine_wait(g->engine, b->op);
}

/* The buckets of one exchange, some at a time where the memory of a bucket is given back after it. */
static void play_buckets(struct gradient *g, bool coded)
{
    const bool each = exchanges_leaves(g->config);
    const int in_flight = each ? buckets_in_flight(g->config) : g->count;
    for (int b = 0; b < g->count + in_flight; b++) {
        const struct bucket *last = b < in_flight ? NULL : &g->buckets[b - in_flight];
        if (b < g->count)
            play_start(g, &g->buckets[b], coded);
        if (last)
            play_wait(g, last, coded);
        if (last && each)
            zero_drop(g, g->sums, last->place);
    }
}

static double alone_s(struct gradient *g, struct fabric *clock, bool coded)
{
    const double start_s = fabric_now_s(clock), worked_s = engine_work_s(g->engine);
    for (int64_t i = 0; i < (exchanges_leaves(g->config) ? g->own_leaves : 1); i++) {
        if (g->zero == 3)
            zero_play_parameters(g, 2);
        play_buckets(g, coded);
    }
    if (g->zero == 1 || g->zero == 2)
        zero_play_parameters(g, 1);
    return fabric_now_s(clock) - start_s - (engine_work_s(g->engine) - worked_s);
}

double gradient_alone_s(struct gradient *g, struct fabric *clock)
{
    return alone_s(g, clock, g->way == CODED);
}

double gradient_dense_alone_s(struct gradient *g, struct fabric *clock)
{
    return alone_s(g, clock, false);
}
