/* Layers copied with their table of offsets rewritten: owned slices first, in order, then copies of what other parts own. */
#include "bench/part.h"

static int slice_at(const struct network *net, size_t at)
{
    for (int i = 0; i < net->params.count; i++)
        if (net->params.slices[i].at == at)
            return i;
    return -1;
}

static bool owns(const struct layer *l, int slice)
{
    return slice >= l->first_slice && slice < l->first_slice + l->slices;
}

/* The slice of the whole that a layer reads and another owns; -1: none. A model has one at most. */
static int foreign_slice(const struct network *whole, const struct layer *l)
{
    for (int k = 0; k < l->reads; k++) {
        const int slice = slice_at(whole, l->at[k]);
        if (!owns(l, slice))
            return slice;
    }
    return -1;
}

bool network_is_tied(const struct network *whole)
{
    for (int i = 0; i < whole->count; i++)
        if (foreign_slice(whole, &whole->layers[i]) >= 0)
            return true;
    return false;
}

/* Appends slice i of the whole to the part; returns its number there. */
static int take_slice(struct network *part, const struct network *whole, int i)
{
    struct slice *s = &part->params.slices[part->params.count];
    *s = whole->params.slices[i];
    s->at = part->params.n;
    part->params.n += s->n;
    return part->params.count++;
}

struct carving {
    struct network *part;
    const struct network *whole;
    int first, count;
    bool own_copies;
    struct tied_slice *tied;
};

/* The offset in the part of what the layer reads at `at` in the whole; a foreign slice is copied if its owner is not in the part.
 */
static size_t foreign_offset(const struct carving *c, size_t at)
{
    const int slice = slice_at(c->whole, at);
    struct tied_slice *tied = c->tied;
    for (int i = 0; i < c->count && !c->own_copies; i++) {
        const struct layer *l = &c->whole->layers[c->first + i];
        if (owns(l, slice))
            return c->part->params.slices[c->part->layers[i].first_slice + slice - l->first_slice].at;
    }
    if (tied->copy < 0)
        tied->copy = take_slice(c->part, c->whole, slice);
    return c->part->params.slices[tied->copy].at;
}

static void take_layer(const struct carving *c, const struct layer *from)
{
    struct layer *to = &c->part->layers[c->part->count++];
    *to = *from;
    to->first_slice = c->part->params.count;
    for (int i = 0; i < from->slices; i++)
        take_slice(c->part, c->whole, from->first_slice + i);
    for (int k = 0; k < from->reads; k++) {
        const int slice = slice_at(c->whole, from->at[k]);
        to->at[k] = owns(from, slice) ? c->part->params.slices[to->first_slice + slice - from->first_slice].at
                                      : foreign_offset(c, from->at[k]);
    }
}

/* Marks the part's slice that a layer of another part reads, or a layer of this one by a copy. */
static void find_original(const struct carving *c)
{
    for (int i = 0; i < c->whole->count; i++) {
        const int slice = foreign_slice(c->whole, &c->whole->layers[i]);
        const bool apart = c->own_copies || i < c->first || i >= c->first + c->count;
        for (int k = 0; slice >= 0 && apart && k < c->count; k++)
            if (owns(&c->whole->layers[c->first + k], slice))
                c->tied->original = c->part->layers[k].first_slice + slice - c->whole->layers[c->first + k].first_slice;
    }
}

status network_take(struct network *part, const struct network *whole, int first, int count, bool own_copies,
                    struct tied_slice *tied)
{
    const struct carving c = { part, whole, first, count, own_copies, tied };
    *tied = (struct tied_slice){ -1, -1 };
    *part = (struct network){ .shape = whole->shape,
                              .shard = whole->shard,
                              .rows_per_sample = whole->rows_per_sample,
                              .scratch_floats = whole->scratch_floats };
    int slices = 1; /* for a copy */
    for (int i = 0; i < count; i++)
        slices += whole->layers[first + i].slices;
    TRY(network_reserve(part, count, slices));
    for (int i = 0; i < count; i++)
        take_layer(&c, &whole->layers[first + i]);
    find_original(&c);
    return STATUS_OK;
}

void part_layer_ranges(const struct network *part, int i, struct range *own, struct range *shared)
{
    const struct layer *l = &part->layers[i];
    const struct slice *slices = part->params.slices;
    const size_t from = i ? slices[l->first_slice].at : 0;
    const size_t end = i + 1 < part->count ? slices[part->layers[i + 1].first_slice].at : part->params.n;
    *own = (struct range){ from, end - from };
    *shared = (struct range){ 0, 0 };
    for (int k = 0; k < l->reads; k++)
        if (l->at[k] < from || l->at[k] >= end)
            *shared = (struct range){ l->at[k], slices[slice_at(part, l->at[k])].n };
}
