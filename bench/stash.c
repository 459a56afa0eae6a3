/* Sizes first, from the plan alone; then one allocation of each kind, dealt out. */
#include "bench/stash.h"

#include <assert.h>
#include <stdlib.h>

#include "bench/pages.h"

/* What a stash is made of. Letters: B samples of the largest micro-batch. */
struct sizes {
    size_t graphs, gradient_sets, layers;
    size_t graph_floats, gradient_floats, kept_most, boundary_most,
        scratch_floats;                /* gradient_floats: where all layers keep theirs */
    size_t features, symbols, targets; /* of a graph */
    bool split;
};

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static bool sends(const struct assignment *a, const struct part_plan *p, int layer)
{
    return layer == p->net.count - 1 && !part_is_last(a, p);
}

static void size_samples(struct sizes *z, const struct assignment *a, const struct part_plan *p)
{
    const size_t B = (size_t)a->samples, length = (size_t)p->net.shape.length;
    if (!part_is_first(p) && !part_is_last(a, p))
        return;
    z->targets = B * (size_t)p->net.rows_per_sample;
    if (p->net.shape.kind == SAMPLE_SYMBOLS)
        z->symbols = B * length;
    else
        z->features = B * length;
}

static struct sizes sizes_of(const struct assignment *a, const struct part_plan *p)
{
    const size_t B = (size_t)a->samples;
    struct sizes z = { .graphs = (size_t)p->graphs,
                       .split = p->gradients > 0,
                       .gradient_sets = p->gradients > 0 ? (size_t)p->gradients : 1,
                       .layers = (size_t)p->net.count,
                       .scratch_floats = B * p->net.scratch_floats };
    for (int i = 0; i < p->net.count; i++) {
        const struct layer *l = &p->net.layers[i];
        z.graph_floats += B * ((sends(a, p, i) ? 0 : l->out_floats) + l->saved_floats);
        z.gradient_floats += B * (l->kept_floats + (sends(a, p, i) ? 0 : l->out_floats));
        z.kept_most = most(z.kept_most, B * l->kept_floats);
        z.boundary_most = most(z.boundary_most, B * l->out_floats);
    }
    if (!z.split)
        z.gradient_floats = z.kept_most + 2 * z.boundary_most;
    size_samples(&z, a, p);
    return z;
}

static size_t total_floats(const struct sizes *z)
{
    return z->graphs * (z->graph_floats + z->features) + z->gradient_sets * z->gradient_floats + z->scratch_floats;
}

static size_t total_integers(const struct sizes *z)
{
    return z->graphs * (z->symbols + z->targets);
}

double stash_B(const struct assignment *a, const struct part_plan *p)
{
    const struct sizes z = sizes_of(a, p);
    return 4.0 * (double)(total_floats(&z) + total_integers(&z));
}

/* ---- dealing out --------------------------------------------------------------------------------------------------------- */

struct dealer {
    float *floats;
    int32_t *integers;
    float **pointers;
};

static float *deal_floats(struct dealer *d, size_t n)
{
    float *x = d->floats;
    d->floats += n;
    return n ? x : NULL;
}

static int32_t *deal_integers(struct dealer *d, size_t n)
{
    int32_t *x = d->integers;
    d->integers += n;
    return n ? x : NULL;
}

static float **deal_pointers(struct dealer *d, size_t n)
{
    float **x = d->pointers;
    d->pointers += n;
    return x;
}

static void make_graph(struct graph *g, const struct assignment *a, const struct part_plan *p, const struct sizes *z,
                       struct dealer *d)
{
    const size_t B = (size_t)a->samples;
    g->out = deal_pointers(d, z->layers);
    g->saved = deal_pointers(d, z->layers);
    for (int i = 0; i < p->net.count; i++) {
        g->out[i] = sends(a, p, i) ? NULL : deal_floats(d, B * p->net.layers[i].out_floats);
        g->saved[i] = deal_floats(d, B * p->net.layers[i].saved_floats);
    }
    g->features = deal_floats(d, z->features);
    g->symbols = deal_integers(d, z->symbols);
    g->targets = deal_integers(d, z->targets);
}

