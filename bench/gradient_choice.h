/* exchange.allreduce "auto": the allreduce for each length of vector, known before anything runs and the same on every rank.
 *
 *      links known (network.*, calibration)   least seconds, by playing every member's rounds on them (collectives/cost.h);
 *                                             shm: 2 a + 2 (p-1)/p n/B
 *      else, a rule of thumb                  up to 16 KiB doubling; above it shm where the ranks share memory, hierarchical where
 *                                             nodes have several of them, else ring
 *
 * Lengths count by their power of two. With ZeRO only members that scatter before they gather take part.
 */
#ifndef DMLBENCH_BENCH_GRADIENT_CHOICE_H
#define DMLBENCH_BENCH_GRADIENT_CHOICE_H

#include "bench/rates.h"
#include "collectives/allreduce.h"
#include "collectives/job.h"

/* Pure. The algorithm that sums n floats over this team of replicas. */
const struct allreduce *gradient_allreduce(const struct config *c, struct team t, size_t n);

/* Pure. Whether it may be one that needs a window. */
bool gradient_shares_memory(const struct config *c);

/* Local. From now on "auto" goes by these links, if they are known. Fails for lack of memory only. */
status gradient_choose_by(struct config *c, int ranks, const struct rates *r);

/* Collective. Rank 0's choice, by what the config and its calibration say of links, on every rank. */
status gradient_choose(struct config *c, const struct job *job);

#endif
