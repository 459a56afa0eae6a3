/* The plan of a run as text, from the same functions that the run itself allocates and predicts by. */
#include "bench/explain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/batch.h"
#include "bench/footprint.h"
#include "bench/message.h"
#include "bench/partition.h"
#include "bench/playback.h"
#include "bench/traffic.h"

enum { ROWS_SHOWN = 16, GROUPS_SHOWN = 8, LINKS_SHOWN = 5, LINK_RANKS_MAX = 1024, TEXT_BYTES = 32 };

struct view {
    const struct config *config;
    const struct assignment *first; /* rank 0's */
    int ranks;
    char *const *hosts;
    FILE *out;
};

static const char *bytes_text(double B, char text[TEXT_BYTES])
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
    int u = 0;
    for (; B >= 1000 && u < 4; u++)
        B /= 1000;
    snprintf(text, TEXT_BYTES, isnan(B) ? "unknown" : "%.*f %s", u ? 2 : 0, B, units[u]);
    return text;
}

/* ---- model, batch, schedule ---------------------------------------------------------------------------------------------- */

static void explain_model(const struct view *v, const struct network *net)
{
    const struct config *c = v->config;
    const double batch = (double)c->batch.global;
    fprintf(v->out, "model       %s: %zu parameters in %d slices, %d layers, %.4g + %.4g Gflop a step forward + backward\n",
            c->model.name, net->params.n, net->params.count, net->count, 1e-9 * batch * network_flop_forward(net),
            1e-9 * batch * network_flop_backward(net));
    fprintf(v->out, "batch       %lld samples a step in %lld micro-batches of %d at most\n", (long long)c->batch.global,
            (long long)batch_leaves(c), batch_most_samples(c));
    fprintf(v->out, "ranks       %d = data %lld x pipeline %lld x tensor %lld, order %s\n", v->ranks, (long long)c->parallel.data,
            (long long)c->parallel.pipeline, (long long)c->parallel.tensor, c->parallel.order);
}

/* How many, the schedule decides: GPipe does not recompute the last. */
static void explain_recomputation(const struct view *v)
{
    const struct pipeline *p = &v->first->pipeline;
    int count = 0;
    for (int i = 0; i < v->first->micro_batches; i++) {
        bool any = false;
        for (int c = 0; c < v->first->count; c++)
            any = any || v->first->parts[c].recomputes[i];
        count += any;
    }
    if (p->recompute)
        fprintf(v->out, "which recompute %d of them%s\n", count, p->recompute_last ? "" : ", the last stage none");
    else
        fprintf(v->out, "nothing recomputed\n");
}

static void explain_schedule(const struct view *v)
{
    const struct pipeline *p = &v->first->pipeline;
    const int chunks = v->first->count;
    if (p->stages == 1) {
        fprintf(v->out, "bubble      none: there is no pipeline\n");
        return;
    }
    const double bubble = pipeline_bubble_theory(p);
    fprintf(v->out, "schedule    %s: %d micro-batches through %d stages of %d chunk%s, ", p->schedule->member.name,
            p->micro_batches, p->stages, chunks, chunks == 1 ? "" : "s");
    explain_recomputation(v);
    fprintf(v->out,
            "bubble      %.2f %% of the time, %.4f of the work, if a forward pass takes 1, a backward pass 2 on every stage, and "
            "messages nothing\n",
            100 * bubble, bubble / (1 - bubble));
}

/* Stage 0, which rank 0 is on, sends as much as any. */
static void explain_codes(const struct view *v)
{
    const struct config *c = v->config;
    const struct assignment *a = v->first;
    const size_t floats = part_out_floats(a, &a->parts[0]);
    char code[TEXT_BYTES], plain[TEXT_BYTES];
    if (message_is_coded(c))
        fprintf(v->out, "codes       by %s between stages: %s instead of %s, for %d samples\n",
                c->parallel.activation_compressor.name, bytes_text((double)message_B(c, a, floats, a->samples), code),
                bytes_text(4.0 * (double)floats * a->samples, plain), a->samples);
}

/* ---- who sits where ------------------------------------------------------------------------------------------------------ */

/* total: the cost of the parts of one tensor rank. */
static void explain_parts(const struct view *v, const struct assignment *a, double total)
{
    for (int i = 0; i < a->count; i++) {
        const struct network *net = &a->parts[i].net;
        fprintf(v->out, "%7d %6d   %10zu %9.1f %%   %s .. %s\n", a->at[AXIS_PIPELINE], i, net->params.n,
                100 * partition_cost(v->config, net) / total, net->layers[0].name, net->layers[net->count - 1].name);
    }
}

