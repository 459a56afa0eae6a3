/* Two directions for each slice. Along its own gradient a wrong factor shows most, because the derivative is the gradient's whole
 * length. But a gradient that is missing has no direction: so also along random signs, where every coordinate counts.
 *
 * All ranks of a replica walk through the same slices together, position by position; those that do not hold a slice only help to
 * compute the loss. What they decide by is the same number on all of them.
 */
#include "bench/verify.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bench/batch.h"
#include "bench/footprint.h"
#include "collectives/job.h"
#include "kernels/random.h"

enum { ATTEMPTS = 16 }; /* on other samples each, because of relu */

/* How far to move along the gradient: the loss should change by this fraction of itself, far above the rounding of a float sum, */
#define RELATIVE_CHANGE 2e-3
/* but no parameter by much more than this (root mean square), which is what initial weights are like. */
#define MOVE_MAX 0.02
/* How far to move each parameter of a slice along random signs, if its gradient is of this length; less steep slices further. */
#define SIGN_MOVE     0.004
#define SIGN_MOVE_MAX 0.05
#define SIGN_LENGTH   0.05
/* What the mean of float losses is uncertain by, relative to itself; a derivative below this / h cannot be seen. */
#define ROUNDING 0x1p-24
/* Along signs the derivative is as small as one coordinate's; below this many roundings nothing can be said. */
#define SIGN_ROUNDINGS 1000
/* Where smaller steps need not be tried. */
#define GOOD_ENOUGH 1e-3

struct check {
    struct trainer *t;
    struct job replica;
    float *kept;      /* of the slice in hand, its own values */
    float *direction; /* of that slice */
    int samples;
    double rows, loss; /* of the samples used, and their mean */
    int64_t step;      /* whose samples are used */
};

/* A slice as seen from this rank; part NULL: others hold it. */
struct subject {
    struct part *part;
    const struct slice *slice;
    bool counts; /* among the tensor ranks that hold all of it, one does */
};

static double sum_over_replica(const struct check *c, double mine)
{
    return job_sum(&c->replica, mine);
}

/* Product of the slice's gradient with another array (NULL: itself), over all that hold a share of it. */
static double dot_gradient(const struct check *c, const struct subject *s, const float *other)
{
    double sum = 0;
    for (size_t j = 0; s->part && s->counts && j < s->slice->n; j++) {
        const double g = (double)s->part->checked[s->slice->at + j];
        sum += g * (other ? (double)other[j] : g);
    }
    return sum_over_replica(c, sum);
}

/* Mean loss with the slice moved by h along c->direction. */
static double loss_at(const struct check *c, const struct subject *s, double h)
{
    float *x = s->part ? s->part->params + s->slice->at : NULL;
    const size_t n = s->part ? s->slice->n : 0;
    for (size_t j = 0; j < n; j++)
        x[j] = (float)((double)c->kept[j] + h * (double)c->direction[j]);
    const double loss = trainer_check(c->t, c->step, c->samples, false, 0) / c->rows;
    if (n)
        memcpy(x, c->kept, n * sizeof *x);
    return loss;
}

/* The difference quotient along c->direction. */
static double quotient(const struct check *c, const struct subject *s, double h)
{
    const double near = loss_at(c, s, h) - loss_at(c, s, -h), far = loss_at(c, s, 2 * h) - loss_at(c, s, -2 * h);
    return (8 * near - far) / (12 * h);
}

/* A kink of relu between the steps spoils a difference quotient, but hardly one of smaller steps (or else, of other samples); a
 * wrong gradient spoils all. The error is relative to `scale`, or to what can be seen at all. */
static double least_error(const struct check *c, const struct subject *s, double expected, double scale, double h, double roundings)
{
    const double visible = fmax(scale, roundings * ROUNDING * c->loss / h);
    double least = INFINITY;
    for (int smaller = 1; smaller <= 64 && least > GOOD_ENOUGH; smaller *= 4) {
        const double got = quotient(c, s, h / smaller), error = fabs(got - expected) / fmax(visible, fabs(got));
        if (!(error >= least)) /* also when it is not a number: then it stays so */
            least = error;
    }
    return least;
}

static double error_along_gradient(const struct check *c, const struct subject *s, double norm, double n)
{
    for (size_t j = 0; s->part && j < s->slice->n; j++)
        c->direction[j] = (float)((double)s->part->checked[s->slice->at + j] / norm);
    return least_error(c, s, norm, norm, fmin(RELATIVE_CHANGE * c->loss / norm, MOVE_MAX * sqrt(n)), 1);
}

/* The same signs wherever the same numbers are; others for other samples. */
static void draw_signs(const struct check *c, const struct subject *s)
{
    const uint32_t share = slice_is_whole(s->slice) ? 0 : (uint32_t)c->t->plan.at[AXIS_TENSOR];
    const uint32_t draw = (uint32_t)c->step * (uint32_t)c->t->plan.degree[AXIS_TENSOR] + share;
    const struct random r = { (uint64_t)c->t->config->seed, RANDOM_CHECK, (uint32_t)s->slice->index, draw };
    random_uniform(&r, c->direction, s->slice->n);
    for (size_t j = 0; j < s->slice->n; j++)
        c->direction[j] = c->direction[j] < 0.5F ? -1 : 1;
}

