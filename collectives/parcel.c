/* Codes on their way, with their lengths before them where these depend on the data. */
#include "collectives/parcel.h"

#include <string.h>

enum { HEAD_B = sizeof(uint32_t), ALIGNMENT_B = 64 };

struct coding parcel_coding(const struct exchange_terms *t, int blocks, int block, int by, uint32_t turn)
{
    struct coding c = t->coding;
    c.worker = by;
    c.random.worker += (uint32_t)by;
    return coding_piece(&c, block_length(c.n, blocks, block), 1 + turn * (uint32_t)blocks + (uint32_t)block);
}

bool parcel_is_fixed(const struct exchange_terms *t)
{
    return compressor_traits(t->kind, t->coding.options) & COMPRESSOR_FIXED_SIZE;
}

size_t parcel_head_B(const struct exchange_terms *t)
{
    return parcel_is_fixed(t) ? 0 : HEAD_B;
}

size_t parcel_most_B(const struct exchange_terms *t, const struct coding *c)
{
    return parcel_head_B(t) + t->kind->code_bytes(c);
}

static size_t code_B(const struct exchange_terms *t, const struct parcel *p)
{
    const size_t most = t->kind->code_bytes(&p->coding);
    uint32_t bytes;
    if (parcel_is_fixed(t))
        return most;
    memcpy(&bytes, p->at, HEAD_B);
    return bytes < most ? bytes : most;
}

size_t parcel_B(const struct exchange_terms *t, const struct parcel *p)
{
    return parcel_head_B(t) + code_B(t, p);
}

const char *parcel_refuses(const struct exchange_terms *t, const struct coding *longest, const struct coding *shortest)
{
    const char *why = t->kind->refuses ? t->kind->refuses(longest) : NULL;
    if (!why && t->kind->refuses)
        why = t->kind->refuses(shortest);
    if (!why && compressor_traits(t->kind, t->coding.options) & COMPRESSOR_LINEAR && t->kind->linear->parts > 1)
        why = "it needs several sums, one after the other (fits: \"allreduce\")";
    if (!why && compressor_traits(t->kind, t->coding.options) & COMPRESSOR_MATRIX && longest->rows != t->coding.rows)
        why = "it looks at rows and columns, and a piece of a matrix has none (fits: \"allgather\")";
    if (!why && !parcel_is_fixed(t) && t->kind->code_bytes(longest) > UINT32_MAX)
        why = "codes of more than 4294967295 bytes";
    return why;
}

const char *parcel_refuses_anew(const struct exchange_terms *t)
{
    return compressor_state_bytes(t->kind, &t->coding) > 0
               ? "it keeps something from step to step, and other ranks code the sum anew (fits: \"allgather\")"
               : NULL;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

struct parcel_rooms parcel_rooms(const struct exchange_terms *t, const struct coding *a, const struct coding *b)
{
    const size_t scratch_B = larger(compressor_scratch_bytes(t->kind, a), compressor_scratch_bytes(t->kind, b));
    return (struct parcel_rooms){
        .parcel_B = larger(parcel_most_B(t, a), parcel_most_B(t, b)),
        .scratch_B = (scratch_B + ALIGNMENT_B - 1) / ALIGNMENT_B * ALIGNMENT_B,
    };
}

static void note_size(struct compressed *x, const struct parcel *p, size_t bytes)
{
    const uint32_t head = (uint32_t)bytes;
    if (!parcel_is_fixed(&x->terms))
        memcpy(p->at, &head, HEAD_B);
    x->floats += (double)p->coding.n;
    x->code_B += (double)bytes;
    x->bits += compressed_bits(x, &p->coding, p->at + parcel_head_B(&x->terms), bytes);
}

void parcel_encode(struct compressed *x, const struct parcel *p, void *state, const float *v, void *scratch)
{
    const struct compressor *k = x->terms.kind;
    const bool floats = compressed_encodes(x, p->coding.n);
    const size_t bytes =
        floats ? k->encode(&p->coding, state, v, p->at + parcel_head_B(&x->terms), scratch) : k->code_bytes(&p->coding);
    if (!k->pack)
        note_size(x, p, bytes);
}

void parcel_pack(struct compressed *x, const struct parcel *p, void *scratch)
{
    const struct compressor *k = x->terms.kind;
    unsigned char *const code = p->at + parcel_head_B(&x->terms);
    if (k->pack)
        note_size(x, p, compressed_is_hollow(x) ? k->code_bytes(&p->coding) : k->pack(&p->coding, code, scratch));
}

void parcel_fill(struct compressed *x, const struct parcel *p, void *state, const float *v, void *scratch)
{
    parcel_encode(x, p, state, v, scratch);
    parcel_pack(x, p, scratch);
}

void parcel_decode(const struct compressed *x, const struct parcel *p, float factor, float *y, void *scratch)
{
    const struct exchange_terms *t = &x->terms;
    if (compressed_decodes(x, p->coding.n))
        t->kind->decode(&p->coding, p->at + parcel_head_B(t), code_B(t, p), factor, y, scratch);
}

struct step parcel_step(const struct exchange_terms *t, int to, const struct parcel *out, int from, const struct parcel *in)
{
    return (struct step){
        .to = to,
        .from = from,
        .send = out->at,
        .send_B = parcel_B(t, out),
        .recv = in->at,
        .recv_B = parcel_most_B(t, &in->coding),
        .landing = LANDING_REPLACE,
    };
}

int around(int place, int p)
{
    return (place % p + p) % p;
}
