/* Rules between keys, for a given number of ranks: one small function per rule, each with its sentence. Those about the layout are
 * in config_layout.c, those about the network in config_network.c.
 *
 * A rule refuses what cannot mean what it says; it never changes a value, except that a degree that is "auto" becomes a number.
 * What only costs speed (overlap without progress, say) is an experiment and no error.
 */
#include "bench/config_rules.h"

#include <string.h>

#include "bench/codec.h"
#include "bench/compute.h"
#include "bench/gradient.h"
#include "bench/model.h"
#include "bench/places.h"
#include "collectives/job.h"

static status refuse(const struct config *c, const char *sentence)
{
    return status_fail(STATUS_USAGE, "%s: %s", c->origin, sentence);
}

static status name_is_a_file_name(struct config *c, int ranks)
{
    (void)ranks;
    if (strchr(c->name, '/') || c->name[0] == '.' || strpbrk(c->name, "\n\r\t"))
        return status_fail(STATUS_USAGE, "%s: name = \"%s\" (it becomes a file name: no slash, no line end, no dot at the start)",
                           c->origin, c->name);
    return STATUS_OK;
}

static status sizes_are_whole_floats(struct config *c, int ranks)
{
    (void)ranks;
    if (c->exchange.bucket_B % 4 || c->exchange.segment_B % 4)
        return status_fail(STATUS_USAGE, "%s: exchange.bucket_B = %lld, exchange.segment_B = %lld (both must be multiples of 4)",
                           c->origin, (long long)c->exchange.bucket_B, (long long)c->exchange.segment_B);
    return STATUS_OK;
}

static status model_is_possible(struct config *c, int ranks)
{
    (void)ranks;
    const struct model *m = model_find(c->model.name);
    const char *why = m->refuses ? m->refuses(c->model.options, (int)(c->parallel.tensor ? c->parallel.tensor : 1)) : NULL;
    if (!why && m->hollow && !compute_find(c->compute.name)->hollow)
        why = "model.name = \"proxy\" has sizes and no arithmetic (fits: compute.name = \"model\", on simulated hosts)";
    return why ? refuse(c, why) : STATUS_OK;
}

static status allreduce_suits_the_replicas(struct config *c, int ranks)
{
    (void)ranks;
    const struct allreduce *a = allreduce_find(c->exchange.allreduce);
    const int replicas = (int)c->parallel.data;
    const char *why = a && a->refuses ? a->refuses(places_replicas(c, replicas), (size_t)c->exchange.bucket_B / 4) : NULL;
    if (!why)
        return STATUS_OK;
    return status_fail(STATUS_USAGE, "%s: exchange.allreduce = \"%s\" does not run on %d replicas: %s", c->origin,
                       c->exchange.allreduce, replicas, why);
}

static status feedback_needs_a_loss(struct config *c, int ranks)
{
    (void)ranks;
    struct codec codec;
    codec_of(c, &codec);
    const struct compressor *k = codec.kind;
    if (!c->exchange.error_feedback || !(compressor_traits(k, codec.options) & COMPRESSOR_LOSSLESS))
        return STATUS_OK;
    return status_fail(
        STATUS_USAGE,
        "%s: exchange.error_feedback = true, but exchange.compressor.name = \"%s\" loses nothing to feed back (fits: "
        "exchange.error_feedback = false, or a compressor that loses, such as \"topk\")",
        c->origin, k->member.name);
}

static status errors_are_kept(struct config *c, int ranks)
{
    (void)ranks;
    const bool told = c->exchange.error_decay != 1 || strcmp(c->exchange.error_units, "gradient") != 0;
    if (c->exchange.error_feedback || !told)
        return STATUS_OK;
    return status_fail(STATUS_USAGE,
                       "%s: exchange.error_decay = %g and exchange.error_units = \"%s\" say what becomes of errors, but "
                       "exchange.error_feedback = false keeps none (fits: exchange.error_feedback = true)",
                       c->origin, c->exchange.error_decay, c->exchange.error_units);
}

/* Both have defaults, so only what was given tells. */
static status one_key_says_how_many(struct config *c, int ranks)
{
    (void)ranks;
    static const char *const paths[] = { "exchange.compressor", "exchange.compressor.then", "exchange.compressor.then.then" };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char k[64], ratio[64];
        snprintf(k, sizeof k, "%s.k", paths[i]);
        snprintf(ratio, sizeof ratio, "%s.ratio", paths[i]);
        if (config_was_given(c, k) && config_was_given(c, ratio))
            return status_fail(STATUS_USAGE, "%s: %s and %s both say how many floats are kept (fits: one of them)", c->origin, k,
                               ratio);
    }
    return STATUS_OK;
}

