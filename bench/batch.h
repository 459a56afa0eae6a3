/* How the global batch of a step is cut, whatever the layout: nothing has to divide anything, and no sample is dropped.
 *
 *   M = ceil(G / batch.micro) micro-batches ("leaves") of the G = batch.global samples: leaf i takes the samples
 *   floor(i G / M) .. floor((i + 1) G / M) - 1, so sizes differ by at most one and none is above batch.micro. The leaves are dealt
 * to the data replicas in contiguous blocks (block_start).
 *
 *      G = 10, micro = 4      0 1 2 | 3 4 5 | 6 7 8 9      M = 3
 *
 * The leaves depend on the batch alone, so a fixed order of summation over them gives the same bits in every layout. All pure.
 */
#ifndef DMLBENCH_BENCH_BATCH_H
#define DMLBENCH_BENCH_BATCH_H

#include "bench/config.h"

int64_t batch_leaves(const struct config *c);
/* First sample of a leaf within the step; of leaf batch_leaves(c): batch.global. */
int64_t batch_first_sample(const struct config *c, int64_t leaf);
int batch_samples(const struct config *c, int64_t leaf);
int batch_most_samples(const struct config *c); /* of any leaf */
/* First leaf of a replica, of parallel.data; of replica parallel.data: batch_leaves(c). */
int64_t batch_first_leaf(const struct config *c, int replica);
int64_t batch_leaves_of(const struct config *c, int replica);

#endif
