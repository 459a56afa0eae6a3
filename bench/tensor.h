/* Tensor parallelism inside layers, after Megatron: what the ranks that share a layer's matrices tell each other.
 *
 *                   forward              backward                        with sequence parallelism
 *      f   x -> split by columns   sum of the ranks' input gradients     gather rows / sum and scatter rows
 *      g   split by rows -> y      nothing: all have the sum's gradient  sum and scatter rows / gather rows
 *
 * Between f and g every rank computes with its share of heads and columns, outside the same with all of them (or, with sequence
 * parallelism, with its block of the rows: then activations outside are shares too). All operations block: what comes next needs
 * the sum.
 *
 * By rings, whatever exchange.allreduce says: the least possible volume. With sequence parallelism the norms' outputs are gathered
 * once and kept whole, so it sends the same bytes; gathering them again in the backward pass, as Megatron does, would keep
 * 2 (t-1)/t activations less per block and send as many more.
 * Source: Shoeybi et al. 2019, Megatron-LM; Korthikanti et al. 2022, Reducing Activation Recomputation (sequence parallelism).
 */
#ifndef DMLBENCH_BENCH_TENSOR_H
#define DMLBENCH_BENCH_TENSOR_H

#include "bench/model.h"
#include "bench/phases.h"
#include "collectives/blocking.h"

struct tensor {
    struct shard shard;
    struct blocking group;
    struct stopwatch *watch; /* charged with PHASE_TENSOR; may be NULL */
};

/* Local. e: over the tensor ranks, shard->rank being the rank in it; NULL where there is one. There is nothing to close. */
status tensor_open(struct tensor *t, struct engine *e, const struct shard *shard);

/* Collective over the tensor ranks; for layers. t NULL or one rank: nothing happens.
 * x[n] are all rows; with sequence parallelism n is a multiple of the ranks, and this rank's rows are its block of x.
 * gather  f forward, g backward: this rank's rows -> all rows. Nothing without sequence parallelism: it has all.
 * sum     g forward, f backward: partial sums of all rows -> this rank's rows of the sum; all of them without. */
void tensor_gather(struct tensor *t, float *x, size_t n);
void tensor_sum(struct tensor *t, float *x, size_t n);
/* Collective. The loss of cross_entropy_forward (kernels/layers.h) for logits[rows,V] that are the columns first .. of wider ones,
 * the same bits on every rank; they are overwritten with the probabilities. scratch[3 rows]. Three sums or maxima of rows floats.
 */
double tensor_cross_entropy(struct tensor *t, float *logits, const int32_t *targets, int first, int rows, int V, float *scratch);

/* Collective; once per step. Gradients x[n] of partial slices (norms, positions, biases under sequence parallelism) become their
 * sum over the tensor ranks, the same bits on every rank. */
void tensor_sum_partial(struct tensor *t, float *x, size_t n);

/* Collective. What a layer's call exchanges, without its arithmetic: the same collectives of the same sizes in the same order, on
 * floats that are not there (fabric_setup.hollow); x is any address. */
enum tensor_work { TENSOR_FORWARD, TENSOR_BACKWARD };
void tensor_play(struct tensor *t, const struct layer *l, enum tensor_work work, int samples, float *x);

/* Pure. Bytes that this rank sends for one micro-batch, by the formulas per operator; the layers' calls play no part. A forward
 * pass again (recompute) sends what the first sent. segment_B: of the engine.
 *      without sequence parallelism   forward  g x 2 (t-1)/t n + the loss's three sums     backward  f x 2 (t-1)/t n
 *      with                           forward  (f + g) x (t-1)/t n + the same              backward  (f + g) x (t-1)/t n
 * where n is the whole activation; so a transformer block sends 8 (t-1)/t n either way. */
uint64_t tensor_sent_B(const struct network *net, enum tensor_work work, int samples, size_t segment_B);

#endif
