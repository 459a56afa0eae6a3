/* 1F1B: a stage runs ahead by as many forward passes as there are stages behind it, then does one forward and one backward pass in
 * turn, then the backward passes that are left. The same bubble as GPipe's, but p - s micro-batches in memory instead of m.
 *
 *     stage 0 of 3   F0 F1 F2 B0 F3 B1 F4 B2 B3 B4
 *     stage 2 of 3   F0 B0 F1 B1 F2 B2 F3 B3 F4 B4
 *
 * With recompute, each backward pass has its forward pass again right before it.
 * Source: Narayanan et al., "Memory-efficient pipeline-parallel DNN training" (PipeDream-flush), ICML 2021; Fan et al., DAPPLE,
 * PPoPP 2021.
 */
#include "bench/schedule.h"

static status fill(const struct pipeline *p, struct task_list *lists)
{
    for (int s = 0; s < p->stages; s++)
        schedule_alternate(p, s, p->stages - 1 - s, SCHEDULE_MERGED, &lists[s]);
    return STATUS_OK;
}

static double memory(const struct pipeline *p, int stage)
{
    const int behind = p->stages - stage;
    return p->micro_batches < behind ? p->micro_batches : behind;
}

const struct schedule schedule_1f1b = {
    .member = { .name = "1f1b",
                .help = "One forward, one backward in turn; memory of p - s micro-batches.",
                .source = "Narayanan et al. 2021 (PipeDream-flush); Fan et al. 2021 (DAPPLE)" },
    .fill = fill,
    .memory = memory,
};
