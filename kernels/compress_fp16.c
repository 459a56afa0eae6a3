/* Half precision: IEEE binary16, 11 significant bits, 2^-14 to 65504.
 *
 *     code = x[n] in the format, 2 n bytes         sum of codes: by adding the numbers
 *
 * A float above 65504 becomes Inf, and so may a sum of codes; below 2^-14 the error does not shrink with the float. What is claimed
 * holds of floats that do not overflow. See kernels/cast.h.
 * Source: IEEE 754-2019; PyTorch's fp16_compress_hook sends the same.
 */
#include <math.h>

#include "kernels/cast.h"
#include "kernels/half.h"

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state, (void)scratch;
    cast_encode(ELEMENT_HALF, c, x, code);
    return cast_bytes(c);
}

static void encode_part(const struct coding *c, void *state, const float *x, int part, unsigned char *code, void *scratch)
{
    (void)part;
    encode(c, state, x, code, scratch);
}

static void decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    (void)scratch;
    if (bytes >= cast_bytes(c))
        half_add_scaled(ELEMENT_HALF, code, c->n, factor, y);
}

static double omega(const struct coding *c, const float *x)
{
    return cast_variance(ELEMENT_HALF, c, x);
}

static double delta(const struct coding *c, const float *x)
{
    return fmax(0, 1 - cast_variance(ELEMENT_HALF, c, x));
}

static const struct linear linear = {
    .element = ELEMENT_HALF, .parts = 1, .part_elements = cast_elements, .encode_part = encode_part
};

const struct compressor compress_fp16 = {
    .member = { .name = "fp16",
                .help = "Sends floats as IEEE binary16.",
                .source = "IEEE 754-2019",
                .keys = cast_keys,
                .options_bytes = sizeof(struct cast) },
    .traits = COMPRESSOR_FIXED_SIZE | COMPRESSOR_LINEAR,
    .more_traits = cast_traits,
    .code_bytes = cast_bytes,
    .encode = encode,
    .decode = decode,
    .omega = omega,
    .delta = delta,
    .linear = &linear,
};
