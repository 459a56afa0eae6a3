/* Natural dithering: the integers of kernels/quantise.h by powers of two: 0 and N 2^(j - s), j = 1 .. s, on each side.
 *
 *     code = norms | 1 + ceil(log2(s + 1)) bits a float         4 ceil(n / B) + ceil(n width / 8) bytes
 *
 * omega = 1/8 + 2^(1 - s) min(a, B 2^(1 - s) / 4), a as in kernels/quantise.h (derived; published, for the norm of length: without
 * the 4).
 * Source: Horvath, Ho, Horvath, Sahu, Canini, Richtarik, "Natural compression for distributed deep learning", 2019.
 */
#include "kernels/bits.h"
#include "kernels/quantise.h"

static const struct key keys[] = {
    { "levels", KEY_INT, offsetof(struct quantise_options, levels), "7", 1, 126,
      .help = "Powers of two between the norm and 0; 2^k - 1 fill k + 1 bits." },
    QUANTISE_BUCKET_KEY("512"),
    QUANTISE_NORM_KEY,
    QUANTISE_PACKING_KEY,
    { 0 },
};

static size_t code_bytes(const struct coding *c)
{
    const struct quantiser q = quantiser_of(c->options, true);
    return quantise_scales_bytes(&q, c->n) + bits_bytes(c->n, q.width);
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state;
    const struct quantiser q = quantiser_of(c->options, true);
    quantise_encode(&q, c, x, code, scratch);
    return 0;
}

static size_t pack(const struct coding *c, unsigned char *code, void *scratch)
{
    const struct quantiser q = quantiser_of(c->options, true);
    bits_pack(quantise_symbols(&q, c->n, scratch), c->n, q.width, code + quantise_scales_bytes(&q, c->n));
    return code_bytes(c);
}

static void decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    (void)scratch;
    const struct quantiser q = quantiser_of(c->options, true);
    if (bytes >= code_bytes(c))
        quantise_decode(&q, c->n, code, bits_unpack, code + quantise_scales_bytes(&q, c->n), bits_bytes(c->n, q.width), factor, y);
}

static double logical_bits(const struct coding *c, const unsigned char *code, size_t bytes)
{
    (void)code, (void)bytes;
    const struct quantiser q = quantiser_of(c->options, true);
    return (double)(8 * quantise_scales_bytes(&q, c->n) + c->n * (size_t)quantise_width(q.levels));
}

static double omega(const struct coding *c, const float *x)
{
    (void)x;
    const struct quantiser q = quantiser_of(c->options, true);
    return quantise_omega(&q, c->n);
}

const struct compressor compress_natural_dithering = {
    .member = { .name = "natural-dithering",
                .help = "Rounds to powers of two below a bucket's norm.",
                .source = "Horvath et al. 2019",
                .keys = keys,
                .options_bytes = sizeof(struct quantise_options) },
    .traits = COMPRESSOR_FIXED_SIZE | COMPRESSOR_UNBIASED,
    .code_bytes = code_bytes,
    .scratch_bytes = quantise_scratch,
    .encode = encode,
    .pack = pack,
    .decode = decode,
    .logical_bits = logical_bits,
    .omega = omega,
};
