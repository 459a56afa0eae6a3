/* Nodes and links as an experiment states them: which rank sits where, and what a message from one to another costs by itself.
 *
 *      node 0            node 1              a node holds node_ranks consecutive ranks
 *     [0 1 2 3]-- ... --[4 5 6 7]            inside: every rank sends, and receives, at inside.bandwidth_B_per_s
 *                                            between: by one link of the node if shared, else by one of each rank; or, with a
 *                                            matrix, by a link for every ordered pair of nodes (shared), or of ranks (not)
 *
 * The same statement shapes links inside the process (fabric shaped), makes the platform of a simulation, and fills the closed
 * forms, so the three can be compared.
 */
#ifndef DMLBENCH_COLLECTIVES_CLUSTER_H
#define DMLBENCH_COLLECTIVES_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cluster_link {
    double latency_s, bandwidth_B_per_s; /* a message of n bytes takes latency_s + n / bandwidth_B_per_s */
};

struct cluster {
    int nodes, node_ranks;
    struct cluster_link inside, between;
    bool shared;
    const double *latency_s, *bandwidth_B_per_s; /* [nodes, nodes], from, to; NULL: `between` for all */
    double jitter_s;
    uint64_t seed;
};

/* Pure. The node of a rank; whether two ranks are on the same. */
int cluster_node(const struct cluster *n, int rank);
bool cluster_is_inside(const struct cluster *n, int from, int to);
/* Pure. What a message between two different ranks costs when nothing else is on its way. */
struct cluster_link cluster_link(const struct cluster *n, int from, int to);
/* Pure. Extra seconds of the k-th message from one rank to another: |N(0, jitter_s)|, by the seed. */
double cluster_jitter_s(const struct cluster *n, int from, int to, uint64_t k);

#endif
