/* Global top-k: a tree of ranks adds lists of entries two by two and keeps the k largest of each sum; its root's k go to all.
 *
 *   up, t = 0, 1, ...   rank r with r mod 2^(t+1) = 2^t sends its list to r - 2^t, which keeps the k largest of the sum of both
 *   down, t = ..., 1, 0 the same pairs: the result, and a bit for each entry of the list that went up: whether it is in the result
 *
 * k: the most entries that a code may have. Any p; 2 ceil(log2 p) rounds; 8k bytes up, 8k + k/8 down for each pair;
 * memory: three lists of 2k, and 8k bytes for each merge.
 *
 * What a merge drops another subtree may bring again: then the result has the index, but not what the first one had for it. So
 * an index in the result does not tell a rank whether its own value is in there; the bit does. A value counts where its entry
 * was kept by every merge on its way to the root; a node tells its child of its list's entries, and works out its own list's of one
 * level below, from what each merge kept. With feedback what did not count stays with its rank, and nothing is lost:
 * sum over ranks of (vector before) = result + sum over ranks of (vector after).
 * Source: Shi et al., "A Distributed Synchronous SGD Algorithm with Global Top-k Sparsification", ICDCS 2019. Deviates: there p is
 * a power of two, and a rank clears what it has of every index in the result; the bits are this project's own.
 */
#include <string.h>

#include "collectives/stream_gather.h"

enum { LEVELS_MAX = 31 };
static const uint32_t dropped = UINT32_MAX;

/* One merge of this rank: where its own entries and the child's are in the list that it kept. */
struct merge {
    uint32_t *mine, *heard; /* [k] places, or dropped */
    uint32_t mine_count, heard_count;
};

struct gtopk {
    struct own_entries own;
    size_t k, up_B;
    struct stream *mine, *heard, *merged; /* mine: this rank's list; on the way down the result, and bits behind it */
    unsigned char *counts, *below;        /* [k] which entries of the list of a level, of the level below, are in the result */
    uint32_t *chosen;                     /* scratch of the selection */
    float *value;
    struct merge at[LEVELS_MAX];
};

/* The sum of two lists before selection; also enough for k entries and k bits. */
static size_t room_B(size_t k)
{
    return stream_bytes(STREAM_ENTRIES, 2 * k);
}

static void lay_out(struct compressed *x)
{
    whole_lay_out(x, true);
    struct gtopk g = { .k = x->terms.kind->most_entries(&x->terms.coding) };
    own_entries_lay_out(x, &g.own);
    g.mine = compressed_take(x, room_B(g.k));
    g.heard = compressed_take(x, room_B(g.k));
    g.merged = compressed_take(x, room_B(g.k));
    g.counts = compressed_take(x, g.k);
    g.below = compressed_take(x, g.k);
    g.chosen = compressed_take(x, 2 * g.k * sizeof *g.chosen);
    g.value = compressed_take(x, 2 * g.k * sizeof *g.value);
    for (struct merge *m = g.at; m < g.at + gathering_rounds(x->ranks); m++) {
        m->mine = compressed_take(x, g.k * sizeof *m->mine);
        m->heard = compressed_take(x, g.k * sizeof *m->heard);
    }
    stream_own(x, &g, sizeof g);
}

static void pack(struct compressed *x)
{
    struct gtopk *g = x->own;
    const struct extent extent = { { 0, x->n }, g->k, false };
    own_entries_pack(x, &g->own);
    stream_of(&extent, g->own.index, g->own.value, g->own.count, g->mine);
    memset(g->counts, 1, g->k); /* of the root's result all */
}

/* ---- who sends to whom --------------------------------------------------------------------------------------------------- */

enum role { ROLE_NONE, ROLE_PARENT, ROLE_CHILD };

struct turn {
    enum role role;
    int level, peer;
    bool up;
};

static struct turn turn_of(const struct compressed *x, int i)
{
    const int levels = gathering_rounds(x->ranks), level = i < levels ? i : 2 * levels - 1 - i, stride = 1 << level;
    struct turn turn = { .level = level, .up = i < levels };
    if (x->rank % stride)
        return turn;
    turn.role = x->rank & stride ? ROLE_CHILD : x->rank + stride < x->ranks ? ROLE_PARENT : ROLE_NONE;
    turn.peer = turn.role == ROLE_CHILD ? x->rank - stride : x->rank + stride;
    return turn;
}

static size_t bits_B(uint32_t count)
{
    return (count + (size_t)7) / 8;
}

/* Of the message down to the child of a level. */
static size_t down_B(const struct gtopk *g, int level)
{
    return stream_B(g->mine) + bits_B(g->at[level].heard_count);
}

static void step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    (void)segment;
    const struct compressed *x = op->data;
    const struct gtopk *g = x->own;
    const struct turn turn = turn_of(x, i);
    const bool sends = turn.role == (turn.up ? ROLE_CHILD : ROLE_PARENT), receives = turn.role && !sends;
    *out = (struct step){ .to = sends ? turn.peer : -1,
                          .from = receives ? turn.peer : -1,
                          .send = g->mine,
                          .send_B = turn.up ? stream_B(g->mine) : down_B(g, turn.level),
                          .recv = g->heard,
                          .recv_B = room_B(g->k) };
}

