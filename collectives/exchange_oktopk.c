/* Ok-Topk: the k largest of the sum of all ranks' k largest, for about as many bytes on 64 ranks as on 4.
 *
 *   1. select    locally: floats above a threshold, which an exact top-k measures every threshold_every steps
 *   2. split     p - 1 rounds: entries to the owners of their parts (to rank + 1, + 2, ...), who add them     2k (p-1)/p
 *   3. filter    sums above a global threshold, measured as often, go on: about k in all
 *   4. balance   counts to all, then entries to where everyone has as many                                    0 .. 2k
 *   5. gather    ceil(log2 p) rounds                                                                          2k (p-1)/p
 *
 * numbers (an entry has 2, index and value): at most 6k (p-1)/p with k entries in and out, but for the steps that measure the
 * global threshold, which gather all sums and choose the k largest. Every boundaries_every steps the parts are cut so that ranks'
 * own entries are as many in each, on the average. With feedback a value leaves its rank if it was sent and its index is in the
 * result. Memory: four lists of min(2k p, n) entries, n indices.
 *
 * Source: Li & Hoefler, "Near-Optimal Sparse Allreduce for Distributed Deep Learning", PPoPP'22, and its code.
 * Deviates: new cuts travel as one more entry in the messages of 2 and 5, not by an allreduce, and hold from the next step on. A
 * threshold that selects less than half or more than twice as much as it should is measured at once; one that is off by a tenth
 * moves half of the way that its tail suggests, at most 2.5 %, which is what the source always takes: 2.5 % of residuals of many
 * steps is more than a step adds to them, and their number would swing.
 */
#include <math.h>
#include <string.h>

#include "collectives/stream_balance.h"
#include "collectives/stream_gather.h"
#include "kernels/sparse.h"

struct options {
    int64_t threshold_every, boundaries_every;
    bool balance;
};

static const struct key keys[] = {
    { "threshold_every", KEY_INT, offsetof(struct options, threshold_every), "128", 1, 1e9, .unit = "steps",
      .help = "Both thresholds are measured by an exact top-k every so many steps, and adjusted between." },
    { "boundaries_every", KEY_INT, offsetof(struct options, boundaries_every), "64", 1, 1e9, .word = "never", .unit = "steps",
      .help = "The parts of the vector that the ranks own are cut anew every so many steps; never: equal parts." },
    { "balance", KEY_BOOL, offsetof(struct options, balance), "true",
      .help = "Before the gather, ranks that have more of the result give to those that have less." },
    { 0 },
};

/* What outlives a step. */
struct kept {
    float local, global; /* thresholds; 0: to be measured */
    uint32_t cut[];      /* [p + 1]: rank r owns floats cut[r] .. cut[r + 1] - 1 */
};

struct oktopk {
    struct own_entries own;
    struct kept *kept;
    size_t k, most, most_sums;            /* entries that are aimed at; of a rank, of the sum of all at most */
    struct stream *mine, *heard, *merged; /* [room_B] sums of the own part, and a cut */
    size_t room_B;
    uint64_t cut_sum;      /* of where ranks would begin this part */
    struct stream *result; /* entries of the result; set at the end */
    uint32_t *chosen;      /* scratch of selections */
    float *value;
    struct balancing balancing;
    struct gathering gathering;
};

enum phase { PHASE_SPLIT, PHASE_BALANCE, PHASE_GATHER, PHASES };

/* ---- plan ---------------------------------------------------------------------------------------------------------------- */

static const struct options *options_of(const struct compressed *x)
{
    return x->terms.options;
}

