/* Gradient descent with momentum, in the form of PyTorch's SGD (dampening 0):
 *     d = g + weight_decay w      v = momentum v + d      w -= learning_rate v
 * nesterov: w -= learning_rate (d + momentum v).
 * The learning rate is outside the velocity, unlike in the original papers. Weight decay is coupled (an L2 penalty).
 * Source: Polyak 1964; Sutskever, Martens, Dahl, Hinton, ICML 2013.
 */
#include "kernels/optimizer.h"

struct options {
    struct learning_rate rate;
    double momentum, weight_decay;
    bool nesterov;
};

static const struct key keys[] = {
    LEARNING_RATE_KEY("0.1"),
    LEARNING_RATE_WARMUP_KEY,
    { "momentum", KEY_REAL, offsetof(struct options, momentum), "0.9", 0, 1, .help = "Share of the velocity kept per step." },
    { "nesterov", KEY_BOOL, offsetof(struct options, nesterov), "false", .help = "Look ahead along the velocity." },
    { "weight_decay", KEY_REAL, offsetof(struct options, weight_decay), "0", 0, 1e6,
      .help = "L2 penalty on matrices, added to the gradient; gains and biases do not decay." },
    { 0 },
};

static void step(const void *options, int64_t step_count, float *param, const float *grad, float *state, size_t stride, bool decays,
                 size_t n)
{
    (void)stride;
    const struct options *o = options;
    const float rate = (float)(o->rate.most * optimizer_rate_frac(o, step_count - 1));
    const float momentum = (float)o->momentum, decay = decays ? (float)o->weight_decay : 0;
    const float of_gradient = o->nesterov ? 1 : 0, of_velocity = o->nesterov ? momentum : 1;
    for (size_t i = 0; i < n; i++) {
        const float d = grad[i] + decay * param[i];
        state[i] = momentum * state[i] + d;
        param[i] -= rate * (of_gradient * d + of_velocity * state[i]);
    }
}

const struct optimizer optimizer_momentum = {
    .member = { .name = "momentum",
                .help = "Gradient descent with momentum, optionally Nesterov's.",
                .source = "Polyak 1964; Sutskever et al. 2013; formula of PyTorch's SGD",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .state_arrays = 1,
    .step = step,
};
