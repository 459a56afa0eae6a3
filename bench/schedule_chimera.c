/* Chimera: two pipelines in opposite directions over the same stages, each with a copy of the model and half of the micro-batches;
 * the second fills what the first leaves idle.
 *
 * A stage runs its tasks in the order of a key that is different for each of them. With place s on the route and p stages, the j-th
 * micro-batch of a route, j = (p / 2) u + i, has
 *     key(F) = s + 2 i + 2 p u        key(B) = 2 p - 1 - s + 2 i + 2 p u
 * Keys grow along the route and back, so the order cannot deadlock, whatever m is. Units of p micro-batches follow each other;
 * the source's "forward doubling" and "backward halving" are not built.
 * Source: Li & Hoefler, "Chimera", SC'21; the key is derived from the lists of its published generator.
 */
#include <stdio.h>

#include "bench/schedule.h"

static int chunks(const void *options)
{
    (void)options;
    return 2;
}

static const char *refuses(const struct pipeline *p)
{
    static _Thread_local char text[128];
    if (p->stages % 2 == 0)
        return NULL;
    if (p->stages > 1)
        snprintf(text, sizeof text, "%d stages are not even (fits: %d or %d)", p->stages, p->stages - 1, p->stages + 1);
    else
        snprintf(text, sizeof text, "1 stage is not even (fits: 2)");
    return text;
}

/* Which micro-batch of a route has this key less its offset; -1: none. */
static int micro_at(int stages, int key)
{
    const int unit = key / (2 * stages), rest = key % (2 * stages);
    return key >= 0 && rest % 2 == 0 && rest < stages ? unit * stages / 2 + rest / 2 : -1;
}

static void append_at(const struct pipeline *p, struct place at, int key, struct task_list *list)
{
    const int first = at.chunk ? (p->micro_batches + 1) / 2 : 0; /* of the route */
    const int count = at.chunk ? p->micro_batches / 2 : (p->micro_batches + 1) / 2;
    const int s = pipeline_position(p, at);
    const int forward = micro_at(p->stages, key - s), backward = micro_at(p->stages, key - (2 * p->stages - 1 - s));
    if (forward >= 0 && forward < count)
        task_append(list, TASK_FORWARD, at.chunk, first + forward);
    if (backward >= 0 && backward < count)
        schedule_append_backward(p, at, first + backward, list);
}

static status fill(const struct pipeline *p, struct task_list *lists)
{
    const int units = (p->micro_batches + p->stages - 1) / p->stages;
    for (int s = 0; s < p->stages; s++)
        for (int key = 0; key < 2 * p->stages * (units + 1); key++)
            for (int chunk = 0; chunk < 2; chunk++)
                append_at(p, (struct place){ s, chunk }, key, &lists[s]);
    return STATUS_OK;
}

/* p / 2 + 1 at the ends, p in the middle. */
static double memory(const struct pipeline *p, int stage)
{
    const int mirrored = p->stages - 1 - stage, edge = stage < mirrored ? stage : mirrored, held = p->stages / 2 + 1 + edge;
    return held < p->micro_batches ? held : p->micro_batches;
}

const struct schedule schedule_chimera = {
    .member = { .name = "chimera",
                .help = "Two pipelines in opposite directions, with two copies of the model.",
                .source = "Li & Hoefler 2021 (Chimera)" },
    .placement = PLACEMENT_BIDIRECTIONAL,
    .chunks = chunks,
    .refuses = refuses,
    .fill = fill,
    .memory = memory,
};