static uint64_t sent_B(const struct operation *op)
{
    const struct compressed *x = op->data;
    const struct gtopk *g = x->own;
    uint64_t all = x->rank ? g->up_B : 0;
    for (int level = 0; level < gathering_rounds(x->ranks); level++)
        all += turn_of(x, level).role == ROLE_PARENT ? down_B(g, level) : 0;
    return all;
}

/* ---- up ------------------------------------------------------------------------------------------------------------------ */

static uint32_t find_places(const struct stream *list, const struct stream *kept, uint32_t *place)
{
    const struct entry *entries = stream_entries(list), *in = stream_entries(kept);
    const uint32_t count = (uint32_t)stream_entry_count(list);
    for (uint32_t i = 0, j = 0; i < count; i++) {
        while (j < kept->count && in[j].index < entries[i].index)
            j++;
        place[i] = j < kept->count && in[j].index == entries[i].index ? j : dropped;
    }
    return count;
}

static void merge(struct gtopk *g, size_t n, struct merge *m)
{
    const struct extent extent = { { 0, n }, 2 * g->k, false };
    stream_merge(&extent, g->mine, g->heard, g->merged);
    stream_keep_largest(g->merged, g->k, g->chosen, g->value);
    m->mine_count = find_places(g->mine, g->merged, m->mine);
    m->heard_count = find_places(g->heard, g->merged, m->heard);
    struct stream *const old = g->mine;
    g->mine = g->merged;
    g->merged = old;
}

/* ---- down ---------------------------------------------------------------------------------------------------------------- */

static void hear_result(struct gtopk *g)
{
    struct stream *const list = g->mine;
    const unsigned char *bits = (const unsigned char *)g->heard + stream_B(g->heard);
    for (uint32_t i = 0; i < list->count; i++)
        g->counts[i] = bits[i / 8] >> i % 8 & 1;
    g->mine = g->heard;
    g->heard = list;
}

static bool counts(const struct gtopk *g, uint32_t place)
{
    return place != dropped && g->counts[place];
}

static void prepare_to_tell(struct gtopk *g, const struct merge *m)
{
    unsigned char *bits = (unsigned char *)g->mine + stream_B(g->mine), *const above = g->counts;
    memset(bits, 0, bits_B(m->heard_count));
    for (uint32_t i = 0; i < m->heard_count; i++)
        bits[i / 8] |= (unsigned char)(counts(g, m->heard[i]) << i % 8);
    for (uint32_t i = 0; i < m->mine_count; i++)
        g->below[i] = counts(g, m->mine[i]);
    g->counts = g->below;
    g->below = above;
}

static void landed(struct operation *op, int i)
{
    struct compressed *x = op->data;
    struct gtopk *g = x->own;
    const struct turn turn = turn_of(x, i);
    if (turn.role == (turn.up ? ROLE_PARENT : ROLE_CHILD))
        stream_cut(g->heard, stream_bytes(STREAM_ENTRIES, g->k));
    if (turn.up && turn.role == ROLE_PARENT)
        merge(g, x->n, &g->at[turn.level]);
    else if (turn.up && turn.role == ROLE_CHILD)
        g->up_B = stream_B(g->mine);
    else if (turn.role == ROLE_CHILD)
        hear_result(g);
    if (i + 1 == op->rounds)
        return;
    const struct turn next = turn_of(x, i + 1);
    if (!next.up && next.role == ROLE_PARENT)
        prepare_to_tell(g, &g->at[next.level]);
}

/* ---- before and after ---------------------------------------------------------------------------------------------------- */

static status plan(struct compressed *x)
{
    struct operation op = { .data = x, .rounds = 2 * gathering_rounds(x->ranks), .step = step, .landed = landed, .sent_B = sent_B };
    return compressed_plan(x, &op, sizeof op);
}

static const char *refuses(const struct exchange_terms *t)
{
    if (compressor_traits(t->kind, t->coding.options) & COMPRESSOR_FEEDBACK)
        return "it takes what it sent for received, and global top-k drops some of it (fits: \"allgather\", \"sparse-split\", or "
               "\"topk\" with "
               "error feedback)";
    return own_entries_refuse(t);
}

static void residual(struct compressed *x)
{
    const struct gtopk *g = x->own;
    for (size_t i = 0; i < g->own.count; i++)
        if (g->counts[i])
            x->vector[g->own.index[i]] -= g->own.value[i];
}

static void decode(struct compressed *x, float *sum)
{
    const struct gtopk *g = x->own;
    compressed_decodes(x, x->n);
    stream_add((struct range){ 0, x->n }, g->mine, sum);
}

const struct exchange exchange_gtopk = {
    .member = { .name = "gtopk",
                .help = "a tree of ranks keeps the k largest of each sum of two lists, k the most entries of a code; rides sparse "
                        "codes",
                .source = "Shi et al. 2019" },
    .refuses = refuses,
    .sent = stream_sent,
    .lay_out = lay_out,
    .plan = plan,
    .encode = whole_encode,
    .pack = pack,
    .residual = residual,
    .residual_moment = AFTER_WAIT,
    .decode = decode,
};
