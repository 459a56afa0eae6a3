/* Random-k: k of n floats, drawn without replacement, every set equally likely.
 *
 *     C(x)_i = (n / k) x_i on the set, else 0         E C(x) = x,  E |C(x) - x|^2 = (n / k - 1) |x|^2 for every x
 *     code = which (nothing, list or enumerative), then value[k] (float)
 *
 * index "seed": the receiver draws the sender's set again, so that nothing but values is sent; independent sets need no indices
 * on the wire. shared: all workers have one set, the code of a sum is the sum of codes, and the mean of P workers is no better
 * than one (omega, not omega / P). scaled false: without n / k, biased, |C(x) - x|^2 = (1 - k / n) |x|^2 in expectation.
 * Sets are drawn again every step, never with replacement, as in some public codes.
 * Source: Wangni, Wang, Liu, Zhang, NeurIPS 2018; Stich, Cordonnier, Jaggi, NeurIPS 2018.
 */
#include "kernels/sparse.h"

struct options {
    struct share share;
    const char *index;
    bool shared, scaled;
};

static const char *const codings[] = { "seed", "list", "enumerative", NULL };
static const struct key keys[] = {
    SHARE_RATIO_KEY(offsetof(struct options, share.ratio)),
    SHARE_K_KEY(offsetof(struct options, share.k)),
    { "index", KEY_CHOICE, offsetof(struct options, index), "\"seed\"", .choices = codings,
      .help = "How the code tells which floats it has; seed: not at all, the receiver draws them again." },
    { "shared", KEY_BOOL, offsetof(struct options, shared), "false", .help = "Whether all workers send the same floats." },
    { "scaled", KEY_BOOL, offsetof(struct options, scaled), "true", .help = "Whether values are multiplied by n / k: unbiased." },
    { 0 },
};

static const char *refuses(const struct coding *c)
{
    const struct options *o = c->options;
    return share_refuses(&o->share, c);
}

static size_t most_entries(const struct coding *c)
{
    const struct options *o = c->options;
    return kept(&o->share, c->n);
}

static const struct index_coding *coding_of(const void *options)
{
    return index_coding_find(((const struct options *)options)->index);
}

static unsigned more_traits(const void *options)
{
    const struct options *o = options;
    return (o->scaled ? COMPRESSOR_UNBIASED | COMPRESSOR_TIGHT : COMPRESSOR_CONTRACTIVE) |
           (o->shared && coding_of(o) == &index_seed ? COMPRESSOR_LINEAR : 0);
}

static size_t code_bytes(const struct coding *c)
{
    const size_t k = most_entries(c);
    return coding_of(c->options)->bytes(c->n, k) + k * sizeof(float);
}

static size_t scratch_bytes(const struct coding *c)
{
    return select_random_bytes(c->n) + most_entries(c) * sizeof(uint32_t);
}

static void draw(const struct coding *c, uint32_t *index, void *map)
{
    const struct options *o = c->options;
    select_random(o->shared ? &c->shared : &c->random, c->n, most_entries(c), index, map);
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state;
    const struct options *o = c->options;
    const size_t k = most_entries(c);
    uint32_t *index = (uint32_t *)((unsigned char *)scratch + select_random_bytes(c->n));
    draw(c, index, scratch);
    const float scale = o->scaled ? (float)(1 / kept_frac(k, c->n)) : 1;
    return entries_write(coding_of(o), x, c->n, index, k, scale, code);
}

static struct entries read_code(const struct coding *c, const unsigned char *code, size_t bytes, uint32_t *index, void *map)
{
    const struct index_coding *coding = coding_of(c->options);
    if (coding == &index_seed)
        draw(c, index, map);
    return entries_read(coding, code, bytes, c->n, most_entries(c), index);
}

static void decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    uint32_t *index = (uint32_t *)((unsigned char *)scratch + select_random_bytes(c->n));
    entries_add(read_code(c, code, bytes, index, scratch), c->n, factor, y);
}

static size_t entries(const struct coding *c, const unsigned char *code, size_t bytes, uint32_t *index, float *value, void *scratch)
{
    return entries_copy(read_code(c, code, bytes, index, scratch), c->n, most_entries(c), index, value);
}

static double omega(const struct coding *c, const float *x)
{
    (void)x;
    return 1 / kept_frac(most_entries(c), c->n) - 1;
}

static double delta(const struct coding *c, const float *x)
{
    (void)x;
    return kept_frac(most_entries(c), c->n);
}

static size_t part_elements(const struct coding *c, int part)
{
    (void)part;
    return most_entries(c);
}

static void encode_part(const struct coding *c, void *state, const float *x, int part, unsigned char *code, void *scratch)
{
    (void)part;
    encode(c, state, x, code, scratch);
}

static const struct linear linear = {
    .element = ELEMENT_FLOAT, .parts = 1, .part_elements = part_elements, .encode_part = encode_part
};

const struct compressor compress_randk = {
    .member = { .name = "randk",
                .help = "Keeps floats drawn at random.",
                .source = "Wangni et al. 2018; Stich et al. 2018",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .traits = COMPRESSOR_FIXED_SIZE | COMPRESSOR_SPARSE,
    .more_traits = more_traits,
    .refuses = refuses,
    .code_bytes = code_bytes,
    .scratch_bytes = scratch_bytes,
    .encode = encode,
    .decode = decode,
    .omega = omega,
    .delta = delta,
    .linear = &linear,
    .entries = entries,
    .most_entries = most_entries,
};