static const char *refuses(const struct exchange_terms *t)
{
    if (t->kind != &compress_topk)
        return "its thresholds stand in for an exact top-k (fits: \"topk\")";
    return NULL;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void lay_out(struct compressed *x)
{
    const size_t p = (size_t)x->ranks, n = x->n, k = x->terms.kind->most_entries(&x->terms.coding);
    struct oktopk o = { .k = k, .most = smaller(2 * k, n), .most_sums = smaller(2 * k * p, n) };
    const size_t all_B = stream_bytes(STREAM_ENTRIES, o.most_sums) + p * stream_bytes(STREAM_ENTRIES, 1);
    o.room_B = stream_bytes(STREAM_ENTRIES, o.most_sums + 1);
    o.kept = compressed_keep(x, sizeof *o.kept + (p + 1) * sizeof *o.kept->cut);
    whole_lay_out(x, true);
    o.own.index = compressed_take(x, n * sizeof *o.own.index);
    o.own.value = compressed_take(x, o.most * sizeof *o.own.value);
    own_slices_lay_out(x, &o.own, o.most + p);
    o.mine = compressed_take(x, o.room_B);
    o.heard = compressed_take(x, o.room_B);
    o.merged = compressed_take(x, o.room_B);
    balancing_lay_out(x, &o.balancing, o.most_sums);
    o.chosen = compressed_take(x, o.most_sums * sizeof *o.chosen);
    o.value = compressed_take(x, o.most_sums * sizeof *o.value);
    o.gathering = (struct gathering){ .at = compressed_take(x, all_B), .room_B = all_B, .ranks = x->ranks, .rank = x->rank };
    stream_own(x, &o, sizeof o);
    for (int r = 0; o.kept && r <= x->ranks; r++)
        o.kept->cut[r] = (uint32_t)block_start(n, x->ranks, r);
}

static int rounds_of(const struct compressed *x, enum phase phase)
{
    const int p = x->ranks, rounds[PHASES] = { p - 1, options_of(x)->balance ? balancing_rounds(p) : 0, gathering_rounds(p) };
    return rounds[phase];
}

/* Of round *i, which becomes its number in the phase. */
static enum phase phase_of(const struct compressed *x, int *i)
{
    int phase = PHASE_SPLIT;
    for (; phase < PHASE_GATHER && *i >= rounds_of(x, (enum phase)phase); phase++)
        *i -= rounds_of(x, (enum phase)phase);
    return (enum phase)phase;
}

/* ---- thresholds ---------------------------------------------------------------------------------------------------------- */

/* Just below the smallest magnitude, so that all of them are above. */
static float threshold_below(const float *value, size_t count)
{
    float least = count ? INFINITY : 0;
    for (size_t i = 0; i < count; i++)
        least = fminf(least, fabsf(value[i]));
    return nextafterf(least, 0);
}

static bool is_off(size_t count, size_t k)
{
    return 2 * count < k || count > 2 * k;
}

/* The threshold to use next where `count` values are above this one, half of them by e or more. An exponential tail would need
 * e / ln 2 ln (count / k) more. chosen[count]: scratch. */
static float adjusted(float threshold, const float *value, size_t count, size_t k, uint32_t *chosen)
{
    if (10 * count >= 9 * k && 10 * count <= 11 * k)
        return threshold;
    const double excess = (double)(sampled_magnitude(value, count, count, (count + 1) / 2, chosen) / threshold - 1);
    const double change = 0.5 * excess * log2((double)count / (double)k);
    return threshold * (float)(1 + fmax(-0.025, fmin(change, 0.025)));
}

static bool measures(const struct compressed *x, float threshold)
{
    return x->terms.coding.step % options_of(x)->threshold_every == 0 || threshold == 0;
}

/* ---- select -------------------------------------------------------------------------------------------------------------- */

/* False: the threshold has to be measured. */
static bool select_by_threshold(const struct compressed *x, struct own_entries *own, float *threshold)
{
    const struct oktopk *o = x->own;
    if (measures(x, *threshold))
        return false;
    own->count = select_above(x->vector, x->n, *threshold, own->index);
    if (is_off(own->count, o->k))
        return false;
    for (size_t i = 0; i < own->count; i++)
        own->value[i] = x->vector[own->index[i]];
    *threshold = adjusted(*threshold, own->value, own->count, o->k, o->chosen);
    return true;
}

static void encode(struct compressed *x)
{
    const struct coding c = compressed_coding(x, x->rank);
    struct oktopk *o = x->own;
    struct own_entries *own = &o->own;
    if (!select_by_threshold(x, own, &o->kept->local)) {
        whole_encode(x);
        own->count = x->terms.kind->entries(&c, x->code, x->bytes, own->index, own->value, x->scratch);
        o->kept->local = threshold_below(own->value, own->count);
    }
    x->code_B = (double)(own->count * sizeof(struct entry));
    x->floats = (double)x->n;
    x->bits = 8 * x->code_B;
}

/* ---- split --------------------------------------------------------------------------------------------------------------- */

/* Parts are cut anew: a message for rank r ends with an entry that says where its part would have to begin for its sender's own
 * entries; the mean of these, the last entry of rank r's part of the result, is where it begins from the next step on. */
static bool cuts(const struct compressed *x)
{
    const int64_t every = options_of(x)->boundaries_every;
    return every && x->terms.coding.step % every == 0;
}

static uint32_t own_cut(const struct compressed *x, int r)
{
    const struct oktopk *o = x->own;
    return o->own.count ? o->own.index[o->own.count * (size_t)r / (size_t)x->ranks] : o->kept->cut[r];
}

static void append(struct stream *s, uint32_t cut)
{
    stream_entries(s)[s->count++] = (struct entry){ .index = cut };
}

/* Off the end of a message that may be hostile. */
static uint32_t take_cut(const struct compressed *x, struct stream *s)
{
    return cuts(x) && stream_entry_count(s) ? stream_entries(s)[--s->count].index : 0;
}

/* This rank's part of its own entries. */
static void again(struct compressed *x)
{
    struct oktopk *o = x->own;
    memcpy(o->mine, o->own.slice[x->rank], stream_B(o->own.slice[x->rank]));
    o->cut_sum = take_cut(x, o->mine);
    o->result = o->mine; /* of one rank */
}

static void pack(struct compressed *x)
{
    struct oktopk *o = x->own;
    const uint32_t *cut = o->kept->cut;
    for (int r = 0; r < x->ranks; r++) {
        const struct extent part = { { cut[r], (size_t)cut[r + 1] - cut[r] }, o->most, false };
        own_entries_slice(&o->own, r, &part);
        if (cuts(x))
            append(o->own.slice[r], own_cut(x, r));
    }
    again(x);
}

static void add_heard(struct compressed *x)
{
    struct oktopk *o = x->own;
    const struct extent sums = { { 0, x->n }, o->most_sums, false };
    struct stream *const old = o->mine;
    stream_cut(o->heard, o->room_B);
    o->cut_sum += take_cut(x, o->heard);
    stream_merge(&sums, o->mine, o->heard, o->merged);
    o->mine = o->merged;
    o->merged = old;
}

static void filter(struct compressed *x)
{
    struct oktopk *o = x->own;
    struct entry *entries = stream_entries(o->mine);
    uint32_t kept = 0;
    if (measures(x, o->kept->global))
        return;
    for (uint32_t i = 0; i < o->mine->count; i++) {
        entries[kept] = entries[i];
        kept += fabsf(entries[i].value) <= o->kept->global ? 0 : 1; /* not a number goes on */
    }
    o->mine->count = kept;
}

/* ---- gather -------------------------------------------------------------------------------------------------------------- */

static void begin_gather(struct compressed *x)
{
    struct oktopk *o = x->own;
    struct stream *block = (struct stream *)o->gathering.at;
    if (!options_of(x)->balance)
        memcpy(block, o->mine, stream_B(o->mine));
    if (cuts(x))
        append(block, (uint32_t)(o->cut_sum / (uint64_t)x->ranks));
    gathering_begin(&o->gathering);
}

/* From the result, which becomes the k largest where the threshold is measured. */
static void learn_global(struct compressed *x)
{
    struct oktopk *o = x->own;
    float *threshold = &o->kept->global;
    const bool measured = measures(x, *threshold);
    if (measured)
        stream_keep_largest(o->result, o->k, o->chosen, o->value);
    const size_t count = o->result->count;
    for (size_t i = 0; i < count; i++)
        o->value[i] = stream_entries(o->result)[i].value;
    if (measured)
        *threshold = threshold_below(o->value, count);
    else
        *threshold = is_off(count, o->k) ? 0 : adjusted(*threshold, o->value, count, o->k, o->chosen);
}

/* Of the message of rank r; entries that belong to the result. */
static size_t hear_block(struct compressed *x, int r, const struct stream *block)
{
    struct oktopk *o = x->own;
    const size_t count = stream_entry_count(block);
    if (count == 0 || !cuts(x))
        return count;
    o->kept->cut[r] = r ? stream_entries(block)[count - 1].index : 0;
    return count - 1;
}

static void conclude(struct compressed *x)
{
    struct oktopk *o = x->own;
    size_t all = 0;
    o->result = o->merged;
    for (int r = 0; r < x->ranks; r++) {
        const struct stream *block = gathering_message(&o->gathering, r);
        const size_t count = block ? smaller(hear_block(x, r, block), o->most_sums - all) : 0;
        if (count)
            memcpy(stream_entries(o->result) + all, stream_entries(block), count * sizeof(struct entry));
        all += count;
    }
    *o->result = (struct stream){ STREAM_ENTRIES, (uint32_t)all };
    learn_global(x);
}

/* ---- rounds -------------------------------------------------------------------------------------------------------------- */

static struct step split_step(const struct compressed *x, int i)
{
    const struct oktopk *o = x->own;
    const struct stream *slice = o->own.slice[rotation_to(x, i)];
    return (struct step){ .to = rotation_to(x, i),
                          .from = rotation_from(x, i),
                          .send = slice,
                          .send_B = stream_B(slice),
                          .recv = o->heard,
                          .recv_B = o->room_B };
}

static void step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    (void)segment;
    const struct compressed *x = op->data;
    const struct oktopk *o = x->own;
    switch (phase_of(x, &i)) {
    case PHASE_SPLIT:
        *out = split_step(x, i);
        break;
    case PHASE_BALANCE:
        *out = balancing_step(x, &o->balancing, i);
        break;
    default:
        *out = gathering_step(&o->gathering, i);
    }
}

