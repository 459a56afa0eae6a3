/* A chain of compressors (kernels/chain.h), by recursion: what follows a stage is a code of its values.
 *
 * A stage's own code, side information and values, is built in scratch such that the values are aligned; scratch holds one such for
 * each stage but the last, then what the members need.
 */
#include <stdio.h>
#include <string.h>

#include "kernels/chain.h"

enum { LINE = 64, STAGE_TURN = 1 << 30 /* exchanges use turns below: ranks squared at most */ };

struct stage {
    const struct chain *chain;
    int at;
    const struct compressor *kind;
    struct coding c; /* with the kind's own options */
};

static struct stage stage(const struct chain *chain, int at, struct coding c)
{
    c.options = chain->options[at];
    return (struct stage){ chain, at, chain->kind[at], c };
}

static struct stage first_stage(const struct coding *c)
{
    return stage(c->options, 0, *c);
}

static struct stage next_stage(const struct stage *s, size_t n)
{
    return stage(s->chain, s->at + 1, coding_piece(&s->c, n, STAGE_TURN));
}

static bool is_last(const struct stage *s)
{
    return s->at + 1 == s->chain->count;
}

static bool is_fixed(const struct stage *s)
{
    return compressor_traits(s->kind, s->c.options) & COMPRESSOR_FIXED_SIZE;
}

static const char *follower_refused(const struct stage *s)
{
    static char why[160];
    if (!s->kind->state_bytes && !(compressor_traits(s->kind, s->c.options) & COMPRESSOR_MATRIX))
        return NULL;
    snprintf(why, sizeof why, "\"%s\" follows \"%s\", but can only come first, because it looks at %s", s->kind->member.name,
             s->chain->kind[s->at - 1]->member.name,
             s->kind->state_bytes ? "earlier steps of the same vector" : "rows and columns");
    return why;
}

static const char *leader_refused(const struct stage *s)
{
    static char why[160];
    if (compressor_traits(s->kind, s->c.options) & COMPRESSOR_SPARSE)
        return NULL;
    snprintf(why, sizeof why,
             "\"%s\" cannot be followed by \"%s\", because it keeps all floats (fits: one that keeps some first, such as \"topk\")",
             s->kind->member.name, s->chain->kind[s->at + 1]->member.name);
    return why;
}

static const char *stage_refuses(const struct stage *s)
{
    const char *why = s->at > 0 ? follower_refused(s) : NULL;
    if (!why && !is_last(s))
        why = leader_refused(s);
    if (!why && s->kind->refuses)
        why = s->kind->refuses(&s->c);
    if (why || is_last(s))
        return why;
    const struct stage longest = next_stage(s, s->kind->most_entries(&s->c)), empty = next_stage(s, 0);
    why = stage_refuses(&longest);
    return why || is_fixed(s) ? why : stage_refuses(&empty);
}

static const char *refuses(const struct coding *c)
{
    const struct stage s = first_stage(c);
    return stage_refuses(&s);
}

static unsigned more_traits(const void *options)
{
    const struct chain *chain = options;
    unsigned all = ~0u, leaders = ~0u;
    for (int i = 0; i < chain->count; i++) {
        const unsigned traits = compressor_traits(chain->kind[i], chain->options[i]);
        all &= traits;
        leaders &= i + 1 < chain->count ? traits : ~0u;
    }
    const unsigned first = compressor_traits(chain->kind[0], chain->options[0]);
    const unsigned claims = COMPRESSOR_UNBIASED | COMPRESSOR_TIGHT | (leaders & COMPRESSOR_FIXED_SIZE ? COMPRESSOR_CONTRACTIVE : 0);
    return (all & (claims | COMPRESSOR_FIXED_SIZE)) | (first & (COMPRESSOR_SPARSE | COMPRESSOR_FEEDBACK));
}

/* ---- sizes ---- */

