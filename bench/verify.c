/* Two directions for each slice. Along its own gradient a wrong factor shows most, because the derivative is the gradient's whole
 * length. But a gradient that is missing has no direction: so also along random signs, where every coordinate counts.
 */
#include "bench/verify.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "kernels/random.h"

enum { SAMPLES = 2 };  /* of the micro-batch, at most: the check costs eight forward passes a slice */
enum { ATTEMPTS = 4 }; /* on other samples each, because of relu */

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
    float *gradient;
    float *moved;      /* parameters away from the current ones */
    float *direction;  /* of one slice */
    double rows, loss; /* of the samples used, and their mean */
    int64_t step;      /* whose samples are used */
};

static double length(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* Mean loss with slice s moved by h along c->direction. */
static double loss_at(const struct check *c, const struct slice *s, double h)
{
    for (size_t j = 0; j < s->n; j++)
        c->moved[s->at + j] = (float)((double)c->t->params[s->at + j] + h * (double)c->direction[j]);
    const double loss = trainer_forward(c->t, c->step, 0, c->moved) / c->rows;
    memcpy(c->moved + s->at, c->t->params + s->at, s->n * sizeof(float));
    return loss;
}

/* The difference quotient along c->direction. */
static double quotient(const struct check *c, const struct slice *s, double h)
{
    const double near = loss_at(c, s, h) - loss_at(c, s, -h), far = loss_at(c, s, 2 * h) - loss_at(c, s, -2 * h);
    return (8 * near - far) / (12 * h);
}

/* A kink of relu between the steps spoils a difference quotient, but hardly one of smaller steps (or else, of other samples); a
 * wrong gradient spoils all. The error is relative to `scale`, or to what can be seen at all. */
static double least_error(const struct check *c, const struct slice *s, double expected, double scale, double h, double roundings)
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

static double error_along_gradient(const struct check *c, const struct slice *s, double norm)
{
    for (size_t j = 0; j < s->n; j++)
        c->direction[j] = (float)((double)c->gradient[s->at + j] / norm);
    return least_error(c, s, norm, norm, fmin(RELATIVE_CHANGE * c->loss / norm, MOVE_MAX * sqrt((double)s->n)), 1);
}

static double error_along_signs(const struct check *c, const struct slice *s, double norm)
{
    const struct random r = { (uint64_t)c->t->config->seed, RANDOM_CHECK, (uint32_t)s->at, 0 };
    double expected = 0;
    random_uniform(&r, c->direction, s->n);
    for (size_t j = 0; j < s->n; j++) {
        c->direction[j] = c->direction[j] < 0.5F ? -1 : 1;
        expected += (double)c->gradient[s->at + j] * (double)c->direction[j];
    }
    const double h = fmin(fmax(SIGN_MOVE, SIGN_MOVE * SIGN_LENGTH / norm), SIGN_MOVE_MAX);
    return least_error(c, s, expected, norm, h, SIGN_ROUNDINGS);
}

static double slice_error(const struct check *c, const struct slice *s)
{
    const double norm = length(c->gradient + s->at, s->n), signs = error_along_signs(c, s, norm);
    const double along = norm > 0 ? error_along_gradient(c, s, norm) : 0;
    return signs > along ? signs : along;
}

static double worst_slice(struct check *c, int share, int shares)
{
    struct trainer *t = c->t;
    double worst = 0;
    memset(c->gradient, 0, t->net.params.n * sizeof *c->gradient);
    c->loss = trainer_forward(t, c->step, 0, t->params) / c->rows;
    trainer_backward(t, t->params, c->gradient, (float)(1 / c->rows));
    for (int i = share; i < t->net.params.count; i += shares) {
        const double error = slice_error(c, &t->net.params.slices[i]);
        if (!(error <= worst)) /* also when it is not a number */
            worst = error;
    }
    return worst;
}

status verify_gradients(struct trainer *t, int share, int shares, double *worst)
{
    const size_t n = t->net.params.n;
    const int samples = t->samples;
    float *room = calloc(3 * n, sizeof *room);
    if (!room)
        return status_fail(STATUS_FAILED,
                           "no memory for verifying the gradients of %zu parameters; measure.verify=false does without", n);
    t->samples = samples < SAMPLES ? samples : SAMPLES;
    struct check c = { .t = t, .gradient = room, .moved = room + n, .direction = room + 2 * n };
    c.rows = (double)t->samples * t->net.rows_per_sample;
    memcpy(c.moved, t->params, n * sizeof *room);
    *worst = INFINITY;
    for (c.step = 0; c.step < ATTEMPTS && !(*worst <= GRADIENT_TOLERANCE / 2); c.step++)
        *worst = fmin(*worst, worst_slice(&c, share, shares));
    t->samples = samples;
    free(room);
    return STATUS_OK;
}

bool verify_finite(const struct trainer *t)
{
    bool finite = true;
    for (size_t i = 0; i < t->net.params.n; i++)
        finite &= isfinite(t->params[i]) != 0;
    return finite;
}

uint64_t verify_parameter_hash(const struct trainer *t)
{
    return XXH3_64bits(t->params, t->net.params.n * sizeof(float));
}
