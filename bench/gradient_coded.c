/* The coded way: every rank's codes go to all, and all add what they decode. With error feedback the code is of a = g + e, and what
 * it leaves out is the new e. */
#include <stdlib.h>
#include <string.h>

#include "bench/gradient_parts.h"
#include "kernels/layers.h"

/* What `rank` compresses in a bucket. */
static struct coding coding_of(const struct gradient *g, int bucket, int rank)
{
    const size_t n = g->buckets[bucket].place.n;
    const uint32_t stream = RANDOM_COMPRESSOR + ((uint32_t)bucket << 8), part = g->part << 16;
    const struct random random = { (uint64_t)g->config->seed, stream, part + (uint32_t)rank, (uint32_t)g->step };
    const struct random shared = { (uint64_t)g->config->seed, stream, part + UINT16_MAX, (uint32_t)g->step };
    return (struct coding){
        .options = g->config->exchange.compressor.options,
        .n = n,
        .rows = 1,
        .columns = n,
        .worker = rank,
        .workers = g->ranks,
        .step = g->step,
        .random = random,
        .shared = shared,
    };
}

/* Bytes of all ranks' codes of all buckets, and of the largest scratch. */
static status measure(struct gradient *g, size_t *codes_B, size_t *scratch_B)
{
    const struct compressor *k = g->compressor;
    for (int i = 0; i < g->count; i++) {
        struct bucket *b = &g->buckets[i];
        const struct coding c = coding_of(g, i, g->rank);
        const size_t scratch = compressor_scratch_bytes(k, &c);
        const char *why = k->refuses ? k->refuses(&c) : NULL;
        if (why)
            return status_fail(STATUS_USAGE, "exchange.compressor.name = \"%s\": %s, in a bucket of %zu floats", k->member.name,
                               why, c.n);
        b->code_B = k->code_bytes(&c);
        *codes_B += b->code_B * (size_t)g->ranks;
        *scratch_B = scratch > *scratch_B ? scratch : *scratch_B;
    }
    return STATUS_OK;
}

status coded_allocate(struct gradient *g)
{
    size_t codes_B = 0, scratch_B = 1;
    g->compressor = compressor_find(g->config->exchange.compressor.name);
    TRY(measure(g, &codes_B, &scratch_B));
    g->codes = malloc(codes_B + 1);
    g->scratch = malloc(scratch_B);
    g->error = g->config->exchange.error_feedback ? calloc(g->n, sizeof(float)) : NULL;
    if (!g->codes || !g->scratch || (g->config->exchange.error_feedback && !g->error))
        return status_fail(STATUS_FAILED, "no memory for %zu bytes of codes and the error feedback of %zu floats", codes_B, g->n);
    unsigned char *at = g->codes;
    for (int i = 0; i < g->count; i++) {
        g->buckets[i].codes = at;
        at += g->buckets[i].code_B * (size_t)g->ranks;
    }
    return STATUS_OK;
}

void coded_encode(struct gradient *g, int bucket)
{
    const struct bucket *b = &g->buckets[bucket];
    const struct coding c = coding_of(g, bucket, g->rank);
    unsigned char *code = b->codes + (size_t)g->rank * b->code_B;
    float *x = g->sums + b->place.at;
    if (g->error) {
        add(g->error + b->place.at, x, b->place.n);
        x = g->error + b->place.at;
    }
    compressor_encode(g->compressor, &c, NULL, x, code, g->scratch);
    if (g->error)
        g->compressor->decode(&c, code, b->code_B, -1, x, g->scratch);
}

void coded_decode(struct gradient *g, const struct bucket *b)
{
    float *x = g->sums + b->place.at;
    memset(x, 0, b->place.n * sizeof *x);
    for (int r = 0; r < g->ranks; r++) {
        const struct coding c = coding_of(g, (int)(b - g->buckets), r);
        g->compressor->decode(&c, b->codes + (size_t)r * b->code_B, b->code_B, 1, x, g->scratch);
    }
}
