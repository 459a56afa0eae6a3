/* signSGD: the sign of each float, times a constant. C(x)_i = scale if x_i >= 0, else -scale; 0 and NaN count as positive.
 *
 *     code = 1 bit a float, ceil(n / 8) bytes; or, for comparison with frameworks that do not pack, a byte a float
 *
 * Neither unbiased nor contractive: the size of x is lost, so that nothing bounds the error by |x|. With `vote` the sum over the
 * workers becomes its sign, times the scale (a majority; a draw is 0).
 * Source: Bernstein, Wang, Azizzadenesheli, Anandkumar, ICML 2018; the vote: Bernstein et al., ICLR 2019.
 */
#include <string.h>

#include "kernels/signs.h"

struct options {
    double scale;
    bool vote;
    const char *packing;
};

static const char *const packings[] = { "bits", "bytes", NULL };
static const struct key keys[] = {
    { "scale", KEY_REAL, offsetof(struct options, scale), "1", 1e-30, 1e30, .help = "What a sign is worth." },
    { "vote", KEY_BOOL, offsetof(struct options, vote), "false", .help = "Whether the sum is the sign of the workers' majority." },
    { "packing", KEY_CHOICE, offsetof(struct options, packing), "\"bits\"", .choices = packings,
      .help = "\"bytes\": a byte a float, as other frameworks send it." },
    { 0 },
};

static void numbers(const struct coding *c, const unsigned char *from, float *positive, float *negative)
{
    (void)from;
    *positive = (float)((const struct options *)c->options)->scale;
    *negative = -*positive;
}

static struct signs signs_of(const struct coding *c)
{
    const struct options *o = c->options;
    return (struct signs){ .bucket = SIZE_MAX, .width = strcmp(o->packing, "bytes") == 0 ? 8 : 1, .numbers = numbers };
}

static size_t code_bytes(const struct coding *c)
{
    const struct signs s = signs_of(c);
    return signs_code_bytes(&s, c->n);
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state, (void)code;
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

static void finish_sum(const struct coding *c, float *y)
{
    const struct options *o = c->options;
    if (!o->vote)
        return;
    const float scale = (float)o->scale;
    for (size_t i = 0; i < c->n; i++)
        y[i] = y[i] > 0 ? scale : y[i] < 0 ? -scale : y[i];
}

static double logical_bits(const struct coding *c, const unsigned char *code, size_t bytes)
{
    (void)code, (void)bytes;
    return (double)c->n;
}

const struct compressor compress_sign = {
    .member = { .name = "sign",
                .help = "Sends signs only.",
                .source = "Bernstein et al., ICML 2018",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .traits = COMPRESSOR_FIXED_SIZE,
    .code_bytes = code_bytes,
    .scratch_bytes = signs_scratch_bytes,
    .encode = encode,
    .pack = pack,
    .decode = decode,
    .finish_sum = finish_sum,
    .logical_bits = logical_bits,
};
