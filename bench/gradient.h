/* The exchange of gradients between replicas of a part of the model: micro-batches are added up, buckets travel while the backward
 * pass goes on, and the optimizer finds the sum of what it has to update.
 *
 * One of three ways, by the config:
 *   fast      every rank adds its micro-batches, an allreduce adds the ranks                         (exchange.reduction fast)
 *   ordered   a fixed binary tree over all micro-batches, whoever computed them: the same bits for    (exchange.reduction tree)
 *             any number of ranks
 *   coded     codes travel instead, by a compressed exchange (collectives/exchange.h);               (exchange.compressor)
 *             with error feedback, what they left out is added to the next step's gradient:
 *                 a = g + decay e;  send code(a);  e = a - decode(code(a))
 *             in gradient units; in update units e is kept times the learning rate of its step
 * and, fast or ordered, in one of four stages (parallel.zero), n parameters on p replicas, m micro-batches each:
 *                    exchange                                     gradients kept   optimizer state   parameters kept
 *   0   allreduce                                                       n               all                n
 *   1   reduce-scatter, allgather of parameters                         n               1/p                n
 *   2   m reduce-scatters, allgather of parameters                     n/p              1/p                n
 *   3   m reduce-scatters, 2m allgathers of parameters                 n/p              1/p               n/p
 * A reduce-scatter or an allgather sends (p-1)/p n floats, half of an allreduce. Stages 1, 2 and 3 give the bits of stage 0 where
 * the additions are the same: ordered always, fast with one micro-batch per replica, and stage 1 always. (With more, stages 2 and 3
 * add replicas before micro-batches, because no rank could keep the sum of its own micro-batches.)
 *
 * Buckets cover the parameters from the last to the first, as the backward pass completes them.
 * Sources: buckets Li et al. 2020, PyTorch Distributed; error feedback in gradient units Seide et al. 2014, Stich, Cordonnier,
 * Jaggi 2018; stages Rajbhandari et al. 2020, ZeRO.
 */
#ifndef DMLBENCH_BENCH_GRADIENT_H
#define DMLBENCH_BENCH_GRADIENT_H

#include "bench/config.h"
#include "bench/params.h"
#include "bench/phases.h"
#include "collectives/exchange.h"

struct gradient;

/* What a layer reads: its own parameters, and a matrix that it shares with another layer (n = 0: none). */
struct gradient_layer {
    struct range own, shared;
};

/* What is exchanged. Pointers are the caller's and read by the call only. */
struct gradient_shape {
    size_t n;
    int64_t leaves;        /* micro-batches of the global batch */
    const int64_t *starts; /* [replicas + 1]: replica r owns leaves starts[r] .. starts[r + 1] - 1, at least one; NULL: blocks */
    uint32_t part;         /* tells the random streams of different parts' compressors apart */
    const struct params *params;         /* n floats, in tensors: exchange.unit may be one of these; NULL: one vector */
    const struct gradient_layer *layers; /* [layer_count] in order, for gradient_plan only; NULL: one layer of all */
    int layer_count;
    int64_t recomputed; /* forward passes of a step that this rank runs a second time, for gradient_plan only */
};

/* Pure. Whether codes travel, and not sums. */
bool gradient_is_coded(const struct config *c);

/* Pure. NULL, or why parallel.zero cannot be done so, a part of a sentence with what would fit; valid until the next call. */
const char *gradient_refuses(const struct config *c, int replicas, int64_t leaves);

/* Pure. The i-th micro-batch of replica `rank`: of its own range; but dealt round by turns, leaf i p + rank, for the tree of stages
 * 2 and 3, where the i-th micro-batches of all replicas must be one node. */
int64_t gradient_own_leaf(const struct config *c, const struct gradient_shape *shape, int rank, int ranks, int64_t i);

/* Local and pure. Whether what this rank exchanges can be, as far as that depends on the vectors; else a sentence. */
status gradient_check(const struct config *c, const struct gradient_shape *shape, int rank, int ranks);

