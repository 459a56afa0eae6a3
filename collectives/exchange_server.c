/* A parameter server's push and pull: all workers send their codes to rank 0, which adds them up and sends the sum to all.
 *
 *     worker r --code, m--> rank 0: sum in the order of ranks --dense sum, 4n, or its code, m'--> all
 *
 * Rank 0 is a worker, too, and its link carries all: (p-1) m in, (p-1) 4n or (p-1) m' out. That is what this is here to show; a
 * server for every part of the vector would be `two-shot`. Codes may arrive in any order, and are taken in the order of ranks, so
 * the bits are always the same. With feedback a server that sends codes keeps what of the sum did not travel. Rides: codes that can
 * be decoded alone.
 * Source: Li et al., "Scaling distributed machine learning with the parameter server", OSDI 2014; the server's feedback: Tang et
 * al., "DoubleSqueeze", ICML 2019.
 */
#include <string.h>

#include "collectives/parcel.h"
#include "kernels/layers.h"

struct options {
    const char *reply;
};

static const char *const replies[] = { "sum", "code", NULL };
static const struct key keys[] = {
    { "reply", KEY_CHOICE, offsetof(struct options, reply), "\"sum\"", .choices = replies,
      .help = "What the server sends: the sum as floats, or its code." },
    { 0 },
};

enum { SERVER };

struct server {
    float *sum;             /* [n] of all ranks, where it is needed; a server that sends codes keeps what did not travel */
    unsigned char *own;     /* code of the rank itself */
    unsigned char *pushed;  /* on the server: of another */
    unsigned char *reply;   /* code of the sum */
    unsigned char *scratch; /* of what came */
};

static bool replies_code(const struct exchange_terms *t)
{
    return strcmp(((const struct options *)t->options)->reply, "code") == 0;
}

/* Matrices stay matrices: it is the whole vector. */
static struct coding coding_of(const struct exchange_terms *t, int by, uint32_t turn)
{
    struct coding c = parcel_coding(t, 1, 0, by, turn);
    c.rows = t->coding.rows;
    c.columns = t->coding.columns;
    return c;
}

static struct coding coding_of_reply(const struct exchange_terms *t)
{
    struct coding c = coding_of(t, SERVER, 1);
    c.workers = 1;
    return c;
}

static const char *refuses(const struct exchange_terms *t)
{
    const struct coding c = coding_of(t, SERVER, 0);
    const char *why = parcel_refuses(t, &c, &c);
    return !why && replies_code(t) ? parcel_refuses_anew(t) : why;
}

static bool sent(const struct exchange_terms *t, uint64_t *B_to)
{
    const struct coding push = coding_of(t, t->coding.worker, 0), reply = coding_of_reply(t);
    if (!parcel_is_fixed(t))
        return t->coding.workers == 1;
    for (int r = 0; r < t->coding.workers; r++)
        if ((r == SERVER) != (t->coding.worker == SERVER))
            B_to[r] += r == SERVER       ? parcel_most_B(t, &push)
                       : replies_code(t) ? parcel_most_B(t, &reply)
                                         : t->coding.n * sizeof(float);
    return true;
}

static void lay_out(struct compressed *x)
{
    const struct exchange_terms *t = &x->terms;
    const bool serves = x->rank == SERVER, coded = replies_code(t), keeps = serves && coded && t->feedback;
    const struct coding push = coding_of(t, x->rank, 0), reply = coding_of_reply(t);
    const struct parcel_rooms rooms = parcel_rooms(t, &push, &reply);
    const size_t sum_B = serves || !coded ? x->n * sizeof(float) : 0;
    struct server o = { .sum = keeps ? compressed_keep(x, sum_B) : NULL };
    whole_lay_out(x, false);
    if (!keeps)
        o.sum = compressed_take(x, sum_B);
    o.own = compressed_take(x, parcel_most_B(t, &push));
    o.pushed = compressed_take(x, serves ? parcel_most_B(t, &push) : 0);
    o.reply = compressed_take(x, coded ? parcel_most_B(t, &reply) : 0);
    o.scratch = compressed_take(x, rooms.scratch_B);
    x->own = compressed_take(x, sizeof o);
    if (x->own)
        memcpy(x->own, &o, sizeof o);
}

/* ---- on their way -------------------------------------------------------------------------------------------------------- */

