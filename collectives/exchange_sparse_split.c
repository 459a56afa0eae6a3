/* Entries go to the owner of their part of the vector, are added there, and the owners' sums go to all.
 *
 *   1. p - 1 rounds: rank r sends its entries in part r + 1, r + 2, ... to its owner, which merges them     8k (p-1)/p
 *   2. ceil(log2 p) rounds: the merged parts are gathered                                                    8 nnz (p-1)/p
 *
 * bytes where indices are spread evenly; nnz: indices that any rank has. A part that is longer as entries than as floats (more than
 * half of it is there) travels as floats, 4n (p-1)/p for all of them. What crowds in one part is sent by its owner ceil(log2 p)
 * times. Each index is added by one rank, so all have the same bits. Memory: p + 3 parts, each of min(p k, n / 2p) entries, or n /
 * p floats where those can come. Source: Renggli et al., "SparCML", SC'19 (SSAR_Split_allgather, and DSAR where parts become
 * floats).
 */
#include <string.h>

#include "collectives/stream_gather.h"

struct split {
    struct own_entries own;
    struct stream *mine, *heard, *merged; /* of the own part */
    struct gathering gathering;
};

/* Part `part`, with entries from so many ranks. */
static struct extent part_of(const struct exchange_terms *t, int part, int ranks)
{
    const int p = t->coding.workers;
    const size_t n = block_length(t->coding.n, p, part), k = t->kind->most_entries(&t->coding), most = (size_t)ranks * k;
    return extent_of((struct range){ block_start(t->coding.n, p, part), n }, most < n ? most : n, n / 2);
}

/* Of the first part, which is the longest. */
static size_t room_B(const struct exchange_terms *t, int ranks)
{
    const struct extent first = part_of(t, 0, ranks);
    return extent_room_B(&first);
}

static void lay_out(struct compressed *x)
{
    const size_t p = (size_t)x->ranks, part_B = room_B(&x->terms, x->ranks);
    whole_lay_out(x, true);
    struct split s = { 0 };
    own_entries_lay_out(x, &s.own);
    own_slices_lay_out(x, &s.own, x->terms.kind->most_entries(&x->terms.coding));
    s.mine = compressed_take(x, part_B);
    s.heard = compressed_take(x, part_B);
    s.merged = compressed_take(x, part_B);
    s.gathering =
        (struct gathering){ .at = compressed_take(x, p * part_B), .room_B = p * part_B, .ranks = x->ranks, .rank = x->rank };
    stream_own(x, &s, sizeof s);
}

/* The own part is complete: it is what this rank tells all. */
static void begin_gathering(struct split *s)
{
    memcpy(s->gathering.at, s->mine, stream_B(s->mine));
    gathering_begin(&s->gathering);
}

/* This rank's part of its own entries. */
static void again(struct compressed *x)
{
    struct split *s = x->own;
    memcpy(s->mine, s->own.slice[x->rank], stream_B(s->own.slice[x->rank]));
    if (x->ranks == 1)
        begin_gathering(s);
}

static void pack(struct compressed *x)
{
    struct split *s = x->own;
    own_entries_pack(x, &s->own);
    for (int part = 0; part < x->ranks; part++) {
        const struct extent extent = part_of(&x->terms, part, 1);
        own_entries_slice(&s->own, part, &extent);
    }
    again(x);
}

static void step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    (void)segment;
    const struct compressed *x = op->data;
    const struct split *s = x->own;
    const int splits = x->ranks - 1;
    if (i >= splits) {
        *out = gathering_step(&s->gathering, i - splits);
        return;
    }
    const int to = rotation_to(x, i);
    *out = (struct step){ .to = to,
                          .from = rotation_from(x, i),
                          .send = s->own.slice[to],
                          .send_B = stream_B(s->own.slice[to]),
                          .recv = s->heard,
                          .recv_B = room_B(&x->terms, x->ranks) };
}

static void landed(struct operation *op, int i)
{
    struct compressed *x = op->data;
    struct split *s = x->own;
    const struct extent part = part_of(&x->terms, x->rank, x->ranks);
    const int splits = x->ranks - 1;
    if (i >= splits) {
        gathering_landed(&s->gathering, i - splits);
        return;
    }
    stream_cut(s->heard, room_B(&x->terms, x->ranks));
    stream_merge(&part, s->mine, s->heard, s->merged);
    struct stream *const old = s->mine;
    s->mine = s->merged;
    s->merged = old;
    if (i == splits - 1)
        begin_gathering(s);
}

static uint64_t sent_B(const struct operation *op)
{
    const struct compressed *x = op->data;
    const struct split *s = x->own;
    return own_slices_sent_B(x, &s->own) + gathering_sent_B(&s->gathering);
}

static status plan(struct compressed *x)
{
    struct operation op = {
        .data = x, .rounds = x->ranks - 1 + gathering_rounds(x->ranks), .step = step, .landed = landed, .sent_B = sent_B
    };
    return compressed_plan(x, &op, sizeof op);
}

static void decode(struct compressed *x, float *sum)
{
    const struct split *s = x->own;
    compressed_decodes(x, x->n);
    for (int part = 0; part < x->ranks; part++) {
        const struct range range = part_of(&x->terms, part, 1).range;
        const struct stream *sums = gathering_message(&s->gathering, part);
        if (sums)
            stream_add(range, sums, sum + range.at);
    }
}

const struct exchange exchange_sparse_split = {
    .member = { .name = "sparse-split",
                .help = "entries are added by the owner of their part of the vector, the parts gathered; rides sparse codes",
                .source = "Renggli et al. 2019 (SparCML)" },
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
