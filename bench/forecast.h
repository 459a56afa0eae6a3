/* What a step takes at best, by closed forms: the model's flop at a rate, messages and sums over links, the schedule played with
 * both.
 *
 *      compute_s    flop of the busiest rank / rate                                  recomputation included
 *      tensor_s     its sums inside layers, by rings
 *      pipeline_s   the schedule's span with such passes and messages of latency + n / bandwidth; one stage: compute_s + tensor_s
 *      exchange_s   the gradients' way over the replicas, ZeRO's parameters included
 *
 *      step_s = max(pipeline_s, exchange_s)        the exchange hides behind the computation, or the other way round; of what is
 * known serial_s = pipeline_s + exchange_s          nothing hides
 *
 * With equal stages, 1f1b and free messages serial_s is T = (m + p - 1)(F + B) + T_AR(4 n, d), with T_AR = 2 (d-1) a + 2 (d-1)/d
 * n/B for a ring. Element-wise work, the optimizer, codecs, the loss's and tied matrices' sums cost nothing here, so a run takes
 * longer. Boundaries between stages count as their mean. Codes count by their bytes on the busiest link, and the latency of one
 * message. Sources: Narayanan et al. 2021 (Megatron-LM, section 3) for the hybrid; Hockney 1994; Patarasuk & Yuan 2009.
 */
#ifndef DMLBENCH_BENCH_FORECAST_H
#define DMLBENCH_BENCH_FORECAST_H

#include "bench/playback.h"
#include "bench/rates.h"

struct forecast { /* seconds of one step; NaN where rates or bytes are unknown */
    double compute_s, tensor_s, pipeline_s, exchange_s, step_s, serial_s;
};

/* Local. For a settled config of so many ranks. Fails for lack of memory only. */
status forecast_make(struct forecast *out, const struct config *c, int ranks, const struct rates *r);

/* Local. Passes of a micro-batch (the mean of the largest replica's) through each stage, times[stages], and a message between
 * stages. With NaN links nothing that is sent takes time. Fails for lack of memory only. */
status forecast_stages(const struct config *c, int ranks, const struct rates *r, struct stage_times *times, double *message_s);

#endif
