/* Links of a stated cluster inside one host: when a message has left its port, and when it is delivered.
 *
 *      rank --[port out]-------- latency, jitter --------[port in]-- rank        full duplex; every port carries one byte after
 *             first come, first served                   from its head on        the other, at its bandwidth
 *
 * Ports inside a node: one pair for each rank. Between nodes: one pair for each node (shared, so that it congests) or rank; with a
 * matrix one queue, without a port in, for each ordered pair of nodes (shared) or of ranks.
 *
 * A message of n bytes that starts at `now` takes length = n / bandwidth of its port out,
 *      left = max(now, free out) + length,
 * its head is at the other end at left - length + latency + jitter, and from then on it takes what time the port in has free. So an
 * idle path costs latency + length once (cut-through), and messages between two ranks stay in order unless jitter turns them round.
 * The moment is known when the message starts, and is a promise: what starts later may fill the gaps before it, but not delay it. A
 * port in that only had "free from" would leave those gaps empty, and a rank that sends to seven others would delay their traffic.
 *
 * No packets, no acknowledgements, no loss, no memory that runs full: a message waits at the sender's port for nobody else's.
 */
#ifndef DMLBENCH_COLLECTIVES_PORTS_H
#define DMLBENCH_COLLECTIVES_PORTS_H

#include <mpi.h>
#include <stdatomic.h>

#include "collectives/cluster.h"
#include "collectives/status.h"

enum { PORT_PROMISES = 64 };

/* When it is busy: times that do not touch, ascending. With so many of them ahead, what comes goes behind the last. */
struct port {
    atomic_flag locked;
    int count;
    struct promise {
        double from_s, to_s;
    } promises[PORT_PROMISES];
};

/* How long a rank has waited for messages, and for how much of it one was due already: what this machine added to the network. */
struct lateness {
    double waited_s, late_s;
};

struct ports {
    const struct cluster *cluster;
    int ranks;
    struct port *ports; /* in memory that all ranks share */
    uint64_t *sent;     /* [ranks, ranks] messages from, to; behind them */
    bool wide;
    struct lateness lateness; /* of this rank, while its ports were not wide */
    MPI_Win window;
    MPI_Group world;
};

struct passage {
    double left_s; /* the last byte is out of the sender's port */
    double due_s;  /* and here, at the receiver */
};

/* Pure, but for the port. A message whose head is there at head_s >= now_s and which takes length_s of the port: the moment at
 * which the port has carried it. Nobody asks about times before now_s any more. */
double port_carry(struct port *port, double now_s, double head_s, double length_s);

/* Pure. Bytes of a cluster's ports and counters; and the two put to work in memory of that size that is all zero, which the caller
 * owns. */
size_t ports_B(const struct cluster *cluster, int ranks);
struct ports ports_in(void *memory, const struct cluster *cluster, int ranks);

/* Local, from any process that shares the memory. A message from one rank of the world to another starts now. */
struct passage ports_send(struct ports *p, int from, int to, size_t bytes, double now_s);

/* Local. Wide: what this rank sends from now on is due at once, for phases that nobody times. NULL: nothing. */
void ports_set_wide(struct ports *p, bool wide);

/* Collective over world; the cluster must stay. Ranks on several hosts: STATUS_USAGE and a sentence on all. */
status ports_open(struct ports **p, const struct cluster *cluster, MPI_Comm world);
void ports_close(struct ports *p);

#endif
