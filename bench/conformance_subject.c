/* What the checks of conformance*.c rest on: their names, means and distances, the judgement, and how one compressor codes one
 * vector. */
#include <math.h>
#include <string.h>

#include "bench/conformance_parts.h"

const struct check_name conformance_checks[CHECKS] = {
    [CHECK_BIAS] = { "bias", "bias", "|mean C(x) - x| in units of |x| sqrt(omega / draws)", NULL, "the mean is not x" },
    [CHECK_BIAS_ALONG] = { "bias_along", "along", "mean of <C(x) - x, x> in its standard errors", NULL,
                           "the mean is longer or shorter than x" },
    [CHECK_OMEGA] = { "omega", "omega", "mean of |C(x) - x|^2 / |x|^2", "omega", "the variance is not what is stated" },
    [CHECK_DELTA] = { "delta", "delta", "1 - mean of |C(x) - x|^2 / |x|^2", "delta", "more is lost than is stated" },
    [CHECK_BITS] = { "bits", "bits", "bits of information per float", "least bits for such an error",
                     "no code of so few bits has so little error" },
    [CHECK_LOSSLESS] = { "lossless", "same", "floats that differ", NULL, "C(x) is not x" },
    [CHECK_BYTES] = { "bytes", "bytes", "codes of another size than the formula's", NULL,
                      "the formula of the code's bytes is wrong" },
    [CHECK_BOUNDS] = { "bounds", "bounds", "bytes changed beyond code, state, scratch, or of x", NULL,
                       "it writes where it must not" },
    [CHECK_REPEATS] = { "repeats", "repeats", "codes or decoded vectors that differ when made again", NULL,
                        "the same again gives something else" },
    [CHECK_FEEDBACK] = { "feedback", "feedback", "|C(x) + e - x| / (|C(x)| + |x|) with e = x - C(x)", NULL,
                         "error feedback loses something" },
    [CHECK_MASKS] = { "masks", "masks", "share of kept entries that two workers have in common",
                      "share if independent, or the same or no entries",
                      "the masks of workers are neither independent nor shared" },
    [CHECK_WORKERS] = { "workers", "workers", "covariance of two workers' errors over their variance", "if independent",
                        "errors of workers are not independent" },
    [CHECK_STATE] = { "state", "state", "codes that differ after a restored state, or do not differ without it", NULL,
                      "a restored state does not go on as before" },
    [CHECK_SUM] = { "sum", "sum", "|decoded sum of codes - sum of decoded codes| / sum of |decoded|", NULL,
                    "the sum of codes is not the code of the sum" },
};

/* ---- arithmetic ----------------------------------------------------------------------------------------------------------- */

double square_of(const float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return sum;
}

double distance2(const float *v, const float *w, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)v[i] - (double)w[i]) * ((double)v[i] - (double)w[i]);
    return sum;
}

void sample_add(struct sample *s, double v)
{
    s->sum += v;
    s->sum2 += v * v;
    s->count++;
}

double sample_mean(const struct sample *s)
{
    return s->sum / s->count;
}

double sample_error(const struct sample *s)
{
    const double mean = sample_mean(s), variance = s->sum2 / s->count - mean * mean;
    return sqrt(fmax(0, variance) / s->count);
}

double of_allowed(double deviation, double allowed)
{
    if (deviation <= 0)
        return 0;
    return deviation < INFINITY && allowed > 0 ? deviation / allowed : INFINITY;
}

void judge(const struct subject *s, enum conformance_check check, double measured, double stated, double of_allowed_ratio)
{
    struct cell *cell = &s->row->cells[check];
    if (!cell->checked || of_allowed_ratio > cell->of_allowed_ratio)
        *cell = (struct cell){ true, measured, stated, of_allowed_ratio, s->input, s->n, s->draws };
}

bool conformance_passes(const struct conformance_row *row)
{
    for (int i = 0; i < CHECKS; i++)
        if (row->cells[i].checked && row->cells[i].of_allowed_ratio > 1)
            return false;
    return true;
}

/* ---- one compressor, one vector ------------------------------------------------------------------------------------------- */

struct coding subject_coding(const struct subject *s, int worker, uint32_t t)
{
    const struct random random = { 7, RANDOM_COMPRESSOR, (uint32_t)worker, t }, shared = { 7, RANDOM_COMPRESSOR, UINT16_MAX, t };
    return (struct coding){ s->options, s->n, s->rows, s->columns, worker, WORKERS, STEP, random, shared };
}

size_t subject_encode(const struct subject *s, const struct coding *c, int input, unsigned char *code)
{
    compressor_state_begin(s->kind, c, s->state[c->worker]);
    return compressor_encode(s->kind, c, s->state[c->worker], s->x[input], code, s->scratch);
}

void subject_decode(const struct subject *s, const struct coding *c, const unsigned char *code, size_t bytes, float *y)
{
    memset(y, 0, s->n * sizeof *y);
    s->kind->decode(c, code, bytes, 1, y, s->scratch);
}
