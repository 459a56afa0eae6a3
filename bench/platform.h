/* A stated cluster as a SimGrid platform: one host for each rank, and routes that cost what cluster_link says.
 *
 *      node 0              node 1
 *     host --up--.--down-- host         inside a node: the sender's up, the receiver's down
 *     host --out ........... in-- host  between nodes: of the node if shared, else of the rank; with a matrix one link a pair
 *
 * Every route has the stated latency, and the stated bandwidth as its narrowest link. What shares a link shares its bandwidth
 * evenly; with a matrix that is not shared every message has the whole (SimGrid's FATPIPE), also two between the same ranks. Jitter
 * is not part of a platform.
 */
#ifndef DMLBENCH_BENCH_PLATFORM_H
#define DMLBENCH_BENCH_PLATFORM_H

#include <stdio.h>

#include "collectives/cluster.h"

/* Local. Writes SimGrid's XML, version 4.1, for so many ranks of the cluster; their hosts are host-0, host-1, ... A write that
 * fails is left in ferror(out). */
void platform_write(FILE *out, const struct cluster *n, int ranks, double flop_per_s);

#endif
