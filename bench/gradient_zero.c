/* ZeRO: each rank updates its own pieces of the parameters only. A piece is what a reduce-scatter leaves on the rank, one for each
 * segment of a bucket; a rank's pieces lie one after the other in arrays of own_n floats: optimizer state, in stages 2 and 3 their
 * gradients, in stage 3 the parameters themselves.
 *
 *   stages 2, 3   a bucket of a micro-batch's gradient -> reduce-scatter -> own pieces added up -> the rest dropped
 *   stage 3       own pieces -> allgather -> a bucket of parameters, while it is held -> dropped
 *
 * Source: Rajbhandari, Rasley, Ruwase, He, "ZeRO: memory optimizations toward training trillion parameter models", SC 2020. Here
 * the pieces lie in every bucket, not one after the other in the model.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/gradient_parts.h"
#include "bench/pages.h"
#include "kernels/layers.h"

/* The i-th own piece of bucket b, and where it lies in arrays of own pieces. */
static struct range piece_of(const struct bucket *b, size_t i, size_t *own_at)
{
    struct range r = operation_piece(b->gather, i);
    r.at += b->place.at;
    *own_at = b->own_at + i * operation_piece(b->gather, 0).n;
    return r;
}

status zero_allocate(struct gradient *g, const struct gradient_shape *shape)
{
    g->own_n = 0;
    for (struct bucket *b = g->buckets; b < g->buckets + g->count; b++) {
        b->own_at = g->own_n;
        b->own_n = operation_owned_elements(b->gather);
        g->own_n += b->own_n;
    }
    if (exchanges_leaves(g->config)) {
        g->own_sums = own_accumulator(g->config, shape, g->own_n, g->ranks);
        g->own_sums.buffers = pages_open((size_t)g->own_sums.count * g->own_n, g->hollow);
        g->own_params = g->zero == 3 ? pages_open(g->own_n, g->hollow) : NULL;
        if (!g->own_sums.buffers || (g->zero == 3 && !g->own_params))
            return status_fail(STATUS_FAILED, "no memory for this rank's %zu parameters", g->own_n);
    }
    return STATUS_OK;
}

/* ---- gradients --------------------------------------------------------------------------------------------------------------- */

static void add_up(struct gradient *g, const struct bucket *b)
{
    for (size_t i = 0; i < operation_pieces(b->gather); i++) {
        size_t own_at;
        const struct range r = piece_of(b, i, &own_at);
        if (g->own_fresh)
            memcpy(g->own_top + own_at, g->sums + r.at, r.n * sizeof(float));
        else
            add(g->own_top + own_at, g->sums + r.at, r.n);
    }
    accumulator_merge(&g->own_sums, (struct range){ b->own_at, b->own_n });
}

static void collect(struct gradient *g, const struct bucket *b)
{
    engine_wait(g->engine, b->op);
    if (!g->hollow)
        add_up(g, b);
    zero_drop(g, g->sums, b->place);
}

void zero_drop(const struct gradient *g, float *x, struct range range)
{
    if (!g->hollow)
        pages_drop(x + range.at, range.n);
}

void zero_collect(struct gradient *g, int in_flight, struct stopwatch *w)
{
    const enum phase was = stopwatch_switch(w, PHASE_WAIT);
    while (g->started - g->collected > in_flight)
        collect(g, &g->buckets[g->collected++]);
    stopwatch_switch(w, was);
}

/* ---- pieces ------------------------------------------------------------------------------------------------------------------ */

size_t gradient_state_floats(const struct gradient *g)
{
    return g->own_n;
}

size_t gradient_pieces(const struct gradient *g, int b)
{
    return g->zero ? operation_pieces(g->buckets[b].gather) : 1;
}

