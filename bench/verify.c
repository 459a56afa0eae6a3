/* Differences along each slice's own gradient: the direction in which a wrong factor or a forgotten term shows most. */
#include "bench/verify.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { SAMPLES = 2 }; /* of the micro-batch, at most: the check costs four forward passes a slice */

/* How far to move: the loss should change by this fraction of itself, far above the rounding of a float sum, */
#define RELATIVE_CHANGE 2e-3
/* but no parameter by much more than this (root mean square), which is what initial weights are like. */
#define MOVE_MAX 0.02
/* What the mean of float losses is uncertain by, relative to itself; a derivative below this / h cannot be seen. */
#define ROUNDING 0x1p-24

/* Where smaller steps need not be tried. */
#define GOOD_ENOUGH 1e-3

struct check {
    struct trainer *t;
    float *gradient;
    float *moved; /* parameters away from the current ones */
    double rows;  /* of the samples used */
};

static double length(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* Mean loss with slice s moved by h along its gradient, which is `norm` long. */
static double loss_at(const struct check *c, const struct slice *s, double norm, double h)
{
    for (size_t j = s->at; j < s->at + s->n; j++)
        c->moved[j] = (float)((double)c->t->params[j] + h * (double)c->gradient[j] / norm);
    const double loss = trainer_forward(c->t, 0, 0, c->moved) / c->rows;
    memcpy(c->moved + s->at, c->t->params + s->at, s->n * sizeof(float));
    return loss;
}

/* Relative error of the slice's derivative, from steps of size h. */
static double error_at(const struct check *c, const struct slice *s, double expected, double loss, double h)
{
    const double near = loss_at(c, s, expected, h) - loss_at(c, s, expected, -h);
    const double far = loss_at(c, s, expected, 2 * h) - loss_at(c, s, expected, -2 * h);
    return fabs((8 * near - far) / (12 * h) - expected) / fmax(expected, ROUNDING * loss / h);
}

/* A kink of relu between the steps spoils a difference quotient, but not one of smaller steps; a wrong gradient spoils all. */
static double slice_error(const struct check *c, const struct slice *s, double loss)
{
    const double expected = length(c->gradient + s->at, s->n);
    if (expected == 0)
        return 0;
    const double h = fmin(RELATIVE_CHANGE * loss / expected, MOVE_MAX * sqrt((double)s->n));
    double error = error_at(c, s, expected, loss, h);
    for (int smaller = 4; smaller <= 64 && error > GOOD_ENOUGH; smaller *= 4)
        error = fmin(error, error_at(c, s, expected, loss, h / smaller));
    return error;
}

static double worst_slice(const struct check *c, int share, int shares)
{
    struct trainer *t = c->t;
    double worst = 0;
    const double loss = trainer_forward(t, 0, 0, t->params) / c->rows;
    trainer_backward(t, t->params, c->gradient, (float)(1 / c->rows));
    for (int i = share; i < t->net.params.count; i += shares) {
        const double error = slice_error(c, &t->net.params.slices[i], loss);
        if (!(error <= worst)) /* also when it is not a number */
            worst = error;
    }
    return worst;
}

double verify_gradients(struct trainer *t, int share, int shares)
{
    const size_t n = t->net.params.n;
    const int samples = t->samples;
    float *gradient = calloc(n, sizeof *gradient), *moved = malloc(n * sizeof *moved);
    double worst = NAN;
    if (gradient && moved) {
        t->samples = samples < SAMPLES ? samples : SAMPLES;
        const struct check c = { t, gradient, moved, (double)t->samples * t->net.rows_per_sample };
        memcpy(moved, t->params, n * sizeof *moved);
        worst = worst_slice(&c, share, shares);
        t->samples = samples;
    }
    free(gradient);
    free(moved);
    return worst;
}

uint64_t verify_parameter_hash(const struct trainer *t)
{
    return XXH3_64bits(t->params, t->net.params.n * sizeof(float));
}
