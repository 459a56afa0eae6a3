/* What is known about an exchange before anything is allocated. Letters: n floats, p ranks, m micro-batches of a rank. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/gradient_choice.h"
#include "bench/gradient_parts.h"
#include "bench/places.h"

/* ---- what the config asks for ------------------------------------------------------------------------------------------------ */

enum way way_of(const struct config *c)
{
    const char *collective = c->exchange.collective.name;
    if (strcmp(c->exchange.compressor.name, "none") || (strcmp(collective, "auto") && strcmp(collective, "allreduce")))
        return CODED;
    return strcmp(c->exchange.reduction, "tree") ? FAST : ORDERED;
}

bool gradient_is_coded(const struct config *c)
{
    return way_of(c) == CODED;
}

bool exchanges_leaves(const struct config *c)
{
    return c->parallel.zero >= 2;
}

int buckets_in_flight(const struct config *c)
{
    return c->exchange.overlap ? 2 : 0;
}

static const char *algorithm_refuses(const struct config *c, char *why, size_t room)
{
    const struct allreduce *named = allreduce_find(c->exchange.allreduce); /* NULL: auto, which keeps to what fits */
    if (way_of(c) == ORDERED || !named || named->scatter_rounds)
        return NULL;
    char fits[128] = "";
    for (size_t i = 0; allreduces[i]; i++)
        if (allreduces[i]->scatter_rounds)
            snprintf(fits + strlen(fits), sizeof fits - strlen(fits), "%s%s", *fits ? ", " : "", allreduces[i]->member.name);
    snprintf(why, room,
             "parallel.zero = %lld needs an allreduce that scatters before it gathers, and exchange.allreduce = \"%s\" "
             "does not (fits: %s)",
             (long long)c->parallel.zero, c->exchange.allreduce, fits);
    return why;
}

static const char *leaves_refuse(const struct config *c, int replicas, int64_t leaves, char *why, size_t room)
{
    if (way_of(c) == ORDERED && (replicas & (replicas - 1)))
        snprintf(why, room,
                 "parallel.zero = %lld with exchange.reduction = \"tree\" adds the replicas' micro-batches as one node of "
                 "the tree, which parallel.data = %d replicas do not make (fits: a power of two there, or exchange.reduction = "
                 "\"fast\")",
                 (long long)c->parallel.zero, replicas);
    else if (leaves % replicas)
        snprintf(why, room,
                 "parallel.zero = %lld exchanges every micro-batch, and %lld of batch.micro = %lld samples are not shared equally "
                 "by parallel.data = %d replicas (fits: batch.global = %lld)",
                 (long long)c->parallel.zero, (long long)leaves, (long long)c->batch.micro, replicas,
                 (long long)((leaves / replicas + 1) * replicas * c->batch.micro));
    else
        return NULL;
    return why;
}

const char *gradient_refuses(const struct config *c, int replicas, int64_t leaves)
{
    static char why[256];
    const char *algorithm = algorithm_refuses(c, why, sizeof why);
    if (c->parallel.zero == 0)
        return NULL;
    if (way_of(c) == CODED && exchanges_leaves(c)) {
        snprintf(why, sizeof why,
                 "parallel.zero = %lld exchanges every micro-batch, and exchange.compressor = \"%s\" by exchange.collective.name = "
                 "\"%s\" "
                 "leaves every rank the whole sum of a step (fits: parallel.zero = 0 or 1)",
                 (long long)c->parallel.zero, c->exchange.compressor.name, c->exchange.collective.name);
        return why;
    }
    if (algorithm || !exchanges_leaves(c))
        return algorithm;
    if (c->parallel.pipeline > 1) {
        snprintf(why, sizeof why,
                 "parallel.zero = %lld would exchange each of the micro-batches that keep the %lld stages of a pipeline "
                 "busy (fits: parallel.zero = 0 or 1)",
                 (long long)c->parallel.zero, (long long)c->parallel.pipeline);
        return why;
    }
    return leaves_refuse(c, replicas, leaves, why, sizeof why);
}

/* ---- leaves and buckets ------------------------------------------------------------------------------------------------------ */

static struct leaf_owners owners_of(const struct gradient_shape *s)
{
    return (struct leaf_owners){ s->leaves, s->starts };
}

int64_t own_leaves(const struct gradient_shape *s, int rank, int ranks)
{
    const struct leaf_owners o = owners_of(s);
    return leaf_start(&o, ranks, rank + 1) - leaf_start(&o, ranks, rank);
}

int64_t gradient_own_leaf(const struct config *c, const struct gradient_shape *s, int rank, int ranks, int64_t i)
{
    const struct leaf_owners o = owners_of(s);
    return exchanges_leaves(c) && way_of(c) == ORDERED ? i * ranks + rank : leaf_start(&o, ranks, rank) + i;
}

