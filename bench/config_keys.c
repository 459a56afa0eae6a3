/* The table of config keys, and the walk over it. Parsing, printing, schema and documents are loops over slot_next.
 *
 * A row whose values are the members of a family brings, after itself, the rows of the chosen member.
 */
#include "bench/config_keys.h"

#include <string.h>

#include "bench/codec.h"
#include "bench/compute.h"
#include "bench/dataset.h"
#include "bench/json.h"
#include "bench/model.h"
#include "bench/schedule.h"
#include "collectives/allreduce.h"
#include "collectives/exchange.h"
#include "collectives/fabric.h"
#include "kernels/compressor.h"
#include "kernels/optimizer.h"

static const struct member *model_at(size_t i)
{
    return models[i] ? &models[i]->member : NULL;
}
static const struct member *dataset_at(size_t i)
{
    return datasets[i] ? &datasets[i]->member : NULL;
}
static const struct member *optimizer_at(size_t i)
{
    return optimizers[i] ? &optimizers[i]->member : NULL;
}
static const struct member *allreduce_at(size_t i)
{
    static const struct member chosen = { .name = "auto", .help = "by the length of the vector: what is least on the links known" };
    size_t named = 0;
    while (named < i && allreduces[named])
        named++;
    if (named < i)
        return NULL;
    return allreduces[i] ? &allreduces[i]->member : &chosen;
}
static const struct member *compressor_at(size_t i)
{
    return compressors[i] ? &compressors[i]->member : NULL;
}
/* What may follow another in a chain. */
static const struct member *follower_at(size_t i)
{
    for (size_t k = 0; compressors[k]; k++)
        if (codec_may_follow(compressors[k]) && i-- == 0)
            return &compressors[k]->member;
    return NULL;
}

static const struct member *exchange_at(size_t i)
{
    static const struct member suited = { .name = "auto", .help = "allreduce for codes that may be summed, else allgather" };
    if (i == 0)
        return &suited;
    return exchanges[i - 1] ? &exchanges[i - 1]->member : NULL;
}

static const struct member *compute_at(size_t i)
{
    return computes[i] ? &computes[i]->member : NULL;
}
static const struct member *fabric_at(size_t i)
{
    return fabrics[i] ? &fabrics[i]->member : NULL;
}

static const struct member *schedule_at(size_t i)
{
    return schedules[i] ? &schedules[i]->member : NULL;
}

static const char *const progresses[] = { "none", "poll", "thread", NULL };
static const char *const units[] = { "auto", "bucket", "tensor", NULL };
static const char *const error_units[] = { "gradient", "update", NULL };
static const char *const reductions[] = { "fast", "tree", NULL };
static const char *const orders[] = { "tp-pp-dp", "tp-dp-pp", "pp-tp-dp", "pp-dp-tp", "dp-tp-pp", "dp-pp-tp", NULL };
static const char *const partitions[] = { "cost", "even", NULL };
static const char *const placements[] = { "host", "launcher", NULL };
static const char *const bindings[] = { "auto", "core", "none", NULL };

#define AT(field) offsetof(struct config, field)
static const double seconds_max = 1e12;
static const double count_max = 9007199254740991; /* 2^53 - 1: the largest integer that JSON carries everywhere */

