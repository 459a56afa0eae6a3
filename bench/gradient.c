/* Three ways to the same sum, behind one interface; which one is decided once, in gradient_open.
 *
 * Letters: n floats, K partial sums of the ordered way (its tree_stack's buffers), p ranks.
 */
#include "bench/gradient.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/ordered.h"
#include "kernels/compressor.h"
#include "kernels/layers.h"

struct bucket {
    size_t at, n;
    struct operation *op;
    unsigned char *codes; /* [ranks * code_B] */
    size_t code_B;
};

enum way { FAST, ORDERED, CODED };
enum { BUCKETS_MAX = 1000000 };

struct gradient {
    const struct config *config;
    struct engine *engine;
    enum way way;
    size_t n;
    int rank, ranks;
    float *sums; /* [buffers * n]; the total ends in the first n */
    int buffers;
    struct bucket *buckets;
    int count, started;
    bool zero; /* whether gradient_buffer still has to be cleared */

    struct tree_stack stack; /* ORDERED */
    int64_t first_leaf, micro;
    int merges; /* of the last micro-batch */

    const struct compressor *compressor; /* CODED */
    float *error;                        /* [n]; NULL: no error feedback */
    unsigned char *codes;
    void *scratch;
};

static enum way way_of(const struct config *c)
{
    if (strcmp(c->exchange.compressor.name, "none"))
        return CODED;
    return strcmp(c->exchange.reduction, "tree") ? FAST : ORDERED;
}

static size_t bucket_floats(const struct config *c)
{
    return (size_t)c->exchange.bucket_B / sizeof(float);
}

static int bucket_count(const struct config *c, size_t n)
{
    return (int)((n + bucket_floats(c) - 1) / bucket_floats(c));
}

/* Bucket b, counted from the end of the parameters. */
static struct bucket_range bucket_range(const struct config *c, size_t n, int b)
{
    const size_t size = bucket_floats(c), end = n - (size_t)b * size;
    const size_t at = end > size ? end - size : 0;
    return (struct bucket_range){ at, end - at };
}

static int buffers_of(const struct config *c, int64_t leaves, int rank, int ranks)
{
    if (way_of(c) != ORDERED)
        return 1;
    return tree_buffers(leaves, (int64_t)block_start((size_t)leaves, ranks, rank),
                        (int64_t)block_length((size_t)leaves, ranks, rank));
}

static double bucket_sent_B(const struct config *c, size_t n, int64_t leaves, int rank, int ranks)
{
    switch (way_of(c)) {
    case ORDERED:
        return 4.0 * (double)ordered_sent_floats((size_t)c->exchange.segment_B, ranks, rank, n, leaves);
    case CODED:
        return (double)(ranks - 1) *
               (double)compressor_find(c->exchange.compressor.name)->code_bytes(c->exchange.compressor.options, n);
    case FAST:
        break;
    }
    const struct allreduce *a = allreduce_find(c->exchange.allreduce);
    return a->sent_floats ? 4.0 * (double)engine_sent_floats(a, (size_t)c->exchange.segment_B, ranks, rank, n) : NAN;
}

struct gradient_plan gradient_plan(const struct config *c, size_t n, int64_t leaves, int rank, int ranks)
{
    const enum way way = way_of(c);
    const struct compressor *compressor = compressor_find(c->exchange.compressor.name);
    struct gradient_plan plan = {
        .op = way == CODED ? "allgather" : "allreduce",
        .algorithm = way == CODED     ? "ring"
                     : way == ORDERED ? "ordered"
                                      : c->exchange.allreduce,
        .buckets = bucket_count(c, n),
        .sums_B = 4.0 * (double)n * buffers_of(c, leaves, rank, ranks),
        .error_B = way == CODED && c->exchange.error_feedback ? 4.0 * (double)n : 0,
        .logical_B = way == CODED ? 0 : 4.0 * (double)n,
    };
    for (int b = 0; b < plan.buckets; b++) {
        const size_t size = bucket_range(c, n, b).n;
        plan.sent_B += bucket_sent_B(c, size, leaves, rank, ranks);
        if (way == CODED)
            plan.logical_B += (double)compressor->code_bytes(c->exchange.compressor.options, size);
    }
    plan.codes_B = way == CODED ? plan.logical_B * ranks : 0;
    return plan;
}

