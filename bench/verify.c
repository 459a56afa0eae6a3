/* Differences along each layer's own gradient: the direction in which a wrong factor or a forgotten term shows most. */
#include "bench/verify.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* By how much the loss should change at distance h, as a fraction of itself: far above the rounding of a float sum (1e-7), small
 * enough for the fourth-order formula. */
#define RELATIVE_CHANGE 2e-3

struct check {
    struct trainer *t;
    const float *gradient;
    float *moved; /* parameters away from the current ones */
    double rows;  /* of the micro-batch */
};

static double length(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* Mean loss with layer l moved by h along its direction. */
static double loss_at(const struct check *c, const struct layer *l, double h)
{
    const struct params *p = &c->t->net.params;
    for (int i = l->first_slice; i < l->first_slice + l->slices; i++) {
        const struct slice *s = &p->slices[i];
        const double norm = length(c->gradient + s->at, s->n);
        for (size_t j = s->at; j < s->at + s->n; j++)
            c->moved[j] = (float)((double)c->t->params[j] + (norm > 0 ? h * (double)c->gradient[j] / norm : 0));
    }
    const double loss = trainer_forward(c->t, 0, 0, c->moved) / c->rows;
    for (int i = l->first_slice; i < l->first_slice + l->slices; i++)
        memcpy(c->moved + p->slices[i].at, c->t->params + p->slices[i].at, p->slices[i].n * sizeof(float));
    return loss;
}

static double layer_error(const struct check *c, const struct layer *l, double loss)
{
    double expected = 0;
    for (int i = l->first_slice; i < l->first_slice + l->slices; i++)
        expected += length(c->gradient + c->t->net.params.slices[i].at, c->t->net.params.slices[i].n);
    if (expected == 0)
        return 0;
    const double h = RELATIVE_CHANGE * loss / expected;
    const double near = loss_at(c, l, h) - loss_at(c, l, -h), far = loss_at(c, l, 2 * h) - loss_at(c, l, -2 * h);
    return fabs((8 * near - far) / (12 * h) - expected) / expected;
}

double verify_gradients(struct trainer *t, int share, int shares)
{
    const size_t n = t->net.params.n;
    float *gradient = calloc(n, sizeof *gradient), *moved = malloc(n * sizeof *moved);
    double worst = gradient && moved ? 0 : NAN;
    if (gradient && moved) {
        const struct check c = { t, gradient, moved, (double)t->config->batch.micro * t->net.rows_per_sample };
        memcpy(moved, t->params, n * sizeof *moved);
        const double loss = trainer_forward(t, 0, 0, t->params) / c.rows;
        trainer_backward(t, t->params, gradient, (float)(1 / c.rows));
        for (int i = share; i < t->net.count; i += shares) {
            const double error = layer_error(&c, &t->net.layers[i], loss);
            if (!(error <= worst)) /* also when it is not a number */
                worst = error;
        }
    }
    free(gradient);
    free(moved);
    return worst;
}

uint64_t verify_parameter_hash(const struct trainer *t)
{
    return XXH3_64bits(t->params, t->net.params.n * sizeof(float));
}
