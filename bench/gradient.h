/* The exchange of gradients along the data axis: micro-batches are added up, buckets travel while the backward pass goes on, and
 * every rank ends with the same sum.
 *
 * One of three ways, by the config:
 *   fast      every rank adds its micro-batches, an allreduce adds the ranks                         (exchange.reduction fast)
 *   ordered   a fixed binary tree over all micro-batches, whoever computed them: the same bits for    (exchange.reduction tree)
 *             any number of ranks
 *   coded     every rank sends a compressed gradient to all and all add the decoded codes;           (exchange.compressor)
 *             with error feedback, what the code left out is added to the next step's gradient:
 *                 a = g + e;  send code(a);  e = a - decode(code(a))
 * Error feedback in gradient units: Seide et al. 2014; Stich, Cordonnier, Jaggi 2018.
 *
 * Buckets cover the parameters from the last to the first, as the backward pass completes them (Li et al. 2020, PyTorch
 * Distributed).
 */
#ifndef DMLBENCH_BENCH_GRADIENT_H
#define DMLBENCH_BENCH_GRADIENT_H

#include "bench/config.h"
#include "bench/phases.h"
#include "collectives/engine.h"

struct gradient;

/* What the exchange of n floats keeps in memory and sends, known before anything is allocated. */
struct gradient_plan {
    const char *op, *algorithm; /* "allreduce" by "ring", "ordered", ...; "allgather" of codes by "ring" */
    int buckets;
    double sums_B, error_B, codes_B; /* per rank */
    double logical_B;                /* of one step: the vector, or one rank's codes */
    double sent_B;                   /* of one step by this rank, by formula; NaN: unknown */
};
struct gradient_plan gradient_plan(const struct config *c, size_t n, int64_t leaves, int rank, int ranks);

/* Local. n floats, `leaves` micro-batches in the global batch, of which this rank computes the block block_start(leaves, ranks,
 * rank) ... */
status gradient_open(struct gradient **g, struct engine *e, const struct config *c, size_t n, int64_t leaves, int rank, int ranks);
void gradient_close(struct gradient *g);

/* One step, all local but gradient_wait:
 *   begin; for every micro-batch { buffer: where the layers add to; then done, or for the last one ready ... ready(0) }
 *   for every bucket b { wait(b): the sum is complete } */
void gradient_begin(struct gradient *g);
float *gradient_buffer(struct gradient *g);
void gradient_done(struct gradient *g);
/* Everything from offset `from` on is complete: starts the buckets that lie there (all of them at from = 0 when exchange.overlap is
 * off). */
void gradient_ready(struct gradient *g, size_t from, int64_t step, struct stopwatch *w);
/* Makes progress, if polling is what the config asks for. */
void gradient_poll(struct gradient *g);

struct bucket_range {
    size_t at, n;
};
int gradient_buckets(const struct gradient *g);
/* Collective. Bucket b's place; its sum is in gradient_sum() from then on. */
struct bucket_range gradient_wait(struct gradient *g, int b, struct stopwatch *w);
const float *gradient_sum(const struct gradient *g);

/* Collective. Seconds that the exchange alone takes: all buckets started at once, nothing computed. Overwrites the sums. */
double gradient_alone_s(struct gradient *g, struct fabric *clock);

#endif
