/* Message i of n, needed by task t, may be posted from the task behind the last one u < t on which has no room for it:
 *
 *      kept(u) + i + 1 - received(u) > boundaries + ahead
 *
 * A stack keeps the tasks that can be the last above some bound: kept(u) - received(u) falls from the bottom.
 */
#include "bench/links_early.h"

#include <stdlib.h>

/* How many of the falling values are above the bound. */
static int count_above(const int *value, int count, int bound)
{
    int low = 0;
    while (low < count) {
        const int middle = (low + count) / 2;
        if (value[middle] > bound)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

static bool receives(const struct assignment *a, const struct task *task)
{
    return task->kind == TASK_FORWARD && !part_is_first(&a->parts[task->chunk]);
}

static void find_early(const struct assignment *a, int ahead, int *early, int *stack, int *value)
{
    const bool any_time = pipeline_reorders(&a->pipeline); /* then there is room for all */
    int depth = 0, received = 0;
    for (int t = 0; t < a->tasks.count; t++) {
        if (receives(a, &a->tasks.tasks[t])) {
            const int full = count_above(value, depth, a->boundaries + ahead - received - 1);
            early[received++] = any_time || full == 0 ? 0 : stack[full - 1] + 1;
        }
        const int now = a->kept[t] - received;
        while (depth > 0 && value[depth - 1] <= now)
            depth--;
        stack[depth] = t;
        value[depth++] = now;
    }
}

status links_early(const struct assignment *a, int ahead, int *early)
{
    const size_t room = (size_t)a->tasks.count + 1;
    int *stack = malloc(2 * room * sizeof *stack);
    if (!stack)
        return status_fail(STATUS_FAILED, "no memory to plan %zu messages", room);
    find_early(a, ahead, early, stack, stack + room);
    free(stack);
    return STATUS_OK;
}
