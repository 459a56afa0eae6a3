/* Which bytes leave a node, as predicted and as interfaces counted them, and which tensor parallel ranks are not together: by the
 * nodes that the config states, where they hold, else by the hosts that the ranks run on; interfaces are always of hosts. */
#include <math.h>
#include <string.h>

#include "bench/interface.h"
#include "bench/report_parts.h"
#include "bench/traffic.h"

/* Gates and small messages weigh on short runs. */
#define FRAMES_TOLERANCE 0.1

enum { RANKS_MAX = 512 }; /* the square of it are numbers of bytes, for each purpose */

typedef bool nearness(const struct report *r, const struct run *run, int a, int b);

static bool share_host(const struct report *r, const struct run *run, int a, int b)
{
    (void)run;
    return strcmp(r->hosts[a], r->hosts[b]) == 0;
}

static bool share_node(const struct report *r, const struct run *run, int a, int b)
{
    return config_states_nodes(run->config) ? cluster_is_inside(&run->trainer.cluster, a, b) : share_host(r, run, a, b);
}

static bool all_together(const struct report *r, const struct run *run, nearness *together)
{
    for (int rank = 1; rank < run->job->ranks; rank++)
        if (!together(r, run, 0, rank))
            return false;
    return true;
}

/* Bytes of a step between ranks that are not. */
static struct maybe between_B(const struct report *r, const struct run *run, nearness *together)
{
    struct traffic t;
    double B = 0;
    if (all_together(r, run, together))
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
        if (!share_node(r, run, rank, next)) {
            warn(
                r,
                "tensor parallel ranks %d and %d are on different nodes: every layer waits for the network between them (a smaller "
                "parallel.tensor, or parallel.order tp-pp-dp, may keep them together)",
                rank, next);
            return;
        }
    }
}

/* Of the first rank of each host: NaN if one of them does not know. */
static double measured_frames_B(const struct report *r, const double *sent)
{
    double B = 0;
    for (size_t rank = 0; rank < r->ranks; rank++) {
        bool first = true;
        for (size_t before = 0; before < rank && first; before++)
            first = strcmp(r->hosts[before], r->hosts[rank]) != 0;
        B += first ? sent[rank * SENT_COUNT + SENT_FRAMES] : 0;
    }
    return B;
}

/* Other programs' frames are counted, too, and gates between ranks. */
static void fill_frames(struct report *r, const struct run *run, double measured_B)
{
    struct result *out = &r->result;
    const bool counted = isfinite(measured_B) && !run->audited;
    const double hosts_B = counted ? between_B(r, run, share_host).value * (double)run->samples.steps : NAN;
    const char *why = counted ? "nothing was to go between hosts, or how much is not known before" : "no interface was counted";
    const double expected_B = hosts_B > 0 ? interface_frames_B(hosts_B) : NAN, ratio = measured_B / expected_B;
    out->comm_total.frames_B_predicted = maybe(expected_B, why);
    out->comm_total.frames_ratio = maybe(ratio, why);
    if (!counted && !run->audited && interface_name())
        warn(r, "DMLBENCH_INTERFACE = %s: not every host has such an interface, so no frames were counted", interface_name());
    if (!counted)
        return;
    out->comm_total.wire_B_measured = maybe(measured_B, why);
    out->comm_total.measured_by = "interface counters";
    if (fabs(ratio - 1) > FRAMES_TOLERANCE)
        warn(r, "the hosts' interfaces sent %.3g times the frames that were predicted", ratio);
}

void fill_places(struct report *r, const struct run *run, const double *sent)
{
    r->result.comm_total.step_between_nodes_B = between_B(r, run, share_node);
    fill_frames(r, run, measured_frames_B(r, sent));
    warn_of_tensor_groups(r, run);
}
