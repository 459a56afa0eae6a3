/* Messages of entries or floats: merging, adding, cutting; and what the exchanges that send them share. */
#include "collectives/stream.h"

#include <string.h>

#include "kernels/layers.h"
#include "kernels/sparse.h"

/* ---- messages ------------------------------------------------------------------------------------------------------------ */

static size_t item_B(uint32_t form)
{
    return form == STREAM_ENTRIES ? sizeof(struct entry) : sizeof(float);
}

size_t stream_bytes(enum stream_form form, size_t count)
{
    return sizeof(struct stream) + count * item_B(form);
}

size_t stream_B(const struct stream *s)
{
    return stream_bytes(s->form, s->count);
}

struct entry *stream_entries(const struct stream *s)
{
    return (struct entry *)(s + 1);
}

size_t stream_entry_count(const struct stream *s)
{
    return s->form == STREAM_ENTRIES ? s->count : 0;
}

void stream_cut(struct stream *s, size_t room_B)
{
    const size_t most = (room_B - sizeof *s) / item_B(s->form);
    if (s->count > most)
        s->count = (uint32_t)most;
}

struct extent extent_of(struct range range, size_t most, size_t limit)
{
    const bool dense = most > limit;
    return (struct extent){ range, dense ? limit : most, dense };
}

size_t extent_room_B(const struct extent *e)
{
    const size_t entries_B = stream_bytes(STREAM_ENTRIES, e->most), floats_B = stream_bytes(STREAM_FLOATS, e->range.n);
    return e->dense && floats_B > entries_B ? floats_B : entries_B;
}

/* ---- arithmetic ---------------------------------------------------------------------------------------------------------- */

static void begin_floats(const struct extent *e, struct stream *to)
{
    *to = (struct stream){ STREAM_FLOATS, (uint32_t)e->range.n };
    memset(to + 1, 0, e->range.n * sizeof(float));
}

static void add_entry(struct range range, struct entry entry, float *y)
{
    const size_t at = entry.index - range.at;
    if (at < range.n)
        y[at] += entry.value;
}

void stream_add(struct range range, const struct stream *s, float *y)
{
    if (s->form == STREAM_ENTRIES)
        for (size_t i = 0; i < s->count; i++)
            add_entry(range, stream_entries(s)[i], y);
    else
        add(y, (const float *)(s + 1), s->count < range.n ? s->count : range.n);
}

void stream_of(const struct extent *e, const uint32_t *index, const float *value, size_t count, struct stream *to)
{
    const bool fits = count <= e->most;
    if (fits)
        *to = (struct stream){ STREAM_ENTRIES, (uint32_t)count };
    else
        begin_floats(e, to);
    for (size_t i = 0; i < count; i++) {
        const struct entry entry = { index[i], value[i] };
        if (fits)
            stream_entries(to)[i] = entry;
        else
            add_entry(e->range, entry, (float *)(to + 1));
    }
}

/* Union of two lists, as far as there is room; returns how many entries are left over. One step for each entry of the union, with
 * no branch on whose it is: that would be mispredicted every other time. */
static size_t merge(const struct stream *a, const struct stream *b, size_t most, struct stream *to)
{
    const struct entry *u = stream_entries(a),
                       *v = stream_entries(b), *const u_end = u + stream_entry_count(a), *const v_end = v + stream_entry_count(b);
    struct entry *out = stream_entries(to), *const full = out + most;
    while (u < u_end && v < v_end && out < full) {
        const bool from_u = u->index <= v->index, from_v = v->index <= u->index;
        const float sum = u->value + v->value, one = from_u ? u->value : v->value;
        *out++ = (struct entry){ from_u ? u->index : v->index, from_u & from_v ? sum : one };
        u += from_u;
        v += from_v;
    }
    for (; u < u_end && out < full; u++)
        *out++ = *u;
    for (; v < v_end && out < full; v++)
        *out++ = *v;
    *to = (struct stream){ STREAM_ENTRIES, (uint32_t)(out - stream_entries(to)) };
    return (size_t)(u_end - u) + (size_t)(v_end - v);
}

