/* Rounds played on links. A link is a number of seconds for which it is busy: in the present round, and in all.
 *
 *      inside a node      a message takes up its sender's way out and its receiver's way in
 *      between nodes      likewise of the two nodes if `shared`, else of the two ranks; with a matrix: the pair's own link
 */
#include "collectives/cost.h"

#include <math.h>
#include <stdlib.h>

struct message {
    int from, to; /* places in g->ranks */
    size_t link[2];
    double latency_s, transfer_s;
};

struct play {
    const struct cost_groups *groups;
    size_t members, links;
    struct message *messages;  /* of the present round */
    double *clock_s, *next_s;  /* [members] when each has done its rounds so far; and the present one */
    double *round_s, *total_s; /* [links] */
    void *storage;
};

static size_t all_ranks(const struct cluster *c)
{
    return (size_t)c->nodes * (size_t)c->node_ranks;
}

static size_t count_links(const struct cluster *c)
{
    const size_t ranks = all_ranks(c), ends = c->shared ? (size_t)c->nodes : ranks;
    return 2 * ranks + (c->latency_s ? ends * ends : 2 * ends);
}

static void find_links(const struct cluster *c, int from, int to, size_t link[2])
{
    const size_t ranks = all_ranks(c), ends = c->shared ? (size_t)c->nodes : ranks;
    const size_t out = (size_t)(c->shared ? cluster_node(c, from) : from), in = (size_t)(c->shared ? cluster_node(c, to) : to);
    if (cluster_is_inside(c, from, to)) {
        link[0] = (size_t)from;
        link[1] = ranks + (size_t)to;
    } else if (c->latency_s) {
        link[0] = link[1] = 2 * ranks + out * ends + in;
    } else {
        link[0] = 2 * ranks + out;
        link[1] = 2 * ranks + ends + in;
    }
}

static bool play_open(struct play *play, const struct cost_groups *g)
{
    const size_t members = (size_t)g->count * (size_t)g->p, links = count_links(g->cluster);
    *play = (struct play){ .groups = g, .members = members, .links = links };
    play->storage = calloc(2 * links + 2 * members, sizeof(double));
    play->messages = malloc(members * sizeof *play->messages);
    if (!play->storage || !play->messages) {
        free(play->storage);
        free(play->messages);
        return false;
    }
    play->round_s = play->storage;
    play->total_s = play->round_s + links;
    play->clock_s = play->total_s + links;
    play->next_s = play->clock_s + members;
    return true;
}

static void play_close(struct play *play)
{
    free(play->messages);
    free(play->storage);
}

/* The messages of one round, and the seconds for which they keep their links busy. Returns how many. */
static size_t post(struct play *play, const struct allreduce *a, int i, size_t n, size_t element_B)
{
    const struct cost_groups *g = play->groups;
    const struct team team = cost_team(g);
    size_t count = 0;
    for (int from = 0; from < (int)play->members; from++) {
        struct round r;
        a->round(team, from % g->p, n, i, &r);
        if (r.to < 0 || r.send_n == 0)
            continue;
        const int to = from - from % g->p + r.to;
        const struct cluster_link link = cluster_link(g->cluster, g->ranks[from], g->ranks[to]);
        struct message *m = &play->messages[count++];
        *m = (struct message){ from, to, .latency_s = link.latency_s };
        m->transfer_s = (double)r.send_n * (double)element_B / link.bandwidth_B_per_s;
        find_links(g->cluster, g->ranks[from], g->ranks[to], m->link);
        for (int k = 0; k < 1 + (m->link[0] != m->link[1]); k++) {
            play->round_s[m->link[k]] += m->transfer_s;
            play->total_s[m->link[k]] += m->transfer_s;
        }
    }
    return count;
}

static void deliver(struct play *play, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct message *m = &play->messages[i];
        const double busy_s = fmax(play->round_s[m->link[0]], play->round_s[m->link[1]]);
        const double arrival_s = play->clock_s[m->from] + m->latency_s + busy_s;
        play->next_s[m->from] = fmax(play->next_s[m->from], arrival_s);
        play->next_s[m->to] = fmax(play->next_s[m->to], arrival_s);
    }
    for (size_t i = 0; i < count; i++)
        play->round_s[play->messages[i].link[0]] = play->round_s[play->messages[i].link[1]] = 0;
    for (size_t k = 0; k < play->members; k++)
        play->clock_s[k] = play->next_s[k];
}

static double largest(const double *x, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, x[i]);
    return most;
}

struct team cost_team(const struct cost_groups *g)
{
    struct team t = team_of(g->p, 0);
    for (int i = 1; i < g->count * g->p; i++)
        if (i % g->p && !cluster_is_inside(g->cluster, g->ranks[i - 1], g->ranks[i]))
            team_part(&t, i % g->p);
    return t;
}

struct rounds_cost cost_of_rounds(const struct cost_groups *g, const struct allreduce *a, int first, int rounds, size_t n,
                                  size_t element_B)
{
    struct play play;
    if (!a->round || !play_open(&play, g))
        return (struct rounds_cost){ NAN, NAN, rounds };
    for (int i = first; i < first + rounds; i++)
        deliver(&play, post(&play, a, i, n, element_B));
    const struct rounds_cost cost = { largest(play.clock_s, play.members), largest(play.total_s, play.links), rounds };
    play_close(&play);
    return cost;
}

struct rounds_cost cost_of_gather(const struct cost_groups *g, size_t code_B)
{
    return cost_of_rounds(g, &allreduce_ring, g->p - 1, g->p - 1, (size_t)g->p * code_B, 1);
}

double cost_of_many_s(const struct rounds_cost *one, size_t count, int in_flight)
{
    if (count == 0 || one->rounds == 0)
        return 0;
    const double turns = ceil((double)count / in_flight), latency_s = (one->alone_s - one->busiest_s) / one->rounds;
    return fmax(turns * one->alone_s, (double)count * one->busiest_s + latency_s);
}

double cluster_allreduce_s(const struct cluster *c, const struct allreduce *a, const int *ranks, int p, size_t n)
{
    const struct cost_groups alone = { c, ranks, p, 1 };
    return cost_of_rounds(&alone, a, 0, a->rounds ? a->rounds(cost_team(&alone)) : 0, n, sizeof(float)).alone_s;
}