/* What the exchange keeps in memory and sends, known before anything is allocated. */
struct gradient_plan {
    const char *op, *algorithm; /* "allreduce" by "ring", "ordered", ...; "reduce-scatter"; "codes" by "allgather", ... */
    int buckets;
    size_t state_floats; /* of each of the optimizer's arrays: the parameters that this rank updates */
    /* Per rank. Stages 2 and 3: also what is there for a while, at its most, when layers are held one after the other. */
    double params_B, sums_B, error_B, codes_B;
    double logical_B;         /* of one step: the vector, or one rank's codes, which may be smaller if their size varies */
    double sent_B;            /* of one step by this rank, by formula, for gradients; NaN: unknown */
    double parameters_sent_B; /* ... and for parameters; stage 3: when a pass holds the next layer before it releases the last */
};
/* Pure. Into how many buckets the parameters are cut, and the place of bucket b, counted from the end. */
int bucket_count(const struct config *c, const struct gradient_shape *shape);
struct range bucket_place(const struct config *c, const struct gradient_shape *shape, int b);
/* Pure. Adds to B_to[ranks] what this rank will send to each for gradients in a step, coded; false: that depends on the data. */
bool gradient_coded_sent(const struct config *c, const struct gradient_shape *shape, int rank, int ranks, double *B_to);
struct gradient_plan gradient_plan(const struct config *c, const struct gradient_shape *shape, int rank, int ranks);

/* Local. Over the ranks of e. params[n], of pages.h, is the caller's; parameters come to it by gradient_adopt. */
status gradient_open(struct gradient **g, struct engine *e, const struct config *c, const struct gradient_shape *shape,
                     float *params);
void gradient_close(struct gradient *g);
/* Local. params[at, at + n) has its initial values. Stage 3 keeps what is this rank's own and drops the rest. */
void gradient_adopt(struct gradient *g, struct range range);
size_t gradient_state_floats(const struct gradient *g);

/* One step:
 *   begin; for every own micro-batch { leaf; ready ... ready(0) }
 *   for every bucket b { wait(b); update its pieces; publish(b) }; finish
 * leaf and ready may wait for buckets that are on their way in stages 2 and 3; hold, wait and finish are collective. */
void gradient_begin(struct gradient *g, int64_t step);
/* Begins a micro-batch, own leaves in ascending or in descending order; returns where the layers add to, [n]. */
float *gradient_leaf(struct gradient *g, int64_t leaf, struct stopwatch *w);
/* Everything of this leaf from offset `from` on is complete; from = 0 ends it. Starts the buckets that lie there if this is the
 * last leaf, or any leaf in stages 2 and 3. (All of them at the end when exchange.overlap is off; stages 2 and 3 then wait for
 * each.) */
void gradient_ready(struct gradient *g, size_t from, struct stopwatch *w);
/* Makes progress, if polling is what the config asks for. */
void gradient_poll(struct gradient *g, struct stopwatch *w);

int gradient_buckets(const struct gradient *g);
/* Returns bucket b's place, when its sum is there; any number of times. */
struct range gradient_wait(struct gradient *g, int b, struct stopwatch *w);

/* What this rank updates in bucket b: all of it, in one piece, or with ZeRO its own pieces. */
struct gradient_piece {
    size_t at, n;    /* of the parameters */
    float *params;   /* [n] */
    float *sum;      /* [n] the gradient */
    size_t state_at; /* where its optimizer state begins, in arrays of gradient_state_floats */
};
size_t gradient_pieces(const struct gradient *g, int b);
struct gradient_piece gradient_piece(const struct gradient *g, int b, size_t i);

/* Bucket b's pieces are updated: they are sent to the others. finish returns when all parameters are whole (stage 3: need not be).
 */
void gradient_publish(struct gradient *g, int b);
void gradient_finish(struct gradient *g, struct stopwatch *w);

/* Parameters [at, at + n) become present, and need not be any longer; any number of times, as long as each hold has its release.
 * For stage 3; in the others they always are. */
void gradient_hold(struct gradient *g, struct range range, struct stopwatch *w);
void gradient_release(struct gradient *g, struct range range);

/* Of this rank's gradient in the step begun last: the first element that was infinite or not a number when it was to be compressed
 * (its code is then that of zeros). Offset in the parameters; n: none. */
size_t gradient_fault(const struct gradient *g);

/* This rank's codes so far: how many floats went into them, what came out, in bits as the literature counts them and in bytes. */
struct gradient_codes {
    double floats, bits, B;
};
struct gradient_codes gradient_codes(const struct gradient *g);

/* What is kept from step to step besides the parameters and the optimizer's state: errors, the compressors' memories. `bytes` of it
 * are copied; with them restored, a run goes on bit for bit. restore refuses the state of another shape with a sentence. Local. */
size_t gradient_state_B(const struct gradient *g);
void gradient_save(const struct gradient *g, void *state);
status gradient_restore(struct gradient *g, const void *state, size_t bytes);

/* Collective. Seconds that a step's exchange alone takes, nothing computed; and what it would take without codes, by the allreduce
 * (the same for sums). Overwrites the sums. */
double gradient_alone_s(struct gradient *g, struct fabric *clock);
double gradient_dense_alone_s(struct gradient *g, struct fabric *clock);

#endif