static size_t header_bytes(const struct stage *s)
{
    return is_fixed(s) ? 0 : sizeof(uint32_t);
}

/* Bytes of a stage's code before its values, where it has k of them. */
static size_t side_bytes(const struct stage *s, size_t k)
{
    return is_fixed(s) ? s->kind->code_bytes(&s->c) - k * sizeof(float) : k * sizeof(uint32_t);
}

static size_t whole_lines(size_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

/* Of a stage's own code in scratch. */
static size_t room(const struct stage *s)
{
    const size_t k = s->kind->most_entries(&s->c);
    return whole_lines(side_bytes(s, k)) + whole_lines(k * sizeof(float));
}

static size_t code_bytes(const struct coding *c)
{
    struct stage s = first_stage(c);
    size_t bytes = 0, k;
    for (; !is_last(&s); s = next_stage(&s, k)) {
        k = s.kind->most_entries(&s.c);
        bytes += header_bytes(&s) + side_bytes(&s, k);
    }
    return bytes + s.kind->code_bytes(&s.c);
}

static size_t scratch_bytes(const struct coding *c)
{
    struct stage s = first_stage(c);
    size_t rooms = 0, most = compressor_scratch_bytes(s.kind, &s.c);
    while (!is_last(&s)) {
        rooms += room(&s);
        s = next_stage(&s, s.kind->most_entries(&s.c));
        const size_t own = compressor_scratch_bytes(s.kind, &s.c);
        most = own > most ? own : most;
    }
    return rooms + most;
}

static size_t state_bytes(const struct coding *c)
{
    const struct stage s = first_stage(c);
    return compressor_state_bytes(s.kind, &s.c);
}

static void state_begin(const struct coding *c, void *state)
{
    const struct stage s = first_stage(c);
    compressor_state_begin(s.kind, &s.c, state);
}

/* ---- codes ---- */

/* Where in its room a stage's own code begins: its values are aligned, or, where side is not known before, multiples of 4 follow.
 */
static unsigned char *own_code(const struct stage *s, unsigned char *scratch)
{
    const size_t side = is_fixed(s) ? side_bytes(s, s->kind->most_entries(&s->c)) : 0;
    return scratch + whole_lines(side) - side;
}

static size_t encode_stage(const struct stage *s, void *state, const float *x, unsigned char *code, unsigned char *scratch)
{
    if (is_last(s))
        return compressor_encode(s->kind, &s->c, state, x, code, scratch);
    unsigned char *own = own_code(s, scratch);
    const size_t bytes = compressor_encode(s->kind, &s->c, state, x, own, scratch + room(s)), header = header_bytes(s);
    const uint32_t k = (uint32_t)(is_fixed(s) ? s->kind->most_entries(&s->c) : bytes / (sizeof(uint32_t) + sizeof(float)));
    const size_t side = side_bytes(s, k);
    memcpy(code, &k, header);
    memcpy(code + header, own, side);
    const struct stage next = next_stage(s, k);
    return header + side + encode_stage(&next, NULL, (const void *)(own + side), code + header + side, scratch + room(s));
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    const struct stage s = first_stage(c);
    return encode_stage(&s, state, x, code, scratch);
}

/* A stage's part of the code, and what follows it. */
struct part {
    size_t k, before; /* values; bytes of header and side information */
};

/* False where the bytes cannot be a code of this stage. */
static bool part_of(const struct stage *s, const unsigned char *code, size_t bytes, struct part *part)
{
    const size_t most = s->kind->most_entries(&s->c), header = header_bytes(s);
    uint32_t k = (uint32_t)most;
    if (bytes < header)
        return false;
    memcpy(&k, code, header);
    *part = (struct part){ k, header + side_bytes(s, k) };
    return k <= most && part->before <= bytes;
}

static void decode_stage(const struct stage *s, const unsigned char *code, size_t bytes, float factor, float *y,
                         unsigned char *scratch);

/* Rebuilds a stage's own code in its room, values that cannot be as zeros; returns its bytes, 0 where it cannot be. */
static size_t rebuild(const struct stage *s, const unsigned char *code, size_t bytes, unsigned char *scratch)
{
    struct part part;
    if (!part_of(s, code, bytes, &part))
        return 0;
    unsigned char *own = own_code(s, scratch);
    const size_t header = header_bytes(s), side = part.before - header;
    memcpy(own, code + header, side);
    memset(own + side, 0, part.k * sizeof(float));
    const struct stage next = next_stage(s, part.k);
    decode_stage(&next, code + part.before, bytes - part.before, 1, (void *)(own + side), scratch + room(s));
    return side + part.k * sizeof(float);
}

static void decode_stage(const struct stage *s, const unsigned char *code, size_t bytes, float factor, float *y,
                         unsigned char *scratch)
{
    if (!is_last(s)) {
        const size_t own_bytes = rebuild(s, code, bytes, scratch);
        if (own_bytes > 0)
            s->kind->decode(&s->c, own_code(s, scratch), own_bytes, factor, y, scratch + room(s));
        return;
    }
    const size_t most = s->kind->code_bytes(&s->c);
    if (is_fixed(s) ? bytes == most : bytes <= most)
        s->kind->decode(&s->c, code, bytes, factor, y, scratch);
}

static void decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    const struct stage s = first_stage(c);
    decode_stage(&s, code, bytes, factor, y, scratch);
}

