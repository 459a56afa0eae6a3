/* Counts of the machine, and where this rank may run; the only part that knows hwloc. */
#ifndef DMLBENCH_BENCH_TOPOLOGY_H
#define DMLBENCH_BENCH_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

enum { TOPOLOGY_TEXT_BYTES = 256 };

struct topology {
    int packages, numa_nodes, cores, pus; /* of the whole machine, as far as this process may use it; pus: hardware threads */
    uint64_t l1d_B, l2_B, l3_B;           /* size of one cache of the level; 0 = unknown */
    int bound_cores;                      /* cores that the calling thread may run on, wholly or in part */
    char cpuset[TOPOLOGY_TEXT_BYTES];     /* its hardware threads as a list: "0-1"; cut at this size */
    char cpu_model[TOPOLOGY_TEXT_BYTES];  /* "" = unknown */
};

/* Local. Reads this machine, or the one that `synthetic` describes in hwloc's words ("package:2 core:8 pu:2"), NULL for this.
 * A synthetic machine binds nobody: its cpuset is all of it. False: hwloc cannot tell, or does not understand the words. */
bool topology_read(struct topology *t, const char *synthetic);

/* Version of the hwloc that this was built with: "2.9.0". */
const char *topology_library(void);

#endif