/* ---- set-up -------------------------------------------------------------------------------------------------------------- */

static status plan_bucket(struct gradient *g, struct bucket *b, int64_t leaves)
{
    const struct config *c = g->config;
    float *x = g->sums + b->at;
    if (g->way == FAST)
        return engine_plan_sum(g->engine, allreduce_find(c->exchange.allreduce), PURPOSE_GRADIENT, x, b->n, &b->op);
    if (g->way == CODED)
        return engine_plan_gather(g->engine, PURPOSE_GRADIENT, b->codes, b->code_B, &b->op);
    const float *partial[TREE_DEPTH_MAX];
    for (int i = 0; i < g->buffers; i++)
        partial[i] = g->sums + (size_t)i * g->n + b->at;
    return engine_plan_ordered(g->engine, PURPOSE_GRADIENT, partial, x, b->n, leaves, &b->op);
}

static status allocate_coded(struct gradient *g)
{
    const struct compressor *k = compressor_find(g->config->exchange.compressor.name);
    const void *options = g->config->exchange.compressor.options;
    size_t codes_B = 0, scratch_B = 1;
    for (int i = 0; i < g->count; i++) {
        struct bucket *b = &g->buckets[i];
        const char *why = k->refuses ? k->refuses(options, b->n) : NULL;
        if (why)
            return status_fail(STATUS_USAGE, "exchange.compressor.name = \"%s\": %s, in a bucket of %zu floats", k->member.name,
                               why, b->n);
        b->code_B = k->code_bytes(options, b->n);
        codes_B += b->code_B * (size_t)g->ranks;
        if (k->scratch_bytes(options, b->n) > scratch_B)
            scratch_B = k->scratch_bytes(options, b->n);
    }
    g->compressor = k;
    g->codes = malloc(codes_B + 1);
    g->scratch = malloc(scratch_B);
    g->error = g->config->exchange.error_feedback ? calloc(g->n, sizeof(float)) : NULL;
    if (!g->codes || !g->scratch || (g->config->exchange.error_feedback && !g->error))
        return status_fail(STATUS_FAILED, "no memory for %zu bytes of codes and the error feedback of %zu floats", codes_B, g->n);
    unsigned char *at = g->codes;
    for (int i = 0; i < g->count; i++) {
        g->buckets[i].codes = at;
        at += g->buckets[i].code_B * (size_t)g->ranks;
    }
    return STATUS_OK;
}

static status allocate(struct gradient *g, int64_t leaves)
{
    g->buffers = buffers_of(g->config, leaves, g->rank, g->ranks);
    g->sums = calloc((size_t)g->buffers * g->n, sizeof(float));
    g->buckets = calloc((size_t)g->count, sizeof *g->buckets);
    if (!g->sums || !g->buckets)
        return status_fail(STATUS_FAILED, "no memory for %d x %zu floats of gradients", g->buffers, g->n);
    for (int i = 0; i < g->count; i++) {
        const struct bucket_range r = bucket_range(g->config, g->n, i);
        g->buckets[i].at = r.at;
        g->buckets[i].n = r.n;
    }
    if (g->way == CODED)
        TRY(allocate_coded(g));
    for (int i = 0; i < g->count; i++)
        TRY(plan_bucket(g, &g->buckets[i], leaves));
    return STATUS_OK;
}

status gradient_open(struct gradient **out, struct engine *e, const struct config *c, size_t n, int64_t leaves, int rank, int ranks)
{
    struct gradient *g = calloc(1, sizeof *g);
    if (!g)
        return status_fail(STATUS_FAILED, "no memory for the exchange of gradients");
    if (n / bucket_floats(c) >= BUCKETS_MAX) {
        free(g);
        return status_fail(STATUS_USAGE,
                           "exchange.bucket_B = %lld cuts %zu parameters into more than %d buckets (larger ones would fit)",
                           (long long)c->exchange.bucket_B, n, BUCKETS_MAX);
    }
    *g = (struct gradient){
        .config = c, .engine = e, .way = way_of(c), .n = n, .rank = rank, .ranks = ranks, .count = bucket_count(c, n)
    };
    g->stack.leaves = leaves;
    g->first_leaf = (int64_t)block_start((size_t)leaves, ranks, rank);
    const status s = allocate(g, leaves);
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
    free(g->sums);
    free(g->buckets);
    free(g->error);
    free(g->codes);
    free(g->scratch);
    free(g);
}

