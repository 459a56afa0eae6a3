/* The table of compressed exchanges, and what goes for all of them: memory, the steps of one, codes of whole vectors. */
#include "collectives/exchange.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/exchange_parts.h"

enum { ALIGNMENT_B = 64 };

const struct exchange *const exchanges[] = {
    &exchange_allreduce,    &exchange_allgather,    &exchange_two_shot, &exchange_ring_requantised,
    &exchange_ring_widened, &exchange_hierarchical, &exchange_server,   &exchange_sparse_doubling,
    &exchange_sparse_split, &exchange_gtopk,        &exchange_oktopk,   NULL
};

const struct exchange *exchange_find(const char *name)
{
    for (int i = 0; exchanges[i]; i++)
        if (strcmp(exchanges[i]->member.name, name) == 0)
            return exchanges[i];
    return NULL;
}

const struct exchange *exchange_suited(const struct compressor *k, const void *options)
{
    return compressor_traits(k, options) & COMPRESSOR_LINEAR ? &exchange_allreduce : &exchange_allgather;
}

const char *exchange_refuses(const struct exchange *how, const struct exchange_terms *t)
{
    const char *why = t->kind->refuses ? t->kind->refuses(&t->coding) : NULL;
    const unsigned traits = compressor_traits(t->kind, t->coding.options);
    if (why)
        return why;
    if (t->feedback && traits & COMPRESSOR_FEEDBACK)
        return "it keeps what it does not send itself (fits: exchange.error_feedback = false)";
    return how->refuses ? how->refuses(t) : NULL;
}

/* ---- memory -------------------------------------------------------------------------------------------------------------- */

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT_B - 1) / ALIGNMENT_B * ALIGNMENT_B;
}

void *compressed_take(struct compressed *x, size_t bytes)
{
    void *at = x->room ? x->room + x->all_B : NULL;
    x->all_B += aligned(bytes);
    return at;
}

void *compressed_keep(struct compressed *x, size_t bytes)
{
    assert(x->kept_B == x->all_B);
    void *at = compressed_take(x, bytes);
    x->kept_B = x->all_B;
    return at;
}

static struct compressed compressed_of(const struct exchange *how, const struct exchange_terms *t)
{
    return (struct compressed){ .how = how, .terms = *t, .rank = t->coding.worker, .ranks = t->coding.workers, .n = t->coding.n };
}

struct exchange_memory exchange_memory(const struct exchange *how, const struct exchange_terms *t)
{
    struct compressed x = compressed_of(how, t);
    how->lay_out(&x);
    return (struct exchange_memory){ x.all_B, x.kept_B };
}

static status allocate(struct compressed *x)
{
    const struct exchange_memory memory = exchange_memory(x->how, &x->terms);
    x->room = aligned_alloc(ALIGNMENT_B, memory.all_B + ALIGNMENT_B);
    if (!x->room)
        return status_fail(STATUS_FAILED, "no memory for %zu bytes of codes", memory.all_B);
    if (!compressed_is_hollow(x)) /* else nothing but the member's struct is ever touched */
        memset(x->room, 0, memory.all_B);
    x->how->lay_out(x);
    if (x->state && !compressed_is_hollow(x))
        compressor_state_begin(x->terms.kind, &x->terms.coding, x->state);
    return STATUS_OK;
}

/* ---- open and close ------------------------------------------------------------------------------------------------------ */

status compressed_open(struct compressed **out, struct engine *e, const struct exchange *how, const struct exchange_terms *t)
{
    const char *why = exchange_refuses(how, t);
    if (why)
        return status_fail(STATUS_USAGE, "\"%s\" by \"%s\": %s, in a vector of %zu floats", t->kind->member.name, how->member.name,
                           why, t->coding.n);
    struct compressed *x = malloc(sizeof *x);
    if (!x)
        return status_fail(STATUS_FAILED, "no memory for a compressed exchange");
    *x = compressed_of(how, t);
    x->engine = e;
    status s = allocate(x);
    if (s == STATUS_OK)
        s = how->plan(x);
    if (s == STATUS_OK)
        *out = x;
    else
        compressed_close(x);
    return s;
}

void compressed_close(struct compressed *x)
{
    if (!x)
        return;
    free(x->room);
    free(x);
}

void *compressed_state(struct compressed *x, size_t *bytes)
{
    *bytes = x->kept_B;
    return x->room;
}