static void make_gradients(struct gradients *g, const struct assignment *a, const struct part_plan *p, const struct sizes *z,
                           struct dealer *d)
{
    const size_t B = (size_t)a->samples;
    g->dout = deal_pointers(d, z->layers);
    g->kept = deal_pointers(d, z->layers);
    float *const turns[] = { z->split ? NULL : deal_floats(d, z->boundary_most),
                             z->split ? NULL : deal_floats(d, z->boundary_most) };
    float *const shared = z->split ? NULL : deal_floats(d, z->kept_most);
    for (int i = 0; i < p->net.count; i++) {
        const struct layer *l = &p->net.layers[i];
        const size_t dout = sends(a, p, i) ? 0 : B * l->out_floats;
        g->dout[i] = dout == 0 ? NULL : z->split ? deal_floats(d, dout) : turns[i % 2];
        g->kept[i] = z->split ? deal_floats(d, B * l->kept_floats) : shared;
    }
}

static void fill_stacks(struct stash *s, const struct sizes *z)
{
    for (size_t i = 0; i < z->graphs; i++)
        s->free_graphs[s->graph_count++] = (int)i;
    for (size_t i = 0; i < z->gradient_sets; i++)
        s->free_gradients[s->gradient_count++] = (int)i;
}

status stash_open(struct stash *s, const struct assignment *a, const struct part_plan *p, bool hollow)
{
    const struct sizes z = sizes_of(a, p);
    struct dealer d = { 0 };
    *s = (struct stash){ .graphs = calloc(z.graphs + 1, sizeof *s->graphs),
                         .gradients = calloc(z.gradient_sets, sizeof *s->gradients) };
    s->free_graphs = calloc(z.graphs + z.gradient_sets, sizeof(int));
    s->array_words = total_floats(&z) + total_integers(&z);
    s->arrays = d.floats = pages_open(s->array_words, hollow); /* zero: weight gradients read what none wrote */
    s->pointers = d.pointers = calloc(2 * z.layers * (z.graphs + z.gradient_sets), sizeof(float *));
    if (!s->graphs || !s->gradients || !s->free_graphs || !d.floats || !d.pointers) {
        stash_close(s);
        return status_fail(STATUS_FAILED, "no memory for the activations of %zu micro-batches in flight (%zu floats)", z.graphs,
                           total_floats(&z));
    }
    d.integers = (int32_t *)(d.floats + total_floats(&z));
    s->free_gradients = s->free_graphs + z.graphs;
    for (size_t i = 0; i < z.graphs; i++)
        make_graph(&s->graphs[i], a, p, &z, &d);
    for (size_t i = 0; i < z.gradient_sets; i++)
        make_gradients(&s->gradients[i], a, p, &z, &d);
    s->scratch = deal_floats(&d, z.scratch_floats);
    fill_stacks(s, &z);
    return STATUS_OK;
}

void stash_close(struct stash *s)
{
    pages_close(s->arrays, s->array_words);
    free(s->pointers);
    free(s->graphs);
    free(s->gradients);
    free(s->free_graphs);
    *s = (struct stash){ 0 };
}

/* ---- in a step ----------------------------------------------------------------------------------------------------------- */

struct graph *stash_take_graph(struct stash *s)
{
    assert(s->graph_count > 0);
    return &s->graphs[s->free_graphs[--s->graph_count]];
}

void stash_return_graph(struct stash *s, struct graph *g)
{
    if (g)
        s->free_graphs[s->graph_count++] = (int)(g - s->graphs);
}

struct gradients *stash_take_gradients(struct stash *s)
{
    assert(s->gradient_count > 0);
    return &s->gradients[s->free_gradients[--s->gradient_count]];
}

void stash_return_gradients(struct stash *s, struct gradients *g)
{
    if (g)
        s->free_gradients[s->gradient_count++] = (int)(g - s->gradients);
}
