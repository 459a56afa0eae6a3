/* Codes that are numbers are added on their way by an allreduce (exchange.allreduce), each addition rounded to the code's kind of
 * number; then one code is decoded. Rides: linear codes.
 *
 *   sent: what the allreduce of as many numbers sends; a ring 2 (p-1)/p m
 *
 * A code of several parts takes as many allreduces, one after the other: what is sent next follows from the sum before. That
 * latency is the price that PowerSGD pays.
 */
#include "collectives/exchange_parts.h"

enum { PARTS_MAX = 2 };

struct parts {
    struct operation *op[PARTS_MAX];
};

static const char *refuses(const struct exchange_terms *t)
{
    if (!(compressor_traits(t->kind, t->coding.options) & COMPRESSOR_LINEAR))
        return "its codes cannot be added on their way (fits: \"allgather\")";
    if (t->kind->linear->element != ELEMENT_FLOAT && !t->allreduce->rounds)
        return "the MPI library's own allreduce adds floats only (fits: another exchange.allreduce)";
    return NULL;
}

/* In segments of as many bytes, whatever the numbers are. */
static size_t segment_B(const struct exchange_terms *t)
{
    return t->segment_B * sizeof(float) / element_bytes(t->kind->linear->element);
}

static bool sent(const struct exchange_terms *t, uint64_t *B_to)
{
    const struct linear *l = t->kind->linear;
    const struct team team = team_of(t->coding.workers, t->node_ranks);
    for (int i = 0; i < l->parts; i++)
        engine_sent_to(t->allreduce, SUM_ALLREDUCE, segment_B(t), team, t->coding.worker, l->part_elements(&t->coding, i), B_to);
    for (int r = 0; r < team.p; r++)
        B_to[r] *= element_bytes(l->element);
    return t->allreduce->sent_floats || team.p == 1;
}

static void lay_out(struct compressed *x)
{
    whole_lay_out(x, true);
    x->own = compressed_take(x, sizeof(struct parts));
}

static unsigned char *part_at(const struct compressed *x, int part)
{
    const struct linear *l = x->terms.kind->linear;
    size_t elements = 0;
    for (int i = 0; i < part; i++)
        elements += l->part_elements(&x->terms.coding, i);
    return x->code + elements * element_bytes(l->element);
}

static status plan(struct compressed *x)
{
    const struct linear *l = x->terms.kind->linear;
    struct parts *parts = x->own;
    const size_t most = x->terms.kind->code_bytes(&x->terms.coding) / element_bytes(l->element);
    for (int i = 0; i < l->parts; i++)
        TRY(engine_plan_sum_of(x->engine, x->terms.allreduce, x->terms.purpose, l->element, x->code, most, &parts->op[i]));
    x->op = parts->op[0];
    return STATUS_OK;
}

static void encode_part(struct compressed *x, int part)
{
    const struct linear *l = x->terms.kind->linear;
    const struct coding c = compressed_coding(x, x->rank);
    const size_t elements = l->part_elements(&c, part);
    struct parts *parts = x->own;
    if (compressed_encodes(x, part ? 0 : x->n))
        l->encode_part(&c, x->state, x->vector, part, x->code, x->scratch);
    operation_aim(parts->op[part], part_at(x, part), elements);
    x->code_B += (double)(elements * element_bytes(l->element));
    x->floats = (double)x->n;
    x->bits = 8 * x->code_B;
    x->bytes = (size_t)x->code_B;
}

static void encode(struct compressed *x)
{
    encode_part(x, 0);
}

/* Of the parts that have numbers in this step. The sums before it are the same on every rank, so what its own last part decodes to
 * with them is what this rank adds. */
static int last_part(const struct compressed *x)
{
    const struct linear *l = x->terms.kind->linear;
    const struct coding c = compressed_coding(x, x->rank);
    int last = l->parts - 1;
    while (last > 0 && l->part_elements(&c, last) == 0)
        last--;
    return last;
}

static void residual(struct compressed *x)
{
    if (last_part(x) == 0)
        whole_residual(x);
}

static void finish(struct compressed *x)
{
    const struct linear *l = x->terms.kind->linear;
    const struct coding c = compressed_coding(x, x->rank);
    struct parts *parts = x->own;
    const int last = last_part(x);
    for (int i = 1; i <= last; i++) {
        const double start_s = engine_now_s(x->engine);
        encode_part(x, i);
        if (x->terms.feedback && i == last)
            whole_residual(x);
        engine_worked(x->engine, start_s);
        engine_start(x->engine, parts->op[i]);
        engine_wait(x->engine, parts->op[i]);
    }
    if (l->summed && !compressed_is_hollow(x))
        l->summed(&c, x->state, x->code);
}

static void decode(struct compressed *x, float *sum)
{
    const struct coding c = compressed_coding(x, x->rank);
    if (compressed_decodes(x, x->n))
        x->terms.kind->decode(&c, x->code, x->bytes, 1, sum, x->scratch);
}

const struct exchange exchange_allreduce = {
    .member = { .name = "allreduce", .help = "codes that are numbers are added on their way; rides linear codes" },
    .refuses = refuses,
    .sent = sent,
    .hollow = true,
    .lay_out = lay_out,
    .plan = plan,
    .encode = encode,
    .residual = residual,
    .residual_moment = BEFORE_START,
    .finish = finish,
    .decode = decode,
};
