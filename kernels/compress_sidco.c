/* SIDCo: the threshold that a share `ratio` of the floats would exceed if magnitudes had an exponential tail, fitted in stages; all
 * |x| above it are sent, however many that is.
 *
 *     threshold += mean(|x| - threshold, over |x| > threshold) ln(1 / d)
 *
 * A stage keeps a share d of those that the one before kept, and fits the next on these alone, where the tail is nearer to an
 * exponential: d = first_ratio while more is to go, then what is left of ratio; `stages` at most. One stage is the maximum
 * likelihood fit of the exponential distribution. code = index[k] (uint32, ascending), then value[k] (float); delta is k / n of the
 * vector at hand.
 * Deviates: of the source's three fits only the exponential one; the number of stages is given, not learned from how many were
 * selected in earlier steps, so that it has no state.
 * Source: Abdelmoniem, Elzanaty, Alouini, Canini, MLSys 2021.
 * Floats of one magnitude are none above another: nothing of them is sent, and error feedback does not change that.
 */
#include <math.h>

#include "kernels/norm.h"
#include "kernels/sparse.h"

struct options {
    double ratio, first_ratio;
    int64_t stages;
};

static const struct key keys[] = {
    SHARE_RATIO_KEY(offsetof(struct options, ratio)),
    { "stages", KEY_INT, offsetof(struct options, stages), "3", 1, 32, .help = "How often the tail is fitted, at most." },
    { "first_ratio", KEY_REAL, offsetof(struct options, first_ratio), "0.25", 1e-9, 1,
      .help = "Share of the floats that each stage but the last keeps." },
    { 0 },
};

/* Mean of |x| - threshold over those above; 0 where none is. */
static double mean_excess(const float *x, size_t n, float threshold)
{
    double excess;
    const size_t count = norm_excess(x, n, threshold, &excess);
    return count > 0 ? excess / (double)count : 0;
}

static float threshold_of(const struct coding *c, const float *x)
{
    const struct options *o = c->options;
    float threshold = 0;
    double left = o->ratio;
    for (int64_t stage = 1; left < 1; stage++) {
        const double share = stage < o->stages && left < o->first_ratio ? o->first_ratio : left;
        threshold = threshold_finite(threshold + mean_excess(x, c->n, threshold) * log(1 / share));
        left /= share;
    }
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

const struct compressor compress_sidco = {
    .member = { .name = "sidco",
                .help = "Keeps the floats above a threshold that is estimated as if their tail were exponential.",
                .source = "Abdelmoniem et al. 2021",
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