const struct entry config_entries[] = {
    { .key = { "why", KEY_TEXT, AT(why), "\"\"", 0, 4096, .help = "What the experiment is for, in a sentence." } },
    { .key = { "name", KEY_TEXT, AT(name), "\"\"", 0, 64,
               .help = "Name of the result; if empty, the config file's without .json." } },
    { .key = { "seed", KEY_INT, AT(seed), "1", 0, count_max, .help = "Seed of all random numbers." } },
    { .key = { "model.name", KEY_CHOICE, AT(model.name), .help = "What is trained." },
      .member_at = model_at,
      .options = AT(model.options) },
    { .key = { "data.name", KEY_CHOICE, AT(data.name), .help = "What it is trained on." },
      .member_at = dataset_at,
      .options = AT(data.options) },
    { .key = { "batch.global", KEY_INT, AT(batch.global), "64", 1, 1 << 20, .unit = "samples",
               .help = "Samples of one step, over all ranks." } },
    { .key = { "batch.micro", KEY_INT, AT(batch.micro), "8", 1, 1 << 20, .unit = "samples",
               .help = "Samples that pass through the model at once, at most: the batch is cut into micro-batches that differ by "
                       "one." } },
    { .key = { "optimizer.name", KEY_CHOICE, AT(optimizer.name), .help = "The update rule." },
      .member_at = optimizer_at,
      .options = AT(optimizer.options) },
    { .key = { "parallel.data", KEY_INT, AT(parallel.data), "\"auto\"", 1, 1 << 20, .word = "auto", .unit = "ranks",
               .help = "Replicas of the model; auto: as many as the other degrees leave." } },
    { .key = { "parallel.pipeline", KEY_INT, AT(parallel.pipeline), "1", 1, 1 << 20, .word = "auto", .unit = "stages",
               .help = "Stages that the layers are dealt to." } },
    { .key = { "parallel.tensor", KEY_INT, AT(parallel.tensor), "1", 1, 1 << 20, .word = "auto", .unit = "ranks",
               .help = "Ranks that share each layer: columns and rows of its matrices, heads, symbols." } },
    { .key = { "parallel.order", KEY_CHOICE, AT(parallel.order), "\"tp-pp-dp\"", .choices = orders,
               .help = "Which coordinate of a rank varies fastest: tensor (tp), pipeline (pp), data (dp)." } },
    { .key = { "parallel.placement", KEY_CHOICE, AT(parallel.placement), "\"host\"", .choices = placements,
               .help =
                   "How ranks are numbered: host (those of a host are consecutive, whatever order they were started in), launcher "
                   "(as started)." } },
    { .key = { "parallel.binding", KEY_CHOICE, AT(parallel.binding), "\"auto\"", .choices = bindings,
               .help =
                   "Where a rank may run, unless the launcher has bound it: core (one of its own), none (anywhere), auto (core, if "
                   "there are several ranks on the machine and as many cores)." } },
    { .key = { "parallel.partition", KEY_CHOICE, AT(parallel.partition), "\"cost\"", .choices = partitions,
               .help = "How layers are dealt to stages: cost (the dearest stage as cheap as possible), even (equal numbers)." } },
    { .key = { "parallel.schedule.name", KEY_CHOICE, AT(parallel.schedule.name),
               .help = "In which order each stage runs its forward and backward passes." },
      .member_at = schedule_at,
      .options = AT(parallel.schedule.options) },
    { .key = { "parallel.recompute", KEY_SWITCH, AT(parallel.recompute), "\"auto\"",
               .help = "Whether a stage keeps only its input and runs its forward pass again; auto: what the schedule's source "
                       "does." } },
    { .key = { "parallel.recompute_last_stage", KEY_SWITCH, AT(parallel.recompute_last_stage), "\"auto\"",
               .help = "Whether the last stage does so too." } },
    { .key = { "parallel.sequence", KEY_BOOL, AT(parallel.sequence), "false",
               .help = "Sequence parallel: between split layers each tensor rank keeps its share of the positions." } },
    { .key = { "parallel.zero", KEY_INT, AT(parallel.zero), "0", 0, 3,
               .help = "What the replicas share: 0 nothing, 1 optimizer state, 2 and gradients, 3 and parameters (ZeRO)." } },
    { .key = { "parallel.activation_compressor.name", KEY_CHOICE, AT(parallel.activation_compressor.name),
               .help = "How activations and their gradients are compressed on their way between stages." },
      .member_at = compressor_at,
      .options = AT(parallel.activation_compressor.options) },
    { .key = { "exchange.allreduce", KEY_CHOICE, AT(exchange.allreduce),
               .help = "Algorithm that sums gradients over the replicas." },
      .member_at = allreduce_at },
    { .key = { "exchange.bucket_B", KEY_INT, AT(exchange.bucket_B), "4194304", 4, 1 << 30, .unit = "bytes",
               .help = "Gradients are exchanged in buckets of at most this size (the last parameters first)." } },
    { .key = { "exchange.segment_B", KEY_INT, AT(exchange.segment_B), "32768", 4, 1 << 30, .unit = "bytes",
               .help = "Size of one message: a bucket travels in segments, one being summed while the next is on its way." } },
    { .key = { "exchange.unit", KEY_CHOICE, AT(exchange.unit), "\"auto\"", .choices = units,
               .help =
                   "What is compressed at once: bucket, or tensor (each matrix and vector of the model on its own, whatever its "
                   "size); auto: tensor for compressors of matrices and where tensor ranks must agree, else bucket." } },
    { .key = { "exchange.overlap", KEY_BOOL, AT(exchange.overlap), "true",
               .help = "Whether a bucket's exchange begins as soon as its gradients are there; else after the backward pass." } },
    { .key = { "exchange.progress", KEY_CHOICE, AT(exchange.progress), "\"poll\"", .choices = progresses,
               .help = "Who drives an exchange on its way: none (only waiting does), poll (the computation between layers), "
                       "thread." } },
    { .key = { "exchange.error_feedback", KEY_BOOL, AT(exchange.error_feedback), "false",
               .help = "Whether what a compressor lost is added to the next step's gradient." } },
    { .key = { "exchange.error_decay", KEY_REAL, AT(exchange.error_decay), "1", 0, 1,
               .help = "Share of what was lost that is added: 1 all, less forgets." } },
    { .key = { "exchange.error_units", KEY_CHOICE, AT(exchange.error_units), "\"gradient\"", .choices = error_units,
               .help =
                   "What is kept of a loss: gradient, or update (times the learning rate of its step, so that a later rate does "
                   "not scale it)." } },
    { .key = { "exchange.compressor.name", KEY_CHOICE, AT(exchange.compressor.name), .help = "How gradients are compressed." },
      .member_at = compressor_at,
      .options = AT(exchange.compressor.options) },
    { .key = { "exchange.compressor.then.name", KEY_CHOICE, AT(exchange.then.name),
               .help = "How the values that a sparse compressor keeps are compressed in turn." },
      .member_at = follower_at,
      .options = AT(exchange.then.options) },
    { .key = { "exchange.compressor.then.then.name", KEY_CHOICE, AT(exchange.last.name), .help = "And those that this one keeps." },
      .member_at = follower_at,
      .options = AT(exchange.last.options) },
    { .key = { "exchange.collective.name", KEY_CHOICE, AT(exchange.collective.name),
               .help = "How the codes of all replicas become one sum." },
      .member_at = exchange_at,
      .options = AT(exchange.collective.options) },
    { .key = { "exchange.reduction", KEY_CHOICE, AT(exchange.reduction), "\"fast\"", .choices = reductions,
               .help = "fast: sums in the allreduce's order; tree: in one fixed order, so that any number of ranks gives the same "
                       "bits." } },
    { .key = { "compute.name", KEY_CHOICE, AT(compute.name), .help = "How long the layers take." },
      .member_at = compute_at,
      .options = AT(compute.options) },
    { .key = { "compute.rate_flop_per_s", KEY_REAL, AT(charge.rate_flop_per_s), "\"auto\"", 1, 1e18, .word = "auto",
               .unit = "flop/s",
               .help = "Speed of a rank's matrix products, by which simulated time is charged; auto: the calibration's, else the "
                       "simulated host's." } },
    { .key = { "compute.slowdown", KEY_MATRIX, AT(charge.slowdown), "[]", 0, 1e6,
               .help =
                   "Stragglers, [rank, factor] each, the factor 1 or more: computing takes this rank so many times as long." } },
    { .key = { "compute.encode_B_per_s", KEY_REAL, AT(charge.encode_B_per_s), "\"auto\"", 1, 1e18, .word = "auto",
               .unit = "bytes/s",
               .help =
                   "Speed of compressing, in bytes of floats, by which simulated time is charged, and fabric shaped waits; auto: "
                   "in simulations the calibration's, else no time." } },
    { .key = { "compute.decode_B_per_s", KEY_REAL, AT(charge.decode_B_per_s), "\"auto\"", 1, 1e18, .word = "auto",
               .unit = "bytes/s", .help = "Likewise of decoding, for each code." } },
    { .key = { "fabric.name", KEY_CHOICE, AT(fabric.name), .help = "What carries messages between ranks." },
      .member_at = fabric_at,
      .options = AT(fabric.options) },
    { .key = { "network.nodes", KEY_INT, AT(network.nodes), "\"auto\"", 1, 1 << 20, .word = "auto", .unit = "nodes",
               .help = "Nodes of the network that fabric shaped makes, and that a simulation runs on; auto: as many as the ranks "
                       "need." } },
    { .key = { "network.node_ranks", KEY_INT, AT(network.node_ranks), "\"all\"", 1, 1 << 20, .word = "all", .unit = "ranks",
               .help = "Ranks of a node: consecutive ones." } },
    { .key = { "network.inside.latency_s", KEY_REAL, AT(network.inside.latency_s), "1e-6", 0, 3600, .unit = "s",
               .help = "Latency of a message between two ranks of a node." } },
    { .key = { "network.inside.bandwidth_B_per_s", KEY_REAL, AT(network.inside.bandwidth_B_per_s), "1e10", 1, 1e15,
               .unit = "bytes/s", .help = "What a rank can send, and can receive, inside its node." } },
    { .key = { "network.between.latency_s", KEY_REAL, AT(network.between.latency_s), "1e-4", 0, 3600, .unit = "s",
               .help = "Latency of a message between two nodes." } },
    { .key = { "network.between.bandwidth_B_per_s", KEY_REAL, AT(network.between.bandwidth_B_per_s), "1.25e9", 1, 1e15,
               .unit = "bytes/s", .help = "What a node can send, and can receive, from others." } },
    { .key = { "network.between.shared", KEY_BOOL, AT(network.shared), "true",
               .help = "Whether the ranks of a node share what is between nodes, so that it congests; else each has as much for "
                       "itself." } },
    { .key = { "network.matrix.latency_s", KEY_MATRIX, AT(network.latency_s), "[]", 0, 3600, .unit = "s",
               .help = "Latency from each node to each, instead of network.between; the diagonal is not used." } },
    { .key = { "network.matrix.bandwidth_B_per_s", KEY_MATRIX, AT(network.bandwidth_B_per_s), "[]", 0, 1e15, .unit = "bytes/s",
               .help = "Bandwidth from each node to each, every pair having a link of its own." } },
    { .key = { "network.jitter_s", KEY_REAL, AT(network.jitter_s), "0", 0, 3600, .unit = "s",
               .help = "Each message takes longer by the magnitude of a number of N(0, this); fabric shaped only." } },
    { .key = { "network.seed", KEY_INT, AT(network.seed), "1", 0, count_max, .help = "Seed of the jitter." } },
    { .key = { "calibration", KEY_TEXT, AT(calibration), "\"\"", 0, 4096,
               .help = "File of dmlbench --calibrate: this machine's or cluster's rates, for bounds and simulations." } },
    { .key = { "measure.steps", KEY_INT, AT(measure.steps), "50", 1, 1000000, .unit = "steps",
               .help = "Steps that are measured, after the warm-up." } },
    { .key = { "measure.warmup_steps", KEY_INT, AT(measure.warmup_steps), "5", 0, 1000000, .unit = "steps",
               .help = "Steps before the measured ones: recorded and flagged, but in no statistic." } },
    { .key = { "measure.verify", KEY_BOOL, AT(measure.verify), "true",
               .help = "Whether gradients are checked by difference quotients before the timing." } },
    { .key = { "plan.schedule.name", KEY_CHOICE, AT(plan.schedule.name),
               .help = "What dmlplan plays; without it, the run's parallel.schedule." },
      .member_at = schedule_at,
      .options = AT(plan.schedule.options) },
    { .key = { "plan.stages", KEY_INT, AT(plan.stages), "\"auto\"", 1, PLAN_STAGES_MAX, .word = "auto", .unit = "stages",
               .help = "Stages of the pipeline; auto: parallel.pipeline." } },
    { .key = { "plan.micro_batches", KEY_INT, AT(plan.micro_batches), "\"auto\"", 1, PLAN_MICRO_BATCHES_MAX, .word = "auto",
               .unit = "micro-batches", .help = "Micro-batches of a step; auto: those of a replica of the run." } },
    { .key = { "plan.forward_s", KEY_REAL, AT(plan.forward_s), "1", 0, seconds_max, .unit = "s",
               .help = "Forward pass of a micro-batch through a whole stage." } },
    { .key = { "plan.backward_s", KEY_REAL, AT(plan.backward_s), "2", 0, seconds_max, .unit = "s",
               .help = "Its backward pass, both gradients; with plan.weight_grad_s above 0, the input gradient alone." } },
    { .key = { "plan.weight_grad_s", KEY_REAL, AT(plan.weight_grad_s), "0", 0, seconds_max, .unit = "s",
               .help = "Its weight gradient, on top of plan.backward_s; 0: half of plan.backward_s is." } },
    { .key = { "plan.recompute_s", KEY_REAL, AT(plan.recompute_s), "1", 0, seconds_max, .unit = "s",
               .help = "Its forward pass again, where it is recomputed." } },
    { .key = { "plan.last_stage_factor", KEY_REAL, AT(plan.last_stage_factor), "1", 1e-3, 1e3,
               .help = "How many times longer everything takes on the last stage." } },
    { .key = { "plan.recompute", KEY_SWITCH, AT(plan.recompute), "\"auto\"",
               .help = "As parallel.recompute; auto: that, if the schedule is the run's, else what the schedule's source does." } },
    { .key = { "plan.recompute_last_stage", KEY_SWITCH, AT(plan.recompute_last_stage), "\"auto\"",
               .help = "Whether the last stage does so too; auto as above." } },
    { .key = { "plan.recompute_waits", KEY_BOOL, AT(plan.recompute_waits), "false",
               .help = "Whether a recomputation waits for its gradient, as in Varuna's published simulator." } },
    { .key = { "plan.latency_s", KEY_REAL, AT(plan.latency_s), "0", 0, seconds_max, .unit = "s",
               .help = "Latency of a message between stages." } },
    { .key = { "plan.message_B", KEY_REAL, AT(plan.message_B), "0", 0, count_max, .unit = "bytes",
               .help = "Size of a message between stages." } },
    { .key = { "plan.bandwidth_B_per_s", KEY_REAL, AT(plan.bandwidth_B_per_s), "0", 0, 1e18, .unit = "bytes/s",
               .help = "Bandwidth between stages, for each message alone; 0: infinite." } },
    { .key = { "plan.jitter_network_s", KEY_REAL, AT(plan.jitter_network_s), "0", 0, seconds_max, .unit = "s",
               .help = "Each message takes longer by the magnitude of a number of N(0, this)." } },
    { .key = { "plan.jitter_compute_s", KEY_REAL, AT(plan.jitter_compute_s), "0", 0, seconds_max, .unit = "s",
               .help = "Each task takes longer by a number of N(0, this), but no less than 0 in all." } },
    { .key = { "plan.seed", KEY_INT, AT(plan.seed), "1", 0, count_max, .help = "Seed of the jitter." } },
    { .key = { 0 } },
};

