/* Rules about the layout: whether data x pipeline x tensor makes the ranks, and whether model, batch and schedule can be dealt to
 * them.
 *
 * A layout that does not make the ranks, or that the model cannot be split for, is answered with the nearest ones that keep all the
 * rules: the distance of two layouts is the sum over the degrees of |log2(a / b)|.
 */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/batch.h"
#include "bench/config_keys.h"
#include "bench/config_rules.h"
#include "bench/gradient.h"
#include "bench/message.h"
#include "bench/part.h"
#include "bench/schedule.h"

enum { LAYOUTS_SHOWN = 4 };

/* ---- the degrees --------------------------------------------------------------------------------------------------------- */

struct degrees {
    int64_t data, pipeline, tensor;
};

static struct degrees degrees_of(const struct config *c)
{
    return (struct degrees){ c->parallel.data, c->parallel.pipeline, c->parallel.tensor };
}

static void set_degrees(struct config *c, struct degrees d)
{
    c->parallel.data = d.data;
    c->parallel.pipeline = d.pipeline;
    c->parallel.tensor = d.tensor;
}

static int64_t or_1(int64_t degree)
{
    return degree ? degree : 1;
}

/* With 1 for auto. */
static int64_t product(struct degrees d)
{
    return or_1(d.data) * or_1(d.pipeline) * or_1(d.tensor);
}

static double distance(struct degrees asked, struct degrees d)
{
    const int64_t pairs[][2] = { { asked.data, d.data }, { asked.pipeline, d.pipeline }, { asked.tensor, d.tensor } };
    double sum = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        sum += pairs[i][0] ? fabs(log2((double)pairs[i][1] / (double)pairs[i][0])) : 0;
    return sum;
}

static const char *split_refused(const struct config *c)
{
    const struct model *m = model_find(c->model.name);
    return m->refuses_shard ? m->refuses_shard(c->model.options, (int)c->parallel.tensor, c->parallel.sequence) : NULL;
}

/* Asked first whether the model can be split: that rule itself asks for layouts. */
static bool keeps_the_other_rules(const struct config *c, struct degrees d, int ranks)
{
    struct config trial = *c;
    set_degrees(&trial, d);
    if (split_refused(&trial))
        return false;
    for (int i = 1; layout_rules[i]; i++)
        if (layout_rules[i](&trial, ranks) != STATUS_OK)
            return false;
    return true;
}

/* Keeps best[0 .. LAYOUTS_SHOWN) sorted by distance; returns how many there are. */
static int offer(struct degrees asked, struct degrees d, struct degrees *best, int count)
{
    int at = count;
    for (; at > 0 && distance(asked, d) < distance(asked, best[at - 1]); at--)
        if (at < LAYOUTS_SHOWN)
            best[at] = best[at - 1];
    if (at < LAYOUTS_SHOWN)
        best[at] = d;
    return count < LAYOUTS_SHOWN ? count + 1 : count;
}

/* "2 x 4 x 1, 1 x 4 x 2": the nearest layouts of this many ranks. */
static void list_layouts(const struct config *c, int ranks, char *text, size_t room)
{
    struct degrees best[LAYOUTS_SHOWN];
    int count = 0;
    for (int data = ranks; data >= 1; data--)
        for (int pipeline = 1; ranks % data == 0 && pipeline <= ranks / data; pipeline++) {
            const struct degrees d = { data, pipeline, ranks / data / pipeline };
            if (ranks / data % pipeline == 0 && keeps_the_other_rules(c, d, ranks))
                count = offer(degrees_of(c), d, best, count);
        }
    text[0] = 0;
    for (int i = 0; i < count; i++) {
        const size_t used = strlen(text);
        snprintf(text + used, room - used, "%s%lld x %lld x %lld", i ? ", " : "", (long long)best[i].data,
                 (long long)best[i].pipeline, (long long)best[i].tensor);
    }
}

static const char *degree_text(int64_t degree, char text[24])
{
    snprintf(text, 24, degree ? "%lld" : "auto", (long long)degree);
    return text;
}

static int count_autos(struct degrees d)
{
    return !d.data + !d.pipeline + !d.tensor;
}

static bool makes(struct degrees d, int64_t ranks)
{
    return count_autos(d) ? ranks % product(d) == 0 : ranks == product(d);
}

static struct degrees filled(struct degrees d, int64_t ranks)
{
    const int64_t rest = ranks / product(d);
    return (struct degrees){ d.data ? d.data : rest, d.pipeline ? d.pipeline : rest, d.tensor ? d.tensor : rest };
}

