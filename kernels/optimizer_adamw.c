/* AdamW, in the form of PyTorch's AdamW:
 *     w *= 1 - learning_rate weight_decay
 *     m = beta1 m + (1 - beta1) g      v = beta2 v + (1 - beta2) g^2
 *     w -= learning_rate / (1 - beta1^t)  m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
 * Weight decay is decoupled: it does not pass through m and v. state = m, v.
 * Source: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
 */
#include <math.h>

#include "kernels/optimizer.h"

struct options {
    struct learning_rate rate;
    double beta1, beta2, epsilon, weight_decay;
};

static const struct key keys[] = {
    LEARNING_RATE_KEY("0.001"),
    LEARNING_RATE_WARMUP_KEY,
    { "beta1", KEY_REAL, offsetof(struct options, beta1), "0.9", 0, 0.999999, .help = "Decay of the mean of gradients." },
    { "beta2", KEY_REAL, offsetof(struct options, beta2), "0.999", 0, 0.999999, .help = "Decay of the mean of squared gradients." },
    { "epsilon", KEY_REAL, offsetof(struct options, epsilon), "1e-8", 1e-30, 1, .help = "Added to the root of the second moment." },
    { "weight_decay", KEY_REAL, offsetof(struct options, weight_decay), "0.01", 0, 1e6,
      .help = "Decoupled shrinkage of matrices per unit of learning rate; gains and biases do not decay." },
    { 0 },
};

static void step(const void *options, int64_t step_count, float *param, const float *grad, float *state, size_t stride, bool decays,
                 size_t n)
{
    const struct options *o = options;
    const double t = (double)step_count, learning_rate = o->rate.most * optimizer_rate_frac(o, step_count - 1);
    const float beta1 = (float)o->beta1, of_gradient = (float)(1 - o->beta1);
    const float beta2 = (float)o->beta2, of_square = (float)(1 - o->beta2), epsilon = (float)o->epsilon;
    const float rate = (float)(learning_rate / (1 - pow(o->beta1, t)));
    const float correction = (float)(1 / sqrt(1 - pow(o->beta2, t)));
    const float keep = decays ? (float)(1 - learning_rate * o->weight_decay) : 1;
    float *restrict w = param, *restrict m = state, *restrict v = state + stride;
    for (size_t i = 0; i < n; i++) {
        m[i] = beta1 * m[i] + of_gradient * grad[i];
        v[i] = beta2 * v[i] + of_square * grad[i] * grad[i];
        w[i] = keep * w[i] - rate * m[i] / (sqrtf(v[i]) * correction + epsilon);
    }
}

const struct optimizer optimizer_adamw = {
    .member = { .name = "adamw",
                .help = "Adam with decoupled weight decay.",
                .source = "Loshchilov & Hutter 2019; formula of PyTorch's AdamW",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .state_arrays = 2,
    .step = step,
};
