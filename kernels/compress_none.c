/* The identity: the code is the floats. Baseline of every comparison, and the member that tests the exchanges. */
#include <string.h>

#include "kernels/compressor.h"

static size_t code_bytes(const struct coding *c)
{
    return c->n * sizeof(float);
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state, (void)scratch;
    memcpy(code, x, c->n * sizeof *x);
    return code_bytes(c);
}

static void decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    (void)scratch;
    if (bytes < code_bytes(c))
        return;
    for (size_t i = 0; i < c->n; i++) {
        float value;
        memcpy(&value, code + i * sizeof value, sizeof value);
        y[i] += factor * value;
    }
}

static double omega(const struct coding *c, const float *x)
{
    (void)c, (void)x;
    return 0;
}

static double delta(const struct coding *c, const float *x)
{
    (void)c, (void)x;
    return 1;
}

static size_t part_elements(const struct coding *c, int part)
{
    (void)part;
    return c->n;
}

static void encode_part(const struct coding *c, void *state, const float *x, int part, unsigned char *code, void *scratch)
{
    (void)part;
    encode(c, state, x, code, scratch);
}

static const struct linear linear = {
    .element = ELEMENT_FLOAT, .parts = 1, .part_elements = part_elements, .encode_part = encode_part
};

const struct compressor compress_none = {
    .member = { .name = "none", .help = "Sends the gradient as it is." },
    .traits = COMPRESSOR_LOSSLESS | COMPRESSOR_LINEAR | COMPRESSOR_UNBIASED | COMPRESSOR_TIGHT | COMPRESSOR_CONTRACTIVE |
              COMPRESSOR_FIXED_SIZE,
    .code_bytes = code_bytes,
    .encode = encode,
    .decode = decode,
    .omega = omega,
    .delta = delta,
    .linear = &linear,
};
