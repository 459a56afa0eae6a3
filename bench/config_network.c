/* Rules about the stated network, and the keys as a struct cluster. */
#include "bench/config_rules.h"

#include "collectives/allreduce.h"
#include "collectives/fabric.h"
#include "collectives/job.h"

bool config_network_holds(const struct config *c)
{
    return !c->node_ranks_seen || job_is_simulated() || fabric_find(c->fabric.name)->needs_ports;
}

bool config_states_nodes(const struct config *c)
{
    return config_network_holds(c) && (c->network.nodes || c->network.node_ranks || c->network.latency_s.rows);
}

static int64_t node_ranks_of(const struct config *c, int64_t ranks)
{
    if (config_states_nodes(c))
        return c->network.node_ranks ? c->network.node_ranks : ranks;
    return c->node_ranks_seen ? c->node_ranks_seen : ranks;
}

static int64_t nodes_of(const struct config *c, int64_t ranks)
{
    const int64_t per_node = node_ranks_of(c, ranks), needed = (ranks + per_node - 1) / per_node;
    const int64_t stated = c->network.latency_s.rows ? (int64_t)c->network.latency_s.rows : c->network.nodes;
    return stated && config_states_nodes(c) ? stated : needed;
}

struct cluster config_cluster(const struct config *c, int ranks)
{
    const bool matrix = config_states_nodes(c) && c->network.latency_s.rows;
    return (struct cluster){
        .nodes = (int)nodes_of(c, ranks),
        .node_ranks = (int)node_ranks_of(c, ranks),
        .inside = { c->network.inside.latency_s, c->network.inside.bandwidth_B_per_s },
        .between = { c->network.between.latency_s, c->network.between.bandwidth_B_per_s },
        .shared = c->network.shared,
        .latency_s = matrix ? c->network.latency_s.values : NULL,
        .bandwidth_B_per_s = matrix ? c->network.bandwidth_B_per_s.values : NULL,
        .jitter_s = c->network.jitter_s,
        .seed = (uint64_t)c->network.seed,
    };
}

static status matrices_are_square(struct config *c, int ranks)
{
    (void)ranks;
    const struct matrix *const both[] = { &c->network.latency_s, &c->network.bandwidth_B_per_s };
    static const char *const names[] = { "latency_s", "bandwidth_B_per_s" };
    for (int i = 0; i < 2; i++)
        if (both[i]->rows != both[i]->columns)
            return status_fail(STATUS_USAGE, "%s: network.matrix.%s has %zu rows of %zu numbers (a row and a column for each node)",
                               c->origin, names[i], both[i]->rows, both[i]->columns);
    if (both[0]->rows != both[1]->rows)
        return status_fail(
            STATUS_USAGE,
            "%s: network.matrix.latency_s is of %zu nodes, network.matrix.bandwidth_B_per_s of %zu (both are needed, "
            "of the same nodes)",
            c->origin, both[0]->rows, both[1]->rows);
    if (both[0]->rows && c->network.nodes && c->network.nodes != (int64_t)both[0]->rows)
        return status_fail(STATUS_USAGE, "%s: network.nodes = %lld, but network.matrix.latency_s is of %zu", c->origin,
                           (long long)c->network.nodes, both[0]->rows);
    return STATUS_OK;
}

static status links_carry_something(struct config *c, int ranks)
{
    (void)ranks;
    const struct matrix *m = &c->network.bandwidth_B_per_s;
    for (size_t i = 0; i < m->rows; i++)
        for (size_t k = 0; k < m->columns; k++)
            if (i != k && m->values[i * m->columns + k] <= 0)
                return status_fail(
                    STATUS_USAGE,
                    "%s: network.matrix.bandwidth_B_per_s is 0 from node %zu to node %zu, which no message would ever "
                    "cross (a positive number fits)",
                    c->origin, i, k);
    return STATUS_OK;
}