static status explain_stages(const struct view *v, const struct network *whole)
{
    const struct config *c = v->config;
    const int *degree = v->first->degree;
    fprintf(v->out, "\n%7s %6s   %10s %11s   layers\n", "stage", "chunk", "parameters", "cost");
    for (int stage = 0; stage < c->parallel.pipeline && stage < ROWS_SHOWN; stage++) {
        struct assignment a;
        TRY(assignment_open(&a, c, grid_rank(degree, c->parallel.order, (const int[AXIS_COUNT]){ [AXIS_PIPELINE] = stage })));
        explain_parts(v, &a, partition_cost(c, whole) / degree[AXIS_TENSOR]);
        assignment_close(&a);
    }
    if (c->parallel.pipeline > ROWS_SHOWN)
        fprintf(v->out, "    ... and so on up to stage %lld\n", (long long)c->parallel.pipeline - 1);
    return STATUS_OK;
}

static status explain_rank(const struct view *v, int rank)
{
    struct assignment a;
    struct footprint f;
    TRY(assignment_open(&a, v->config, rank));
    const int at[] = { a.at[AXIS_DATA], a.at[AXIS_PIPELINE], a.at[AXIS_TENSOR] };
    const int64_t first = a.first_leaf, last = first + a.micro_batches - 1;
    const status s = footprint_of(v->config, &a, &f);
    assignment_close(&a);
    TRY(s);
    const double columns[] = { f.parameters_B,  f.gradients_B, f.optimizer_B,   f.exchange_B,
                               f.activations_B, f.messages_B,  f.verification_B };
    fprintf(v->out, "%7d %5d %5d %5d %6lld ..%5lld", rank, at[0], at[1], at[2], (long long)first, (long long)last);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        fprintf(v->out, " %10.3f", 1e-6 * columns[i]);
    fprintf(v->out, " %10.3f\n", 1e-6 * footprint_most_B(&f));
    return STATUS_OK;
}

static status explain_ranks(const struct view *v)
{
    fprintf(v->out, "\n%7s %5s %5s %5s %13s %10s %10s %10s %10s %10s %10s %10s %10s   MB, beside the program and the data\n",
            "rank", "data", "pipe", "tens", "micro-batches", "parameters", "gradients", "optimizer", "exchange", "activation",
            "messages", "(checking)", "at most");
    for (int r = 0; r < v->ranks && r < ROWS_SHOWN; r++)
        TRY(explain_rank(v, r));
    if (v->ranks > ROWS_SHOWN)
        fprintf(v->out, "    ... and so on up to rank %d\n", v->ranks - 1);
    return STATUS_OK;
}

/* ---- bytes --------------------------------------------------------------------------------------------------------------- */

static void explain_purposes(const struct view *v, const struct traffic *t)
{
    fprintf(v->out, "\n%-20s %10s %14s %14s   payload of a step\n", "sends", "along", "all ranks", "rank 0");
    for (int p = 0; p < PURPOSE_COUNT; p++) {
        char sum[TEXT_BYTES], first[TEXT_BYTES];
        double all_B = 0;
        for (int r = 0; r < v->ranks; r++)
            all_B += traffic_sent_B(t, (enum purpose)p, r);
        if (all_B != 0)
            fprintf(v->out,
                    isnan(all_B) ? "%-20s %10s %14s %14s   the data decide, or the MPI library\n"
                                 : "%-20s %10s %14s %14s   %.0f B\n",
                    purpose_name((enum purpose)p), traffic_group((enum purpose)p), bytes_text(all_B, sum),
                    bytes_text(traffic_sent_B(t, (enum purpose)p, 0), first), all_B);
    }
}

/* What the ranks of the group of `at` along an axis send each other. */
static double group_B(const struct view *v, const struct traffic *t, enum axis axis, const int at[AXIS_COUNT])
{
    const int degree = v->first->degree[axis];
    const char *order = v->config->parallel.order;
    int from[AXIS_COUNT], to[AXIS_COUNT];
    double B = 0;
    memcpy(from, at, sizeof from);
    memcpy(to, at, sizeof to);
    for (from[axis] = 0; from[axis] < degree; from[axis]++)
        for (to[axis] = 0; to[axis] < degree; to[axis]++)
            B += traffic_link_B(t, grid_rank(v->first->degree, order, from), grid_rank(v->first->degree, order, to));
    return B;
}

/* "  data   0 4: 9.1 MB, 1 5: 9.1 MB": the groups along an axis, each by its ranks. */
static void explain_groups(const struct view *v, const struct traffic *t, enum axis axis)
{
    const char *order = v->config->parallel.order;
    const int *degree = v->first->degree;
    char text[TEXT_BYTES];
    int shown = 0;
    fprintf(v->out, "  %-8s", axis_name(axis));
    for (int r = 0; r < v->ranks; r++) {
        int at[AXIS_COUNT];
        grid_coordinates(degree, order, r, at);
        if (at[axis] || shown++ >= GROUPS_SHOWN)
            continue;
        for (; at[axis] < degree[axis] && at[axis] < ROWS_SHOWN; at[axis]++)
            fprintf(v->out, "%s%d", at[axis] ? " " : shown > 1 ? ", " : "  ", grid_rank(degree, order, at));
        fprintf(v->out, "%s: %s", degree[axis] > ROWS_SHOWN ? " ..." : "", bytes_text(group_B(v, t, axis, at), text));
    }
    fprintf(v->out, shown > GROUPS_SHOWN ? ", ...\n" : "\n");
}

