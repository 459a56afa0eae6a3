/* The table of allreduce algorithms, and the cut of a vector into blocks that they share. */
#include "collectives/allreduce.h"

#include <string.h>

const struct allreduce *const allreduces[] = { &allreduce_ring,         &allreduce_doubling, &allreduce_halving, &allreduce_tree,
                                               &allreduce_hierarchical, &allreduce_shm,      &allreduce_mpi,     NULL };

const struct allreduce *allreduce_find(const char *name)
{
    for (size_t i = 0; allreduces[i]; i++)
        if (!strcmp(allreduces[i]->member.name, name))
            return allreduces[i];
    return NULL;
}

struct team team_of(int p, int node_ranks)
{
    return (struct team){ p, node_ranks ? node_ranks : p };
}

/* Nodes that are equal and end there: as many ranks as divide both. */
void team_part(struct team *t, int at)
{
    while (at) {
        const int rest = t->g % at;
        t->g = at;
        at = rest;
    }
}

size_t block_start(size_t n, int p, int b)
{
    size_t blocks = (size_t)p, at = (size_t)b, longer = n % blocks; /* the first blocks are the longer ones */
    return n / blocks * at + (at < longer ? at : longer);
}

size_t block_length(size_t n, int p, int b)
{
    return block_start(n, p, b + 1) - block_start(n, p, b);
}
