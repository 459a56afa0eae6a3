/* A port is a list of promises; a message takes what is free from its head on, so all it touches becomes one promise:
 *
 *      before     |####|      |###|           |##|
 *      message         ^head, length 5
 *      after      |####|......|###|...           becomes one: [old from, delivered)
 */
#include "collectives/ports.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/job.h"

/* ---- one port ------------------------------------------------------------------------------------------------------------ */

/* Promises [first, next) become one. */
static void replace(struct port *port, int first, int next, struct promise by)
{
    struct promise *const at = &port->promises[first];
    memmove(at + 1, &port->promises[next], (size_t)(port->count - next) * sizeof *at);
    port->count += 1 - (next - first);
    *at = by;
}

static void forget(struct port *port, double now_s)
{
    int past = 0;
    while (past < port->count && port->promises[past].to_s <= now_s)
        past++;
    port->count -= past;
    memmove(port->promises, port->promises + past, (size_t)port->count * sizeof *port->promises);
}

double port_carry(struct port *port, double now_s, double head_s, double length_s)
{
    const struct promise *const all = port->promises;
    int first = 0;
    forget(port, now_s);
    while (first < port->count && all[first].to_s < head_s)
        first++;
    if (port->count == PORT_PROMISES) {
        first = PORT_PROMISES - 1;
        head_s = fmax(head_s, all[first].to_s);
    }
    const double from_s = first < port->count ? fmin(all[first].from_s, head_s) : head_s;
    int next = first;
    for (; next < port->count && (all[next].from_s <= head_s || all[next].from_s < head_s + length_s); next++) {
        length_s -= fmax(0, all[next].from_s - head_s);
        head_s = fmax(head_s, all[next].to_s);
    }
    if (length_s > 0)
        replace(port, first, next, (struct promise){ from_s, head_s + length_s });
    return head_s + length_s;
}

/* Held for some hundred nanoseconds, by any process of the host; its owner may be waiting for this core. */
static double carry(struct port *port, double now_s, double head_s, double length_s)
{
    while (atomic_flag_test_and_set_explicit(&port->locked, memory_order_acquire))
        sched_yield();
    const double done_s = port_carry(port, now_s, head_s, length_s);
    atomic_flag_clear_explicit(&port->locked, memory_order_release);
    return done_s;
}

/* ---- all ports of a cluster ---------------------------------------------------------------------------------------------- */

/* Who has a port between nodes: nodes, or ranks. */
static size_t unit_of(const struct cluster *c, int rank)
{
    return (size_t)(c->shared ? cluster_node(c, rank) : rank);
}

static size_t unit_count(const struct cluster *c, int ranks)
{
    return unit_of(c, ranks - 1) + 1;
}

static size_t port_count(const struct cluster *c, int ranks)
{
    const size_t units = unit_count(c, ranks);
    return 2 * (size_t)ranks + units * (c->latency_s ? units : 2);
}

size_t ports_B(const struct cluster *cluster, int ranks)
{
    return port_count(cluster, ranks) * sizeof(struct port) + (size_t)ranks * (size_t)ranks * sizeof(uint64_t);
}

struct ports ports_in(void *memory, const struct cluster *cluster, int ranks)
{
    struct port *const ports = memory;
    return (struct ports){
        .cluster = cluster, .ranks = ranks, .ports = ports, .sent = (uint64_t *)(ports + port_count(cluster, ranks))
    };
}

/* Where a message goes out, and in; NULL: the other end has no port. */
static struct port *port_out(const struct ports *p, int from, int to)
{
    const struct cluster *c = p->cluster;
    struct port *const between = p->ports + 2 * p->ranks;
    if (cluster_is_inside(c, from, to))
        return p->ports + 2 * from;
    return between + (c->latency_s ? unit_of(c, from) * unit_count(c, p->ranks) + unit_of(c, to) : 2 * unit_of(c, from));
}

static struct port *port_in(const struct ports *p, int from, int to)
{
    const struct cluster *c = p->cluster;
    if (cluster_is_inside(c, from, to))
        return p->ports + 2 * to + 1;
    return c->latency_s ? NULL : p->ports + 2 * (size_t)p->ranks + 2 * unit_of(c, to) + 1;
}

struct passage ports_send(struct ports *p, int from, int to, size_t bytes, double now_s)
{
    if (from == to || p->wide)
        return (struct passage){ now_s, now_s };
    const struct cluster_link link = cluster_link(p->cluster, from, to);
    const uint64_t k = p->sent[from * p->ranks + to]++; /* of this link, which only this rank sends on */
    const double length_s = (double)bytes / link.bandwidth_B_per_s;
    const double left_s = carry(port_out(p, from, to), now_s, now_s, length_s);
    const double head_s = left_s - length_s + link.latency_s + cluster_jitter_s(p->cluster, from, to, k);
    struct port *const in = port_in(p, from, to);
    return (struct passage){ left_s, in ? carry(in, now_s, head_s, length_s) : head_s + length_s };
}

void ports_set_wide(struct ports *p, bool wide)
{
    if (p)
        p->wide = wide;
}

/* ---- shared by the ranks ------------------------------------------------------------------------------------------------- */

static status check_host(MPI_Comm world, int ranks)
{
    MPI_Comm host;
    int here;
    MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
    MPI_Comm_size(host, &here);
    MPI_Comm_free(&host);
    if (here == ranks)
        return STATUS_OK;
    return status_fail(
        STATUS_USAGE,
        "fabric.name = \"shaped\" makes its links in the memory of one host, and only %d of %d ranks are on this one "
        "(fits: fabric.name = \"mpi\" over the network that is there, or all ranks on one host)",
        here, ranks);
}

status ports_open(struct ports **out, const struct cluster *cluster, MPI_Comm world)
{
    const struct job job = job_of(world);
    void *memory;
    MPI_Aint bytes;
    int unit;
    struct ports *p = malloc(sizeof *p);
    const status s = status_agree(p ? check_host(world, job.ranks) : status_fail(STATUS_FAILED, "no memory for ports"), world);
    if (s != STATUS_OK) {
        free(p);
        return s;
    }
    const size_t all_B = ports_B(cluster, job.ranks);
    MPI_Win window;
    MPI_Win_allocate_shared(job.rank ? 0 : (MPI_Aint)all_B, 1, MPI_INFO_NULL, world, &memory, &window);
    MPI_Win_shared_query(window, 0, &bytes, &unit, &memory);
    if (job.rank == 0)
        memset(memory, 0, all_B);
    MPI_Barrier(world);
    *p = ports_in(memory, cluster, job.ranks);
    p->window = window;
    MPI_Comm_group(world, &p->world);
    *out = p;
    return STATUS_OK;
}

void ports_close(struct ports *p)
{
    if (!p)
        return;
    MPI_Group_free(&p->world);
    MPI_Win_free(&p->window);
    free(p);
}
