/* Links of a stated cluster for the tests of fabric shaped. */
#ifndef DMLBENCH_TESTS_COLLECTIVES_SHAPED_H
#define DMLBENCH_TESTS_COLLECTIVES_SHAPED_H

#include "mpi_test.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "collectives/engine.h"
#include "collectives/ports.h"

struct net {
    struct cluster cluster;
    struct fabric_setup setup;
    struct fabric fabric;
};

static inline void open_net(struct net *n, struct cluster cluster, MPI_Comm comm)
{
    if (job_is_simulated())
        skip_on_all_ranks("the links of simulated hosts are simulated");
    *n = (struct net){ .cluster = cluster };
    assert_on_all_ranks(ports_open(&n->setup.ports, &n->cluster, job.world) == STATUS_OK);
    assert_on_all_ranks(fabric_open(&n->fabric, &fabric_shaped, &n->setup, comm) == STATUS_OK);
}

static inline void close_net(struct net *n)
{
    fabric_close(&n->fabric);
    ports_close(n->setup.ports);
}

/* Every rank on a node of its own. */
static inline struct cluster apart(double latency_s, double bandwidth_B_per_s)
{
    return (struct cluster){
        .nodes = job.ranks, .node_ranks = 1, .between = { latency_s, bandwidth_B_per_s }, .shared = true, .seed = 1
    };
}

static inline double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
