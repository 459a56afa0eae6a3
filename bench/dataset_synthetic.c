/* Data that can be learned and whose entropy is known, so that the loss has a floor that tests check.
 *
 * symbols:   a Markov chain. From symbol s the next one is pi(s) with probability 1 - noise, else one of the other V - 1, all
 * alike; pi is a random permutation, so the stationary distribution is uniform, and the first symbol is drawn from it. features:
 * uniform in [-sqrt 3, sqrt 3) (variance 1). The class is the argmax of a random linear teacher of the first few features, replaced
 *            with probability noise by one of the other classes, all alike.
 * Either way the target given all that is known has the entropy h(noise) + noise ln(classes - 1): no model's expected loss is below
 * it.
 */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <xxhash.h>

#include "bench/dataset.h"
#include "kernels/random.h"

enum { TEACHER_FEATURES = 16 }; /* few enough that a small model finds them within some hundred steps */

struct synthetic_options {
    double noise;
};

struct synthetic {
    double noise;
    int32_t *next;  /* symbols: pi, [classes] */
    float *teacher; /* features: [classes, teacher_features] */
    int teacher_features;
};

static const struct key synthetic_keys[] = {
    { "noise", KEY_REAL, offsetof(struct synthetic_options, noise), "0.1", 0, 0.5, .unit = "probability",
      .help = "How often the target is not the learnable one; sets the floor of the loss." },
    { 0 },
};

static struct random generator(const struct data *d, enum random_stream stream, uint64_t index)
{
    return (struct random){ d->seed, stream, (uint32_t)(index >> 32), (uint32_t)index };
}

static status synthetic_fill(struct data *d, struct synthetic *s)
{
    const int classes = d->shape.classes;
    const struct random r = generator(d, RANDOM_TEACHER, 0);
    if (d->shape.kind == SAMPLE_SYMBOLS) {
        s->next = malloc((size_t)classes * sizeof *s->next);
        for (int i = 0; s->next && i < classes; i++)
            s->next[i] = (int32_t)random_permute(&r, (uint64_t)i, (uint64_t)classes);
    } else {
        s->teacher_features = d->shape.length < TEACHER_FEATURES ? d->shape.length : TEACHER_FEATURES;
        const size_t n = (size_t)classes * (size_t)s->teacher_features;
        s->teacher = malloc(n * sizeof *s->teacher);
        if (s->teacher)
            random_normal(&r, 1, 0, s->teacher, n);
    }
    return s->next || s->teacher ? STATUS_OK
                                 : status_fail(STATUS_FAILED, "no memory for the synthetic data of %d classes", classes);
}

static void synthetic_close(struct data *d)
{
    struct synthetic *s = d->state;
    free(s->next);
    free(s->teacher);
    free(s);
}

static status synthetic_open(struct data *d, const void *options, const char *folder)
{
    (void)folder;
    const struct synthetic_options *o = options;
    struct synthetic *s = calloc(1, sizeof *s);
    if (!s)
        return status_fail(STATUS_FAILED, "no memory for the synthetic data");
    s->noise = o->noise;
    d->state = s;
    const status filled = synthetic_fill(d, s);
    if (filled != STATUS_OK) {
        synthetic_close(d);
        return filled;
    }
    const double q = o->noise;
    d->floor = q > 0 ? -q * log(q) - (1 - q) * log(1 - q) + q * log(d->shape.classes - 1) : 0;
    const double identity[] = { q, d->shape.kind, d->shape.length, d->shape.classes, (double)d->seed };
    d->hash = XXH3_64bits(identity, sizeof identity);
    return STATUS_OK;
}

/* The learnable class, or one of the others with probability noise; words: 3 fresh random ones. */
static int32_t disturb(const struct synthetic *s, int32_t class, int classes, const uint32_t *words)
{
    if (words[0] * 0x1p-32 >= s->noise)
        return class;
    const int32_t shift = 1 + (int32_t)(((uint64_t)words[1] * (uint64_t)(classes - 1)) >> 32);
    return (int32_t)(((int64_t) class + shift) % classes);
}

static void sample_symbols(const struct data *d, const struct random *r, const struct sample *out)
{
    const struct synthetic *s = d->state;
    uint32_t words[4];
    random_words(r, 0, words);
    int32_t symbol = (int32_t)(((uint64_t)words[0] * (uint64_t)d->shape.classes) >> 32);
    for (int t = 0; t < d->shape.length; t++) {
        random_words(r, (uint32_t)t + 1, words);
        out->symbols[t] = symbol;
        symbol = disturb(s, s->next[symbol], d->shape.classes, words);
        out->targets[t] = symbol;
    }
}

static int32_t teacher_class(const struct synthetic *s, int classes, const float *x)
{
    int best = 0;
    float best_score = -INFINITY;
    for (int c = 0; c < classes; c++) {
        float score = 0;
        for (int j = 0; j < s->teacher_features; j++)
            score += s->teacher[c * s->teacher_features + j] * x[j];
        if (score > best_score) {
            best = c;
            best_score = score;
        }
    }
    return best;
}

static void sample_features(const struct data *d, const struct random *r, const struct sample *out)
{
    const struct synthetic *s = d->state;
    random_uniform(r, out->features, (size_t)d->shape.length);
    for (int j = 0; j < d->shape.length; j++)
        out->features[j] = (2 * out->features[j] - 1) * 1.7320508F;
    uint32_t words[4];
    random_words(r, UINT32_MAX, words); /* a block that no feature uses: length is far below 2^34 */
    out->targets[0] = disturb(s, teacher_class(s, d->shape.classes, out->features), d->shape.classes, words);
}

static void synthetic_sample(const struct data *d, uint64_t index, const struct sample *out)
{
    const struct random r = generator(d, RANDOM_SAMPLES, index);
    if (d->shape.kind == SAMPLE_SYMBOLS)
        sample_symbols(d, &r, out);
    else
        sample_features(d, &r, out);
}

const struct dataset dataset_synthetic = {
    .member = { "synthetic", "Generated without end; learnable, with a known floor of the loss.", NULL, synthetic_keys,
                sizeof(struct synthetic_options) },
    .open = synthetic_open,
    .sample = synthetic_sample,
    .close = synthetic_close,
};
