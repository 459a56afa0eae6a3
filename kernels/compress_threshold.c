/* Threshold: all floats with |x| > threshold, and NaN. As many as there are; where there is none, the code is empty.
 *
 *     code = index[k] (uint32, ascending), then value[k] (float)
 *
 * The error of a float is at most the threshold, whatever the vector; delta is k / n of the vector at hand, and 0 where nothing is
 * sent. With error feedback what is left adds up until it is sent: of independent N(0, sigma^2) gradients a share of
 * 1 / (threshold / sigma + 0.583)^2 goes out every step (the time a random walk takes to leave an interval; derived), 750 times
 * more than without feedback at 4 sigma.
 * Source: Strom, Interspeech 2015; Sahu et al., NeurIPS 2021 (hard threshold).
 */
#include "kernels/sparse.h"

struct options {
    double threshold;
};

static const struct key keys[] = {
    { "threshold", KEY_REAL, offsetof(struct options, threshold), "0.01", 0, 3e38,
      .help = "What a float's magnitude must exceed." },
    { 0 },
};

static float threshold_of(const struct coding *c)
{
    return (float)((const struct options *)c->options)->threshold;
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state;
    return list_encode_above(c, x, threshold_of(c), code, scratch);
}

static double delta(const struct coding *c, const float *x)
{
    return x ? delta_above(c, x, threshold_of(c)) : 0;
}

const struct compressor compress_threshold = {
    .member = { .name = "threshold",
                .help = "Keeps the floats above a magnitude.",
                .source = "Strom 2015; Sahu et al. 2021",
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