/* The number of ranks nearest to `ranks` with which the layout as asked for keeps all rules; 0: none. */
static int64_t other_ranks(const struct config *c, int ranks)
{
    const struct degrees d = degrees_of(c);
    int64_t nearest = 0;
    for (int64_t k = count_autos(d) ? ranks / product(d) + 1 : 1; k > 0; k--) {
        const int64_t n = k * product(d);
        const bool nearer = nearest == 0 || llabs(n - ranks) < llabs(nearest - ranks);
        if (nearer && n <= INT_MAX && keeps_the_other_rules(c, filled(d, n), (int)n))
            nearest = n;
    }
    return nearest;
}

static status refuse_degrees(const struct config *c, int ranks)
{
    char fits[256], other[64] = "", data[24], pipeline[24], tensor[24];
    const struct degrees d = degrees_of(c);
    const int64_t n = other_ranks(c, ranks);
    list_layouts(c, ranks, fits, sizeof fits);
    if (n)
        snprintf(other, sizeof other, "%sanother number of ranks: %lld", *fits ? ", or " : "", (long long)n);
    return status_fail(
        STATUS_USAGE, "%s: parallel.data x parallel.pipeline x parallel.tensor = %s x %s x %s does not make %d rank%s (fits: %s%s)",
        c->origin, degree_text(d.data, data), degree_text(d.pipeline, pipeline), degree_text(d.tensor, tensor), ranks,
        ranks == 1 ? "" : "s", *fits || n ? fits : "no layout, as the other keys are", other);
}

static status degrees_make_the_ranks(struct config *c, int ranks)
{
    const struct degrees d = degrees_of(c);
    if (count_autos(d) > 1)
        return status_fail(STATUS_USAGE,
                           "%s: more than one of parallel.data, parallel.pipeline and parallel.tensor is \"auto\", which is what "
                           "parallel.data is by default (fits: numbers for all but one)",
                           c->origin);
    if (!makes(d, ranks))
        return refuse_degrees(c, ranks);
    set_degrees(c, filled(d, ranks));
    return STATUS_OK;
}

/* ---- the batch ----------------------------------------------------------------------------------------------------------- */

static struct pipeline pipeline_of(const struct config *c, int replica)
{
    return pipeline_make(c->parallel.schedule.name, c->parallel.schedule.options, (int)c->parallel.pipeline,
                         (int)batch_leaves_of(c, replica), c->parallel.recompute, c->parallel.recompute_last_stage);
}

static int64_t routes_of(const struct config *c)
{
    const struct pipeline p = pipeline_of(c, 0);
    return pipeline_routes(&p);
}

/* Every rank has a micro-batch for each of its parts: with two routes, each route has one. */
static status every_route_has_a_micro_batch(struct config *c, int ranks)
{
    (void)ranks;
    const int64_t global = c->batch.global, leaves = batch_leaves(c), routes = routes_of(c), wanted = routes * c->parallel.data;
    if (leaves >= wanted)
        return STATUS_OK;
    char micro[64] = "";
    if (global >= wanted)
        snprintf(micro, sizeof micro, " or batch.micro = %lld", (long long)((global - 1) / (wanted - 1)));
    return status_fail(
        STATUS_USAGE,
        "%s: batch.global = %lld in micro-batches of batch.micro = %lld makes %lld, which is less than one for each of "
        "parallel.data = %lld replicas%s (fits: batch.global = %lld%s)",
        c->origin, (long long)global, (long long)c->batch.micro, (long long)leaves, (long long)c->parallel.data,
        routes > 1 ? " and directions" : "", (long long)((wanted - 1) * c->batch.micro + 1), micro);
}

/* ---- pipeline ------------------------------------------------------------------------------------------------------------ */

/* The value of model.layers; 0: the model has no such key. */
static int64_t layers_key(const struct config *c)
{
    for (struct slot s = { 0 }; slot_next(&s, c);)
        if (strcmp(s.path, "model.layers") == 0)
            return *(const int64_t *)((const char *)c + s.offset);
    return 0;
}

static int repeated_layers(const struct network *net)
{
    int count = 0;
    for (int i = 0; i < net->count; i++)
        count += net->layers[i].repeated;
    return count;
}

