/* Dense within a node, where bytes are cheap, and codes between nodes: g ranks of a node share the vector, N = p/g nodes the codes.
 *
 *     x --dense reduce-scatter in the node--> sum of a block --code--> the ranks of this place in all nodes --decode, sum-->
 *       --dense allgather in the node--> sum of all ranks         sent: 4n (g-1)/g, m/g (N-1), 4n (g-1)/g
 *
 * Rank = node * g + place, and a rank's block is that of its place; all three phases are rings. A node's sum is one worker: N codes
 * are summed, each of a block. With feedback the error is that of the node's sum, and the rank of the place keeps it, so that its
 * vector's own is zero. Rides: any code that takes a vector.
 * Source: the README of Deep Gradient Compression's code (dense within, sparse between nodes); BytePS does likewise with two
 * compressors.
 */
#include <stdio.h>
#include <string.h>

#include "collectives/parcel.h"
#include "kernels/layers.h"

struct options {
    int64_t node_ranks;
};

static const struct key keys[] = {
    { "node_ranks", KEY_INT, offsetof(struct options, node_ranks), NULL, 1, 1 << 20,
      .help = "Ranks of a node, which are next to each other; as many in each." },
    { 0 },
};

struct hierarchical {
    float *kept;          /* [own block] with feedback: what of the node's sum did not travel */
    void *state;          /* the compressor's, for the own block */
    float *incoming;      /* [longest block] another rank's part of a block's sum */
    float *sum;           /* [n] */
    unsigned char *codes; /* [nodes] of the own block */
    struct parcel_rooms rooms;
};

/* A rank's place among others. */
struct place {
    int ranks, at;   /* of the node; this one's place */
    int nodes, node; /* this one's */
};

static struct place place_of(const struct exchange_terms *t)
{
    const struct options *o = t->options;
    const int g = (int)o->node_ranks;
    return (struct place){ g, t->coding.worker % g, t->coding.workers / g, t->coding.worker / g };
}

/* The code of a place's block by the rank of it in a node. */
static struct coding coding_of(const struct exchange_terms *t, int node, int at)
{
    const struct place place = place_of(t);
    struct coding c = parcel_coding(t, place.ranks, at, node * place.ranks + at, (uint32_t)at);
    c.worker = node;
    c.workers = place.nodes;
    return c;
}

static const char *refuses(const struct exchange_terms *t)
{
    static char why[128];
    const struct options *o = t->options;
    if (t->coding.workers % o->node_ranks != 0) {
        snprintf(why, sizeof why, "node_ranks is %d, which does not divide its %d ranks (fits: a divisor)", (int)o->node_ranks,
                 t->coding.workers);
        return why;
    }
    const struct coding longest = coding_of(t, 0, 0), shortest = coding_of(t, 0, (int)o->node_ranks - 1);
    return parcel_refuses(t, &longest, &shortest);
}

static size_t block_B(const struct exchange_terms *t, int at)
{
    return block_length(t->coding.n, place_of(t).ranks, at) * sizeof(float);
}

/* Both rings within the node: all blocks but the own, then all but that of the next rank. */
static size_t dense_B(const struct exchange_terms *t)
{
    const struct place place = place_of(t);
    return 2 * t->coding.n * sizeof(float) - block_B(t, place.at) - block_B(t, around(place.at + 1, place.ranks));
}

static int rank_of(const struct place *place, int node, int at)
{
    return around(node, place->nodes) * place->ranks + around(at, place->ranks);
}

static bool sent(const struct exchange_terms *t, uint64_t *B_to)
{
    const struct place place = place_of(t);
    const struct coding c = coding_of(t, place.node, place.at);
    if (place.nodes > 1 && !parcel_is_fixed(t))
        return false;
    if (place.ranks > 1)
        B_to[rank_of(&place, place.node, place.at + 1)] += dense_B(t);
    if (place.nodes > 1)
        B_to[rank_of(&place, place.node + 1, place.at)] += (uint64_t)(place.nodes - 1) * parcel_most_B(t, &c);
    return true;
}

static void lay_out(struct compressed *x)
{
    const struct exchange_terms *t = &x->terms;
    const struct place place = place_of(t);
    const struct coding c = coding_of(t, place.node, place.at);
    struct hierarchical o = { .rooms = parcel_rooms(t, &c, &c) };
    o.kept = compressed_keep(x, t->feedback ? block_B(t, place.at) : 0);
    o.state = compressed_keep(x, compressor_state_bytes(t->kind, &c));
    o.incoming = compressed_take(x, block_B(t, 0));
    o.sum = compressed_take(x, x->n * sizeof *o.sum);
    o.codes = compressed_take(x, (size_t)place.nodes * o.rooms.parcel_B);
    x->scratch = compressed_take(x, o.rooms.scratch_B);
    x->own = compressed_take(x, sizeof o);
    if (x->own)
        memcpy(x->own, &o, sizeof o);
}

/* ---- on their way -------------------------------------------------------------------------------------------------------- */

static struct parcel parcel_of(const struct compressed *x, int node)
{
    const struct place place = place_of(&x->terms);
    const struct hierarchical *o = x->own;
    const int of = around(node, place.nodes);
    return (struct parcel){ coding_of(&x->terms, of, place.at), o->codes + (size_t)of * o->rooms.parcel_B };
}

static float *block_of(const struct compressed *x, float *v, int at)
{
    const int ranks = place_of(&x->terms).ranks;
    return v + block_start(x->n, ranks, around(at, ranks));
}