/* The rows of the first member from s->member_index on that has any and, with c given, is the chosen one. */
static const struct key *member_keys(struct slot *s, const struct config *c)
{
    if (!s->entry->member_at)
        return NULL;
    for (; (s->member = s->entry->member_at(s->member_index)) != NULL; s->member_index++) {
        const char *chosen = c ? *(const char *const *)((const char *)c + s->entry->key.offset) : s->member->name;
        if (strcmp(chosen, s->member->name) == 0 && s->member->keys && s->member->keys->name)
            return s->member->keys;
    }
    return NULL;
}

/* Next row of the present entry; NULL: it has no more. */
static const struct key *next_in_entry(struct slot *s, const struct config *c)
{
    if (!s->member)
        return member_keys(s, c);
    if (s->key[1].name)
        return s->key + 1;
    s->member_index++;
    return member_keys(s, c);
}

bool slot_next(struct slot *s, const struct config *c)
{
    const struct key *key = s->entry ? next_in_entry(s, c) : NULL;
    if (key) {
        const char *owner = s->entry->key.name, *dot = strrchr(owner, '.');
        snprintf(s->path, sizeof s->path, "%.*s%s", (int)(dot + 1 - owner), owner, key->name);
        s->key = key;
        s->offset = s->entry->options + key->offset;
        return true;
    }
    *s = (struct slot){ .entry = s->entry ? s->entry + 1 : config_entries };
    s->key = &s->entry->key;
    s->offset = s->key->offset;
    snprintf(s->path, sizeof s->path, "%s", s->key->name ? s->key->name : "");
    return s->key->name != NULL;
}

