/* Deep gradient compression: error feedback with momentum inside the compressor.
 *
 *     u = momentum u + g,  v += u;  what is largest of v is sent, and u and v become 0 there
 *
 * So a float that waits gathers momentum as it would if it were sent (momentum correction), and what was sent does not push on
 * with a stale one (masking). g is clipped to a norm of clip / sqrt(workers) first. The optimizer then needs no momentum of its
 * own, and the exchange must not feed errors back.
 *
 * About k = ceil(density n) of v are sent: the threshold is that of a sample of 1 %, then times 1.3 or 0.7 until 0.7 k to 1.3 k
 * are above, 10 times at most. Where the sample would tell by fewer than 10 floats, or if that fails, it is exact. density is
 * `ratio`, after a warm-up of 25 %, 6.25 %, 1.5625 %, ... for warmup_steps each; code_bytes is for 1.3 k of the densest.
 *
 *     code = index[k] (uint32, ascending), then value[k] (float)
 *
 * Source: Lin, Han, Mao, Wang, Dally, ICLR 2018; the adaptation as in GRACE (Xu et al., ICDCS 2021).
 */
#include <math.h>
#include <string.h>

#include "kernels/norm.h"
#include "kernels/sparse.h"

struct options {
    double ratio, momentum, clip;
    int64_t warmup_steps;
    bool masking;
};

static const struct key keys[] = {
    SHARE_RATIO_KEY(offsetof(struct options, ratio)),
    { "momentum", KEY_REAL, offsetof(struct options, momentum), "0.9", 0, 1, .help = "Share of the momentum that a step leaves." },
    { "masking", KEY_BOOL, offsetof(struct options, masking), "true", .help = "Whether what is sent loses its momentum." },
    { "clip", KEY_REAL, offsetof(struct options, clip), "0", 0, 1e30,
      .help = "Norm of the sum of all workers' gradients of a vector above which each is scaled down; 0: none." },
    { "warmup_steps", KEY_INT, offsetof(struct options, warmup_steps), "0", 0, 1e9, .unit = "steps",
      .help = "Steps for each of the densities 25 %, 6.25 %, ... before ratio." },
    { 0 },
};

enum { SAMPLE_SHARE = 100, SAMPLE_KEPT_MIN = 10, ADAPTATIONS = 10 };
static const double fewest = 0.7, most = 1.3; /* of k */

static size_t aim(const struct coding *c, int64_t step)
{
    const struct options *o = c->options;
    const double density = o->warmup_steps > 0 ? pow(0.25, 1 + (double)(step / o->warmup_steps)) : 0;
    return kept_by_ratio(density > o->ratio ? density : o->ratio, c->n);
}

static size_t most_of(size_t k, size_t n)
{
    const size_t limit = (size_t)(most * (double)k);
    return limit < n ? limit : n;
}

static size_t most_entries(const struct coding *c)
{
    return most_of(aim(c, 0), c->n);
}

static size_t code_bytes(const struct coding *c)
{
    return most_entries(c) * (sizeof(uint32_t) + sizeof(float));
}

static size_t state_bytes(const struct coding *c)
{
    return 2 * c->n * sizeof(float); /* u, v */
}

static float clip_factor(const struct coding *c, const float *g)
{
    const struct options *o = c->options;
    const double norm = sqrt(norm_squares(g, c->n)), limit = o->clip / sqrt(c->workers);
    return norm > limit ? (float)(limit / norm) : 1;
}

static void accumulate(const struct coding *c, const float *g, float *u, float *v)
{
    const struct options *o = c->options;
    const float scale = o->clip > 0 ? clip_factor(c, g) : 1, momentum = (float)o->momentum;
    for (size_t i = 0; i < c->n; i++) {
        u[i] = momentum * u[i] + scale * g[i];
        v[i] += u[i];
    }
}

/* index[n]: the first become the chosen ones; returns their number. */
static size_t choose(const float *v, size_t n, size_t k, uint32_t *index)
{
    const size_t rank = k / SAMPLE_SHARE;
    if (rank >= SAMPLE_KEPT_MIN) {
        float threshold = sampled_magnitude(v, n, n / SAMPLE_SHARE, rank, index);
        for (int i = 0; i <= ADAPTATIONS; i++) {
            const size_t count = count_above(v, n, threshold);
            const bool too_many = count > most_of(k, n);
            if (!too_many && (double)count >= fewest * (double)k)
                return select_above(v, n, threshold, index);
            threshold *= (float)(too_many ? most : fewest);
        }
    }
    select_largest(v, n, k, index);
    return k;
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    const struct options *o = c->options;
    float *u = state, *v = u + c->n;
    const uint32_t *index = scratch;
    accumulate(c, x, u, v);
    const size_t k = choose(v, c->n, aim(c, c->step), scratch);
    const size_t bytes = entries_write(&index_list, v, c->n, index, k, 1, code);
    for (size_t i = 0; i < k; i++) {
        v[index[i]] = 0;
        if (o->masking)
            u[index[i]] = 0;
    }
    return bytes;
}

static size_t entries(const struct coding *c, const unsigned char *code, size_t bytes, uint32_t *index, float *value, void *scratch)
{
    (void)scratch;
    return entries_copy(list_read(code, bytes), c->n, most_entries(c), index, value);
}

const struct compressor compress_dgc = {
    .member = { .name = "dgc",
                .help = "Keeps the largest floats of a sum with momentum (deep gradient compression).",
                .source = "Lin et al. 2018",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .traits = COMPRESSOR_SPARSE | COMPRESSOR_FEEDBACK,
    .refuses = indices_refuse,
    .code_bytes = code_bytes,
    .scratch_bytes = list_scratch_bytes,
    .state_bytes = state_bytes,
    .encode = encode,
    .decode = list_decode,
    .entries = entries,
    .most_entries = most_entries,
};
