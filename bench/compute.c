/* The members: as long as it takes, a stated time, and virtual time alone. */
#include "bench/compute.h"

#include <string.h>

struct sleep_options {
    double forward_s, backward_s;
};

static const struct key sleep_keys[] = {
    { "forward_s", KEY_REAL, offsetof(struct sleep_options, forward_s), "0.005", 0, 3600, .unit = "seconds",
      .help = "Time of one repeated layer's forward pass (a block, a linear layer) of a full micro-batch; others take none." },
    { "backward_s", KEY_REAL, offsetof(struct sleep_options, backward_s), "0.01", 0, 3600, .unit = "seconds",
      .help = "Time of its backward pass: half for the input gradient, half for the weight gradient." },
    { 0 },
};

static double sleep_forward_s(const void *options)
{
    return ((const struct sleep_options *)options)->forward_s;
}

static double sleep_gradient_s(const void *options)
{
    return ((const struct sleep_options *)options)->backward_s / 2;
}

static const struct compute blas = { .member = { "blas", "As long as the arithmetic takes.", NULL, NULL, 0 } };
static const struct compute sleeping = {
    .member = { "sleep", "A stated time: the arithmetic is done, and the rest of the time is slept.", NULL, sleep_keys,
                sizeof(struct sleep_options) },
    .forward_s = sleep_forward_s,
    .gradient_s = sleep_gradient_s,
};
static const struct compute model = {
    .member = { "model", "Simulated time only, by the layers' flop: nothing is computed, and no parameter takes memory.", NULL,
                NULL, 0 },
    .hollow = true,
};

const struct compute *const computes[] = { &blas, &sleeping, &model, NULL };

const struct compute *compute_find(const char *name)
{
    for (int i = 0; computes[i]; i++)
        if (!strcmp(computes[i]->member.name, name))
            return computes[i];
    return NULL;
}

double compute_slowdown(const struct config *c, int rank)
{
    const struct matrix *rows = &c->charge.slowdown;
    for (size_t i = 0; i < rows->rows; i++)
        if (rows->values[2 * i] == rank)
            return rows->values[2 * i + 1];
    return 1;
}