struct link {
    int from, to;
    double B;
};

/* Keeps best[0 .. LINKS_SHOWN) sorted; returns how many there are. */
static int offer_link(struct link *best, int count, struct link l)
{
    int at = count;
    for (; at > 0 && l.B > best[at - 1].B; at--)
        if (at < LINKS_SHOWN)
            best[at] = best[at - 1];
    if (at < LINKS_SHOWN)
        best[at] = l;
    return count < LINKS_SHOWN ? count + 1 : count;
}

static void explain_links(const struct view *v, const struct traffic *t)
{
    struct link best[LINKS_SHOWN];
    char text[TEXT_BYTES], within[TEXT_BYTES], between[TEXT_BYTES];
    double within_B = 0, between_B = 0;
    int count = 0, hosts = 0;
    for (int from = 0; from < v->ranks; from++) {
        hosts += strcmp(v->hosts[from], v->hosts[0]) != 0;
        for (int to = 0; to < v->ranks; to++) {
            const double B = traffic_link_B(t, from, to);
            *(strcmp(v->hosts[from], v->hosts[to]) ? &between_B : &within_B) += B;
            if (B > 0)
                count = offer_link(best, count, (struct link){ from, to, B });
        }
    }
    fprintf(v->out, "%-20s", "busiest links");
    for (int i = 0; i < count; i++)
        fprintf(v->out, "%s %d -> %d %s", i ? "," : "", best[i].from, best[i].to, bytes_text(best[i].B, text));
    fprintf(v->out, "%s\n", count ? "" : isnan(within_B + between_B) ? " unknown" : " none");
    if (hosts)
        fprintf(v->out, "%-20s %s within, %s between them\n", "hosts", bytes_text(within_B, within),
                bytes_text(between_B, between));
}

static void explain_link(const struct view *v, double B)
{
    if (isnan(B) || B == 0)
        fprintf(v->out, " %9s", B == 0 ? "." : "?");
    else
        fprintf(v->out, " %9.3f", 1e-6 * B);
}

/* Every link, where that fits on a screen. */
static void explain_matrix(const struct view *v, const struct traffic *t)
{
    if (v->ranks == 1 || v->ranks > ROWS_SHOWN)
        return;
    fprintf(v->out, "\n%7s", "from");
    for (int to = 0; to < v->ranks; to++)
        fprintf(v->out, " %6s %-2d", "to", to);
    fprintf(v->out, "   MB\n");
    for (int from = 0; from < v->ranks; from++) {
        fprintf(v->out, "%7d", from);
        for (int to = 0; to < v->ranks; to++)
            explain_link(v, traffic_link_B(t, from, to));
        fprintf(v->out, "\n");
    }
}

static status explain_traffic(const struct view *v)
{
    struct traffic t;
    if (v->ranks > LINK_RANKS_MAX) {
        fprintf(v->out, "sends                not listed for more than %d ranks\n", LINK_RANKS_MAX);
        return STATUS_OK;
    }
    TRY(traffic_open(&t, v->config, v->ranks));
    explain_purposes(v, &t);
    if (v->ranks > 1)
        fprintf(v->out, "\ngroups of ranks, and what their ranks send each other\n");
    for (int axis = 0; axis < AXIS_COUNT; axis++)
        if (v->first->degree[axis] > 1)
            explain_groups(v, &t, (enum axis)axis);
    fprintf(v->out, "\n");
    explain_links(v, &t);
    explain_matrix(v, &t);
    traffic_close(&t);
    return STATUS_OK;
}

/* ---- all of it ----------------------------------------------------------------------------------------------------------- */

static status explain_plan(const struct view *v, const struct network *whole)
{
    explain_model(v, whole);
    explain_schedule(v);
    explain_codes(v);
    TRY(explain_stages(v, whole));
    TRY(explain_ranks(v));
    return explain_traffic(v);
}

status explain(const struct config *c, int ranks, char *const *hosts, FILE *out)
{
    struct network whole;
    struct assignment first;
    TRY(network_open(&whole, model_find(c->model.name), c->model.options, &shard_whole));
    status s = assignment_open(&first, c, 0);
    if (s == STATUS_OK) {
        s = explain_plan(&(const struct view){ c, &first, ranks, hosts, out }, &whole);
        fprintf(out, "\nconfig, with its defaults\n");
        config_print(c, out);
        assignment_close(&first);
    }
    network_close(&whole);
    return s;
}