static double error_along_signs(const struct check *c, const struct subject *s, double norm)
{
    if (s->part)
        draw_signs(c, s);
    const double expected = dot_gradient(c, s, c->direction);
    const double h = fmin(fmax(SIGN_MOVE, SIGN_MOVE * SIGN_LENGTH / norm), SIGN_MOVE_MAX);
    return least_error(c, s, expected, norm, h, SIGN_ROUNDINGS);
}

static double slice_error(const struct check *c, const struct subject *s)
{
    if (s->part)
        memcpy(c->kept, s->part->params + s->slice->at, s->slice->n * sizeof(float));
    const double n = sum_over_replica(c, s->part && s->counts ? (double)s->slice->n : 0);
    const double norm = sqrt(dot_gradient(c, s, NULL)), signs = error_along_signs(c, s, norm);
    const double along = norm > 0 ? error_along_gradient(c, s, norm, n) : 0;
    return signs > along ? signs : along;
}

/* ---- the walk ------------------------------------------------------------------------------------------------------------ */

/* This rank's part at a position of the route that is checked. */
static struct part *part_at(struct trainer *t, int position)
{
    for (int i = 0; i < t->check.count / 2; i++)
        if (t->parts[i].plan->position == position)
            return &t->parts[i];
    return NULL;
}

static struct subject subject_of(struct trainer *t, struct part *part, int i)
{
    const struct slice *s = part ? &part->plan->net.params.slices[i] : NULL;
    return (struct subject){ part, s, part && (!slice_is_whole(s) || t->plan.at[AXIS_TENSOR] == 0) };
}

/* Slices of a position, as all ranks of the replica must know it. */
static int slices_at(const struct check *c, const struct part *part)
{
    return (int)job_max(&c->replica, part ? part->plan->net.params.count : 0);
}

/* A kink of relu may spoil one attempt, and by luck random signs may not see a small gradient that is missing: so what fails once
 * must succeed twice. */
struct opinion {
    double least, second; /* errors; second is what counts: that of the first attempt if it was good, else the second smallest */
};

static bool is_good(double error)
{
    return error <= GRADIENT_TOLERANCE / 2;
}

static void judge(struct opinion *o, double error, bool first)
{
    const double e = isnan(error) ? INFINITY : error;
    o->second = !first ? fmin(o->second, fmax(o->least, e)) : is_good(e) ? e : INFINITY;
    o->least = first ? e : fmin(o->least, e);
}

/* One attempt, on the samples of step c->step, at the slices of this replica that are not yet found good. */
static void attempt(struct check *c, struct opinion *opinions)
{
    struct trainer *t = c->t;
    const int replicas = t->plan.degree[AXIS_DATA];
    for (int i = 0; i < t->plan.count; i++)
        memset(t->parts[i].checked, 0, t->parts[i].plan->net.params.n * sizeof(float));
    c->loss = trainer_check(t, c->step, c->samples, true, (float)(1 / c->rows)) / c->rows;
    for (int position = 0, dealt = 0; position < pipeline_positions(&t->plan.pipeline); position++) {
        struct part *part = part_at(t, position);
        const int count = slices_at(c, part);
        for (int i = 0; i < count; i++, dealt++) {
            if (dealt % replicas != t->plan.at[AXIS_DATA] || (c->step > 0 && is_good(opinions[dealt].second)))
                continue;
            const struct subject s = subject_of(t, part, i);
            judge(&opinions[dealt], slice_error(c, &s), c->step == 0);
        }
    }
}

static double worst_of(const struct opinion *opinions, int count)
{
    double worst = 0;
    for (int i = 0; i < count; i++)
        worst = fmax(worst, opinions[i].second);
    return worst;
}

/* ---- memory -------------------------------------------------------------------------------------------------------------- */

static size_t largest_slice(const struct trainer *t)
{
    size_t most = 1;
    for (int i = 0; i < t->plan.count; i++)
        for (int k = 0; k < t->plan.parts[i].net.params.count; k++)
            if (t->plan.parts[i].net.params.slices[k].n > most)
                most = t->plan.parts[i].net.params.slices[k].n;
    return most;
}

static int slices_in_all(const struct trainer *t)
{
    const struct job world = job_of(t->grid.world);
    int last = 0;
    for (int c = 0; c < t->plan.count; c++)
        for (int i = 0; i < t->plan.parts[c].net.params.count; i++)
            if (t->plan.parts[c].net.params.slices[i].index > last)
                last = t->plan.parts[c].net.params.slices[i].index;
    return 1 + (int)job_max(&world, last);
}