static status ranks_are_dealt_to_a_matrix(struct config *c, int ranks)
{
    const int64_t nodes = (int64_t)c->network.latency_s.rows;
    if (nodes < 2 || c->network.node_ranks)
        return STATUS_OK;
    return status_fail(
        STATUS_USAGE,
        "%s: network.matrix.latency_s is of %lld nodes, but network.node_ranks = \"all\" puts all ranks on the first "
        "(fits %d ranks: network.node_ranks = %lld)",
        c->origin, (long long)nodes, ranks, (long long)((ranks + nodes - 1) / nodes));
}

static status ranks_have_a_place(struct config *c, int ranks)
{
    const int64_t nodes = nodes_of(c, ranks), per_node = node_ranks_of(c, ranks);
    if (nodes * per_node >= ranks)
        return STATUS_OK;
    return status_fail(STATUS_USAGE,
                       "%s: a network of %lld nodes of %lld ranks is too small for %d ranks (fits: %lld nodes, or "
                       "network.node_ranks = %lld)",
                       c->origin, (long long)nodes, (long long)per_node, ranks, (long long)((ranks + per_node - 1) / per_node),
                       (long long)((ranks + nodes - 1) / nodes));
}

static status stragglers_are_ranks(struct config *c, int ranks)
{
    const struct matrix *m = &c->charge.slowdown;
    if (m->rows && m->columns != 2)
        return status_fail(STATUS_USAGE, "%s: compute.slowdown has rows of %zu numbers (must be [rank, factor])", c->origin,
                           m->columns);
    for (size_t i = 0; i < m->rows; i++) {
        const double rank = m->values[2 * i], factor = m->values[2 * i + 1];
        if (rank != (double)(int)rank || rank >= ranks)
            return status_fail(STATUS_USAGE, "%s: compute.slowdown names rank %g (ranks are 0 .. %d)", c->origin, rank, ranks - 1);
        if (factor < 1)
            return status_fail(STATUS_USAGE, "%s: compute.slowdown of rank %g is %g (1 or more: a rank can only be made slower)",
                               c->origin, rank, factor);
    }
    return STATUS_OK;
}

static status stragglers_are_named_once(struct config *c, int ranks)
{
    (void)ranks;
    const struct matrix *m = &c->charge.slowdown;
    for (size_t i = 0; i < m->rows; i++)
        for (size_t k = 0; k < i; k++)
            if (m->values[2 * i] == m->values[2 * k])
                return status_fail(STATUS_USAGE, "%s: compute.slowdown names rank %g twice (one row for each straggler)", c->origin,
                                   m->values[2 * i]);
    return STATUS_OK;
}

static status simulated_links_are_simulated(struct config *c, int ranks)
{
    (void)ranks;
    if (!job_is_simulated() || !fabric_find(c->fabric.name)->needs_ports)
        return STATUS_OK;
    return status_fail(STATUS_USAGE,
                       "%s: fabric.name = \"%s\" delays messages in real time, and simulated hosts have links of their own (fits: "
                       "fabric.name = \"mpi\")",
                       c->origin, c->fabric.name);
}

static status sums_are_messages_where_they_are_delayed(struct config *c, int ranks)
{
    (void)ranks;
    const struct allreduce *a = allreduce_find(c->exchange.allreduce);
    const struct fabric_ops *fabric = fabric_find(c->fabric.name);
    if (!a || (a->rounds ? !a->share || fabric->shares_memory : fabric->start_sum != NULL))
        return STATUS_OK;
    return status_fail(STATUS_USAGE,
                       "%s: exchange.allreduce = \"%s\" does not sum by messages that fabric.name = \"%s\" sees and could delay "
                       "(fits: another allreduce, or fabric.name = \"mpi\")",
                       c->origin, c->exchange.allreduce, c->fabric.name);
}

config_rule *const network_rules[] = { matrices_are_square,
                                       links_carry_something,
                                       ranks_are_dealt_to_a_matrix,
                                       ranks_have_a_place,
                                       stragglers_are_ranks,
                                       stragglers_are_named_once,
                                       simulated_links_are_simulated,
                                       sums_are_messages_where_they_are_delayed,
                                       NULL };

status config_settle_network(struct config *c, int ranks)
{
    for (config_rule *const *rule = network_rules; *rule; rule++)
        TRY((*rule)(c, ranks));
    return STATUS_OK;
}
