/* The coded way: every rank's codes go to all, and all add what they decode. With error feedback the code is of a = g + e, and what
 * it leaves out is the new e. */
#include <stdlib.h>
#include <string.h>

#include "bench/gradient_parts.h"
#include "kernels/layers.h"

/* Bytes of all ranks' codes of all buckets, and of the largest scratch. */
static status measure(struct gradient *g, size_t *codes_B, size_t *scratch_B)
{
    const struct compressor *k = g->compressor;
    const void *options = g->config->exchange.compressor.options;
    for (int i = 0; i < g->count; i++) {
        struct bucket *b = &g->buckets[i];
        const size_t n = b->place.n, scratch = k->scratch_bytes(options, n);
        const char *why = k->refuses ? k->refuses(options, n) : NULL;
        if (why)
            return status_fail(STATUS_USAGE, "exchange.compressor.name = \"%s\": %s, in a bucket of %zu floats", k->member.name,
                               why, n);
        b->code_B = k->code_bytes(options, n);
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
    const void *options = g->config->exchange.compressor.options;
    const struct random r = { (uint64_t)g->config->seed, RANDOM_COMPRESSOR + ((uint32_t)bucket << 8),
                              (uint32_t)g->rank + (g->part << 16), (uint32_t)g->step };
    unsigned char *code = b->codes + (size_t)g->rank * b->code_B;
    float *x = g->sums + b->place.at;
    if (g->error) {
        add(g->error + b->place.at, x, b->place.n);
        x = g->error + b->place.at;
    }
    g->compressor->encode(options, &r, x, b->place.n, code, g->scratch);
    if (g->error)
        g->compressor->decode_subtract(options, code, x, b->place.n);
}

void coded_decode(struct gradient *g, const struct bucket *b)
{
    float *x = g->sums + b->place.at;
    memset(x, 0, b->place.n * sizeof *x);
    for (int r = 0; r < g->ranks; r++)
        g->compressor->decode_add(g->config->exchange.compressor.options, b->codes + (size_t)r * b->code_B, x, b->place.n);
}
