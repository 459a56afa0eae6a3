/* A walk over the pieces that this rank updates, cut at the borders of slices; done for what need not wait, then for the rest. */
#include "bench/update.h"

#include <stdlib.h>
#include <string.h>

#include "bench/pages.h"
#include "kernels/layers.h"

/* ---- the walk ------------------------------------------------------------------------------------------------------------ */

/* A stretch of one slice within one piece. */
struct stretch {
    const struct slice *slice;
    float *params, *sum, *state;
    size_t at, n; /* of the slice */
};

struct walk {
    struct trainer *trainer;
    int64_t step;
};

typedef bool choose(const struct part *part, int slice);
typedef void visit(struct walk *walk, struct part *part, const struct stretch *s, choose *chosen);

static bool is_tied(const struct part *part, int slice)
{
    const struct tied_slice *t = &part->plan->tied;
    return slice == t->original || slice == t->copy;
}

static bool is_partial(const struct part *part, int slice)
{
    return part->plan->net.params.slices[slice].partial;
}

static bool waits(const struct part *part, int slice)
{
    return is_tied(part, slice) || is_partial(part, slice);
}

static bool does_not_wait(const struct part *part, int slice)
{
    return !waits(part, slice);
}

static void walk_piece(struct walk *walk, struct part *part, const struct gradient_piece *piece, choose *chosen, visit *visitor)
{
    const struct params *p = &part->plan->net.params;
    for (int i = 0; i < p->count; i++) {
        const struct slice *s = &p->slices[i];
        const size_t from = s->at > piece->at ? s->at : piece->at, end = piece->at + piece->n;
        const size_t to = s->at + s->n < end ? s->at + s->n : end;
        if (from >= to || !chosen(part, i))
            continue;
        const size_t skipped = from - piece->at;
        const struct stretch stretch = {
            s, piece->params + skipped, piece->sum + skipped, part->state + piece->state_at + skipped, from - s->at, to - from
        };
        visitor(walk, part, &stretch, chosen);
    }
}

static void walk_bucket(struct walk *walk, struct part *part, int bucket, choose *chosen, visit *visitor)
{
    for (size_t i = 0; !walk->trainer->setup.hollow && i < gradient_pieces(part->gradient, bucket); i++) {
        const struct gradient_piece piece = gradient_piece(part->gradient, bucket, i);
        walk_piece(walk, part, &piece, chosen, visitor);
    }
}

static void walk_all(struct walk *walk, choose *chosen, visit *visitor)
{
    struct trainer *t = walk->trainer;
    for (int c = 0; c < t->plan.count; c++)
        for (int b = 0; b < gradient_buckets(t->parts[c].gradient); b++)
            walk_bucket(walk, &t->parts[c], b, chosen, visitor);
}

/* ---- visitors ------------------------------------------------------------------------------------------------------------ */

static void take_step(struct walk *walk, struct part *part, const struct stretch *s, choose *chosen)
{
    (void)chosen;
    const struct trainer *t = walk->trainer;
    t->optimizer->step(t->config->optimizer.options, walk->step + 1, s->params, s->sum, s->state,
                       gradient_state_floats(part->gradient), s->slice->decays, s->n);
}

/* Where a stretch is in the array of what waits: slice after slice in the model's order, whatever the buckets and chunks, as
 * another rank may have others. */
static float *place(struct walk *walk, const struct stretch *s, choose *chosen)
{
    struct trainer *t = walk->trainer;
    float *at = t->waiting + s->at;
    for (int c = 0; c < t->plan.count; c++) {
        const struct part *before = update_part(t, c);
        for (int i = 0; i < before->plan->net.params.count; i++) {
            const struct slice *slice = &before->plan->net.params.slices[i];
            if (slice == s->slice)
                return at;
            at += chosen(before, i) ? slice->n : 0;
        }
    }
    return at;
}

static void pack(struct walk *walk, struct part *part, const struct stretch *s, choose *chosen)
{
    (void)part;
    memcpy(place(walk, s, chosen), s->sum, s->n * sizeof *s->sum);
}

static void unpack(struct walk *walk, struct part *part, const struct stretch *s, choose *chosen)
{
    (void)part;
    memcpy(s->sum, place(walk, s, chosen), s->n * sizeof *s->sum);
}

/* ---- what waits ---------------------------------------------------------------------------------------------------------- */

