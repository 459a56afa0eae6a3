/* Top-k: the k floats of largest magnitude, of equals the lower index; k is given, or ceil(ratio n), at least one. NaN counts as
 * the largest, so that it is not hidden.
 *
 *     code = which (kernels/sparse.h: list, bitmap or enumerative), then value[k] (float), nothing between
 *
 * "auto" is the shorter of list (4 k bytes) and bitmap (n / 8). Cost O(n) for any input. Biased, hence of use with error feedback:
 * |C(x) - x|^2 <= (1 - k / n) |x|^2, with equality where all magnitudes are equal.
 * Source: Aji & Heafield, EMNLP 2017; Stich, Cordonnier, Jaggi, NeurIPS 2018.
 */
#include "kernels/sparse.h"

struct options {
    struct share share;
    const char *index;
};

static const char *const codings[] = { "auto", "list", "bitmap", "enumerative", NULL };
static const struct key keys[] = {
    SHARE_RATIO_KEY(offsetof(struct options, share.ratio)),
    SHARE_K_KEY(offsetof(struct options, share.k)),
    { "index", KEY_CHOICE, offsetof(struct options, index), "\"auto\"", .choices = codings,
      .help = "How the code tells which floats it has; auto: list or bitmap, whichever is shorter." },
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

static const struct index_coding *coding_of(const struct coding *c)
{
    const struct options *o = c->options;
    const struct index_coding *named = index_coding_find(o->index);
    if (named)
        return named;
    const size_t k = most_entries(c);
    return index_bitmap.bytes(c->n, k) < index_list.bytes(c->n, k) ? &index_bitmap : &index_list;
}

static size_t code_bytes(const struct coding *c)
{
    const size_t k = most_entries(c);
    return coding_of(c)->bytes(c->n, k) + k * sizeof(float);
}

static size_t scratch_bytes(const struct coding *c)
{
    return c->n * sizeof(uint32_t); /* candidates */
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state;
    const size_t k = most_entries(c);
    select_largest(x, c->n, k, scratch);
    return entries_write(coding_of(c), x, c->n, scratch, k, 1, code);
}

static void decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    entries_add(entries_read(coding_of(c), code, bytes, c->n, most_entries(c), scratch), c->n, factor, y);
}

static size_t entries(const struct coding *c, const unsigned char *code, size_t bytes, uint32_t *index, float *value, void *scratch)
{
    (void)scratch;
    const size_t k = most_entries(c);
    return entries_copy(entries_read(coding_of(c), code, bytes, c->n, k, index), c->n, k, index, value);
}

static double delta(const struct coding *c, const float *x)
{
    (void)x;
    return kept_frac(most_entries(c), c->n);
}

const struct compressor compress_topk = {
    .member = { .name = "topk",
                .help = "Keeps the floats of largest magnitude.",
                .source = "Aji & Heafield 2017; Stich et al. 2018",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .traits = COMPRESSOR_CONTRACTIVE | COMPRESSOR_FIXED_SIZE | COMPRESSOR_SPARSE,
    .refuses = refuses,
    .code_bytes = code_bytes,
    .scratch_bytes = scratch_bytes,
    .encode = encode,
    .decode = decode,
    .delta = delta,
    .entries = entries,
    .most_entries = most_entries,
};
