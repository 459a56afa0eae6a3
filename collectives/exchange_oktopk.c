/* Ok-Topk: the k largest of the sum of all ranks' k largest, for about as many bytes on 64 ranks as on 4.
 *
 *   1. select    locally: floats above a threshold that is reused, adjusted by 2.5 % where it selects too few or too many, and
 *                measured by an exact top-k every threshold_every steps
 *   2. split     p - 1 rounds: entries to the owners of their parts (to rank + 1, + 2, ...), who add them        2k (p-1)/p
 *   3. filter    sums above a global threshold, reused, adjusted and measured alike, go on: about k in all
 *   4. balance   counts to all, then entries to where everyone has as many                                       0 .. 2k
 *   5. gather    ceil(log2 p) rounds                                                                             2k (p-1)/p
 *
 * numbers (index, value: 2 for each entry): at most 6k (p-1)/p with k entries in and out, but for the steps that measure the global
 * threshold, which gather all sums and choose the k largest. Parts have about the same number of entries: every boundaries_every
 * steps each rank says where its own entries would have to be cut, and the mean is where all cut from the next step on.
 * With feedback a value leaves its rank if it was sent and its index is in the result.
 * Source: Li & Hoefler, "Near-Optimal Sparse Allreduce for Distributed Deep Learning", PPoPP'22, and its code. Deviates: a
 * threshold off by more than twice is measured at once; the ranks' cuts ride on the gather of the step before, without a message of
 * their own.
 */
#include <math.h>
#include <string.h>

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
    struct stream *mine, *heard, *merged; /* sums of the own part */
    uint32_t *counts;                     /* [p] of those that go on: of rank, rank + 1, ... */
    size_t *first;                        /* [p + 1] entries of the result that lower ranks have before balancing */
    struct stream *result;                /* entries of the result; set at the end */
    uint32_t *chosen;                     /* scratch of selections */
    float *value;
    struct gathering gathering;
};

enum phase { PHASE_SPLIT, PHASE_COUNTS, PHASE_BALANCE, PHASE_GATHER, PHASES };

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