struct leaf_owners exchanged_leaves(const struct config *c, const struct gradient_shape *s, int ranks)
{
    return exchanges_leaves(c) ? (struct leaf_owners){ ranks, NULL } : owners_of(s);
}

struct accumulator local_accumulator(const struct config *c, const struct gradient_shape *s, int rank, int ranks)
{
    const struct leaf_owners o = owners_of(s);
    const bool tree = way_of(c) == ORDERED && !exchanges_leaves(c);
    return accumulator_of(tree, s->n, s->leaves, leaf_start(&o, ranks, rank), own_leaves(s, rank, ranks));
}

struct accumulator own_accumulator(const struct config *c, const struct gradient_shape *s, size_t own_n, int ranks)
{
    const int64_t turns = s->leaves / ranks;
    return accumulator_of(way_of(c) == ORDERED, own_n, turns, 0, turns);
}

static size_t bucket_floats(const struct config *c)
{
    return (size_t)c->exchange.bucket_B / sizeof(float);
}

bool buckets_are_tensors(const struct config *c, const struct gradient_shape *s)
{
    return way_of(c) == CODED && s->params && strcmp(c->exchange.unit, "tensor") == 0;
}

int bucket_count(const struct config *c, const struct gradient_shape *s)
{
    return buckets_are_tensors(c, s) ? s->params->count : (int)((s->n + bucket_floats(c) - 1) / bucket_floats(c));
}

struct range bucket_place(const struct config *c, const struct gradient_shape *s, int b)
{
    if (buckets_are_tensors(c, s)) {
        const struct slice *slice = &s->params->slices[s->params->count - 1 - b];
        return (struct range){ slice->at, slice->n };
    }
    const size_t size = bucket_floats(c), end = s->n - (size_t)b * size;
    const size_t at = end > size ? end - size : 0;
    return (struct range){ at, end - at };
}

/* ---- bytes ------------------------------------------------------------------------------------------------------------------- */

/* Of one rank, for one bucket. */
struct cost {
    double sum_B, gather_B; /* sent: once for its gradients, but for codes; once for its parameters */
    size_t own_n;
};

static struct cost cost_of(const struct config *c, const struct gradient_shape *s, size_t n, int rank, int ranks)
{
    const size_t segment_B = (size_t)c->exchange.segment_B;
    const enum sum_part part = c->parallel.zero ? SUM_REDUCE_SCATTER : SUM_ALLREDUCE;
    const struct team team = places_replicas(c, ranks);
    const struct allreduce *a = gradient_allreduce(c, team, n);
    const struct leaf_owners o = exchanged_leaves(c, s, ranks);
    struct cost cost = { .own_n = n };
    switch (way_of(c)) {
    case ORDERED:
        cost.sum_B = 4.0 * (double)ordered_sent_floats(part, segment_B, ranks, rank, n, &o);
        if (c->parallel.zero) {
            cost.gather_B = 4.0 * (double)ordered_sent_floats(SUM_ALLGATHER, segment_B, ranks, rank, n, &o);
            cost.own_n = ordered_owned_floats(segment_B, ranks, rank, n);
        }
        break;
    case CODED:
    case FAST:
        cost.sum_B = a->sent_floats ? 4.0 * (double)engine_sent_floats(a, part, segment_B, team, rank, n) : NAN;
        if (c->parallel.zero) {
            cost.gather_B = 4.0 * (double)engine_sent_floats(a, SUM_ALLGATHER, segment_B, team, rank, n);
            cost.own_n = engine_owned_floats(a, segment_B, team, rank, n);
        }
        break;
    }
    return cost;
}

/* ---- stage 3: what is held, layer after layer, the next before the last is released -------------------------------------------
 */

static bool meet(struct range a, struct range b)
{
    return a.at < b.at + b.n && b.at < a.at + a.n;
}

/* Whether layer i needs something of a range; outside the model's layers, none does. */
static bool layer_needs(const struct gradient_shape *s, int i, struct range r)
{
    if (!s->layers)
        return i == 0;
    return i >= 0 && i < s->layer_count && (meet(s->layers[i].own, r) || meet(s->layers[i].shared, r));
}

static int layer_count(const struct gradient_shape *s)
{
    return s->layers ? s->layer_count : 1;
}

/* How often a bucket is gathered in one pass over the layers, in either direction. */
static int gathers(const struct gradient_shape *s, struct range bucket)
{
    int times = 0;
    for (int i = 0; i < layer_count(s); i++)
        times += layer_needs(s, i, bucket) && !layer_needs(s, i - 1, bucket);
    return times;
}

/* ---- stages 2 and 3: what is there for a while ------------------------------------------------------------------------------- */

