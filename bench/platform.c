/* The platform's XML: <cluster> where one kind of link is enough, else a zone for each node, with all routes written out.
 *
 * SimGrid knows a router inside a <cluster>, but then what leaves a node would cross the links inside it; so nodes are zones of
 * explicit routes, ranks x (node_ranks - 1) of them, and nodes x (nodes - 1) between. A route must have a link: "pass" costs
 * nothing.
 */
#include "bench/platform.h"

#include <math.h>

enum { ENVELOPE_B = 16 };

struct writer {
    FILE *out;
    const struct cluster *n;
    int ranks, nodes; /* nodes that have a rank */
    int first_host;   /* the number in rank 0's host's name */
    double flop_per_s;
};

/* A link of which `links` make a route. */
static struct cluster_link part(struct cluster_link l, int links)
{
    const double without_envelope_s = l.latency_s - ENVELOPE_B / l.bandwidth_B_per_s;
    return (struct cluster_link){ fmax(without_envelope_s, 0) / links, l.bandwidth_B_per_s };
}

static void write_link(const struct writer *w, const char *kind, int i, struct cluster_link l)
{
    fprintf(w->out, "<link id=\"%s-%d\" latency=\"%.17gs\" bandwidth=\"%.17gBps\"/>\n", kind, i, l.latency_s, l.bandwidth_B_per_s);
}

/* ---- one kind of link ---------------------------------------------------------------------------------------------------- */

static void write_flat(const struct writer *w, struct cluster_link whole)
{
    const struct cluster_link l = part(whole, 2);
    fprintf(
        w->out,
        "<cluster id=\"cluster\" prefix=\"host-\" suffix=\"\" radical=\"%d-%d\" speed=\"%.17gf\" lat=\"%.17gs\" bw=\"%.17gBps\" "
        "sharing_policy=\"SPLITDUPLEX\"/>\n",
        w->first_host, w->first_host + w->ranks - 1, w->flop_per_s, l.latency_s, l.bandwidth_B_per_s);
}

/* ---- nodes --------------------------------------------------------------------------------------------------------------- */

static bool ranks_have_ways_out(const struct writer *w)
{
    return !w->n->latency_s && !w->n->shared;
}

static void write_hosts(const struct writer *w, int first, int end)
{
    for (int r = first; r < end; r++)
        fprintf(w->out, "<host id=\"host-%d\" speed=\"%.17gf\"/>\n", w->first_host + r, w->flop_per_s);
    for (int r = first; r < end; r++) {
        write_link(w, "up", r, part(w->n->inside, 2));
        write_link(w, "down", r, part(w->n->inside, 2));
        if (!ranks_have_ways_out(w))
            continue;
        write_link(w, "out", r, part(w->n->between, 2));
        write_link(w, "in", r, part(w->n->between, 2));
    }
}

static void write_routes_inside(const struct writer *w, int first, int end)
{
    for (int a = first; a < end; a++)
        for (int b = first; b < end; b++)
            if (a != b)
                fprintf(w->out,
                        "<route src=\"host-%d\" dst=\"host-%d\" symmetrical=\"NO\"><link_ctn id=\"up-%d\"/><link_ctn "
                        "id=\"down-%d\"/></route>\n",
                        w->first_host + a, w->first_host + b, a, b);
}

/* To the node's gate and back. */
static void write_routes_outside(const struct writer *w, int node, int first, int end)
{
    static const char *const format = "<route src=\"%s-%d\" dst=\"%s-%d\" symmetrical=\"NO\"><link_ctn id=\"%s-%d\"/></route>\n";
    const bool own = ranks_have_ways_out(w);
    for (int r = first; r < end; r++) {
        fprintf(w->out, format, "host", w->first_host + r, "gate", node, own ? "out" : "pass", own ? r : node);
        fprintf(w->out, format, "gate", node, "host", w->first_host + r, own ? "in" : "pass", own ? r : node);
    }
}

static void write_node(const struct writer *w, int node)
{
    const int first = node * w->n->node_ranks, end = first + w->n->node_ranks < w->ranks ? first + w->n->node_ranks : w->ranks;
    fprintf(w->out, "<zone id=\"node-%d\" routing=\"Full\">\n", node);
    write_hosts(w, first, end);
    fprintf(w->out, "<router id=\"gate-%d\"/>\n", node);
    fprintf(w->out, "<link id=\"pass-%d\" latency=\"0s\" bandwidth=\"1e18Bps\" sharing_policy=\"FATPIPE\"/>\n", node);
    write_routes_inside(w, first, end);
    write_routes_outside(w, node, first, end);
    fprintf(w->out, "</zone>\n");
}

static void write_route_between(const struct writer *w, int a, int b)
{
    fprintf(w->out, "<zoneRoute src=\"node-%d\" dst=\"node-%d\" gw_src=\"gate-%d\" gw_dst=\"gate-%d\" symmetrical=\"NO\">", a, b, a,
            b);
    if (w->n->latency_s)
        fprintf(w->out, "<link_ctn id=\"pair-%d\"/>", a * w->nodes + b);
    else if (w->n->shared)
        fprintf(w->out, "<link_ctn id=\"out-%d\"/><link_ctn id=\"in-%d\"/>", a, b);
    else
        fprintf(w->out, "<link_ctn id=\"pass-%d\"/>", a);
    fprintf(w->out, "</zoneRoute>\n");
}

static void write_pair(const struct writer *w, int a, int b)
{
    const struct cluster_link l = part(cluster_link(w->n, a * w->n->node_ranks, b * w->n->node_ranks), 1);
    fprintf(w->out, "<link id=\"pair-%d\" latency=\"%.17gs\" bandwidth=\"%.17gBps\" sharing_policy=\"%s\"/>\n", a * w->nodes + b,
            l.latency_s, l.bandwidth_B_per_s, w->n->shared ? "SHARED" : "FATPIPE");
}

static void write_links_between(const struct writer *w)
{
    for (int a = 0; a < w->nodes; a++) {
        if (!w->n->latency_s && w->n->shared) {
            write_link(w, "out", a, part(w->n->between, 2));
            write_link(w, "in", a, part(w->n->between, 2));
        }
        for (int b = 0; w->n->latency_s && b < w->nodes; b++)
            if (a != b)
                write_pair(w, a, b);
    }
}

static void write_nodes(const struct writer *w)
{
    fprintf(w->out, "<zone id=\"cluster\" routing=\"Full\">\n");
    for (int node = 0; node < w->nodes; node++)
        write_node(w, node);
    write_links_between(w);
    for (int a = 0; a < w->nodes; a++)
        for (int b = 0; b < w->nodes; b++)
            if (a != b)
                write_route_between(w, a, b);
    fprintf(w->out, "</zone>\n");
}

/* The least that is n or more. */
static int power_of_ten(int n)
{
    int power = 1;
    while (power < n)
        power *= 10;
    return power;
}

void platform_write(FILE *out, const struct cluster *n, int ranks, double flop_per_s)
{
    const struct writer w = { out, n, ranks, cluster_node(n, ranks - 1) + 1, power_of_ten(ranks), flop_per_s };
    fprintf(out, "<?xml version='1.0'?>\n"
                 "<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
                 "<platform version=\"4.1\">\n");
    if (w.nodes == 1)
        write_flat(&w, n->inside);
    else if (n->node_ranks == 1 && !n->latency_s)
        write_flat(&w, n->between);
    else
        write_nodes(&w);
    fprintf(out, "</platform>\n");
}
