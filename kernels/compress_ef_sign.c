/* Scaled sign: C(x) = |x|_1 / B times the sign, for each bucket of B floats (by default the whole vector).
 *
 *     code = scales (float) | 1 bit a float         4 ceil(n / B) + ceil(n / 8) bytes
 *
 * The scale is the one that leaves the least error: |C(x) - x|^2 = |x|_2^2 - |x|_1^2 / B, so that delta = |x|_1^2 / (B |x|_2^2),
 * summed over buckets; at least 1 / B, 2 / pi for normal numbers (published). Of use with error feedback. An Inf or NaN goes to its
 * whole bucket. Source: Karimireddy, Rebjock, Stich, Jaggi, ICML 2019; the name is of their algorithm, whose feedback is the
 * exchange's.
 */
#include <string.h>

#include "kernels/norm.h"
#include "kernels/signs.h"

struct options {
    int64_t bucket;
};

static const struct key keys[] = { SIGNS_BUCKET_KEY(offsetof(struct options, bucket)), { 0 } };

static void numbers(const struct coding *c, const unsigned char *from, float *positive, float *negative)
{
    (void)c;
    memcpy(positive, from, sizeof *positive);
    *negative = -*positive;
}

static struct signs signs_of(const struct coding *c)
{
    const struct options *o = c->options;
    return (struct signs){
        .bucket = o->bucket ? (size_t)o->bucket : SIZE_MAX, .numbers_bytes = sizeof(float), .width = 1, .numbers = numbers
    };
}

static size_t code_bytes(const struct coding *c)
{
    const struct signs s = signs_of(c);
    return signs_code_bytes(&s, c->n);
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state;
    const struct signs s = signs_of(c);
    for (size_t i = 0, m; i < c->n; i += m, code += sizeof(float)) {
        m = c->n - i < s.bucket ? c->n - i : s.bucket;
        const float scale = (float)(norm_magnitudes(x + i, m) / (double)m);
        memcpy(code, &scale, sizeof scale);
    }
    signs_encode(c->n, x, scratch);
    return 0;
}

static size_t pack(const struct coding *c, unsigned char *code, void *scratch)
{
    const struct signs s = signs_of(c);
    return signs_pack(&s, c->n, code, scratch);
}

static void decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    (void)scratch;
    const struct signs s = signs_of(c);
    signs_decode(&s, c, code, bytes, factor, y);
}

static double logical_bits(const struct coding *c, const unsigned char *code, size_t bytes)
{
    (void)code, (void)bytes;
    const struct signs s = signs_of(c);
    return signs_logical_bits(&s, c->n);
}

static double delta(const struct coding *c, const float *x)
{
    const size_t bucket = signs_of(c).bucket;
    if (!x)
        return 1 / (double)(c->n < bucket ? c->n : bucket);
    double kept = 0;
    for (size_t i = 0, m; i < c->n; i += m) {
        m = c->n - i < bucket ? c->n - i : bucket;
        const double sum = norm_magnitudes(x + i, m);
        kept += sum * sum / (double)m;
    }
    const double squares = norm_squares(x, c->n);
    return squares > 0 ? kept / squares : 1;
}

const struct compressor compress_ef_sign = {
    .member = { .name = "ef-sign",
                .help = "Sends signs, and the mean magnitude of a bucket.",
                .source = "Karimireddy et al., ICML 2019",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .traits = COMPRESSOR_FIXED_SIZE | COMPRESSOR_CONTRACTIVE,
    .code_bytes = code_bytes,
    .scratch_bytes = signs_scratch_bytes,
    .encode = encode,
    .pack = pack,
    .decode = decode,
    .logical_bits = logical_bits,
    .delta = delta,
};
