/* GPipe: all forward passes, then all backward passes, the last micro-batch first.
 *
 *     F0 F1 F2 F3 B3 R2 B2 R1 B1 R0 B0
 *
 * The last micro-batch keeps its activations, because its backward pass is next (torchgpipe's "except_last"). Latency costs
 * 2 (p - 1) hops whatever m is, and memory is m micro-batches, of inputs only with recompute.
 * Source: Huang et al., "GPipe", NeurIPS 2019; Kim et al., "torchgpipe", 2020.
 */
#include "bench/schedule.h"

static void fill_stage(const struct pipeline *p, int stage, struct task_list *list)
{
    const int last = p->micro_batches - 1;
    for (int j = 0; j <= last; j++)
        task_append(list, TASK_FORWARD, 0, j);
    for (int j = last; j >= 0; j--) {
        if (j < last && schedule_recomputes(p, (struct place){ stage, 0 }))
            task_append(list, TASK_RECOMPUTE, 0, j);
        task_append(list, TASK_BACKWARD, 0, j);
    }
}

static status fill(const struct pipeline *p, struct task_list *lists)
{
    for (int s = 0; s < p->stages; s++)
        fill_stage(p, s, &lists[s]);
    return STATUS_OK;
}

static double memory(const struct pipeline *p, int stage)
{
    (void)stage;
    return p->micro_batches;
}

const struct schedule schedule_gpipe = {
    .member = { .name = "gpipe",
                .help = "All forward passes, then all backward passes in reverse; memory of m micro-batches.",
                .source = "Huang et al. 2019 (GPipe); Kim et al. 2020 (torchgpipe)" },
    .recomputes = true,
    .recomputes_last = true,
    .fill = fill,
    .memory = memory,
};