const char *slot_choice(const struct slot *s, size_t i)
{
    if (s->key->choices)
        return s->key->choices[i];
    const struct member *m = s->entry->member_at(i);
    return m ? m->name : NULL;
}

const char *slot_fallback(const struct slot *s, char text[CONFIG_PATH_BYTES])
{
    if (s->member || !s->entry->member_at)
        return s->key->fallback;
    snprintf(text, CONFIG_PATH_BYTES, "\"%s\"", slot_choice(s, 0));
    return text;
}

static void describe_choices(const struct slot *s, FILE *out)
{
    const char *choice;
    fputs("one of: ", out);
    for (size_t i = 0; (choice = slot_choice(s, i)) != NULL; i++)
        fprintf(out, "%s%s", i ? ", " : "", choice);
}

const char *slot_limit(const struct slot *s, char text[SLOT_LIMIT_BYTES])
{
    const struct key *k = s->key;
    char min[JSON_NUMBER_BYTES], max[JSON_NUMBER_BYTES];
    json_number_text(k->min, min);
    json_number_text(k->max, max);
    FILE *out = fmemopen(text, SLOT_LIMIT_BYTES, "w");
    if (!out)
        return "out of memory";
    switch (k->kind) {
    case KEY_INT:
        fprintf(out, "an integer %s .. %s", min, max);
        break;
    case KEY_REAL:
        fprintf(out, "a number %s .. %s", min, max);
        break;
    case KEY_BOOL:
        fputs("true or false", out);
        break;
    case KEY_SWITCH:
        fputs("true, false or \"auto\"", out);
        break;
    case KEY_CHOICE:
        describe_choices(s, out);
        break;
    case KEY_TEXT:
        fprintf(out, "text of %s .. %s bytes", min, max);
        break;
    case KEY_TEXTS:
        fprintf(out, "text or a list of texts of %s .. %s bytes", min, max);
        break;
    case KEY_MATRIX:
        fprintf(out, "a list of equally long lists of numbers %s .. %s", min, max);
        break;
    }
    if (k->word)
        fprintf(out, " or \"%s\"", k->word);
    fclose(out);
    return text;
}

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein distance; what is longer than a path counts as far. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[CONFIG_PATH_BYTES], n = strlen(b);
    if (n >= CONFIG_PATH_BYTES || strlen(a) >= CONFIG_PATH_BYTES)
        return CONFIG_PATH_BYTES;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= n; j++) {
            size_t changed = diagonal + (a[i] != b[j - 1]);
            diagonal = row[j];
            row[j] = min_of(changed, 1 + min_of(row[j], row[j - 1]));
        }
    }
    return row[n];
}

void nearest_offer(struct nearest *n, const char *candidate)
{
    const char *dot = strrchr(candidate, '.');
    size_t distance = edit_distance(n->wrong, candidate);
    if (dot && strcmp(dot + 1, n->wrong) == 0) /* the right name at the wrong level */
        distance = 1;
    if (distance > 1 + strlen(n->wrong) / 3 || (n->best[0] && distance >= n->distance))
        return;
    n->distance = distance;
    snprintf(n->best, sizeof n->best, "%s", candidate);
}

const char *nearest_question(const struct nearest *n, char text[CONFIG_PATH_BYTES + 32])
{
    text[0] = 0;
    if (n->best[0])
        snprintf(text, CONFIG_PATH_BYTES + 32, "; did you mean %s?", n->best);
    return text;
}