static status tree_needs_plain_sums(struct config *c, int ranks)
{
    (void)ranks;
    const struct compressor *k = compressor_find(c->exchange.compressor.name);
    if (strcmp(c->exchange.reduction, "tree") != 0 || strcmp(k->member.name, "none") == 0)
        return STATUS_OK;
    return status_fail(
        STATUS_USAGE,
        "%s: exchange.reduction = \"tree\" promises the same bits on any number of ranks, but what exchange.compressor "
        "\"%s\" loses depends on which rank's gradient it compresses (fits: \"none\")",
        c->origin, k->member.name);
}

static status chain_has_links(struct config *c, int ranks)
{
    (void)ranks;
    const char *why = codec_refuses(c);
    return why ? refuse(c, why) : STATUS_OK;
}

/* "auto" becomes what it stands for. */
static status exchange_is_chosen(struct config *c, int ranks)
{
    (void)ranks;
    struct codec codec;
    codec_of(c, &codec);
    if (strcmp(c->exchange.collective.name, "auto") == 0)
        c->exchange.collective.name = exchange_suited(codec.kind, codec.options)->member.name;
    if (strcmp(c->exchange.unit, "auto") == 0)
        c->exchange.unit =
            codec.kind->traits & COMPRESSOR_MATRIX || (gradient_is_coded(c) && c->parallel.tensor > 1) ? "tensor" : "bucket";
    return STATUS_OK;
}

static status tree_needs_sums(struct config *c, int ranks)
{
    (void)ranks;
    if (strcmp(c->exchange.reduction, "tree") != 0 || !gradient_is_coded(c))
        return STATUS_OK;
    return status_fail(
        STATUS_USAGE,
        "%s: exchange.reduction = \"tree\" fixes the order of a sum, and exchange.collective.name = \"%s\" has its own "
        "(fits: \"auto\")",
        c->origin, c->exchange.collective.name);
}

/* Compressed on its own, what all tensor ranks hold gives the same code on each; in a bucket with their own shares it does not. */
static status tensor_ranks_agree_on_codes(struct config *c, int ranks)
{
    (void)ranks;
    if (c->parallel.tensor == 1 || !gradient_is_coded(c) || strcmp(c->exchange.unit, "tensor") == 0)
        return STATUS_OK;
    return status_fail(
        STATUS_USAGE,
        "%s: exchange.unit = \"%s\" compresses what all %lld ranks of parallel.tensor hold together with each one's own "
        "share, and they would update it differently (fits: exchange.unit = \"tensor\")",
        c->origin, c->exchange.unit, (long long)c->parallel.tensor);
}

static status matrices_are_tensors(struct config *c, int ranks)
{
    (void)ranks;
    struct codec codec;
    codec_of(c, &codec);
    if (!(codec.kind->traits & COMPRESSOR_MATRIX) || strcmp(c->exchange.unit, "tensor") == 0)
        return STATUS_OK;
    return status_fail(STATUS_USAGE,
                       "%s: exchange.unit = \"%s\" mixes tensors, and exchange.compressor.name = \"%s\" compresses matrices "
                       "(fits: exchange.unit = \"tensor\")",
                       c->origin, c->exchange.unit, codec.kind->member.name);
}

static status no_thread_in_simulation(struct config *c, int ranks)
{
    (void)ranks;
    if (strcmp(c->exchange.progress, "thread") == 0 && job_is_simulated())
        return refuse(c, "exchange.progress = \"thread\" cannot be simulated: SMPI hosts have no second thread (fits: none, poll)");
    return STATUS_OK;
}

static config_rule *const before_layout[] = {
    name_is_a_file_name, sizes_are_whole_floats, model_is_possible, chain_has_links, one_key_says_how_many, exchange_is_chosen, NULL
};
static config_rule *const after_layout[] = { allreduce_suits_the_replicas, feedback_needs_a_loss,   errors_are_kept,
                                             tree_needs_plain_sums,        tree_needs_sums,         tensor_ranks_agree_on_codes,
                                             matrices_are_tensors,         no_thread_in_simulation, NULL };

/* In this order: later rules rely on a model that is possible, and on the degrees. */
static config_rule *const *const tables[] = { before_layout, layout_rules, after_layout, network_rules };

status config_settle(struct config *c, int ranks)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (config_rule *const *rule = tables[t]; *rule; rule++)
            TRY((*rule)(c, ranks));
    return STATUS_OK;
}
