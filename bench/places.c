/* Arithmetic on lists of hosts, and on the grid's strides. */
#include "bench/places.h"

#include <stdlib.h>
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

/* ---- taking them --------------------------------------------------------------------------------------------------------- */

/* What rank 0 tells each rank. */
enum { TOLD_RANK, TOLD_LOCAL, TOLD_LOCALS, TOLD_NODE_RANKS, TOLD_MOVED, TOLD_COUNT };

/* Which it is, by order, of the ranks on its machine. */
static void count_locals(char *const *machines, const int *order, int ranks, int r, int *told)
{
    told[TOLD_LOCAL] = told[TOLD_LOCALS] = 0;
    for (int q = 0; q < ranks; q++) {
        const bool together = strcmp(machines[q], machines[r]) == 0;
        told[TOLD_LOCALS] += together;
        told[TOLD_LOCAL] += together && order[q] < order[r];
    }
}

/* Rank 0. told[ranks * TOLD_COUNT] */
static void tell(const struct job *job, const struct config *c, char *const *hosts, char *const *machines, int *told)
{
    const int ranks = job->ranks;
    int *const order = job_allocate(job, (size_t)ranks * sizeof *order);
    char **const sorted = job_allocate(job, (size_t)ranks * sizeof *sorted);
    bool moved = false;
    places_order(hosts, ranks, order);
    for (int r = 0; r < ranks; r++) {
        order[r] = strcmp(c->parallel.placement, "host") ? r : order[r];
        moved = moved || order[r] != r;
        sorted[order[r]] = hosts[r];
    }
    const int node_ranks = places_node_ranks(sorted, ranks);
    for (int r = 0; r < ranks; r++) {
        int *const row = told + (size_t)r * TOLD_COUNT;
        row[TOLD_RANK] = order[r];
        row[TOLD_NODE_RANKS] = node_ranks;
        row[TOLD_MOVED] = moved;
        count_locals(machines, order, ranks, r, row);
    }
    free(order);
    free(sorted);
}

struct seat places_take(struct job *job, struct config *c, const char *host, const char *machine)
{
    char **const hosts = job_gather_text(job, host), **const machines = job_gather_text(job, machine);
    int *const rows = job->rank ? NULL : job_allocate(job, (size_t)job->ranks * TOLD_COUNT * sizeof *rows);
    int told[TOLD_COUNT];
    if (rows)
        tell(job, c, hosts, machines, rows);
    job_scatter_ints(job, rows, TOLD_COUNT, told);
    const struct seat seat = { job->rank, told[TOLD_LOCAL], told[TOLD_LOCALS] };
    if (told[TOLD_MOVED])
        job_renumber(job, told[TOLD_RANK]);
    c->node_ranks_seen = told[TOLD_NODE_RANKS];
    free(rows);
    free(hosts);
    free(machines);
    return seat;
}
