/* Every rank's code goes to all, round a ring, and all decode and add them in the order of ranks: the sum has the same bits
 * everywhere. Rides: any code of a whole vector.
 *
 *   sent by rank r: the codes of all ranks but that of r + 1, m (p-1) in all; beats a dense ring while p < 2 * 4n / m
 *
 * Codes of one size are cut into segments like any gather. Where sizes depend on the data each message begins with its code's
 * length, 4 bytes; an empty code is a message, too.
 */
#include <string.h>

#include "collectives/parcel.h"

struct allgather {
    unsigned char *codes; /* [p * slot_B] in the order of ranks */
    size_t slot_B;
};

/* A rank's code of the whole vector. */
static struct parcel parcel_of(const struct compressed *x, int rank)
{
    const struct allgather *a = x->own;
    const int of = around(rank, x->ranks);
    return (struct parcel){ compressed_coding(x, of), a->codes + (size_t)of * a->slot_B };
}

static const char *refuses(const struct exchange_terms *t)
{
    return parcel_refuses(t, &t->coding, &t->coding);
}

static bool sent(const struct exchange_terms *t, uint64_t *B_to)
{
    const int p = t->coding.workers;
    if (!parcel_is_fixed(t))
        return p == 1;
    B_to[around(t->coding.worker + 1, p)] += (uint64_t)(p - 1) * parcel_most_B(t, &t->coding);
    return true;
}

static void lay_out(struct compressed *x)
{
    struct allgather o = { .slot_B = parcel_most_B(&x->terms, &x->terms.coding) };
    whole_lay_out(x, false);
    o.codes = compressed_take(x, (size_t)x->ranks * o.slot_B);
    x->own = compressed_take(x, sizeof o);
    if (x->own)
        memcpy(x->own, &o, sizeof o);
}

/* ---- sizes that depend on the data --------------------------------------------------------------------------------------- */

static void step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    (void)segment;
    const struct compressed *x = op->data;
    const struct parcel known = parcel_of(x, x->rank - i), new = parcel_of(x, x->rank - i - 1);
    *out = parcel_step(&x->terms, around(x->rank + 1, x->ranks), &known, around(x->rank - 1, x->ranks), &new);
}

static uint64_t sent_B(const struct operation *op)
{
    const struct compressed *x = op->data;
    uint64_t all = 0;
    for (int r = 0; r < x->ranks; r++) {
        const struct parcel p = parcel_of(x, r);
        all += r == around(x->rank + 1, x->ranks) ? 0 : parcel_B(&x->terms, &p);
    }
    return all;
}

static status plan(struct compressed *x)
{
    const struct allgather *a = x->own;
    struct operation op = { .data = x, .rounds = x->ranks - 1, .step = step, .sent_B = sent_B };
    if (parcel_is_fixed(&x->terms))
        return engine_plan_gather(x->engine, x->terms.purpose, a->codes, a->slot_B, &x->op);
    return compressed_plan(x, &op, sizeof op);
}

/* ---- both ---------------------------------------------------------------------------------------------------------------- */

static void encode(struct compressed *x)
{
    const struct parcel own = parcel_of(x, x->rank);
    parcel_encode(x, &own, x->state, x->vector, x->scratch);
}

static void pack(struct compressed *x)
{
    const struct parcel own = parcel_of(x, x->rank);
    parcel_pack(x, &own, x->scratch);
}

static void residual(struct compressed *x)
{
    const struct parcel own = parcel_of(x, x->rank);
    parcel_decode(x, &own, -1, x->vector, x->scratch);
}

static void decode(struct compressed *x, float *sum)
{
    for (int r = 0; r < x->ranks; r++) {
        const struct parcel p = parcel_of(x, r);
        parcel_decode(x, &p, 1, sum, x->scratch);
    }
}

const struct exchange exchange_allgather = {
    .member = { .name = "allgather", .help = "every code goes to all, round a ring; rides any code; m (p-1) bytes" },
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