status compressed_plan(struct compressed *x, struct operation *planned, size_t bytes)
{
    planned->purpose = x->terms.purpose;
    planned->n = planned->element_B = planned->segment_n = 1;
    TRY(engine_plan(x->engine, planned, bytes, &x->op));
    x->op->logical_B = x->terms.kind->code_bytes(&x->terms.coding);
    return STATUS_OK;
}

/* ---- one step ------------------------------------------------------------------------------------------------------------ */

struct coding compressed_coding(const struct compressed *x, int worker)
{
    struct coding c = x->terms.coding;
    c.worker = worker;
    c.random.worker += (uint32_t)worker;
    return c;
}

bool compressed_is_hollow(const struct compressed *x)
{
    return engine_fabric(x->engine)->setup.hollow;
}

bool compressed_encodes(const struct compressed *x, size_t floats)
{
    return fabric_encodes(engine_clock(x->engine), floats);
}

bool compressed_decodes(const struct compressed *x, size_t floats)
{
    return fabric_decodes(engine_clock(x->engine), floats);
}

double compressed_bits(const struct compressed *x, const struct coding *c, const unsigned char *code, size_t bytes)
{
    return compressed_is_hollow(x) ? NAN : compressor_logical_bits(x->terms.kind, c, code, bytes);
}

void compressed_encode(struct compressed *x, int64_t step, float *vector)
{
    struct coding *c = &x->terms.coding;
    c->step = step;
    c->random.step = c->shared.step = (uint32_t)step;
    x->vector = vector;
    x->floats = x->bits = x->code_B = 0;
    x->how->encode(x);
}

void compressed_pack(struct compressed *x)
{
    if (x->how->pack)
        x->how->pack(x);
}

void compressed_again(struct compressed *x)
{
    if (x->how->again)
        x->how->again(x);
}

void compressed_start(struct compressed *x)
{
    engine_start(x->engine, x->op);
}

void compressed_residual(struct compressed *x, enum exchange_moment now)
{
    if (x->terms.feedback && x->how->residual && x->how->residual_moment == now)
        x->how->residual(x);
}

void compressed_wait(struct compressed *x)
{
    engine_wait(x->engine, x->op);
    if (x->how->finish)
        x->how->finish(x);
}

void compressed_decode(struct compressed *x, float *sum)
{
    const struct coding c = compressed_coding(x, x->rank);
    if (!compressed_is_hollow(x))
        memset(sum, 0, x->n * sizeof *sum);
    x->how->decode(x, sum);
    if (x->terms.kind->finish_sum && !compressed_is_hollow(x))
        x->terms.kind->finish_sum(&c, sum);
}

double compressed_floats(const struct compressed *x)
{
    return x->floats;
}

double compressed_logical_bits(const struct compressed *x)
{
    return x->bits;
}

double compressed_code_B(const struct compressed *x)
{
    return x->code_B;
}

double compressed_heard_s(const struct compressed *x)
{
    return operation_heard_s(x->op);
}

/* ---- codes of whole vectors ---------------------------------------------------------------------------------------------- */

void whole_lay_out(struct compressed *x, bool with_code)
{
    const struct compressor *k = x->terms.kind;
    const struct coding *c = &x->terms.coding;
    x->state = compressed_keep(x, compressor_state_bytes(k, c));
    x->scratch = compressed_take(x, compressor_scratch_bytes(k, c));
    if (with_code)
        x->code = compressed_take(x, k->code_bytes(c));
}

static void note_size(struct compressed *x, const struct coding *c, size_t bytes)
{
    x->bytes = bytes;
    x->floats = (double)x->n;
    x->code_B = (double)bytes;
    x->bits = compressed_bits(x, c, x->code, bytes);
}

void whole_encode(struct compressed *x)
{
    const struct coding c = compressed_coding(x, x->rank);
    const struct compressor *k = x->terms.kind;
    const bool floats = compressed_encodes(x, x->n);
    const size_t bytes = floats ? k->encode(&c, x->state, x->vector, x->code, x->scratch) : k->code_bytes(&c);
    if (!k->pack)
        note_size(x, &c, bytes);
}

void whole_pack(struct compressed *x)
{
    const struct coding c = compressed_coding(x, x->rank);
    const struct compressor *k = x->terms.kind;
    if (k->pack)
        note_size(x, &c, compressed_is_hollow(x) ? k->code_bytes(&c) : k->pack(&c, x->code, x->scratch));
}

void whole_residual(struct compressed *x)
{
    const struct coding c = compressed_coding(x, x->rank);
    if (compressed_decodes(x, x->n))
        x->terms.kind->decode(&c, x->code, x->bytes, -1, x->vector, x->scratch);
}
