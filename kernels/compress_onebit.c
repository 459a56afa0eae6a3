/* 1-bit SGD: the mean of the floats below 0 and the mean of the others, and which is which.
 *
 *     code = for each bucket: mean of x >= 0, mean of x < 0 (floats; 0 of nothing) | 1 bit a float
 *            8 ceil(n / B) + ceil(n / 8) bytes; by default one bucket
 *
 * The means are the two numbers that leave the least error: |C(x) - x|^2 = |x|_2^2 - n+ m+^2 - n- m-^2, so that
 * delta = (n+ m+^2 + n- m-^2) / |x|_2^2, summed over buckets; at least 1 / B. Of use with error feedback. A NaN goes to the floats
 * >= 0 of its bucket. Source: Seide, Fu, Droppo, Li, Yu, Interspeech 2014. What deviates: a bucket is a run of floats, not a matrix
 * column.
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
    memcpy(negative, from + sizeof *positive, sizeof *negative);
}

static struct signs signs_of(const struct coding *c)
{
    const struct options *o = c->options;
    return (struct signs){
        .bucket = o->bucket ? (size_t)o->bucket : SIZE_MAX, .numbers_bytes = 2 * sizeof(float), .width = 1, .numbers = numbers
    };
}

static size_t code_bytes(const struct coding *c)
{
    const struct signs s = signs_of(c);
    return signs_code_bytes(&s, c->n);
}

static double mean(double sum, size_t count)
{
    return count > 0 ? sum / (double)count : 0;
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state;
    const struct signs s = signs_of(c);
    for (size_t i = 0, m; i < c->n; i += m, code += s.numbers_bytes) {
        double positive, negative;
        m = c->n - i < s.bucket ? c->n - i : s.bucket;
        const size_t below = norm_sides(x + i, m, &positive, &negative);
        const float means[2] = { (float)mean(positive, m - below), (float)mean(negative, below) };
        memcpy(code, means, sizeof means);
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
        double positive, negative;
        m = c->n - i < bucket ? c->n - i : bucket;
        const size_t below = norm_sides(x + i, m, &positive, &negative);
        kept += positive * mean(positive, m - below) + negative * mean(negative, below);
    }
    const double squares = norm_squares(x, c->n);
    return squares > 0 ? kept / squares : 1;
}

const struct compressor compress_onebit = {
    .member = { .name = "onebit",
                .help = "Sends signs, and the means of the floats on each side of 0.",
                .source = "Seide et al., Interspeech 2014",
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