void stream_merge(const struct extent *e, const struct stream *a, const struct stream *b, struct stream *to)
{
    const bool lists = a->form == STREAM_ENTRIES && b->form == STREAM_ENTRIES;
    if ((lists || !e->dense) && (merge(a, b, e->most, to) == 0 || !e->dense))
        return;
    begin_floats(e, to);
    stream_add(e->range, a, (float *)(to + 1));
    stream_add(e->range, b, (float *)(to + 1));
}

void stream_keep_largest(struct stream *s, size_t k, uint32_t *chosen, float *value)
{
    struct entry *entries = stream_entries(s);
    if (s->count <= k)
        return;
    for (size_t i = 0; i < s->count; i++)
        value[i] = entries[i].value;
    select_largest(value, s->count, k, chosen);
    for (size_t i = 0; i < k; i++)
        entries[i] = entries[chosen[i]];
    s->count = (uint32_t)k;
}

/* ---- this rank's own entries --------------------------------------------------------------------------------------------- */

const char *own_entries_refuse(const struct exchange_terms *t)
{
    if (!(compressor_traits(t->kind, t->coding.options) & COMPRESSOR_SPARSE))
        return "its codes are not lists of entries (fits: \"allgather\", or a compressor that keeps some of the floats)";
    return NULL;
}

void own_entries_lay_out(struct compressed *x, struct own_entries *own)
{
    const size_t most = x->terms.kind->most_entries(&x->terms.coding);
    own->index = compressed_take(x, most * sizeof *own->index);
    own->value = compressed_take(x, most * sizeof *own->value);
}

void own_entries_pack(struct compressed *x, struct own_entries *own)
{
    const struct coding c = compressed_coding(x, x->rank);
    whole_pack(x);
    own->count = x->terms.kind->entries(&c, x->code, x->bytes, own->index, own->value, x->scratch);
    x->code_B = (double)(own->count * sizeof(struct entry));
}

void own_slices_lay_out(struct compressed *x, struct own_entries *own, size_t most)
{
    const size_t p = (size_t)x->ranks;
    own->slice = compressed_take(x, p * sizeof *own->slice);
    struct stream *first = compressed_take(x, p * stream_bytes(STREAM_ENTRIES, 0) + most * sizeof(struct entry));
    if (first)
        own->slice[0] = first;
}

void own_entries_slice(struct own_entries *own, int r, const struct extent *e)
{
    const size_t begin = r ? own->sliced : 0;
    size_t end = begin;
    while (end < own->count && own->index[end] < e->range.at + e->range.n)
        end++;
    if (r)
        own->slice[r] = (struct stream *)((unsigned char *)own->slice[r - 1] + stream_B(own->slice[r - 1]));
    stream_of(e, own->index + begin, own->value + begin, end - begin, own->slice[r]);
    own->sliced = end;
}

uint64_t own_slices_sent_B(const struct compressed *x, const struct own_entries *own)
{
    uint64_t all = 0;
    for (int r = 0; r < x->ranks; r++)
        all += r == x->rank ? 0 : stream_B(own->slice[r]);
    return all;
}

/* ---- what exchanges of streams share --------------------------------------------------------------------------------------- */

bool stream_sent(const struct exchange_terms *t, uint64_t *B_to)
{
    (void)B_to;
    return t->coding.workers == 1;
}

void stream_own(struct compressed *x, const void *own, size_t bytes)
{
    x->own = compressed_take(x, bytes);
    if (x->own)
        memcpy(x->own, own, bytes);
}

int rotation_to(const struct compressed *x, int i)
{
    return (x->rank + 1 + i) % x->ranks;
}

int rotation_from(const struct compressed *x, int i)
{
    return (x->rank + x->ranks - 1 - i) % x->ranks;
}
