/* Rules between keys, for a given number of ranks: one small function per rule, each with its sentence.
 *
 * A rule refuses what cannot mean what it says; it never changes a value, except that parallel.data "auto" becomes the number of
 * ranks. What only costs speed (overlap without progress, say) is an experiment and no error.
 */
#include "bench/config.h"

#include <string.h>

#include "bench/model.h"
#include "collectives/allreduce.h"
#include "collectives/job.h"
#include "kernels/compressor.h"

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

static status degrees_make_the_ranks(struct config *c, int ranks)
{
    if (c->parallel.data == 0)
        c->parallel.data = ranks;
    if (c->parallel.data == ranks)
        return STATUS_OK;
    return status_fail(
        STATUS_USAGE, "%s: parallel.data = %lld does not fit %d rank%s (fits: parallel.data = %d or \"auto\", or start %lld ranks)",
        c->origin, (long long)c->parallel.data, ranks, ranks == 1 ? "" : "s", ranks, (long long)c->parallel.data);
}

/* " or batch.micro = 1, 2, 4", the sizes that cut a rank's share evenly; "" if the ranks do not even divide the batch. */
static const char *micro_sizes(const struct config *c, char *text, size_t room)
{
    text[0] = 0;
    int64_t share = c->batch.global / c->parallel.data;
    for (int64_t micro = 1; c->batch.global % c->parallel.data == 0 && micro <= share; micro++) {
        size_t used = strlen(text);
        if (share % micro == 0 && used + 32 < room)
            snprintf(text + used, room - used, "%s%lld", used ? ", " : ", or batch.micro = ", (long long)micro);
    }
    return text;
}

static status batch_is_cut_evenly(struct config *c, int ranks)
{
    (void)ranks;
    int64_t unit = c->batch.micro * c->parallel.data, below = c->batch.global / unit * unit;
    char fits[64], sizes[256];
    if (c->batch.global == below)
        return STATUS_OK;
    if (below > 0)
        snprintf(fits, sizeof fits, "%lld or %lld", (long long)below, (long long)(below + unit));
    else
        snprintf(fits, sizeof fits, "%lld", (long long)unit);
    return status_fail(
        STATUS_USAGE,
        "%s: batch.global = %lld is not a multiple of batch.micro %lld x parallel.data %lld (fits: batch.global = %s%s)", c->origin,
        (long long)c->batch.global, (long long)c->batch.micro, (long long)c->parallel.data, fits,
        micro_sizes(c, sizes, sizeof sizes));
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
    const char *why = m->refuses ? m->refuses(c->model.options) : NULL;
    return why ? refuse(c, why) : STATUS_OK;
}

static status allreduce_suits_the_ranks(struct config *c, int ranks)
{
    const struct allreduce *a = allreduce_find(c->exchange.allreduce);
    const char *why = a->refuses ? a->refuses(ranks, (size_t)c->exchange.bucket_B / 4) : NULL;
    if (!why)
        return STATUS_OK;
    return status_fail(STATUS_USAGE, "%s: exchange.allreduce = \"%s\" does not run on %d ranks: %s", c->origin,
                       c->exchange.allreduce, ranks, why);
}

static status feedback_needs_a_loss(struct config *c, int ranks)
{
    (void)ranks;
    const struct compressor *k = compressor_find(c->exchange.compressor.name);
    if (!c->exchange.error_feedback || !(k->traits & COMPRESSOR_LOSSLESS))
        return STATUS_OK;
    return status_fail(STATUS_USAGE,
                       "%s: exchange.error_feedback = true, but exchange.compressor \"%s\" loses nothing to feed back", c->origin,
                       k->member.name);
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

static status no_thread_in_simulation(struct config *c, int ranks)
{
    (void)ranks;
    if (strcmp(c->exchange.progress, "thread") == 0 && job_is_simulated())
        return refuse(c, "exchange.progress = \"thread\" cannot be simulated: SMPI hosts have no second thread (fits: none, poll)");
    return STATUS_OK;
}

typedef status rule(struct config *c, int ranks);

/* In this order: later rules rely on the degrees. */
static rule *const rules[] = {
    name_is_a_file_name,       degrees_make_the_ranks, batch_is_cut_evenly,   sizes_are_whole_floats,  model_is_possible,
    allreduce_suits_the_ranks, feedback_needs_a_loss,  tree_needs_plain_sums, no_thread_in_simulation,
};

status config_settle(struct config *c, int ranks)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        TRY(rules[i](c, ranks));
    return STATUS_OK;
}
