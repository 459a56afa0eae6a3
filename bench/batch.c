/* Samples into leaves, leaves into replicas. */
#include "bench/batch.h"

#include "collectives/allreduce.h"

int64_t batch_leaves(const struct config *c)
{
    return (c->batch.global + c->batch.micro - 1) / c->batch.micro;
}

int64_t batch_first_sample(const struct config *c, int64_t leaf)
{
    return leaf * c->batch.global / batch_leaves(c);
}

int batch_samples(const struct config *c, int64_t leaf)
{
    return (int)(batch_first_sample(c, leaf + 1) - batch_first_sample(c, leaf));
}

int batch_most_samples(const struct config *c)
{
    const int64_t leaves = batch_leaves(c);
    return (int)((c->batch.global + leaves - 1) / leaves);
}

int64_t batch_first_leaf(const struct config *c, int replica)
{
    return (int64_t)block_start((size_t)batch_leaves(c), (int)c->parallel.data, replica);
}

int64_t batch_leaves_of(const struct config *c, int replica)
{
    return batch_first_leaf(c, replica + 1) - batch_first_leaf(c, replica);
}
