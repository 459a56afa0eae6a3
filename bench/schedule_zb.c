/* Zero bubble: the backward pass in two halves, the input gradient (B), for which the stage before waits, and the weight gradient
 * (W), for which nobody waits: W fills what would be idle time.
 *
 *     H1: 1F1B's warm-up of p - s - 1, W lags s micro-batches behind B       memory of p micro-batches on every stage
 *     H2: a warm-up of 2 (p - s) - 2,  W lags 2 s micro-batches behind B     memory of 2 p - 1; no bubble if W = B = F
 *
 *     H1, stage 1 of 3   F0 F1 B0 F2 B1 W0 F3 B2 W1 B3 W2 W3
 *
 * A micro-batch counts as held until its W, an upper bound: after B only what the weight gradient needs is left of it. H2 is faster
 * where steps overlap: a stage's optimizer waits for its own gradients only, but a tied matrix makes the first and last stage meet.
 * Source: Qi, Wan, Huang, Lin, "Zero bubble pipeline parallelism", ICLR 2024; the lists are derived from its drawings.
 */
#include "bench/schedule.h"

static const char *refuses(const struct pipeline *p)
{
    return p->recompute ? "its warm-up and its delays are counted without recomputation (fits: recompute = false, or "
                          "schedule.name = \"1f1b\")"
                        : NULL;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* ahead: 1 is H1, 2 is H2 */
static status fill(const struct pipeline *p, int ahead, struct task_list *lists)
{
    for (int s = 0; s < p->stages; s++)
        schedule_alternate(p, s, ahead * (p->stages - 1 - s), ahead * s, &lists[s]);
    return STATUS_OK;
}

static status fill_h1(const struct pipeline *p, struct task_list *lists)
{
    return fill(p, 1, lists);
}

static status fill_h2(const struct pipeline *p, struct task_list *lists)
{
    return fill(p, 2, lists);
}

static double memory_h1(const struct pipeline *p, int stage)
{
    (void)stage;
    return least(p->micro_batches, p->stages);
}

static double memory_h2(const struct pipeline *p, int stage)
{
    (void)stage;
    return least(p->micro_batches, 2 * p->stages - 1);
}

const struct schedule schedule_zb_h1 = {
    .member = { .name = "zb-h1",
                .help = "1F1B whose weight gradients fill idle time; memory of p micro-batches.",
                .source = "Qi et al. 2024 (zero bubble)" },
    .refuses = refuses,
    .fill = fill_h1,
    .memory = memory_h1,
};

const struct schedule schedule_zb_h2 = {
    .member = { .name = "zb-h2",
                .help = "As zb-h1 with twice the warm-up; memory of 2 p - 1 micro-batches.",
                .source = "Qi et al. 2024 (zero bubble)" },
    .refuses = refuses,
    .fill = fill_h2,
    .memory = memory_h2,
};
