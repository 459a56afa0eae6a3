/* The identity: the code is the floats. Baseline of every comparison, and the member that tests the exchange. */
#include <string.h>

#include "kernels/compressor.h"

static size_t code_bytes(const void *options, size_t n)
{
    (void)options;
    return n * sizeof(float);
}

static size_t scratch_bytes(const void *options, size_t n)
{
    (void)options, (void)n;
    return 0;
}

static void encode(const void *options, const struct random *random, const float *x, size_t n, unsigned char *code, void *scratch)
{
    (void)options, (void)random, (void)scratch;
    memcpy(code, x, n * sizeof *x);
}

static float value_at(const unsigned char *code, size_t i)
{
    float value;
    memcpy(&value, code + i * sizeof value, sizeof value);
    return value;
}

static void decode_add(const void *options, const unsigned char *code, float *y, size_t n)
{
    (void)options;
    for (size_t i = 0; i < n; i++)
        y[i] += value_at(code, i);
}

static void decode_subtract(const void *options, const unsigned char *code, float *y, size_t n)
{
    (void)options;
    for (size_t i = 0; i < n; i++)
        y[i] -= value_at(code, i);
}

const struct compressor compress_none = {
    .member = { .name = "none", .help = "Sends the gradient as it is." },
    .traits = COMPRESSOR_LOSSLESS | COMPRESSOR_LINEAR | COMPRESSOR_UNBIASED,
    .code_bytes = code_bytes,
    .scratch_bytes = scratch_bytes,
    .encode = encode,
    .decode_add = decode_add,
    .decode_subtract = decode_subtract,
};