/* Floats of the buckets of which layers i or j need something. */
static size_t held_floats(const struct config *c, const struct gradient_shape *s, int i, int j)
{
    size_t held = 0;
    for (int b = 0; c->parallel.zero == 3 && b < bucket_count(c, s); b++) {
        const struct range bucket = bucket_place(c, s, b);
        held += layer_needs(s, i, bucket) || layer_needs(s, j, bucket) ? bucket.n : 0;
    }
    return held;
}

/* Floats of parameters that are held, and of gradients that are not dropped. */
struct moment {
    size_t held, open;
};

static struct moment larger(struct moment a, struct moment b)
{
    return a.held + a.open > b.held + b.open ? a : b;
}

/* The moment of a backward pass that takes most: a layer's parameters arrive while those of the layer behind it are still there, or
 * its gradient is complete, and the last buckets are still on their way. A shared matrix has a gradient from its last reader to its
 * owner, which is nearly always. */
static struct moment worst_moment(const struct config *c, const struct gradient_shape *s)
{
    struct moment worst = { 0 };
    size_t shared = 0;
    for (int i = layer_count(s) - 1; i >= 0; i--) {
        const struct range own = s->layers ? s->layers[i].own : (struct range){ 0, s->n };
        const int started = (int)((s->n - own.at - own.n) / bucket_floats(c)), in_flight = buckets_in_flight(c);
        const size_t end = s->n - (size_t)(started > in_flight ? started - in_flight : 0) * bucket_floats(c);
        worst = larger(worst, (struct moment){ held_floats(c, s, i, i + 1), end - own.at - own.n });
        worst = larger(worst, (struct moment){ held_floats(c, s, i, i), end - own.at });
        shared += s->layers ? s->layers[i].shared.n : 0;
    }
    worst.open = worst.open + shared < s->n ? worst.open + shared : s->n;
    return worst;
}

/* ---- codes ------------------------------------------------------------------------------------------------------------------- */

const struct exchange *coded_exchange(const struct config *c)
{
    return exchange_find(c->exchange.collective.name);
}

/* The tensor that is bucket b; NULL: the bucket is none. */
static const struct slice *slice_of(const struct config *c, const struct gradient_shape *s, int b)
{
    return buckets_are_tensors(c, s) ? &s->params->slices[s->params->count - 1 - b] : NULL;
}

struct exchange_terms coded_terms(const struct config *c, const struct codec *codec, const struct gradient_shape *s, int b,
                                  int rank, int ranks)
{
    const struct slice *slice = slice_of(c, s, b);
    const size_t n = bucket_place(c, s, b).n;
    const struct team team = places_replicas(c, ranks);
    const bool whole = slice && (size_t)slice->rows * (size_t)slice->columns == n; /* and not padded */
    const uint32_t stream = RANDOM_COMPRESSOR + ((uint32_t)b << 8), part = s->part << 16;
    return (struct exchange_terms){
        .kind = codec->kind,
        .coding = { .options = codec->options,
                    .n = n,
                    .rows = whole ? (size_t)slice->rows : 1,
                    .columns = whole ? (size_t)slice->columns : n,
                    .worker = rank,
                    .workers = ranks,
                    .random = { (uint64_t)c->seed, stream, part, 0 },
                    .shared = { (uint64_t)c->seed, stream, part + UINT16_MAX, 0 } },
        .options = c->exchange.collective.options,
        .allreduce = gradient_allreduce(c, team, n),
        .node_ranks = team.g,
        .purpose = PURPOSE_GRADIENT,
        .segment_B = (size_t)c->exchange.segment_B,
        .feedback = c->exchange.error_feedback,
    };
}

status gradient_check(const struct config *c, const struct gradient_shape *s, int rank, int ranks)
{
    struct codec codec;
    codec_of(c, &codec);
    for (int b = 0; way_of(c) == CODED && b < bucket_count(c, s); b++) {
        const struct exchange_terms t = coded_terms(c, &codec, s, b, rank, ranks);
        const struct slice *slice = slice_of(c, s, b);
        const char *why = exchange_refuses(coded_exchange(c), &t);
        char name[CODEC_NAME_BYTES];
        if (why)
            return status_fail(STATUS_USAGE,
                               "exchange.compressor \"%s\" by exchange.collective.name = \"%s\", %s of %zu floats%s%s: %s",
                               codec_name(c, name), c->exchange.collective.name, slice ? "tensor" : "bucket", t.coding.n,
                               slice ? ", " : "", slice ? slice->name : "", why);
    }
    return STATUS_OK;
}

/* Of one rank's codes in a step. */
struct codes {
    double code_B, sent_B, memory_B;
};

/* Adds what is sent in bucket b; false if that depends on the data. */
static bool add_sent(const struct exchange_terms *t, const struct exchange *how, uint64_t *B_to, double *all_B_to)
{
    const int ranks = t->coding.workers;
    memset(B_to, 0, (size_t)ranks * sizeof *B_to);
    const bool known = how->sent(t, B_to);
    for (int r = 0; r < ranks; r++)
        all_B_to[r] += (double)B_to[r];
    return known;
}