/* ---- one step ------------------------------------------------------------------------------------------------------------ */

void gradient_begin(struct gradient *g)
{
    g->stack.depth = 0;
    g->micro = 0;
    g->started = 0;
    g->zero = true;
}

float *gradient_buffer(struct gradient *g)
{
    float *x = g->sums + (g->way == ORDERED ? (size_t)g->stack.depth * g->n : 0);
    if (g->zero)
        memset(x, 0, g->n * sizeof *x);
    g->zero = g->way == ORDERED;
    return x;
}

/* Folds the micro-batch just computed into the tree; returns how many additions that takes, topmost buffer first. */
static int push_leaf(struct gradient *g)
{
    return tree_push(&g->stack, (struct tree_node){ 0, g->first_leaf + g->micro++ });
}

/* After `merges` merges the stack is `depth` high: buffer depth + merges - 1 is added to the one below it, and so on down. */
static void merge(struct gradient *g, size_t at, size_t n, int merges)
{
    for (int top = g->stack.depth + merges - 1; top >= g->stack.depth; top--)
        add(g->sums + (size_t)(top - 1) * g->n + at, g->sums + (size_t)top * g->n + at, n);
}

void gradient_done(struct gradient *g)
{
    if (g->way == ORDERED)
        merge(g, 0, g->n, push_leaf(g));
}

static void encode(struct gradient *g, const struct bucket *b, int bucket, int64_t step)
{
    const void *options = g->config->exchange.compressor.options;
    const struct random r = { (uint64_t)g->config->seed, RANDOM_COMPRESSOR + ((uint32_t)bucket << 8), (uint32_t)g->rank,
                              (uint32_t)step };
    unsigned char *code = b->codes + (size_t)g->rank * b->code_B;
    float *x = g->sums + b->at;
    if (g->error) {
        add(g->error + b->at, x, b->n);
        x = g->error + b->at;
    }
    g->compressor->encode(options, &r, x, b->n, code, g->scratch);
    if (g->error)
        g->compressor->decode_subtract(options, code, x, b->n);
}

static void start_bucket(struct gradient *g, int i, int64_t step, struct stopwatch *w)
{
    struct bucket *b = &g->buckets[i];
    if (g->way == ORDERED)
        merge(g, b->at, b->n, g->merges);
    if (g->way == CODED) {
        const enum phase was = stopwatch_switch(w, PHASE_ENCODE);
        encode(g, b, i, step);
        stopwatch_switch(w, was);
    }
    engine_start(g->engine, b->op);
}

void gradient_ready(struct gradient *g, size_t from, int64_t step, struct stopwatch *w)
{
    if (!g->config->exchange.overlap && from > 0)
        return;
    while (g->started < g->count && g->buckets[g->started].at >= from) {
        if (g->started == 0 && g->way == ORDERED)
            g->merges = push_leaf(g);
        start_bucket(g, g->started++, step, w);
    }
}

void gradient_poll(struct gradient *g)
{
    if (g->started)
        engine_poll(g->engine);
}

int gradient_buckets(const struct gradient *g)
{
    return g->count;
}

const float *gradient_sum(const struct gradient *g)
{
    return g->sums;
}

struct bucket_range gradient_wait(struct gradient *g, int i, struct stopwatch *w)
{
    const struct bucket *b = &g->buckets[i];
    const enum phase was = stopwatch_switch(w, PHASE_WAIT);
    engine_wait(g->engine, b->op);
    if (g->way == CODED) {
        stopwatch_switch(w, PHASE_DECODE);
        float *x = g->sums + b->at;
        memset(x, 0, b->n * sizeof *x);
        for (int r = 0; r < g->ranks; r++)
            g->compressor->decode_add(g->config->exchange.compressor.options, b->codes + (size_t)r * b->code_B, x, b->n);
    }
    stopwatch_switch(w, was);
    return (struct bucket_range){ b->at, b->n };
}

double gradient_alone_s(struct gradient *g, struct fabric *clock)
{
    const double start_s = fabric_now_s(clock);
    for (int i = 0; i < g->count; i++)
        engine_start(g->engine, g->buckets[i].op);
    for (int i = 0; i < g->count; i++)
        engine_wait(g->engine, g->buckets[i].op);
    return fabric_now_s(clock) - start_s;
}
