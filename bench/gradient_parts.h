/* What the files gradient*.c share: the state of an exchange, and what each does for the others. Nobody else includes this.
 *
 *   gradient.c         set-up, and the step: from micro-batches to sums
 *   gradient_plan.c    what is known before: buckets, bytes, memory, refusals
 *   gradient_coded.c   compressed codes instead of sums
 *   gradient_zero.c    own pieces: of sums, parameters and optimizer state
 */
#ifndef DMLBENCH_BENCH_GRADIENT_PARTS_H
#define DMLBENCH_BENCH_GRADIENT_PARTS_H

#include "bench/accumulator.h"
#include "bench/codec.h"
#include "bench/gradient.h"

enum way { FAST, ORDERED, CODED };

struct bucket {
    struct range place;
    struct operation *op;     /* its allreduce, reduce-scatter or gather of codes */
    struct operation *gather; /* of its parameters, from their owners; NULL: no ZeRO */
    size_t own_at, own_n;     /* its pieces, one after the other, in arrays of own_n floats */
    int holds;
    struct compressed *coded; /* CODED: instead of op, which is what it is compared with */
    bool travels;             /* coded: it is started and not waited for */
};

struct gradient {
    const struct config *config;
    struct engine *engine;
    enum way way;
    int64_t zero, step;
    size_t n;
    int rank, ranks;
    bool hollow; /* fabric_setup.hollow: what is exchanged is played, and no float touched */
    uint32_t part;
    int64_t own_leaves, begun; /* this rank's, in all, and begun in this step */
    float *params, *sums;      /* [n]; [local.count * n]: the layers add here */
    struct accumulator local;  /* over this rank's micro-batches; stages 2 and 3 do without */
    struct bucket *buckets;
    int count;
    size_t complete;        /* from here on the leaf in work is */
    int started, collected; /* buckets of it */

    size_t own_n;                /* floats of this rank's pieces */
    struct accumulator own_sums; /* stages 2 and 3: over micro-batches, replicas already added */
    float *own_top, *own_params; /* where the leaf in work goes; [own_n] stage 3 */
    bool own_fresh;

    struct codec codec;         /* CODED */
    float *error;               /* [n]; NULL: no error feedback */
    size_t fault;               /* see gradient_fault */
    struct gradient_codes sent; /* see gradient_codes */
};

/* ---- gradient_plan.c: pure --------------------------------------------------------------------------------------------------- */

enum way way_of(const struct config *c);
/* Whether every leaf is exchanged on its own. */
bool exchanges_leaves(const struct config *c);
/* Whether every bucket is one tensor. */
bool buckets_are_tensors(const struct config *c, const struct gradient_shape *s);
int64_t own_leaves(const struct gradient_shape *s, int rank, int ranks);
/* How this rank adds up its own micro-batches; how, in stages 2 and 3, the exchanged ones. */
struct accumulator local_accumulator(const struct config *c, const struct gradient_shape *s, int rank, int ranks);
struct accumulator own_accumulator(const struct config *c, const struct gradient_shape *s, size_t own_n, int ranks);
/* Who owns the leaves that are exchanged at a time. */
struct leaf_owners exchanged_leaves(const struct config *c, const struct gradient_shape *s, int ranks);
/* Buckets in flight at a time in stages 2 and 3, while the next is filled. */
int buckets_in_flight(const struct config *c);
/* Pure. What is exchanged in bucket b, and how. */
struct exchange_terms coded_terms(const struct config *c, const struct codec *codec, const struct gradient_shape *s, int b,
                                  int rank, int ranks);
const struct exchange *coded_exchange(const struct config *c);

/* ---- gradient_coded.c -------------------------------------------------------------------------------------------------------- */

status coded_allocate(struct gradient *g, const struct gradient_shape *shape); /* local */
void coded_start(struct gradient *g, struct bucket *b, struct stopwatch *w);
void coded_wait(struct gradient *g, struct bucket *b, struct stopwatch *w);

/* ---- gradient_zero.c --------------------------------------------------------------------------------------------------------- */

status zero_allocate(struct gradient *g, const struct gradient_shape *shape); /* local; after the buckets are planned */
/* Floats of x[n] are not needed any longer. */
void zero_drop(const struct gradient *g, float *x, struct range range);
/* Waits until at most `in_flight` buckets of this leaf are on their way, and adds up this rank's pieces of the others. */
void zero_collect(struct gradient *g, int in_flight, struct stopwatch *w);
/* Collective. Gathers all parameters so many times, for the clock; stage 3 drops them again. */
void zero_play_parameters(struct gradient *g, int times);

#endif