struct gradient_piece gradient_piece(const struct gradient *g, int b, size_t i)
{
    size_t own_at = g->buckets[b].place.at;
    const struct range r = g->zero ? piece_of(&g->buckets[b], i, &own_at) : g->buckets[b].place;
    return (struct gradient_piece){
        .at = r.at,
        .n = r.n,
        .params = g->zero == 3 ? g->own_params + own_at : g->params + r.at,
        .sum = g->zero >= 2 ? g->own_sums.buffers + own_at : g->sums + r.at,
        .state_at = own_at,
    };
}

/* ---- parameters -------------------------------------------------------------------------------------------------------------- */

void gradient_publish(struct gradient *g, int b)
{
    if (g->zero == 1 || g->zero == 2)
        engine_start(g->engine, g->buckets[b].gather);
}

void gradient_finish(struct gradient *g, struct stopwatch *w)
{
    const enum phase was = stopwatch_switch(w, PHASE_WAIT);
    for (int b = 0; g->zero && b < g->count; b++)
        engine_wait(g->engine, g->buckets[b].gather);
    stopwatch_switch(w, was);
}

/* Own pieces that meet the range, from the parameters to where they are kept. */
static void keep_own(struct gradient *g, const struct bucket *b, struct range range)
{
    for (size_t i = 0; i < operation_pieces(b->gather); i++) {
        size_t own_at;
        const struct range r = piece_of(b, i, &own_at);
        const size_t from = r.at > range.at ? r.at : range.at;
        const size_t to = r.at + r.n < range.at + range.n ? r.at + r.n : range.at + range.n;
        if (from < to)
            memcpy(g->own_params + own_at + (from - r.at), g->params + from, (to - from) * sizeof(float));
    }
}

static void restore_own(struct gradient *g, const struct bucket *b)
{
    for (size_t i = 0; !g->hollow && i < operation_pieces(b->gather); i++) {
        size_t own_at;
        const struct range r = piece_of(b, i, &own_at);
        memcpy(g->params + r.at, g->own_params + own_at, r.n * sizeof(float));
    }
}

/* The buckets that meet a range, none if it is empty or the parameters are always present. */
static void buckets_at(const struct gradient *g, struct range range, struct bucket **first, struct bucket **end)
{
    const size_t size = g->count ? g->buckets[0].place.n : 1;
    *first = *end = g->buckets;
    if (g->zero == 3 && range.n > 0) {
        *first += (g->n - range.at - range.n) / size;
        *end += (g->n - 1 - range.at) / size + 1;
    }
}

void gradient_adopt(struct gradient *g, struct range range)
{
    struct bucket *first, *end;
    buckets_at(g, range, &first, &end);
    if (first == end)
        return;
    for (struct bucket *b = first; b < end; b++)
        keep_own(g, b, range);
    zero_drop(g, g->params, range);
}

void gradient_hold(struct gradient *g, struct range range, struct stopwatch *w)
{
    struct bucket *first, *end;
    buckets_at(g, range, &first, &end);
    if (first == end)
        return;
    const enum phase was = stopwatch_switch(w, PHASE_WAIT);
    for (struct bucket *b = first; b < end; b++)
        if (b->holds++ == 0) {
            restore_own(g, b);
            engine_start(g->engine, b->gather);
        }
    for (struct bucket *b = first; b < end; b++)
        engine_wait(g->engine, b->gather);
    stopwatch_switch(w, was);
}

void gradient_release(struct gradient *g, struct range range)
{
    struct bucket *first, *end;
    buckets_at(g, range, &first, &end);
    for (struct bucket *b = first; b < end; b++)
        if (--b->holds == 0)
            zero_drop(g, g->params, b->place);
}

void zero_play_parameters(struct gradient *g, int times)
{
    for (int i = 0; i < times * g->count; i++) {
        struct bucket *b = &g->buckets[i % g->count];
        if (g->zero == 3)
            restore_own(g, b);
        engine_start(g->engine, b->gather);
        engine_wait(g->engine, b->gather);
        if (g->zero == 3)
            zero_drop(g, g->params, b->place);
    }
}
