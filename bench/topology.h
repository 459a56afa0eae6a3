/* Counts of the machine, where this rank may run, and where it should; the only part that knows hwloc. */
#ifndef DMLBENCH_BENCH_TOPOLOGY_H
#define DMLBENCH_BENCH_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#include "collectives/status.h"

enum { TOPOLOGY_TEXT_BYTES = 256 };

struct topology {
    int packages, numa_nodes, cores, pus; /* of the whole machine, as far as this process may use it; pus: hardware threads */
    uint64_t l1d_B, l2_B, l3_B;           /* size of one cache of the level; 0 = unknown */
    int bound_cores;                      /* cores that the calling thread may run on, wholly or in part */
    int core, numa_node, package;         /* the one that these are in, by hwloc's logical number; -1: they are in several */
    char cpuset[TOPOLOGY_TEXT_BYTES];     /* its hardware threads as a list: "0-1"; cut at this size */
    char cpu_model[TOPOLOGY_TEXT_BYTES];  /* "" = unknown */
};

/* Local. Reads this machine, or the one that `synthetic` describes in hwloc's words ("package:2 core:8 pu:2"), NULL for this.
 * A synthetic machine binds nobody: its cpuset is all of it. False: hwloc cannot tell, or does not understand the words. */
bool topology_read(struct topology *t, const char *synthetic);

/* Ranks on a machine: the i-th of g, of which every `together` consecutive ones talk most (tensor parallel ranks). */
struct seating {
    int i, g, together;
};

/* Local. The core for a rank, by logical number: groups that talk are packed into a NUMA node, or else a package, one after the
 * other, and spread over all of these alike; every rank has a core of its own, and with it all its hardware threads. -1: there are
 * fewer cores than ranks, or hwloc cannot tell. */
int topology_core(const char *synthetic, const struct seating *s);

enum binder { BOUND_BY_NOBODY, BOUND_BY_LAUNCHER, BOUND_BY_PROGRAM };
const char *binder_name(enum binder by); /* "nobody", "launcher", "dmlbench" */

/* Local. Binds the calling thread, and those that it starts, to its core; memory then comes from there as it is first touched. What
 * the launcher has bound stays as it is. how: "core"; "none"; "auto", core if there are several ranks and a core for each. Only
 * "core" can fail, with a sentence. */
status topology_bind(const char *how, const struct seating *s, enum binder *by);

/* Version of the hwloc that this was built with: "2.9.0". */
const char *topology_library(void);

#endif