/* A round of a ring in the node: block `b` goes on, and the one before it comes. */
static struct step dense_step(const struct compressed *x, const float *from, float *to, int b)
{
    const struct place place = place_of(&x->terms);
    return (struct step){
        .to = rank_of(&place, place.node, place.at + 1),
        .from = rank_of(&place, place.node, place.at - 1),
        .send = from,
        .send_B = block_B(&x->terms, around(b, place.ranks)),
        .recv = to,
        .recv_B = block_B(&x->terms, around(b - 1, place.ranks)),
        .landing = LANDING_REPLACE,
    };
}

static struct step code_step(const struct compressed *x, int i)
{
    const struct place place = place_of(&x->terms);
    const struct parcel known = parcel_of(x, place.node - i), new = parcel_of(x, place.node - i - 1);
    return parcel_step(&x->terms, rank_of(&place, place.node + 1, place.at), &known, rank_of(&place, place.node - 1, place.at),
                       &new);
}

/* The g - 1 rounds of the first ring; one without messages, to code; N - 1; g - 1. */
static void step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    (void)segment;
    const struct compressed *x = op->data;
    const struct hierarchical *o = x->own;
    const struct place place = place_of(&x->terms);
    const int coded = place.ranks - 1, gathered = coded + place.nodes;
    if (i < coded) {
        *out = dense_step(x, block_of(x, x->vector, place.at - 1 - i), o->incoming, place.at - 1 - i);
    } else if (i == coded) {
        *out = (struct step){ .to = -1, .from = -1 };
    } else if (i < gathered) {
        *out = code_step(x, i - coded - 1);
    } else {
        const int b = place.at - (i - gathered);
        *out = dense_step(x, block_of(x, o->sum, b), block_of(x, o->sum, b - 1), b);
    }
}

static void code_sum_of_node(struct compressed *x)
{
    const struct place place = place_of(&x->terms);
    const struct hierarchical *o = x->own;
    const struct parcel own = parcel_of(x, place.node);
    float *const block = block_of(x, x->vector, place.at);
    parcel_fill(x, &own, o->state, block, x->scratch);
    if (!x->terms.feedback)
        return;
    parcel_decode(x, &own, -1, block, x->scratch);
    if (!compressed_is_hollow(x))
        memcpy(o->kept, block, block_B(&x->terms, place.at));
}

static void add_nodes(struct compressed *x)
{
    const struct place place = place_of(&x->terms);
    float *const block = block_of(x, ((struct hierarchical *)x->own)->sum, place.at);
    if (!compressed_is_hollow(x))
        memset(block, 0, block_B(&x->terms, place.at));
    for (int node = 0; node < place.nodes; node++) {
        const struct parcel p = parcel_of(x, node);
        parcel_decode(x, &p, 1, block, x->scratch);
    }
}

static void landed(struct operation *op, int i)
{
    struct compressed *x = op->data;
    const struct hierarchical *o = x->own;
    const struct place place = place_of(&x->terms);
    const int came = around(place.at - 2 - i, place.ranks);
    if (i < place.ranks - 1 && !compressed_is_hollow(x))
        add(block_of(x, x->vector, came), o->incoming, block_length(x->n, place.ranks, came));
    if (i == place.ranks - 1)
        code_sum_of_node(x);
    if (i == place.ranks - 1 + place.nodes - 1)
        add_nodes(x);
}

static uint64_t sent_B(const struct operation *op)
{
    const struct compressed *x = op->data;
    const struct place place = place_of(&x->terms);
    uint64_t all = place.ranks > 1 ? dense_B(&x->terms) : 0;
    for (int node = 0; node < place.nodes; node++) {
        const struct parcel p = parcel_of(x, node);
        all += node == around(place.node + 1, place.nodes) ? 0 : parcel_B(&x->terms, &p);
    }
    return all;
}

static status plan(struct compressed *x)
{
    const struct place place = place_of(&x->terms);
    const struct coding c = coding_of(&x->terms, place.node, place.at);
    struct operation op = {
        .data = x, .rounds = 2 * (place.ranks - 1) + place.nodes, .step = step, .landed = landed, .sent_B = sent_B
    };
    if (!compressed_is_hollow(x))
        compressor_state_begin(x->terms.kind, &c, ((struct hierarchical *)x->own)->state);
    return compressed_plan(x, &op, sizeof op);
}

/* ---- before and after ---------------------------------------------------------------------------------------------------- */

/* There is no code before the node's sum is there: what is owed to it comes in with this rank's part. */
static void encode(struct compressed *x)
{
    const struct place place = place_of(&x->terms);
    if (x->terms.feedback && !compressed_is_hollow(x))
        add(block_of(x, x->vector, place.at), ((struct hierarchical *)x->own)->kept, block_length(x->n, place.ranks, place.at));
}

static void residual(struct compressed *x)
{
    if (!compressed_is_hollow(x))
        memset(x->vector, 0, x->n * sizeof *x->vector);
}

static void decode(struct compressed *x, float *sum)
{
    if (!compressed_is_hollow(x))
        add(sum, ((struct hierarchical *)x->own)->sum, x->n);
}

const struct exchange exchange_hierarchical = {
    .member = { .name = "hierarchical",
                .help = "dense sums within nodes, codes between them; 8n (g-1)/g + m/g (p/g - 1) bytes with g ranks in a node",
                .source = "Lin et al. 2018, Deep Gradient Compression, its code's README",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .refuses = refuses,
    .sent = sent,
    .hollow = true,
    .lay_out = lay_out,
    .plan = plan,
    .encode = encode,
    .residual = residual,
    .residual_moment = AFTER_WAIT,
    .decode = decode,
};
