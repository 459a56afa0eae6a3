/* The end of a step: the summed gradients, what is left to add to them, and the optimizer.
 *
 * Most parameters take their step bucket by bucket, as the sums arrive. Some wait until all are there: the two copies of a tied
 * matrix, whose gradients are added, and what sequence parallel ranks have partial gradients of.
 */
#ifndef DMLBENCH_BENCH_UPDATE_H
#define DMLBENCH_BENCH_UPDATE_H

#include "bench/trainer.h"

/* Local; room for what waits. If it failed, update_close is still due. */
status update_plan(struct trainer *t);
void update_close(struct trainer *t);

/* The i-th part in the order of positions, in which exchanges are waited for: two ranks that hold the same two parts do it alike.
 */
struct part *update_part(struct trainer *t, int i);

/* Collective. Waits for the exchange; where `finite`, all parameters take the step. */
void update_parameters(struct trainer *t, int64_t step, bool finite, struct stopwatch *w);

#endif
