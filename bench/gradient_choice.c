/* A table of choices by length, filled once and looked up; where it is empty, the rule of thumb. */
#include "bench/gradient_choice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/places.h"
#include "collectives/engine.h"
#include "collectives/fabric.h"
#include "collectives/grid.h"

enum { SMALL_B = 16384 }; /* up to here whole vectors are exchanged at once; measured, see docs/architecture.md */

static bool is_auto(const struct config *c)
{
    return strcmp(c->exchange.allreduce, "auto") == 0;
}

/* Whether these ranks were seen on one host, and may use it. */
static bool share_memory(const struct config *c, struct team t)
{
    return t.g == t.p && c->node_ranks_seen && !job_is_simulated() && fabric_find(c->fabric.name)->shares_memory;
}

static const struct allreduce *rule_of_thumb(const struct config *c, struct team t, size_t n)
{
    if (c->parallel.zero == 0 && n * sizeof(float) <= SMALL_B)
        return &allreduce_doubling;
    if (share_memory(c, t))
        return &allreduce_shm;
    return t.g > 1 && t.g < t.p ? &allreduce_hierarchical : &allreduce_ring;
}

/* Floor of log2 n. */
static int class_of(size_t n)
{
    int power = 0;
    while (n >>= 1)
        power++;
    return power < CONFIG_LENGTH_CLASSES ? power : CONFIG_LENGTH_CLASSES - 1;
}

const struct allreduce *gradient_allreduce(const struct config *c, struct team t, size_t n)
{
    if (!is_auto(c))
        return allreduce_find(c->exchange.allreduce);
    const int chosen = c->allreduce_chosen[class_of(n)];
    return chosen ? allreduces[chosen - 1] : rule_of_thumb(c, t, n);
}

bool gradient_shares_memory(const struct config *c)
{
    const struct allreduce *named = allreduce_find(c->exchange.allreduce);
    const bool may = named ? named->share != NULL : share_memory(c, places_replicas(c, (int)c->parallel.data));
    return may && strcmp(c->exchange.reduction, "tree") != 0;
}

/* ---- by links ------------------------------------------------------------------------------------------------------------ */

/* Groups of replicas, one after the other, which all exchange at the same time. */
static void list_replicas(const struct config *c, int ranks, int *members)
{
    const int degree[AXIS_COUNT] = {
        [AXIS_TENSOR] = (int)c->parallel.tensor, [AXIS_PIPELINE] = (int)c->parallel.pipeline, [AXIS_DATA] = (int)c->parallel.data
    };
    for (int i = 0; i < ranks; i++) {
        const int group = i / degree[AXIS_DATA];
        const int at[AXIS_COUNT] = { [AXIS_DATA] = i % degree[AXIS_DATA],
                                     [AXIS_TENSOR] = group % degree[AXIS_TENSOR],
                                     [AXIS_PIPELINE] = group / degree[AXIS_TENSOR] };
        members[i] = grid_rank(degree, c->parallel.order, at);
    }
}

static double seconds_of(const struct config *c, const struct allreduce *a, const struct cost_groups *g, size_t n)
{
    const struct cluster_link *inside = &g->cluster->inside;
    if (a->share)
        return 2 * inside->latency_s + 2.0 * (g->p - 1) / g->p * 4 * (double)n / inside->bandwidth_B_per_s;
    return engine_sum_s(a, SUM_ALLREDUCE, (size_t)c->exchange.segment_B, g, n);
}

/* One more than the index of the fastest; the first of equals. */
static unsigned char fastest(const struct config *c, const struct cost_groups *g, size_t n)
{
    unsigned char best = 0;
    double least_s = INFINITY;
    for (int i = 0; allreduces[i]; i++) {
        const struct allreduce *a = allreduces[i];
        if (!a->rounds || (c->parallel.zero && !a->scatter_rounds) || (a->share && !share_memory(c, cost_team(g))))
            continue;
        const double s = seconds_of(c, a, g, n);
        if (s < least_s) {
            least_s = s;
            best = (unsigned char)(i + 1);
        }
    }
    return best;
}

status gradient_choose_by(struct config *c, int ranks, const struct rates *r)
{
    if (!is_auto(c) || !r->linked)
        return STATUS_OK;
    int *const members = malloc((size_t)ranks * sizeof *members);
    if (!members)
        return status_fail(STATUS_FAILED, "no memory to choose an allreduce for %d ranks", ranks);
    list_replicas(c, ranks, members);
    const struct cost_groups g = { &r->cluster, members, (int)c->parallel.data, ranks / (int)c->parallel.data };
    const int largest = class_of((size_t)c->exchange.bucket_B / sizeof(float));
    for (int power = 0; power < CONFIG_LENGTH_CLASSES; power++)
        c->allreduce_chosen[power] = power <= largest ? fastest(c, &g, (size_t)1 << power) : c->allreduce_chosen[largest];
    free(members);
    return STATUS_OK;
}

static status choose_on_rank_0(struct config *c, const struct job *job)
{
    struct rates r;
    if (job->rank)
        return STATUS_OK;
    TRY(rates_of(&r, c, job->ranks, job_is_simulated()));
    return gradient_choose_by(c, job->ranks, &r);
}

status gradient_choose(struct config *c, const struct job *job)
{
    if (!is_auto(c))
        return STATUS_OK;
    TRY(status_agree(choose_on_rank_0(c, job), job->world));
    char *chosen = (char *)c->allreduce_chosen;
    job_broadcast_text(job, &chosen, CONFIG_LENGTH_CLASSES);
    if (job->rank) {
        memcpy(c->allreduce_chosen, chosen, CONFIG_LENGTH_CLASSES);
        free(chosen);
    }
    return STATUS_OK;
}
