/* One coding for each message; nothing is kept between two. */
#include "bench/message.h"

#include <stdio.h>
#include <string.h>

#include "kernels/compressor.h"

static const struct compressor *compressor_of(const struct config *c)
{
    return compressor_find(c->parallel.activation_compressor.name);
}

bool message_is_coded(const struct config *c)
{
    return compressor_of(c) != &compress_none;
}

/* Without its random numbers. */
static struct coding coding_of(const struct config *c, const struct assignment *a, size_t floats, int samples)
{
    const int shares = c->parallel.sequence ? a->degree[AXIS_TENSOR] : 1;
    const size_t positions = (size_t)(a->parts[0].net.rows_per_sample / shares);
    return (struct coding){
        .options = c->parallel.activation_compressor.options,
        .n = floats * (size_t)samples,
        .rows = positions * (size_t)samples,
        .columns = floats / positions,
        .workers = 1,
    };
}

size_t message_B(const struct config *c, const struct assignment *a, size_t floats, int samples)
{
    const struct coding coding = coding_of(c, a, floats, samples);
    return coding.n ? compressor_of(c)->code_bytes(&coding) : 0;
}

uint64_t message_batch_B(const struct config *c, const struct assignment *a, size_t floats, int64_t samples, int64_t messages)
{
    const int64_t larger = samples % messages;
    const int least = (int)(samples / messages);
    return (uint64_t)(messages - larger) * message_B(c, a, floats, least) + (uint64_t)larger * message_B(c, a, floats, least + 1);
}

/* ---- all sizes of a rank's messages -------------------------------------------------------------------------------------- */

/* The next of a rank's codings: at both ends of each part, of micro-batches of both sizes. *i counts from 0; false: no more. */
static bool next_coding(const struct config *c, const struct assignment *a, int *i, struct coding *coding)
{
    while (*i < 4 * a->count) {
        const struct part_plan *p = &a->parts[*i / 4];
        const size_t floats = *i % 2 ? part_in_floats(p) : part_out_floats(a, p);
        *coding = coding_of(c, a, floats, *i / 2 % 2 ? a->samples : (int)(c->batch.global / a->leaves));
        ++*i;
        if (coding->n)
            return true;
    }
    return false;
}

struct message_room message_room(const struct config *c, const struct assignment *a)
{
    const struct compressor *k = compressor_of(c);
    struct message_room most = { 0 };
    struct coding coding;
    for (int i = 0; message_is_coded(c) && next_coding(c, a, &i, &coding);) {
        const size_t code_B = k->code_bytes(&coding), scratch_B = compressor_scratch_bytes(k, &coding);
        most.code_B = code_B > most.code_B ? code_B : most.code_B;
        most.scratch_B = scratch_B > most.scratch_B ? scratch_B : most.scratch_B;
    }
    return most;
}

/* ---- what cannot be ------------------------------------------------------------------------------------------------------ */

static const char *kind_refuses(const struct config *c)
{
    const unsigned traits = compressor_traits(compressor_of(c), c->parallel.activation_compressor.options);
    if (c->parallel.pipeline == 1)
        return "with parallel.pipeline = 1 no activation leaves its rank (fits: \"none\", or parallel.pipeline = 2 or more)";
    if (!(traits & COMPRESSOR_FIXED_SIZE))
        return "its codes vary in size, and a stage asks for a message before it is sent (fits: compressors of a fixed size, such "
               "as \"fp16\")";
    if (traits & COMPRESSOR_FEEDBACK)
        return "it keeps what it leaves out for the next step, in which a micro-batch's samples do not come again (fits: "
               "compressors without a memory, such as \"fp16\")";
    return NULL;
}

static const char *vector_refuses(const struct config *c, const struct coding *coding)
{
    const struct compressor *k = compressor_of(c);
    if (compressor_state_bytes(k, coding))
        return "it learns from step to step, but a micro-batch's samples do not come again (fits: compressors or options without a "
               "memory)";
    return k->refuses ? k->refuses(coding) : NULL;
}

static status refuse(const struct config *c, const char *why)
{
    return status_fail(STATUS_USAGE, "%s: parallel.activation_compressor.name = \"%s\": %s", c->origin,
                       c->parallel.activation_compressor.name, why);
}

static status check_stage(const struct config *c, int stage)
{
    const int degree[] = {
        [AXIS_TENSOR] = (int)c->parallel.tensor, [AXIS_PIPELINE] = (int)c->parallel.pipeline, [AXIS_DATA] = (int)c->parallel.data
    };
    struct assignment a;
    struct coding coding;
    status s = STATUS_OK;
    TRY(assignment_open(&a, c, grid_rank(degree, c->parallel.order, (const int[AXIS_COUNT]){ [AXIS_PIPELINE] = stage })));
    for (int i = 0; s == STATUS_OK && next_coding(c, &a, &i, &coding);) {
        const char *why = vector_refuses(c, &coding);
        s = why ? refuse(c, why) : STATUS_OK;
    }
    assignment_close(&a);
    return s;
}

status message_check(const struct config *c)
{
    if (!message_is_coded(c))
        return STATUS_OK;
    const char *why = kind_refuses(c);
    if (why)
        return refuse(c, why);
    for (int stage = 0; stage < (int)c->parallel.pipeline; stage++)
        TRY(check_stage(c, stage));
    return STATUS_OK;
}

/* ---- coding -------------------------------------------------------------------------------------------------------------- */

/* With both kinds of random numbers. A share is told apart by the upper bits of the worker: leaves are below 2^20. */
static struct coding coding_for(const struct message_coder *coder, const struct message *m)
{
    const struct config *c = coder->config;
    const uint32_t share = c->parallel.sequence ? (uint32_t)coder->plan->at[AXIS_TENSOR] : 0;
    struct coding coding = coding_of(c, coder->plan, m->floats, m->samples);
    coding.step = m->step;
    coding.random = (struct random){
        .seed = (uint64_t)c->seed,
        .stream = RANDOM_MESSAGE + ((uint32_t)m->boundary << 8),
        .worker = share << 21 | (uint32_t)m->leaf << 1 | (uint32_t)m->direction,
        .step = (uint32_t)m->step,
    };
    coding.shared = coding.random;
    coding.shared.worker = ~coding.random.worker;
    return coding;
}

void message_encode(const struct message_coder *coder, const struct message *m, const float *x, void *code, struct stopwatch *w)
{
    const struct compressor *k = compressor_of(coder->config);
    const struct coding coding = coding_for(coder, m);
    const enum phase was = stopwatch_switch(w, PHASE_MESSAGE_ENCODE);
    if (fabric_encodes(coder->fabric, coding.n))
        compressor_encode(k, &coding, NULL, x, code, coder->scratch);
    stopwatch_switch(w, was);
}

void message_decode(const struct message_coder *coder, const struct message *m, const void *code, float *x, struct stopwatch *w)
{
    const struct compressor *k = compressor_of(coder->config);
    const struct coding coding = coding_for(coder, m);
    const enum phase was = stopwatch_switch(w, PHASE_MESSAGE_DECODE);
    if (fabric_decodes(coder->fabric, coding.n)) {
        memset(x, 0, coding.n * sizeof *x);
        k->decode(&coding, code, k->code_bytes(&coding), 1, x, coder->scratch);
        if (k->finish_sum)
            k->finish_sum(&coding, x);
    }
    stopwatch_switch(w, was);
}
