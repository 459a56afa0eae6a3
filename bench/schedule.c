/* The table of schedules, who stands where, and what members share. To add one: write schedule_<name>.c, declare it in the header
 * and add a line here.
 */
#include "bench/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct schedule *const schedules[] = { &schedule_1f1b,  &schedule_gpipe, &schedule_interleaved, &schedule_varuna,
                                             &schedule_zb_h1, &schedule_zb_h2, &schedule_chimera,     NULL };

const struct schedule *schedule_find(const char *name)
{
    for (int i = 0; schedules[i]; i++)
        if (strcmp(schedules[i]->member.name, name) == 0)
            return schedules[i];
    return NULL;
}

static bool is_on(int64_t setting, bool source_does)
{
    return setting == SETTING_AUTO ? source_does : setting == SETTING_ON;
}

struct pipeline pipeline_make(const char *schedule, const void *options, int stages, int micro_batches, int64_t recompute,
                              int64_t recompute_last)
{
    const struct schedule *s = schedule_find(schedule);
    const bool recomputes = is_on(recompute, s->recomputes);
    return (
        struct pipeline){ s, options, stages, micro_batches, recomputes, is_on(recompute_last, recomputes && s->recomputes_last) };
}

const char *pipeline_refuses(const struct pipeline *p)
{
    if (p->recompute_last && !p->recompute)
        return "recompute_last_stage = true, but the last stage recomputes only if the others do (fits: recompute = true, or "
               "recompute_last_stage = false)";
    return p->schedule->refuses ? p->schedule->refuses(p) : NULL;
}

static int nearest_fit(struct pipeline p, int step)
{
    for (int i = 0; i < p.stages; i++) {
        p.micro_batches += step;
        if (p.micro_batches > 0 && !pipeline_refuses(&p))
            return p.micro_batches;
    }
    return 0;
}

const char *pipeline_misfit(const struct pipeline *p, const char *key, int64_t unit, char text[PIPELINE_MISFIT_BYTES])
{
    const char *why = pipeline_refuses(p);
    if (!why)
        return NULL;
    const int used = snprintf(text, PIPELINE_MISFIT_BYTES, "%s", why); /* asking again overwrites it */
    const int64_t below = nearest_fit(*p, -1) * unit, above = nearest_fit(*p, 1) * unit;
    if (below && above)
        snprintf(text + used, (size_t)(PIPELINE_MISFIT_BYTES - used), " (fits: %s = %lld or %lld)", key, (long long)below,
                 (long long)above);
    else if (above)
        snprintf(text + used, (size_t)(PIPELINE_MISFIT_BYTES - used), " (fits: %s = %lld)", key, (long long)above);
    return text;
}

/* ---- places -------------------------------------------------------------------------------------------------------------- */

int pipeline_chunks(const struct pipeline *p)
{
    return p->schedule->chunks ? p->schedule->chunks(p->options) : 1;
}

int pipeline_routes(const struct pipeline *p)
{
    return p->schedule->placement == PLACEMENT_BIDIRECTIONAL ? 2 : 1;
}

bool pipeline_reorders(const struct pipeline *p)
{
    return p->schedule->reorders && p->schedule->reorders(p->options);
}

int pipeline_positions(const struct pipeline *p)
{
    return p->schedule->placement == PLACEMENT_LOOPED ? p->stages * pipeline_chunks(p) : p->stages;
}

int pipeline_position(const struct pipeline *p, struct place at)
{
    if (p->schedule->placement == PLACEMENT_LOOPED)
        return at.chunk * p->stages + at.stage;
    return at.chunk == 0 ? at.stage : p->stages - 1 - at.stage;
}

/* `steps` positions further on the same route. */
static struct place moved(const struct pipeline *p, struct place at, int steps)
{
    const int position = pipeline_position(p, at) + steps;
    if (position < 0 || position >= pipeline_positions(p))
        return (struct place){ -1, 0 };
    if (p->schedule->placement == PLACEMENT_LOOPED)
        return (struct place){ position % p->stages, position / p->stages };
    return (struct place){ at.chunk == 0 ? position : p->stages - 1 - position, at.chunk };
}

struct place pipeline_next(const struct pipeline *p, struct place at)
{
    return moved(p, at, 1);
}

struct place pipeline_previous(const struct pipeline *p, struct place at)
{
    return moved(p, at, -1);
}

/* ---- lists --------------------------------------------------------------------------------------------------------------- */

status pipeline_lists(const struct pipeline *p, struct task_list *lists)
{
    const size_t room = 3 * (size_t)p->micro_batches * (size_t)pipeline_chunks(p); /* three tasks at most for each */
    bool all = true;
    for (int s = 0; s < p->stages; s++) {
        lists[s] = (struct task_list){ .tasks = malloc(room * sizeof(struct task)) };
        all = all && lists[s].tasks;
    }
    status made = all ? p->schedule->fill(p, lists) : status_fail(STATUS_FAILED, "no memory for a schedule");
    if (made != STATUS_OK)
        pipeline_free_lists(p, lists);
    return made;
}

void pipeline_free_lists(const struct pipeline *p, struct task_list *lists)
{
    for (int s = 0; s < p->stages; s++) {
        free(lists[s].tasks);
        lists[s] = (struct task_list){ 0 };
    }
}

/* ---- for the members ----------------------------------------------------------------------------------------------------- */

void task_append(struct task_list *list, enum task_kind kind, int chunk, int micro)
{
    list->tasks[list->count++] = (struct task){ kind, chunk, micro };
}

bool schedule_recomputes(const struct pipeline *p, struct place at)
{
    return p->recompute && (p->recompute_last || pipeline_position(p, at) + 1 < pipeline_positions(p));
}

void schedule_append_backward(const struct pipeline *p, struct place at, int micro, struct task_list *list)
{
    if (schedule_recomputes(p, at))
        task_append(list, TASK_RECOMPUTE, at.chunk, micro);
    task_append(list, TASK_BACKWARD, at.chunk, micro);
}

struct unit {
    int chunk, micro;
};

/* Groups of p micro-batches pass chunk after chunk. */
static struct unit unit_at(const struct pipeline *p, int k)
{
    const int in_group = p->stages * pipeline_chunks(p), group = k / in_group, i = k % in_group;
    return (struct unit){ i / p->stages, group * p->stages + i % p->stages };
}

static void append_forward(const struct pipeline *p, int k, struct task_list *list)
{
    const struct unit u = unit_at(p, k);
    task_append(list, TASK_FORWARD, u.chunk, u.micro);
}

void schedule_alternate(const struct pipeline *p, int stage, int warmup, int lag, struct task_list *list)
{
    const bool split = lag != SCHEDULE_MERGED;
    const int chunks = pipeline_chunks(p), units = p->micro_batches * chunks, rounds = split ? units + lag : units;
    for (int k = 0; k < warmup && k < units; k++)
        append_forward(p, k, list);
    for (int k = 0; k < rounds; k++) {
        const struct unit u = unit_at(p, k);
        if (warmup + k < units)
            append_forward(p, warmup + k, list);
        if (k < units && split)
            task_append(list, TASK_INPUT_GRAD, 0, k);
        else if (k < units)
            schedule_append_backward(p, (struct place){ stage, chunks - 1 - u.chunk }, u.micro, list);
        if (split && k >= lag)
            task_append(list, TASK_WEIGHT_GRAD, 0, k - lag);
    }
}