static void end_phase(struct compressed *x, enum phase phase)
{
    struct oktopk *o = x->own;
    if (phase == PHASE_SPLIT) {
        filter(x);
        balancing_begin(&o->balancing, o->mine, (struct stream *)o->gathering.at);
    }
    if (phase == (options_of(x)->balance ? PHASE_BALANCE : PHASE_SPLIT))
        begin_gather(x);
    if (phase == PHASE_GATHER)
        conclude(x);
}

static void landed(struct operation *op, int i)
{
    struct compressed *x = op->data;
    struct oktopk *o = x->own;
    const enum phase phase = phase_of(x, &i);
    switch (phase) {
    case PHASE_SPLIT:
        add_heard(x);
        break;
    case PHASE_BALANCE:
        balancing_landed(x, &o->balancing, i);
        break;
    default:
        gathering_landed(&o->gathering, i);
    }
    if (i + 1 == rounds_of(x, phase))
        end_phase(x, phase);
}

static uint64_t sent_B(const struct operation *op)
{
    const struct compressed *x = op->data;
    const struct oktopk *o = x->own;
    return own_slices_sent_B(x, &o->own) + gathering_sent_B(&o->gathering) +
           (options_of(x)->balance ? balancing_sent_B(x, &o->balancing) : 0);
}

