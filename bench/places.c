/* Arithmetic on lists of hosts, and on the grid's strides. */
#include "bench/places.h"

#include <string.h>

#include "collectives/grid.h"

void places_order(char *const *hosts, int ranks, int *order)
{
    int next = 0;
    for (int first = 0; first < ranks; first++) {
        bool seen = false;
        for (int r = 0; r < first && !seen; r++)
            seen = strcmp(hosts[r], hosts[first]) == 0;
        for (int r = first; r < ranks && !seen; r++)
            if (strcmp(hosts[r], hosts[first]) == 0)
                order[r] = next++;
    }
}

int places_node_ranks(char *const *hosts, int ranks)
{
    struct team all = team_of(ranks, 0);
    for (int r = 1; r < ranks; r++)
        if (strcmp(hosts[r], hosts[r - 1]))
            team_part(&all, r);
    return all.g;
}

/* Replicas are `stride` ranks apart: a node of N ranks holds N / stride of a group's, if those begin where nodes do. Two routes, or
 * strides that nodes cut, make groups that differ: none of their ranks counts as together. */
struct team places_replicas(const struct config *c, int replicas)
{
    const int degree[AXIS_COUNT] = {
        [AXIS_TENSOR] = (int)c->parallel.tensor, [AXIS_PIPELINE] = (int)c->parallel.pipeline, [AXIS_DATA] = (int)c->parallel.data
    };
    const int ranks = degree[AXIS_TENSOR] * degree[AXIS_PIPELINE] * degree[AXIS_DATA];
    const struct cluster cluster = config_cluster(c, ranks);
    if (cluster.node_ranks >= ranks)
        return team_of(replicas, 0);
    if (replicas != degree[AXIS_DATA])
        return team_of(replicas, 1);
    const int stride = grid_rank(degree, c->parallel.order, (const int[AXIS_COUNT]){ [AXIS_DATA] = 1 });
    struct team t = team_of(replicas, 0);
    team_part(&t, cluster.node_ranks % stride ? 1 : cluster.node_ranks / stride);
    return t;
}