static size_t chosen_floats(const struct trainer *t, choose *chosen)
{
    size_t n = 0;
    for (int c = 0; c < t->plan.count; c++)
        for (int i = 0; i < t->plan.parts[c].net.params.count; i++)
            n += chosen(&t->parts[c], i) ? t->plan.parts[c].net.params.slices[i].n : 0;
    return n;
}

status update_plan(struct trainer *t)
{
    const size_t most = assignment_waiting(t->config, &t->plan), tied = chosen_floats(t, is_tied);
    t->waiting = pages_open(most, t->setup.hollow);
    if (!t->waiting)
        return status_fail(STATUS_FAILED, "no memory for %zu floats of gradients", most);
    if (!t->engines[GROUP_TIED])
        return STATUS_OK;
    return engine_plan_sum(t->engines[GROUP_TIED], &allreduce_ring, PURPOSE_TIED, t->waiting, tied, &t->tied_sum);
}

void update_close(struct trainer *t)
{
    if (t->waiting)
        pages_close(t->waiting, assignment_waiting(t->config, &t->plan));
}

/* With ZeRO this rank has pieces only, and zeros for the rest. */
static void bring_together(struct walk *walk, choose *chosen, size_t n)
{
    struct trainer *t = walk->trainer;
    if (!t->setup.hollow)
        memset(t->waiting, 0, n * sizeof *t->waiting);
    walk_all(walk, chosen, pack);
}

/* The gradients of a tied matrix's two copies: brought together, and added where both are here. Besides zeros two numbers are
 * added, so their order does not matter. */
static void add_tied(struct trainer *t, struct stopwatch *w)
{
    const size_t all = chosen_floats(t, is_tied), n = assignment_tied(t->config, &t->plan).n;
    struct walk walk = { .trainer = t };
    if (all == 0)
        return;
    bring_together(&walk, is_tied, all);
    if (t->tied_sum) {
        stopwatch_switch(w, PHASE_WAIT);
        engine_start(t->engines[GROUP_TIED], t->tied_sum);
        engine_wait(t->engines[GROUP_TIED], t->tied_sum);
        stopwatch_switch(w, PHASE_OPTIMIZER);
    }
    if (all > n && !t->setup.hollow) {
        add(t->waiting, t->waiting + n, n);
        memcpy(t->waiting + n, t->waiting, n * sizeof *t->waiting);
    }
    walk_all(&walk, is_tied, unpack);
}

static void add_partial(struct trainer *t)
{
    const size_t n = chosen_floats(t, is_partial);
    struct walk walk = { .trainer = t };
    if (n == 0)
        return;
    bring_together(&walk, is_partial, n);
    tensor_sum_partial(&t->tensor, t->waiting, n);
    walk_all(&walk, is_partial, unpack);
}

/* ---- the end of a step --------------------------------------------------------------------------------------------------- */

struct part *update_part(struct trainer *t, int i)
{
    const bool descending = t->plan.count > 1 && t->plan.parts[0].position > t->plan.parts[1].position;
    return &t->parts[descending ? t->plan.count - 1 - i : i];
}

static void publish_all(struct trainer *t)
{
    for (int i = 0; i < t->plan.count; i++) {
        struct gradient *g = update_part(t, i)->gradient;
        for (int b = 0; b < gradient_buckets(g); b++)
            gradient_publish(g, b);
    }
}

void update_parameters(struct trainer *t, int64_t step, bool finite, struct stopwatch *w)
{
    struct walk walk = { .trainer = t, .step = step };
    const bool some_wait = chosen_floats(t, waits) > 0;
    for (int i = 0; i < t->plan.count; i++) {
        struct part *part = update_part(t, i);
        for (int b = 0; b < gradient_buckets(part->gradient); b++) {
            gradient_wait(part->gradient, b, w);
            stopwatch_switch(w, PHASE_OPTIMIZER);
            if (finite)
                walk_bucket(&walk, part, b, does_not_wait, take_step);
            if (finite && !some_wait)
                gradient_publish(part->gradient, b);
            gradient_poll(part->gradient, w);
        }
    }
    if (!finite)
        return;
    if (some_wait) {
        add_tied(t, w);
        add_partial(t);
        walk_all(&walk, waits, take_step);
        publish_all(t);
    }
    for (int i = 0; i < t->plan.count; i++)
        gradient_finish(update_part(t, i)->gradient, w);
}
