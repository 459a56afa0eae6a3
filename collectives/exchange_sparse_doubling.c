/* Recursive doubling with lists of entries that are merged on their way, and become floats once those are shorter.
 *
 *   round t = 0 .. log2 q - 1: rank r and rank r XOR 2^t send each other what they have, and both add it up
 *   sent: sum over t of 8 nnz_t (4n once 8 nnz_t > 4n), nnz_t: indices that any of 2^t ranks has
 *         8k log2 p where all ranks' indices are the same .. 8k (p-1) where none are; n (1 - (1 - k/n)^(2^t)) where they are random
 *
 * Memory: three lists of min(p k, dense_from n) entries, or n floats where those can come.
 *
 * Both ranks add the same two lists, and a + b has the bits of b + a: so by induction all ranks have the same bits. Any p, by
 * folding (fold.h). Good where ranks agree on what is large; else the lists fill up.
 * Source: Renggli et al., "SparCML", SC'19 (SSAR_Recursive_double); Fei et al., "OmniReduce", SIGCOMM 2021 merges alike.
 */
#include <string.h>

#include "collectives/fold.h"
#include "collectives/stream.h"

struct options {
    double dense_from;
};

static const struct key keys[] = {
    { "dense_from", KEY_REAL, offsetof(struct options, dense_from), "0.5", 0, 1,
      .help = "Share of the floats above which a list of entries becomes floats; above 0.5 those are shorter." },
    { 0 },
};

enum { ROUNDS_MAX = 32 };

struct doubling {
    struct own_entries own;
    struct extent extent;
    struct stream *mine, *heard, *merged;
    size_t had_B[ROUNDS_MAX]; /* bytes of `mine` before each round */
};

static struct extent extent_in(const struct exchange_terms *t)
{
    const struct options *o = t->options;
    const size_t n = t->coding.n, all = (size_t)t->coding.workers * t->kind->most_entries(&t->coding);
    return extent_of((struct range){ 0, n }, all < n ? all : n, (size_t)(o->dense_from * (double)n));
}

static void lay_out(struct compressed *x)
{
    whole_lay_out(x, true);
    struct doubling d = { .extent = extent_in(&x->terms) };
    const size_t room_B = extent_room_B(&d.extent);
    own_entries_lay_out(x, &d.own);
    d.mine = compressed_take(x, room_B);
    d.heard = compressed_take(x, room_B);
    d.merged = compressed_take(x, room_B);
    stream_own(x, &d, sizeof d);
}

static void again(struct compressed *x)
{
    struct doubling *d = x->own;
    stream_of(&d->extent, d->own.index, d->own.value, d->own.count, d->mine);
    d->had_B[0] = stream_B(d->mine);
}

static void pack(struct compressed *x)
{
    own_entries_pack(x, &((struct doubling *)x->own)->own);
    again(x);
}

/* The peers of round i, and whether what comes is added: else it is the sum. */
static struct round round_of(const struct compressed *x, int i)
{
    struct round round;
    const int level = fold_round(x->ranks, x->rank, 1, i, fold_levels(x->ranks), &round);
    if (level >= 0)
        round = (struct round){ .to = x->rank ^ 1 << level, .from = x->rank ^ 1 << level, .add = true };
    return round;
}

static void step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    (void)segment;
    const struct compressed *x = op->data;
    const struct doubling *d = x->own;
    const struct round round = round_of(x, i);
    *out = (struct step){ .to = round.to,
                          .from = round.from,
                          .send = d->mine,
                          .send_B = stream_B(d->mine),
                          .recv = d->heard,
                          .recv_B = extent_room_B(&d->extent) };
}

static void landed(struct operation *op, int i)
{
    struct compressed *x = op->data;
    struct doubling *d = x->own;
    const struct round round = round_of(x, i);
    if (round.from >= 0) {
        stream_cut(d->heard, extent_room_B(&d->extent));
        if (round.add)
            stream_merge(&d->extent, d->mine, d->heard, d->merged);
        struct stream *const old = d->mine, **const fresh = round.add ? &d->merged : &d->heard;
        d->mine = *fresh;
        *fresh = old;
    }
    if (i + 1 < op->rounds)
        d->had_B[i + 1] = stream_B(d->mine);
}

/* Rank q + j gives its list to rank j; ranks below q what they have before each level; rank j then the sum to rank q + j. */
static uint64_t sent_B(const struct operation *op)
{
    const struct compressed *x = op->data;
    const struct doubling *d = x->own;
    const int p = x->ranks, q = fold_ranks(p), folds = p > q, levels = fold_levels(p);
    if (x->rank >= q)
        return d->had_B[0];
    uint64_t all = x->rank < p - q ? d->had_B[op->rounds - 1] : 0;
    for (int level = 0; level < levels; level++)
        all += d->had_B[folds + level];
    return all;
}

static status plan(struct compressed *x)
{
    struct operation op = {
        .data = x, .rounds = fold_rounds(x->ranks, fold_levels(x->ranks)), .step = step, .landed = landed, .sent_B = sent_B
    };
    return compressed_plan(x, &op, sizeof op);
}

static void decode(struct compressed *x, float *sum)
{
    const struct doubling *d = x->own;
    compressed_decodes(x, x->n);
    stream_add(d->extent.range, d->mine, sum);
}

const struct exchange exchange_sparse_doubling = {
    .member = { .name = "sparse-doubling",
                .help = "pairs of ranks exchange and merge lists of entries, log2 p times; rides sparse codes",
                .source = "Renggli et al. 2019 (SparCML)",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .refuses = own_entries_refuse,
    .sent = stream_sent,
    .lay_out = lay_out,
    .plan = plan,
    .encode = whole_encode,
    .pack = pack,
    .again = again,
    .residual = whole_residual,
    .residual_moment = AFTER_START,
    .decode = decode,
};