/* All parameters are here while they are moved; gradients go where nothing is exchanged. */
static status prepare(struct trainer *t, float **room, struct opinion **opinions, int count)
{
    const size_t most = largest_slice(t);
    *room = malloc(2 * most * sizeof **room);
    *opinions = calloc((size_t)count, sizeof **opinions);
    bool all = *room && *opinions;
    for (int i = 0; i < t->plan.count; i++) {
        t->parts[i].checked = malloc(t->parts[i].plan->net.params.n * sizeof(float) + 1);
        all = all && t->parts[i].checked;
    }
    return all ? STATUS_OK : status_fail(STATUS_FAILED, "no memory for verifying the gradients; measure.verify=false does without");
}

static void hold_all(struct trainer *t, bool hold)
{
    struct stopwatch ignored;
    stopwatch_start(&ignored, t->clock, PHASE_WAIT);
    for (int i = 0; i < t->plan.count; i++) {
        const struct range all = { 0, t->parts[i].plan->net.params.n };
        if (hold)
            gradient_hold(t->parts[i].gradient, all, &ignored);
        else
            gradient_release(t->parts[i].gradient, all);
    }
}

status verify_gradients(struct trainer *t, double *worst)
{
    float *room = NULL;
    struct opinion *opinions = NULL;
    const int count = slices_in_all(t) + 1; /* a tied matrix may be there twice */
    const status s = status_agree(prepare(t, &room, &opinions, count), t->grid.world);
    if (s == STATUS_OK) {
        struct check c = { .t = t, .replica = job_of(t->replica), .kept = room, .direction = room + largest_slice(t) };
        c.samples = batch_samples(t->config, 0) < VERIFIED_SAMPLES ? batch_samples(t->config, 0) : VERIFIED_SAMPLES;
        c.rows = (double)c.samples * t->plan.parts[0].net.rows_per_sample;
        hold_all(t, true);
        for (c.step = 0, *worst = INFINITY; c.step < ATTEMPTS && !is_good(*worst); c.step++) {
            attempt(&c, opinions);
            *worst = worst_of(opinions, count);
        }
        hold_all(t, false);
    }
    for (int i = 0; i < t->plan.count; i++) {
        free(t->parts[i].checked);
        t->parts[i].checked = NULL;
    }
    free(room);
    free(opinions);
    return s;
}

/* ---- parameters ---------------------------------------------------------------------------------------------------------- */

bool verify_finite(const struct trainer *t)
{
    bool finite = true;
    for (int c = 0; c < t->plan.count; c++)
        for (int b = 0; b < gradient_buckets(t->parts[c].gradient); b++)
            for (size_t i = 0; i < gradient_pieces(t->parts[c].gradient, b); i++) {
                const struct gradient_piece piece = gradient_piece(t->parts[c].gradient, b, i);
                for (size_t j = 0; j < piece.n; j++)
                    finite &= isfinite(piece.params[j]) != 0;
            }
    return finite;
}

/* What ranks say of each share of each slice: the greatest hash, and the greatest inverted one. Who does not hold it says nothing,
 * 0; where all say the same, one is the other's inverse. */
struct claims {
    uint64_t *hash, *inverted;
    int shares;
};

static void claim(struct claims *c, const struct slice *s, int share, uint64_t hash)
{
    const int i = s->index * c->shares + (slice_is_whole(s) ? 0 : share);
    if (hash > c->hash[i])
        c->hash[i] = hash;
    if (~hash > c->inverted[i])
        c->inverted[i] = ~hash;
}

static void claim_part(struct claims *c, const struct trainer *t, const struct part *part)
{
    const struct params *p = &part->plan->net.params;
    for (int i = 0; i < p->count; i++) {
        const struct slice *s = &p->slices[i];
        claim(c, s, t->plan.at[AXIS_TENSOR], XXH3_64bits(part->params + s->at, s->n * sizeof(float)));
    }
}

status verify_parameters(struct trainer *t, uint64_t *hash, bool *identical)
{
    const struct job world = job_of(t->grid.world);
    struct claims c = { .shares = t->plan.degree[AXIS_TENSOR] };
    const size_t n = (size_t)slices_in_all(t) * (size_t)c.shares;
    c.hash = calloc(2 * n, sizeof *c.hash);
    const status s =
        status_agree(c.hash ? STATUS_OK : status_fail(STATUS_FAILED, "no memory to compare %zu slices", n), world.world);
    if (s == STATUS_OK) {
        c.inverted = c.hash + n;
        hold_all(t, true);
        for (int i = 0; i < t->plan.count; i++)
            claim_part(&c, t, &t->parts[i]);
        hold_all(t, false);
        job_most(&world, c.hash, 2 * n);
        *identical = true;
        for (size_t i = 0; i < n; i++)
            *identical &= c.hash[i] == ~c.inverted[i] || c.hash[i] == c.inverted[i]; /* the latter: both 0, nobody holds it */
        *hash = XXH3_64bits(c.hash, n * sizeof *c.hash);
    }
    free(c.hash);
    return s;
}
