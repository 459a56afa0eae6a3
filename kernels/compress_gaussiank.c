/* Gaussian-k: the threshold that a share `ratio` of the floats would exceed if they were normal with the vector's mean and standard
 * deviation; all |x| above it are sent, however many that is.
 *
 *     P(|m + s Z| > threshold) = ratio       code = index[k] (uint32, ascending), then value[k] (float)
 *
 * Where the vector is not normal, k is not ratio n: of Laplace numbers 2.6 times more are sent at a ratio of 0.01, 9.5 times at
 * 0.001 (derived). adjust: while fewer than 5/6 of ratio n are above, but only if fewer than 3/4 were, the threshold is divided by
 * 1.012, 20 times at most. delta is k / n of the vector at hand.
 * Deviates: the equation is solved, by bisection, for any mean; the source takes the quantile of one side.
 * Source: Shi, Chu, Cheung, See, arXiv 1911.08772; adjust: Li & Hoefler, PPoPP 2022 (Ok-Topk), its public code.
 * Floats of one magnitude are none above another: nothing of them is sent, and error feedback does not change that.
 */
#include <math.h>

#include "kernels/norm.h"
#include "kernels/sparse.h"

struct options {
    double ratio;
    bool adjust;
};

static const struct key keys[] = {
    SHARE_RATIO_KEY(offsetof(struct options, ratio)),
    { "adjust", KEY_BOOL, offsetof(struct options, adjust), "false",
      .help = "Whether the threshold is lowered where too few are above." },
    { 0 },
};

struct normal {
    double mean, deviation;
};

static struct normal fit(const float *x, size_t n)
{
    double positive, negative;
    norm_sides(x, n, &positive, &negative);
    const double count = n > 0 ? (double)n : 1, mean = (positive + negative) / count;
    const double variance = norm_squares(x, n) / count - mean * mean;
    return (struct normal){ mean, variance > 0 ? sqrt(variance) : 0 };
}

/* P(|m + s Z| > t) */
static double tail(struct normal f, double t)
{
    const double scale = f.deviation * M_SQRT2;
    return (erfc((t - f.mean) / scale) + erfc((t + f.mean) / scale)) / 2;
}

/* Bisection halves an interval that holds the threshold till it is narrower than a float's last digit. */
static double solve(struct normal f, double ratio)
{
    double low = 0, high = fabs(f.mean) + 10 * f.deviation;
    for (int i = 0; i < 40; i++) {
        const double middle = (low + high) / 2;
        *(tail(f, middle) > ratio ? &low : &high) = middle;
    }
    return high;
}

static float threshold_of(const struct coding *c, const float *x)
{
    const struct options *o = c->options;
    float threshold = threshold_finite(solve(fit(x, c->n), o->ratio));
    const double target = o->ratio * (double)c->n;
    if (o->adjust && (double)count_above(x, c->n, threshold) < target * 3 / 4)
        for (int i = 0; i < 20 && (double)count_above(x, c->n, threshold) < target * 5 / 6; i++)
            threshold /= 1.012f;
    return threshold;
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state;
    return list_encode_above(c, x, threshold_of(c, x), code, scratch);
}

static double delta(const struct coding *c, const float *x)
{
    return x ? delta_above(c, x, threshold_of(c, x)) : 0;
}

const struct compressor compress_gaussiank = {
    .member = { .name = "gaussiank",
                .help = "Keeps the floats above a threshold that is estimated as if they were normal.",
                .source = "Shi et al. 2019",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .traits = COMPRESSOR_CONTRACTIVE | COMPRESSOR_SPARSE,
    .refuses = indices_refuse,
    .code_bytes = list_code_bytes,
    .scratch_bytes = list_scratch_bytes,
    .encode = encode,
    .decode = list_decode,
    .delta = delta,
    .entries = list_entries,
    .most_entries = list_most_entries,
};
