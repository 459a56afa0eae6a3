/* What collectives cost on a cluster, by arithmetic: rounds are played with the links' latencies and bandwidths, and nothing is
 * sent.
 *
 *      message     latency + n / bandwidth                     (Hockney)
 *      round       messages that share a link in it share its bandwidth; a rank begins round i + 1 when both of its messages of
 *                  round i have arrived, so a slow link delays those who wait for it, and they others
 *      segments    S alike, k in flight: max(ceil(S / k) alone, S busiest + the latency of a round)
 *
 * On equal links: ring 2 (p-1) (a + n/(pB)), doubling log2 p (a + n/B), halving 2 log2 p a + 2 (p-1)/p n/B, tree 2 log2 p (a +
 * n/B). Adding floats, the memory and the processor cost nothing here: these are bounds, which a good network comes near to.
 * Sources: Hockney 1994, The communication challenge for MPP; Thakur, Rabenseifner & Gropp 2005.
 */
#ifndef DMLBENCH_COLLECTIVES_COST_H
#define DMLBENCH_COLLECTIVES_COST_H

#include "collectives/allreduce.h"
#include "collectives/cluster.h"

/* Groups of p ranks that do the same at the same time, and so share the links of the nodes that they are on. */
struct cost_groups {
    const struct cluster *cluster; /* has room for all ranks */
    const int *ranks;              /* [count][p] */
    int p, count;
};

/* Pure. Every group as a team: ranks count as together where they share a node in all groups. */
struct team cost_team(const struct cost_groups *g);

struct rounds_cost {
    double alone_s;   /* until the last message has arrived */
    double busiest_s; /* for which the link that carries most is busy */
    int rounds;
};

/* Rounds first .. first + rounds - 1 of a's allreduce of n elements, the groups beginning together. An algorithm without rounds, or
 * no memory: NaN. Local. */
struct rounds_cost cost_of_rounds(const struct cost_groups *g, const struct allreduce *a, int first, int rounds, size_t n,
                                  size_t element_B);
/* Every rank's code of so many bytes to all others of its group, round a ring. */
struct rounds_cost cost_of_gather(const struct cost_groups *g, size_t code_B);
/* Pure. So many alike, at most `in_flight` of them at a time. */
double cost_of_many_s(const struct rounds_cost *one, size_t count, int in_flight);

/* Seconds of one whole allreduce of n floats over ranks[p], in one piece and alone on the cluster; NaN as above. */
double cluster_allreduce_s(const struct cluster *c, const struct allreduce *a, const int *ranks, int p, size_t n);

#endif
