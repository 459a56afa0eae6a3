/* Which consecutive layers make a stage.
 *
 *   cost   the dearest stage as cheap as possible; among these cuts the cheapest stage as dear as possible; then the earliest cuts
 *   even   equal numbers of repeated layers; what stands before the first of them joins the first stage, what stands behind the
 * last the last
 *
 * The cost of a layer is the flop of its forward and backward pass, or, where compute.name states times, 1 for a repeated layer and
 * 0 for any other: whole numbers, so sums are exact and equal stages are known to be equal.
 */
#ifndef DMLBENCH_BENCH_PARTITION_H
#define DMLBENCH_BENCH_PARTITION_H

#include "bench/config.h"
#include "bench/model.h"

/* Pure. Of all layers together. */
double partition_cost(const struct config *c, const struct network *net);
/* Local. The layers of the whole model as parallel.partition asks for: part i takes the layers first[i] .. first[i + 1] - 1, none
 * empty; first[parts + 1]. Out of memory is the only failure; there are at least `parts` repeated layers. */
status partition_layers(const struct config *c, const struct network *net, int parts, int *first);

/* The two ways on plain arrays: cost[n], or repeated[n] with a multiple of `parts` set. */
status partition_by_cost(const double *cost, int n, int parts, int *first);
void partition_evenly(const bool *repeated, int n, int parts, int *first);

#endif
