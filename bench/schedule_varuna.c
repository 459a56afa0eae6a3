/* Varuna: in lock-step ticks every stage runs the first that is ready of: second half of a backward pass, first half,
 * recomputation, forward pass. Micro-batch after micro-batch in each of them, so a queue is a count.
 *
 *     forward    ready on a stage when the stage before has done it
 *     recompute  when the stage behind has done the first half of its backward pass, so that both end together
 *     backward   when its recomputation is done; without one, when the stage behind has done its own (the last stage: its forward)
 *
 *     p = 2, m = 4   F0 F1 F2 R0 B0 R1 B1 R2 B2 F3 R3 B3
 *                    F0 B0 F1 B1 F2 B2 F3 B3
 *
 * Opportunistic: at run time, a recomputation whose gradient is not there yet lets the next forward pass of the list go first.
 * Forwards run ahead of 1F1B's, which hides latency; only inputs are kept for them.
 * Source: Athlur, Saran, Sivathanu, Ramjee, Kwatra, "Varuna", EuroSys 2022; its published schedule generator.
 */
#include <stdlib.h>

#include "bench/schedule.h"

struct options {
    bool opportunistic;
};

static const struct key keys[] = {
    { "opportunistic", KEY_BOOL, offsetof(struct options, opportunistic), "false",
      .help = "Whether the next forward pass goes before a recomputation whose gradient has not come." },
    { 0 },
};

static bool reorders(const void *options)
{
    return ((const struct options *)options)->opportunistic;
}

enum half { SECOND, FIRST, RECOMPUTE, FORWARD, HALVES }; /* in the order of priority; HALVES: idle */

struct stage {
    int done[HALVES + 1];
    enum half next;
};

/* How many of `half` could have been done on stage s by now. */
static int ready(const struct pipeline *p, const struct stage *stages, int s, enum half half)
{
    const struct stage *here = &stages[s], *behind = s + 1 < p->stages ? here + 1 : NULL;
    const bool recomputes = schedule_recomputes(p, (struct place){ s, 0 });
    switch (half) {
    case FORWARD:
        return s ? here[-1].done[FORWARD] : p->micro_batches;
    case RECOMPUTE:
        if (!recomputes)
            return 0;
        return behind ? behind->done[FIRST] : here->done[FORWARD];
    case FIRST:
        if (recomputes)
            return here->done[RECOMPUTE];
        return behind ? behind->done[SECOND] : here->done[FORWARD];
    case SECOND:
        return here->done[FIRST];
    case HALVES:
        break;
    }
    return 0;
}

static enum half choose(const struct pipeline *p, const struct stage *stages, int s)
{
    for (enum half half = SECOND; half < HALVES; half++)
        if (ready(p, stages, s, half) > stages[s].done[half])
            return half;
    return HALVES;
}

static void run(struct stage *stage, struct task_list *list)
{
    static const enum task_kind kinds[] = { [FIRST] = TASK_BACKWARD, [RECOMPUTE] = TASK_RECOMPUTE, [FORWARD] = TASK_FORWARD };
    const int micro = stage->done[stage->next]++;
    if (stage->next != SECOND && stage->next != HALVES)
        task_append(list, kinds[stage->next], 0, micro);
}

static status fill(const struct pipeline *p, struct task_list *lists)
{
    struct stage *stages = calloc((size_t)p->stages, sizeof *stages);
    if (!stages)
        return status_fail(STATUS_FAILED, "no memory for a schedule of %d stages", p->stages);
    while (stages[0].done[SECOND] < p->micro_batches) {
        for (int s = 0; s < p->stages; s++)
            stages[s].next = choose(p, stages, s);
        for (int s = 0; s < p->stages; s++)
            run(&stages[s], &lists[s]);
    }
    free(stages);
    return STATUS_OK;
}

/* 3 (p - 1 - s) inputs, the last stage 1; a recomputation there, or none anywhere, delays all gradients by a tick. */
static double memory(const struct pipeline *p, int stage)
{
    const int behind = p->stages - 1 - stage, ahead = 3 * behind + (p->recompute && !p->recompute_last && behind ? 0 : 1);
    return ahead < p->micro_batches ? ahead : p->micro_batches;
}

const struct schedule schedule_varuna = {
    .member = { .name = "varuna",
                .help = "By priority: backward, recompute, forward; forwards run ahead and hide latency.",
                .source = "Athlur et al. 2022 (Varuna)",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .recomputes = true,
    .reorders = reorders,
    .fill = fill,
    .memory = memory,
};
