/* Interleaved 1F1B: a stage holds v chunks of the model, p positions apart, so that the pipeline fills and drains in steps of 1 / v
 * of a stage: the bubble shrinks v times, for v times the messages.
 *
 * Groups of p micro-batches pass chunk 0, then chunk 1, ...; backward passes the same with the chunks in reverse. Stage r runs
 * 2 (p - r - 1) + (v - 1) p chunks ahead. One chunk is 1F1B, warm-up included.
 * Source: Narayanan et al., "Efficient large-scale language model training on GPU clusters using Megatron-LM", SC'21.
 */
#include <stdio.h>

#include "bench/schedule.h"

struct options {
    int64_t chunks;
};

static const struct key keys[] = {
    { "chunks", KEY_INT, offsetof(struct options, chunks), "2", 1, 64, .help = "Pieces of the model on each stage." },
    { 0 },
};

static int chunks(const void *options)
{
    return (int)((const struct options *)options)->chunks;
}

static const char *refuses(const struct pipeline *p)
{
    static _Thread_local char text[128];
    if (p->micro_batches % p->stages == 0 || chunks(p->options) == 1)
        return NULL;
    snprintf(text, sizeof text, "%d micro-batches of a replica do not make groups of %d, one for each stage", p->micro_batches,
             p->stages);
    return text;
}

static int warmup(const struct pipeline *p, int stage)
{
    const int v = chunks(p->options), behind = p->stages - 1 - stage;
    return v == 1 ? behind : 2 * behind + (v - 1) * p->stages;
}

static status fill(const struct pipeline *p, struct task_list *lists)
{
    for (int s = 0; s < p->stages; s++)
        schedule_alternate(p, s, warmup(p, s), SCHEDULE_MERGED, &lists[s]);
    return STATUS_OK;
}

/* p (1 + (p - 1) / (p v)) - 2 r / v */
static double memory(const struct pipeline *p, int stage)
{
    const int v = chunks(p->options), units = p->micro_batches * v, held = warmup(p, stage) + 1;
    return (double)(held < units ? held : units) / v;
}

const struct schedule schedule_interleaved = {
    .member = { .name = "interleaved",
                .help = "1F1B over several chunks a stage: a bubble as many times smaller, for as many times the messages.",
                .source = "Narayanan et al. 2021 (Megatron-LM)",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .chunks = chunks,
    .refuses = refuses,
    .fill = fill,
    .memory = memory,
};
