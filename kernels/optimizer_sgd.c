/* Stochastic gradient descent: w -= learning_rate (g + weight_decay w).
 * Weight decay is coupled (an L2 penalty, part of the gradient), as in PyTorch's SGD.
 */
#include "kernels/optimizer.h"

struct options {
    struct learning_rate rate;
    double weight_decay;
};

static const struct key keys[] = {
    LEARNING_RATE_KEY("0.1"),
    LEARNING_RATE_WARMUP_KEY,
    { "weight_decay", KEY_REAL, offsetof(struct options, weight_decay), "0", 0, 1e6,
      .help = "L2 penalty on matrices, added to the gradient; gains and biases do not decay." },
    { 0 },
};

static void step(const void *options, int64_t step_count, float *param, const float *grad, float *state, size_t stride, bool decays,
                 size_t n)
{
    (void)state, (void)stride;
    const struct options *o = options;
    const float rate = (float)(o->rate.most * optimizer_rate_frac(o, step_count - 1)), decay = decays ? (float)o->weight_decay : 0;
    for (size_t i = 0; i < n; i++)
        param[i] -= rate * (grad[i] + decay * param[i]);
}

const struct optimizer optimizer_sgd = {
    .member = { .name = "sgd",
                .help = "Stochastic gradient descent.",
                .source = "Robbins & Monro 1951; formula of PyTorch's SGD",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .state_arrays = 0,
    .step = step,
};
