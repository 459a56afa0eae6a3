/* Which bytes leave a node, and which tensor parallel ranks are not together: by the nodes that the config states, else by the
 * hosts that the ranks run on. */
#include <math.h>
#include <string.h>

#include "bench/report_parts.h"
#include "bench/traffic.h"

enum { RANKS_MAX = 512 }; /* the square of it are numbers of bytes, for each purpose */

static bool together(const struct report *r, const struct run *run, int a, int b)
{
    return config_states_nodes(run->config) ? cluster_is_inside(&run->trainer.cluster, a, b) : !strcmp(r->hosts[a], r->hosts[b]);
}

static bool all_together(const struct report *r, const struct run *run)
{
    for (int rank = 1; rank < run->job->ranks; rank++)
        if (!together(r, run, 0, rank))
            return false;
    return true;
}

static struct maybe between_nodes_B(const struct report *r, const struct run *run)
{
    struct traffic t;
    double B = 0;
    if (all_together(r, run))
        return maybe(0, "");
    if (run->job->ranks > RANKS_MAX || traffic_open(&t, run->config, run->job->ranks) != STATUS_OK)
        return maybe(NAN, "too many ranks: the traffic between each two is not worked out");
    for (int from = 0; from < t.ranks; from++)
        for (int to = 0; to < t.ranks; to++)
            B += together(r, run, from, to) ? 0 : traffic_link_B(&t, from, to);
    traffic_close(&t);
    return maybe(B, "not known before: it depends on the data, or on the MPI library");
}

/* The first of those that are not; the others are likely to be like it. */
static void warn_of_tensor_groups(struct report *r, const struct run *run)
{
    const int *degree = run->trainer.plan.degree, tensor = degree[AXIS_TENSOR];
    const char *order = run->config->parallel.order;
    for (int rank = 0; rank < run->job->ranks; rank++) {
        int at[AXIS_COUNT];
        grid_coordinates(degree, order, rank, at);
        at[AXIS_TENSOR] = (at[AXIS_TENSOR] + 1) % tensor;
        const int next = grid_rank(degree, order, at);
        if (!together(r, run, rank, next)) {
            warn(
                r,
                "tensor parallel ranks %d and %d are on different nodes: every layer waits for the network between them (a smaller "
                "parallel.tensor, or parallel.order tp-pp-dp, may keep them together)",
                rank, next);
            return;
        }
    }
}

void fill_places(struct report *r, const struct run *run)
{
    r->result.comm_total.step_between_nodes_B = between_nodes_B(r, run);
    warn_of_tensor_groups(r, run);
}
