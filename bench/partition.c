/* Twice the same dynamic program over suffixes, exact. With S(i, k) the cost of layers i .. k-1 and j parts left,
 *
 *     best[j][i] = min over k of max(sign S(i, k), best[j - 1][k]),   S(i, k) <= limit
 *
 * With sign + and no limit it finds the cheapest dearest part; with sign - and that as the limit, the dearest cheapest one.
 * O(parts n^2) time.
 */
#include "bench/partition.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/compute.h"

struct program {
    int n, parts;
    double *prefix; /* [n + 1] cost of the layers before each */
    double *best;   /* [parts + 1][n + 1] */
    double sign, limit;
};

static double *best_at(const struct program *p, int parts, int i)
{
    return &p->best[(size_t)parts * (size_t)(p->n + 1) + (size_t)i];
}

/* The value of a part of layers i .. k-1 followed by the best of `rest` parts. */
static double value(const struct program *p, int rest, int i, int k)
{
    const double cost = p->prefix[k] - p->prefix[i];
    return cost > p->limit ? INFINITY : fmax(p->sign * cost, *best_at(p, rest, k));
}

static void solve(const struct program *p)
{
    for (int i = 0; i <= p->n; i++)
        *best_at(p, 0, i) = i == p->n ? -INFINITY : INFINITY; /* no layers for no parts; else impossible */
    for (int parts = 1; parts <= p->parts; parts++)
        for (int i = 0; i <= p->n; i++) {
            double *best = best_at(p, parts, i);
            *best = INFINITY;
            for (int k = i + 1; k <= p->n; k++)
                *best = fmin(*best, value(p, parts - 1, i, k));
        }
}

status partition_by_cost(const double *cost, int n, int parts, int *first)
{
    struct program p = { .n = n, .parts = parts, .sign = 1, .limit = INFINITY };
    const size_t columns = (size_t)n + 1;
    p.prefix = calloc(columns * ((size_t)parts + 2), sizeof *p.prefix);
    if (!p.prefix)
        return status_fail(STATUS_FAILED, "no memory to deal %d layers to %d stages", n, parts);
    p.best = p.prefix + columns;
    for (int i = 0; i < n; i++)
        p.prefix[i + 1] = p.prefix[i] + cost[i];
    solve(&p);
    p.limit = *best_at(&p, parts, 0);
    p.sign = -1;
    solve(&p);
    const double goal = *best_at(&p, parts, 0);
    first[0] = 0;
    for (int part = 0; part < parts; part++) {
        first[part + 1] = first[part] + 1;
        while (value(&p, parts - 1 - part, first[part], first[part + 1]) > goal)
            first[part + 1]++;
    }
    free(p.prefix);
    return STATUS_OK;
}

void partition_evenly(const bool *repeated, int n, int parts, int *first)
{
    int all = 0, seen = 0, part = 1;
    for (int i = 0; i < n; i++)
        all += repeated[i];
    first[0] = 0;
    for (int i = 0; i < n; i++) {
        if (repeated[i] && part < parts && seen == part * (all / parts))
            first[part++] = i;
        seen += repeated[i];
    }
    first[parts] = n;
}

static double layer_cost(const struct config *c, const struct layer *l)
{
    if (compute_find(c->compute.name)->forward_s)
        return l->repeated;
    return l->flop_forward + l->flop_input_grad + l->flop_weight_grad;
}

double partition_cost(const struct config *c, const struct network *net)
{
    double cost = 0;
    for (int i = 0; i < net->count; i++)
        cost += layer_cost(c, &net->layers[i]);
    return cost;
}

status partition_layers(const struct config *c, const struct network *net, int parts, int *first)
{
    const bool evenly = strcmp(c->parallel.partition, "even") == 0;
    const size_t n = (size_t)net->count;
    double *cost = malloc(n * (sizeof *cost + sizeof(bool)));
    if (!cost)
        return status_fail(STATUS_FAILED, "no memory to deal %d layers to %d stages", net->count, parts);
    bool *repeated = (bool *)(cost + n);
    for (int i = 0; i < net->count; i++) {
        cost[i] = layer_cost(c, &net->layers[i]);
        repeated[i] = net->layers[i].repeated;
    }
    status s = STATUS_OK;
    if (evenly)
        partition_evenly(repeated, net->count, parts, first);
    else
        s = partition_by_cost(cost, net->count, parts, first);
    free(cost);
    return s;
}