static status plan(struct compressed *x)
{
    int rounds = 0;
    for (int phase = 0; phase < PHASES; phase++)
        rounds += rounds_of(x, (enum phase)phase);
    struct operation op = { .data = x, .rounds = rounds, .step = step, .landed = landed, .sent_B = sent_B };
    return compressed_plan(x, &op, sizeof op);
}

/* ---- before and after ---------------------------------------------------------------------------------------------------- */

static void residual(struct compressed *x)
{
    const struct oktopk *o = x->own;
    const struct entry *result = stream_entries(o->result), *const end = result + o->result->count;
    for (size_t i = 0; i < o->own.count; i++) {
        const uint32_t index = o->own.index[i];
        while (result < end && result->index < index)
            result++;
        if (result < end && result->index == index)
            x->vector[index] -= o->own.value[i];
    }
}

static void decode(struct compressed *x, float *sum)
{
    const struct oktopk *o = x->own;
    compressed_decodes(x, x->n);
    stream_add((struct range){ 0, x->n }, o->result, sum);
}

const struct exchange exchange_oktopk = {
    .member = { .name = "oktopk",
                .help = "the k largest of the sum of all ranks' k largest for at most 6k (p-1)/p numbers, but in steps that "
                        "measure; rides topk",
                .source = "Li & Hoefler 2022 (Ok-Topk)",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .refuses = refuses,
    .sent = stream_sent,
    .lay_out = lay_out,
    .plan = plan,
    .encode = encode,
    .pack = pack,
    .again = again,
    .residual = residual,
    .residual_moment = AFTER_WAIT,
    .decode = decode,
};
