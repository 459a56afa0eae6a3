/* Who shares a host: ranks are renumbered so that consecutive ones do, and the exchange of gradients learns how many of its ranks
 * are together.
 *
 *     mpirun --map-by node     host a: 0 2 4 6   host b: 1 3 5 7        dealt round robin
 *     places_order             host a: 0 1 2 3   host b: 4 5 6 7        hosts, and ranks within them, in the order of first sight
 *
 * parallel.order fills hosts with consecutive ranks, so with this it says what stays within a host, however ranks were dealt.
 */
#ifndef DMLBENCH_BENCH_PLACES_H
#define DMLBENCH_BENCH_PLACES_H

#include "bench/config.h"
#include "collectives/allreduce.h"
#include "collectives/job.h"

/* Pure. order[ranks]: the new number of each rank. Rank 0 stays rank 0. */
void places_order(char *const *hosts, int ranks, int *order);

/* Pure. Hosts in the order of ranks: the largest g such that every g consecutive ranks, from rank 0 on, share a host (the greatest
 * common divisor of the runs). */
int places_node_ranks(char *const *hosts, int ranks);

/* Pure. The replicas of a part, in the network of a settled config: how many consecutive ones share a node in every such group. */
struct team places_replicas(const struct config *c, int replicas);

/* A rank where it runs: its number in MPI_COMM_WORLD, and which it is (in the new order) of how many on its machine. Hosts that
 * share a machine (containers, network namespaces) share its cores. */
struct seat {
    int mpi_rank, local, locals;
};

/* Collective. Numbers the job's ranks as parallel.placement says; c->node_ranks_seen becomes what the hosts then are. */
struct seat places_take(struct job *job, struct config *c, const char *host, const char *machine);

#endif
