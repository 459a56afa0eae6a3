/* The coded way: each bucket rides a compressed exchange of its own. With error feedback what is compressed is a = g + decay e, and
 * what travels of it is taken out again: the rest is the new e. */
#include <stdlib.h>
#include <string.h>

#include "bench/gradient_parts.h"
#include "bench/pages.h"
#include "kernels/layers.h"
#include "kernels/optimizer.h"

/* ---- set-up -------------------------------------------------------------------------------------------------------------- */

status coded_allocate(struct gradient *g, const struct gradient_shape *shape)
{
    TRY(gradient_check(g->config, shape, g->rank, g->ranks));
    codec_of(g->config, &g->codec);
    for (int i = 0; i < g->count; i++) {
        const struct exchange_terms t = coded_terms(g->config, &g->codec, shape, i, g->rank, g->ranks);
        TRY(compressed_open(&g->buckets[i].coded, g->engine, coded_exchange(g->config), &t));
    }
    g->error = g->config->exchange.error_feedback ? pages_open(g->n, g->hollow) : NULL;
    if (g->config->exchange.error_feedback && !g->error)
        return status_fail(STATUS_FAILED, "no memory for the error feedback of %zu floats", g->n);
    return STATUS_OK;
}

/* ---- one step ------------------------------------------------------------------------------------------------------------ */

/* What a loss of the last step is worth in this one: in update units, it was worth that step's learning rate. */
static double worth_of_loss(const struct config *c, int64_t step)
{
    const bool in_updates = strcmp(c->exchange.error_units, "update") == 0;
    const void *o = c->optimizer.options;
    return in_updates && step ? optimizer_rate_frac(o, step - 1) / optimizer_rate_frac(o, step) : 1;
}

/* The bucket's gradient, with what was lost of the one before: where it is compressed. */
static float *compensate(struct gradient *g, const struct bucket *b)
{
    const struct config *c = g->config;
    float *x = g->sums + b->place.at;
    if (!g->error)
        return x;
    float *e = g->error + b->place.at;
    const float kept = (float)(c->exchange.error_decay * worth_of_loss(c, g->step));
    if (g->hollow)
        return e;
    if (kept != 1)
        scale(e, kept, b->place.n);
    add(e, x, b->place.n);
    return e;
}

/* What is not finite has no code; the run ends after this step, which everybody takes part in. */
static void check(struct gradient *g, const struct bucket *b, float *vector)
{
    const size_t at = g->hollow ? b->place.n : first_not_finite(vector, b->place.n);
    if (at == b->place.n)
        return;
    g->fault = b->place.at + at;
    memset(vector, 0, b->place.n * sizeof *vector);
}

/* Those that are on their way already may be worked on. */
static void start(struct gradient *g, struct bucket *b, struct stopwatch *w)
{
    const double worked_s = engine_work_s(g->engine);
    compressed_start(b->coded);
    b->travels = true;
    stopwatch_move(w, w->phase, PHASE_DECODE, engine_work_s(g->engine) - worked_s);
}

void coded_start(struct gradient *g, struct bucket *b, struct stopwatch *w)
{
    const enum phase was = stopwatch_switch(w, PHASE_RESIDUAL);
    float *vector = compensate(g, b);
    check(g, b, vector);
    stopwatch_switch(w, PHASE_ENCODE);
    compressed_encode(b->coded, g->step, vector);
    stopwatch_switch(w, PHASE_PACK);
    compressed_pack(b->coded);
    stopwatch_switch(w, PHASE_RESIDUAL);
    compressed_residual(b->coded, BEFORE_START);
    stopwatch_switch(w, was);
    start(g, b, w);
    stopwatch_switch(w, PHASE_RESIDUAL);
    compressed_residual(b->coded, AFTER_START);
    stopwatch_switch(w, was);
}

void coded_wait(struct gradient *g, struct bucket *b, struct stopwatch *w)
{
    if (!b->travels)
        return;
    const enum phase was = stopwatch_switch(w, PHASE_WAIT);
    const double began_s = w->since_s, worked_s = engine_work_s(g->engine);
    compressed_wait(b->coded);
    b->travels = false;
    stopwatch_switch(w, PHASE_RESIDUAL);
    stopwatch_divide_wait(w, began_s, compressed_heard_s(b->coded), engine_work_s(g->engine) - worked_s);
    compressed_residual(b->coded, AFTER_WAIT);
    stopwatch_switch(w, PHASE_DECODE);
    compressed_decode(b->coded, g->sums + b->place.at);
    stopwatch_switch(w, was);
    g->sent.floats += compressed_floats(b->coded);
    g->sent.bits += compressed_logical_bits(b->coded);
    g->sent.B += compressed_code_B(b->coded);
}

size_t gradient_fault(const struct gradient *g)
{
    return g->fault;
}

struct gradient_codes gradient_codes(const struct gradient *g)
{
    return g->sent;
}

/* ---- state --------------------------------------------------------------------------------------------------------------- */

static size_t error_B(const struct gradient *g)
{
    return g->error ? g->n * sizeof(float) : 0;
}

size_t gradient_state_B(const struct gradient *g)
{
    size_t bytes = error_B(g);
    for (int i = 0; g->way == CODED && i < g->count; i++) {
        size_t kept_B;
        compressed_state(g->buckets[i].coded, &kept_B);
        bytes += kept_B;
    }
    return bytes;
}

/* Between the errors, the compressors' memories and one array. */
static void copy_state(const struct gradient *g, unsigned char *state, bool restore)
{
    size_t kept_B = error_B(g);
    void *kept = g->error;
    for (int i = 0;; i++) {
        if (kept_B)
            memcpy(restore ? kept : state, restore ? state : kept, kept_B);
        state += kept_B;
        if (g->way != CODED || i == g->count)
            return;
        kept = compressed_state(g->buckets[i].coded, &kept_B);
    }
}

void gradient_save(const struct gradient *g, void *state)
{
    copy_state(g, state, false);
}

status gradient_restore(struct gradient *g, const void *state, size_t bytes)
{
    const size_t fits = gradient_state_B(g);
    char name[CODEC_NAME_BYTES];
    if (bytes != fits)
        return status_fail(
            STATUS_USAGE,
            "the saved state of exchange.compressor has %zu bytes, but \"%s\" on %zu floats in %d buckets keeps %zu (it "
            "is of another config, layout or rank)",
            bytes, codec_name(g->config, name), g->n, g->count, fits);
    copy_state(g, (unsigned char *)state, true);
    return STATUS_OK;
}
