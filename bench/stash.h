/* The memory of one part's micro-batches in flight.
 *
 *   graph       what a forward pass leaves for the backward pass: samples, outputs and saved arrays of every layer
 *   gradients   what an input gradient leaves for the weight gradient: every layer's dout and kept array. Where both are taken at
 *               once, a layer's arrays are used up before the next needs them: there is one set, whose layers share two arrays
 *
 * How many of each there must be, the schedule says (assignment.h). Made before the first step; taking and returning allocate
 * nothing.
 */
#ifndef DMLBENCH_BENCH_STASH_H
#define DMLBENCH_BENCH_STASH_H

#include "bench/assignment.h"

struct graph {
    float **out, **saved; /* per layer; what goes to another part is not here: out of the last layer is NULL then */
    int32_t *symbols, *targets;
    float *features;
};

struct gradients {
    float **dout, **kept; /* per layer; dout of the last layer comes from another part, or does not exist: NULL */
};

struct stash {
    struct graph *graphs;
    struct gradients *gradients;
    int *free_graphs, *free_gradients; /* stacks of indices */
    int graph_count, gradient_count;   /* free ones */
    float *scratch;
    float *arrays; /* [array_words] of floats, then of integers */
    size_t array_words;
    void *pointers;
};

/* Bytes of a part's stash, known before. */
double stash_B(const struct assignment *a, const struct part_plan *p);
/* Local. hollow: its arrays are nothing but addresses (pages.h). If it failed there is nothing to close. */
status stash_open(struct stash *s, const struct assignment *a, const struct part_plan *p, bool hollow);
void stash_close(struct stash *s);

struct graph *stash_take_graph(struct stash *s);
void stash_return_graph(struct stash *s, struct graph *g); /* NULL: nothing */
struct gradients *stash_take_gradients(struct stash *s);
void stash_return_gradients(struct stash *s, struct gradients *g); /* likewise */

#endif