static bool sent(const struct exchange_terms *t, uint64_t *B_to)
{
    (void)B_to;
    return t->coding.workers == 1;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void lay_out(struct compressed *x)
{
    const size_t p = (size_t)x->ranks, n = x->n, k = x->terms.kind->most_entries(&x->terms.coding);
    struct oktopk o = { .k = k, .most = smaller(2 * k, n), .most_sums = smaller(2 * k * p, n) };
    const size_t sums_B = stream_bytes(STREAM_ENTRIES, o.most_sums);
    const size_t all_B = sums_B + p * (stream_bytes(STREAM_ENTRIES, 0) + stream_bytes(STREAM_FLOATS, p - 1));
    o.kept = compressed_keep(x, sizeof *o.kept + (p + 1) * sizeof *o.kept->cut);
    whole_lay_out(x, true);
    o.own.index = compressed_take(x, n * sizeof *o.own.index);
    o.own.value = compressed_take(x, o.most * sizeof *o.own.value);
    own_slices_lay_out(x, &o.own, o.most);
    o.mine = compressed_take(x, sums_B);
    o.heard = compressed_take(x, sums_B);
    o.merged = compressed_take(x, sums_B);
    o.counts = compressed_take(x, p * sizeof *o.counts);
    o.first = compressed_take(x, (p + 1) * sizeof *o.first);
    o.chosen = compressed_take(x, o.most_sums * sizeof *o.chosen);
    o.value = compressed_take(x, o.most_sums * sizeof *o.value);
    o.gathering = (struct gathering){ .at = compressed_take(x, all_B), .room_B = all_B, .ranks = x->ranks, .rank = x->rank };
    x->own = compressed_take(x, sizeof o);
    if (!x->own)
        return;
    memcpy(x->own, &o, sizeof o);
    for (int r = 0; r <= x->ranks; r++)
        o.kept->cut[r] = (uint32_t)block_start(n, x->ranks, r);
}

static int rounds_of(const struct compressed *x, enum phase phase)
{
    const bool balance = options_of(x)->balance;
    const int all = x->ranks - 1, log = gathering_rounds(x->ranks);
    const int rounds[PHASES] = { all, balance ? log : 0, balance ? all : 0, log };
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

/* The threshold to use next where this one selected `count`. */
static float adjusted(float threshold, size_t count, size_t k, float down)
{
    if (is_off(count, k))
        return 0;
    if (5 * count < 4 * k)
        return threshold / down;
    return 4 * count > 5 * k ? threshold * 1.025F : threshold;
}

static bool measures(const struct compressed *x, float threshold)
{
    return x->terms.coding.step % options_of(x)->threshold_every == 0 || threshold == 0;
}

/* ---- select -------------------------------------------------------------------------------------------------------------- */

static void select_exactly(struct compressed *x, struct oktopk *o)
{
    const struct coding c = compressed_coding(x, x->rank);
    whole_encode(x);
    o->own.count = x->terms.kind->entries(&c, x->code, x->bytes, o->own.index, o->own.value, x->scratch);
    o->kept->local = threshold_below(o->own.value, o->own.count);
}

static void encode(struct compressed *x)
{
    struct oktopk *o = x->own;
    struct own_entries *own = &o->own;
    if (!measures(x, o->kept->local)) {
        own->count = select_above(x->vector, x->n, o->kept->local, own->index);
        o->kept->local = adjusted(o->kept->local, own->count, o->k, 1.025F);
    }
    if (measures(x, o->kept->local))
        select_exactly(x, o);
    else
        for (size_t i = 0; i < own->count; i++)
            own->value[i] = x->vector[own->index[i]];
    x->code_B = (double)(own->count * sizeof(struct entry));
    x->bits = 8 * x->code_B;
}

/* ---- split --------------------------------------------------------------------------------------------------------------- */

static struct extent sums_in(const struct compressed *x)
{
    const struct oktopk *o = x->own;
    return (struct extent){ { 0, x->n }, o->most_sums, false };
}

static void pack(struct compressed *x)
{
    struct oktopk *o = x->own;
    const uint32_t *cut = o->kept->cut;
    for (int r = 0; r < x->ranks; r++) {
        const struct extent part = { { cut[r], (size_t)cut[r + 1] - cut[r] }, o->most, false };
        own_entries_slice(&o->own, r, &part);
    }
    memcpy(o->mine, o->own.slice[x->rank], stream_B(o->own.slice[x->rank]));
    o->result = o->mine; /* of one rank */
}

static void add_heard(struct compressed *x)
{
    struct oktopk *o = x->own;
    const struct extent sums = sums_in(x);
    struct stream *const old = o->mine;
    stream_cut(o->heard, extent_room_B(&sums));
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

/* ---- balance ------------------------------------------------------------------------------------------------------------- */

/* Which entries of the result `from` has before balancing and `to` has after it. */
static struct range given(const struct compressed *x, int from, int to)
{
    const struct oktopk *o = x->own;
    const size_t total = o->first[x->ranks], has = o->first[from + 1], gets = block_start(total, x->ranks, to + 1);
    const size_t first = o->first[from], start = block_start(total, x->ranks, to);
    const size_t at = first > start ? first : start, end = smaller(has, gets);
    return (struct range){ at, end > at ? end - at : 0 };
}

static struct entry *before_balance(const struct compressed *x, size_t at)
{
    const struct oktopk *o = x->own;
    return stream_entries(o->mine) + (at - o->first[x->rank]);
}

static struct entry *after_balance(const struct compressed *x, size_t at)
{
    const struct oktopk *o = x->own;
    const struct stream *block = (const struct stream *)o->gathering.at;
    return stream_entries(block) + (at - block_start(o->first[x->ranks], x->ranks, x->rank));
}

/* All counts are here; hostile ones are cut to the room. */
static void begin_balance(struct compressed *x)
{
    struct oktopk *o = x->own;
    for (int r = 0; r < x->ranks; r++) {
        const size_t count = o->counts[(r - x->rank + x->ranks) % x->ranks];
        o->first[r + 1] = smaller(o->first[r] + count, o->most_sums);
    }
    const size_t block = block_length(o->first[x->ranks], x->ranks, x->rank);
    *(struct stream *)o->gathering.at = (struct stream){ STREAM_ENTRIES, (uint32_t)block };
    const struct range stays = given(x, x->rank, x->rank);
    if (stays.n)
        memcpy(after_balance(x, stays.at), before_balance(x, stays.at), stays.n * sizeof(struct entry));
}

/* ---- gather -------------------------------------------------------------------------------------------------------------- */

static bool cuts(const struct compressed *x)
{
    const int64_t every = options_of(x)->boundaries_every;
    return every && x->terms.coding.step % every == 0;
}

/* Where this rank's own entries fall into p parts of the same number. */
static void say_cuts(const struct compressed *x, struct stream *to)
{
    const struct oktopk *o = x->own;
    const size_t p = (size_t)x->ranks;
    *to = (struct stream){ STREAM_FLOATS, (uint32_t)p - 1 };
    for (size_t r = 1; r < p; r++)
        ((float *)(to + 1))[r - 1] = (float)(o->own.count ? o->own.index[o->own.count * r / p] : o->kept->cut[r]);
}

static void begin_gather(struct compressed *x)
{
    struct oktopk *o = x->own;
    struct stream *const block = (struct stream *)o->gathering.at;
    if (!options_of(x)->balance)
        memcpy(block, o->mine, stream_B(o->mine));
    if (cuts(x))
        say_cuts(x, (struct stream *)(o->gathering.at + stream_B(block)));
    gathering_begin(&o->gathering, cuts(x) ? 2 : 1);
}

static void hear_cuts(struct compressed *x)
{
    struct oktopk *o = x->own;
    for (int i = 1; i < x->ranks; i++) {
        double sum = 0;
        for (int r = 0; r < x->ranks; r++) {
            const struct stream *said = gathering_message(&o->gathering, r, 1);
            if (said && said->count == (uint32_t)x->ranks - 1)
                sum += (double)((const float *)(said + 1))[i - 1];
        }
        o->kept->cut[i] = (uint32_t)fmin(fmax(sum / x->ranks, 0), (double)x->n);
    }
}

static void conclude(struct compressed *x)
{
    struct oktopk *o = x->own;
    float *global = &o->kept->global;
    o->result = o->merged;
    *o->result = (struct stream){ STREAM_ENTRIES, 0 };
    for (int r = 0; r < x->ranks; r++) {
        const struct stream *block = gathering_message(&o->gathering, r, 0);
        const size_t count = block ? smaller(stream_entry_count(block), o->most_sums - o->result->count) : 0;
        if (count)
            memcpy(stream_entries(o->result) + o->result->count, stream_entries(block), count * sizeof(struct entry));
        o->result->count += (uint32_t)count;
    }
    if (cuts(x))
        hear_cuts(x);
    if (measures(x, *global)) {
        stream_keep_largest(o->result, o->k, o->chosen, o->value);
        for (uint32_t i = 0; i < o->result->count; i++)
            o->value[i] = stream_entries(o->result)[i].value;
        *global = threshold_below(o->value, o->result->count);
    } else
        *global = adjusted(*global, o->result->count, o->k, 1.036F);
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
                          .recv_B = stream_bytes(STREAM_ENTRIES, o->most_sums) };
}

static struct step counts_step(const struct compressed *x, int i)
{
    const struct oktopk *o = x->own;
    const size_t bytes = (size_t)gathering_blocks(x->ranks, i) * sizeof *o->counts;
    const int stride = 1 << i;
    return (struct step){ .to = (x->rank + x->ranks - stride) % x->ranks,
                          .from = (x->rank + stride) % x->ranks,
                          .send = o->counts,
                          .send_B = bytes,
                          .recv = o->counts + stride,
                          .recv_B = bytes };
}

static struct step balance_step(const struct compressed *x, int i)
{
    const int to = rotation_to(x, i), from = rotation_from(x, i);
    const struct range goes = given(x, x->rank, to), comes = given(x, from, x->rank);
    return (struct step){ .to = to,
                          .from = from,
                          .send = before_balance(x, goes.at),
                          .send_B = goes.n * sizeof(struct entry),
                          .recv = after_balance(x, comes.at),
                          .recv_B = comes.n * sizeof(struct entry) };
}

static void step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    (void)segment;
    const struct compressed *x = op->data;
    switch (phase_of(x, &i)) {
    case PHASE_SPLIT:
        *out = split_step(x, i);
        break;
    case PHASE_COUNTS:
        *out = counts_step(x, i);
        break;
    case PHASE_BALANCE:
        *out = balance_step(x, i);
        break;
    default:
        *out = gathering_step(&((const struct oktopk *)x->own)->gathering, i);
    }
}

static void end_phase(struct compressed *x, enum phase phase)
{
    struct oktopk *o = x->own;
    if (phase == PHASE_SPLIT) {
        filter(x);
        o->counts[0] = o->mine->count;
    }
    if (phase == PHASE_COUNTS)
        begin_balance(x);
    if (phase == (options_of(x)->balance ? PHASE_BALANCE : PHASE_SPLIT))
        begin_gather(x);
    if (phase == PHASE_GATHER)
        conclude(x);
}

static void landed(struct operation *op, int i)
{
    struct compressed *x = op->data;
    const enum phase phase = phase_of(x, &i);
    if (phase == PHASE_SPLIT)
        add_heard(x);
    else if (phase == PHASE_GATHER)
        gathering_landed(&((struct oktopk *)x->own)->gathering, i);
    if (i + 1 == rounds_of(x, phase))
        end_phase(x, phase);
}

static uint64_t sent_B(const struct operation *op)
{
    const struct compressed *x = op->data;
    const struct oktopk *o = x->own;
    uint64_t all = own_slices_sent_B(x, &o->own) + gathering_sent_B(&o->gathering);
    if (options_of(x)->balance)
        all +=
            (uint64_t)(x->ranks - 1) * sizeof *o->counts + (o->mine->count - given(x, x->rank, x->rank).n) * sizeof(struct entry);
    return all;
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
    stream_add((struct range){ 0, x->n }, o->result, sum);
}

const struct exchange exchange_oktopk = {
    .member = { .name = "oktopk",
                .help = "the k largest of the sum of all ranks' k largest for at most 6k (p-1)/p numbers; rides topk",
                .source = "Li & Hoefler 2022 (Ok-Topk)",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .refuses = refuses,
    .sent = sent,
    .lay_out = lay_out,
    .plan = plan,
    .encode = encode,
    .pack = pack,
    .residual = residual,
    .residual_moment = AFTER_WAIT,
    .decode = decode,
};