bool gradient_coded_sent(const struct config *c, const struct gradient_shape *s, int rank, int ranks, double *B_to)
{
    struct codec codec;
    uint64_t *one = calloc((size_t)ranks, sizeof *one);
    bool known = one != NULL;
    codec_of(c, &codec);
    for (int b = 0; known && b < bucket_count(c, s); b++) {
        struct exchange_terms t = coded_terms(c, &codec, s, b, rank, ranks);
        t.coding.step = INT64_MAX; /* after all warm-up */
        known = add_sent(&t, coded_exchange(c), one, B_to);
    }
    free(one);
    return known;
}

static struct codes codes_of(const struct config *c, const struct gradient_shape *s, int rank, int ranks)
{
    struct codec codec;
    struct codes codes = { 0 };
    double *B_to = calloc((size_t)ranks, sizeof *B_to);
    codec_of(c, &codec);
    for (int b = 0; b < bucket_count(c, s); b++) {
        const struct exchange_terms t = coded_terms(c, &codec, s, b, rank, ranks);
        codes.code_B += (double)codec.kind->code_bytes(&t.coding);
        codes.memory_B += (double)exchange_memory(coded_exchange(c), &t).all_B;
    }
    const bool known = B_to && gradient_coded_sent(c, s, rank, ranks, B_to);
    for (int r = 0; known && r < ranks; r++)
        codes.sent_B += B_to[r];
    free(B_to);
    codes.sent_B = known ? codes.sent_B : NAN;
    return codes;
}

/* ---- the plan ---------------------------------------------------------------------------------------------------------------- */

static void plan_memory(struct gradient_plan *plan, const struct config *c, const struct gradient_shape *s, int rank, int ranks)
{
    const double n = (double)s->n, own = (double)plan->state_floats;
    const struct moment worst = worst_moment(c, s);
    plan->params_B = 4 * (c->parallel.zero < 3 ? n : own + (double)worst.held);
    plan->error_B = way_of(c) == CODED && c->exchange.error_feedback ? 4 * n : 0;
    if (exchanges_leaves(c))
        plan->sums_B = 4 * (own * own_accumulator(c, s, plan->state_floats, ranks).count + (double)worst.open);
    else
        plan->sums_B = 4 * n * local_accumulator(c, s, rank, ranks).count;
}

/* What is sent and how it is called, of sums. */
/* Of the first bucket, and of the last, which may be shorter. */
static const char *algorithm_name(const struct config *c, const struct gradient_shape *s, int ranks)
{
    static char text[96];
    const struct team t = places_replicas(c, ranks);
    const int last = bucket_count(c, s) - 1;
    const char *first_name = gradient_allreduce(c, t, bucket_place(c, s, 0).n)->member.name;
    const char *last_name = gradient_allreduce(c, t, bucket_place(c, s, last).n)->member.name;
    if (allreduce_find(c->exchange.allreduce))
        return c->exchange.allreduce;
    snprintf(text, sizeof text, "auto: %s%s%s", first_name, first_name == last_name ? "" : ", the last bucket by ",
             first_name == last_name ? "" : last_name);
    return text;
}

static void plan_sums(struct gradient_plan *plan, const struct config *c, const struct gradient_shape *s, int rank, int ranks)
{
    const double m = exchanges_leaves(c) ? (double)(s->leaves / ranks) : 1, passes = 2 * m + (double)s->recomputed;
    plan->op = c->parallel.zero ? "reduce-scatter" : "allreduce";
    plan->algorithm = way_of(c) == ORDERED ? "ordered" : algorithm_name(c, s, ranks);
    plan->logical_B = m * 4 * (double)s->n;
    for (int b = 0; b < plan->buckets; b++) {
        const struct range place = bucket_place(c, s, b);
        const struct cost cost = cost_of(c, s, place.n, rank, ranks);
        plan->sent_B += m * cost.sum_B;
        plan->parameters_sent_B += c->parallel.zero == 3 ? passes * gathers(s, place) * cost.gather_B : cost.gather_B;
        plan->state_floats += cost.own_n;
    }
}

struct gradient_plan gradient_plan(const struct config *c, const struct gradient_shape *s, int rank, int ranks)
{
    struct gradient_plan plan = { .buckets = bucket_count(c, s) };
    plan_sums(&plan, c, s, rank, ranks);
    if (way_of(c) == CODED) {
        const struct codes codes = codes_of(c, s, rank, ranks);
        plan.op = "codes";
        plan.algorithm = c->exchange.collective.name;
        plan.logical_B = codes.code_B;
        plan.codes_B = codes.memory_B;
        plan.sent_B = codes.sent_B;
    }
    plan_memory(&plan, c, s, rank, ranks);
    return plan;
}