static status stages_share_the_layers(struct config *c, int ranks)
{
    (void)ranks;
    struct network net;
    char below[32] = "";
    const struct pipeline p = pipeline_of(c, 0);
    const int positions = pipeline_positions(&p), chunks = positions / p.stages;
    TRY(network_open(&net, model_find(c->model.name), c->model.options, &shard_whole));
    const int repeated = repeated_layers(&net);
    network_close(&net);
    if (repeated % positions == 0)
        return STATUS_OK;
    const int64_t layers = layers_key(c), others = repeated - layers, fits = repeated / positions * positions;
    if (fits > 0)
        snprintf(below, sizeof below, "%lld or ", (long long)(fits - others));
    return status_fail(
        STATUS_USAGE,
        "%s: model.layers = %lld makes %d layers to share, which %d stage%s x %d chunk%s cannot share equally (fits: "
        "model.layers = %s%lld)",
        c->origin, (long long)layers, repeated, p.stages, p.stages == 1 ? "" : "s", chunks, chunks == 1 ? "" : "s", below,
        (long long)(fits + positions - others));
}

/* Replicas have one of two numbers of micro-batches: the first has the larger, the last the smaller. */
static status schedule_suits_every_replica(struct config *c, int ranks)
{
    (void)ranks;
    const int last = (int)c->parallel.data - 1;
    for (int replica = 0; replica <= last; replica += last ? last : 1) {
        const struct pipeline p = pipeline_of(c, replica);
        char why[PIPELINE_MISFIT_BYTES];
        if (pipeline_misfit(&p, "batch.global", c->parallel.data * c->batch.micro, why))
            return status_fail(STATUS_USAGE, "%s: parallel.schedule.name = \"%s\" with parallel.pipeline = %d: %s", c->origin,
                               p.schedule->member.name, p.stages, why);
    }
    return STATUS_OK;
}

/* ---- tensor, ZeRO, progress ---------------------------------------------------------------------------------------------- */

static status model_can_be_split(struct config *c, int ranks)
{
    const char *refused = split_refused(c);
    char why[256], fits[256];
    if (!refused)
        return STATUS_OK;
    snprintf(why, sizeof why, "%s", refused); /* asking about others overwrites it */
    list_layouts(c, ranks, fits, sizeof fits);
    return status_fail(STATUS_USAGE, *fits ? "%s: %s (fits: parallel.data x parallel.pipeline x parallel.tensor = %s)" : "%s: %s%s",
                       c->origin, why, fits);
}

static status sequence_needs_tensor(struct config *c, int ranks)
{
    (void)ranks;
    if (!c->parallel.sequence || c->parallel.tensor > 1)
        return STATUS_OK;
    return status_fail(STATUS_USAGE,
                       "%s: parallel.sequence = true, but with parallel.tensor = 1 no rank shares a sequence with another (fits: "
                       "parallel.tensor = 2 or more)",
                       c->origin);
}

static status zero_suits_the_replicas(struct config *c, int ranks)
{
    (void)ranks;
    const char *why = gradient_refuses(c, (int)(routes_of(c) * c->parallel.data), batch_leaves(c));
    return why ? status_fail(STATUS_USAGE, "%s: %s", c->origin, why) : STATUS_OK;
}

/* Each tensor rank would decide by what has come to it, and their collectives would meet in different micro-batches. */
static status tensor_ranks_keep_one_order(struct config *c, int ranks)
{
    (void)ranks;
    const struct pipeline p = pipeline_of(c, 0);
    if (c->parallel.tensor == 1 || !pipeline_reorders(&p))
        return STATUS_OK;
    return status_fail(
        STATUS_USAGE,
        "%s: parallel.schedule.opportunistic = true lets every rank decide its order by what has come, and the %lld ranks of "
        "parallel.tensor must do the same at the same time (fits: parallel.schedule.opportunistic = false, or "
        "parallel.tensor = 1)",
        c->origin, (long long)c->parallel.tensor);
}

static status no_thread_beside_other_messages(struct config *c, int ranks)
{
    (void)ranks;
    if (strcmp(c->exchange.progress, "thread") != 0 || (c->parallel.pipeline == 1 && c->parallel.tensor == 1))
        return STATUS_OK;
    return status_fail(STATUS_USAGE,
                       "%s: exchange.progress = \"thread\" cannot go with parallel.pipeline = %lld x parallel.tensor = %lld, whose "
                       "messages the computing rank itself sends meanwhile (fits: poll, none)",
                       c->origin, (long long)c->parallel.pipeline, (long long)c->parallel.tensor);
}

/* The last of the rules about the layout: it deals out layers. */
static status stages_can_code_their_messages(struct config *c, int ranks)
{
    (void)ranks;
    return message_check(c);
}

config_rule *const layout_rules[] = { degrees_make_the_ranks,
                                      every_route_has_a_micro_batch,
                                      stages_share_the_layers,
                                      schedule_suits_every_replica,
                                      sequence_needs_tensor,
                                      model_can_be_split,
                                      no_thread_beside_other_messages,
                                      tensor_ranks_keep_one_order,
                                      zero_suits_the_replicas,
                                      stages_can_code_their_messages,
                                      NULL };