static struct parcel push_of(const struct compressed *x, int by)
{
    const struct server *o = x->own;
    return (struct parcel){ coding_of(&x->terms, by, 0), by == x->rank ? o->own : o->pushed };
}

static struct parcel reply_of(const struct compressed *x)
{
    return (struct parcel){ coding_of_reply(&x->terms), ((struct server *)x->own)->reply };
}

/* Round 0 is the server's own; then those of rank 1, 2, ...; then the replies to these. */
static void step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    (void)segment;
    const struct compressed *x = op->data;
    const struct exchange_terms *t = &x->terms;
    const bool serves = x->rank == SERVER, pushes = i < x->ranks;
    const int worker = pushes ? i : i - x->ranks + 1, peer = x->rank == worker ? SERVER : serves ? worker : -1;
    const struct parcel own = push_of(x, x->rank), theirs = push_of(x, worker), reply = reply_of(x);
    float *const sum = ((struct server *)x->own)->sum;
    if (worker == SERVER)
        *out = (struct step){ .to = -1, .from = -1 };
    else if (pushes)
        *out = parcel_step(t, serves ? -1 : peer, &own, serves ? peer : -1, &theirs);
    else if (replies_code(t))
        *out = parcel_step(t, serves ? peer : -1, &reply, serves ? -1 : peer, &reply);
    else
        *out = (struct step){ .to = serves ? peer : -1,
                              .from = serves ? -1 : peer,
                              .send = sum,
                              .send_B = x->n * sizeof *sum,
                              .recv = sum,
                              .recv_B = x->n * sizeof *sum };
}

static void landed(struct operation *op, int i)
{
    struct compressed *x = op->data;
    const struct server *o = x->own;
    const bool keeps = x->terms.feedback && replies_code(&x->terms);
    if (x->rank != SERVER || i >= x->ranks)
        return;
    if (i == 0 && !keeps && !compressed_is_hollow(x))
        memset(o->sum, 0, x->n * sizeof *o->sum);
    const struct parcel pushed = push_of(x, i), reply = reply_of(x);
    parcel_decode(x, &pushed, 1, o->sum, o->scratch);
    if (i < x->ranks - 1 || !replies_code(&x->terms))
        return;
    parcel_fill(x, &reply, NULL, o->sum, o->scratch);
    if (keeps)
        parcel_decode(x, &reply, -1, o->sum, o->scratch);
}

static uint64_t sent_B(const struct operation *op)
{
    const struct compressed *x = op->data;
    const struct parcel own = push_of(x, x->rank), reply = reply_of(x);
    if (x->rank != SERVER)
        return parcel_B(&x->terms, &own);
    return (uint64_t)(x->ranks - 1) * (replies_code(&x->terms) ? parcel_B(&x->terms, &reply) : x->n * sizeof(float));
}

static status plan(struct compressed *x)
{
    struct operation op = { .data = x, .rounds = 2 * x->ranks - 1, .step = step, .landed = landed, .sent_B = sent_B };
    return compressed_plan(x, &op, sizeof op);
}

/* ---- before and after ---------------------------------------------------------------------------------------------------- */

static void encode(struct compressed *x)
{
    const struct parcel own = push_of(x, x->rank);
    parcel_encode(x, &own, x->state, x->vector, x->scratch);
}

static void pack(struct compressed *x)
{
    const struct parcel own = push_of(x, x->rank);
    parcel_pack(x, &own, x->scratch);
}

static void residual(struct compressed *x)
{
    const struct parcel own = push_of(x, x->rank);
    parcel_decode(x, &own, -1, x->vector, x->scratch);
}

static void decode(struct compressed *x, float *sum)
{
    const struct parcel reply = reply_of(x);
    if (replies_code(&x->terms))
        parcel_decode(x, &reply, 1, sum, ((struct server *)x->own)->scratch);
    else if (!compressed_is_hollow(x))
        add(sum, ((struct server *)x->own)->sum, x->n);
}

const struct exchange exchange_server = {
    .member = { .name = "server",
                .help = "codes go to rank 0, and the sum or its code comes back; 2 (p-1) messages on one link",
                .source = "Li et al. 2014, parameter server; Tang et al. 2019, DoubleSqueeze",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .refuses = refuses,
    .sent = sent,
    .hollow = true,
    .lay_out = lay_out,
    .plan = plan,
    .encode = encode,
    .pack = pack,
    .residual = residual,
    .residual_moment = AFTER_START,
    .decode = decode,
};