static size_t entries(const struct coding *c, const unsigned char *code, size_t bytes, uint32_t *index, float *value, void *scratch)
{
    const struct stage s = first_stage(c);
    const size_t own_bytes = rebuild(&s, code, bytes, scratch);
    unsigned char *rest = (unsigned char *)scratch + room(&s);
    return own_bytes > 0 ? s.kind->entries(&s.c, own_code(&s, scratch), own_bytes, index, value, rest) : 0;
}

static size_t most_entries(const struct coding *c)
{
    const struct stage s = first_stage(c);
    return s.kind->most_entries(&s.c);
}

static double logical_bits(const struct coding *c, const unsigned char *code, size_t bytes)
{
    struct stage s = first_stage(c);
    struct part part;
    double bits = 0;
    for (; !is_last(&s) && part_of(&s, code, bytes, &part); s = next_stage(&s, part.k)) {
        bits += 8.0 * (double)part.before;
        code += part.before;
        bytes -= part.before;
    }
    return bits + compressor_logical_bits(s.kind, &s.c, code, bytes);
}

/* ---- claims: of the first stage for the vector at hand, of the others for every vector ---- */

static double omega(const struct coding *c, const float *x)
{
    struct stage s = first_stage(c);
    double product = 1 + s.kind->omega(&s.c, x);
    while (!is_last(&s)) {
        s = next_stage(&s, s.kind->most_entries(&s.c));
        product *= 1 + s.kind->omega(&s.c, NULL);
    }
    return product - 1;
}

static double delta(const struct coding *c, const float *x)
{
    struct stage s = first_stage(c);
    double product = s.kind->delta(&s.c, x);
    while (!is_last(&s)) {
        s = next_stage(&s, s.kind->most_entries(&s.c));
        product *= s.kind->delta(&s.c, NULL);
    }
    return product;
}

const struct compressor compress_chain = {
    .member = { .name = "chain",
                .help = "Several compressors one after the other.",
                .source = "Wang et al. 2023",
                .options_bytes = sizeof(struct chain) },
    .more_traits = more_traits,
    .refuses = refuses,
    .code_bytes = code_bytes,
    .scratch_bytes = scratch_bytes,
    .state_bytes = state_bytes,
    .state_begin = state_begin,
    .encode = encode,
    .decode = decode,
    .logical_bits = logical_bits,
    .omega = omega,
    .delta = delta,
    .entries = entries,
    .most_entries = most_entries,
};
