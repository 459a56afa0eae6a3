/* Arithmetic on the statement; nothing here knows time or messages. */
#include "collectives/cluster.h"

#include <math.h>

#include "kernels/random.h"

int cluster_node(const struct cluster *n, int rank)
{
    return rank / n->node_ranks;
}

bool cluster_is_inside(const struct cluster *n, int from, int to)
{
    return cluster_node(n, from) == cluster_node(n, to);
}

struct cluster_link cluster_link(const struct cluster *n, int from, int to)
{
    if (cluster_is_inside(n, from, to))
        return n->inside;
    if (!n->latency_s)
        return n->between;
    const size_t at = (size_t)cluster_node(n, from) * (size_t)n->nodes + (size_t)cluster_node(n, to);
    return (struct cluster_link){ n->latency_s[at], n->bandwidth_B_per_s[at] };
}

double cluster_jitter_s(const struct cluster *n, int from, int to, uint64_t k)
{
    const struct random random = { n->seed, RANDOM_LINK, (uint32_t)from, (uint32_t)to };
    float x;
    if (n->jitter_s == 0)
        return 0;
    random_normal(&random, 1, k, &x, 1);
    return n->jitter_s * fabs((double)x);
}
