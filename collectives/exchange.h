/* Compressed exchanges: how the codes of p ranks become one sum, and who sends what to whom for it. One struct, one table, one
 * file per member (exchange_<name>.c).
 *
 *     vector --encode, pack--> code --start ... wait--> what came --decode--> sum[n] of all ranks' decoded codes
 *        ^---- residual: with feedback, the vector becomes what of it did not travel, to be added to the next step's
 *
 * A member says which codes can ride it, and why others cannot. It plays in the background, as any operation of the engine does;
 * what has to be done with codes on their way (merging, compressing anew) is done there, and its time told apart.
 * Letters: n floats, p ranks, m bytes of a code.
 */
#ifndef DMLBENCH_COLLECTIVES_EXCHANGE_H
#define DMLBENCH_COLLECTIVES_EXCHANGE_H

#include "collectives/engine.h"
#include "kernels/compressor.h"

/* What is exchanged. */
struct exchange_terms {
    const struct compressor *kind;
    struct coding coding; /* worker: this rank, workers: p; .random.worker is that of worker 0, as each worker adds its number */
    const void *options;  /* the exchange member's own struct */
    const struct allreduce *allreduce; /* for those that sum numbers */
    int node_ranks;                    /* as the fabric's setup says; for them, too */
    enum purpose purpose;
    size_t segment_B; /* the engine's */
    bool feedback;
};

struct compressed; /* one vector's compressed exchange: planned once, played every step */

enum exchange_moment { BEFORE_START, AFTER_START, AFTER_WAIT };

struct exchange {
    struct member member;
    /* NULL, or why these codes cannot ride it (a part of a sentence, with what would fit); valid until the next call. OPTIONAL. */
    const char *(*refuses)(const struct exchange_terms *t);
    /* B_to[p], zeros, becomes the bytes that this rank will send to each in one exchange, by a closed formula; false: they depend
     * on the data, and B_to is still zeros. REQUIRED, pure. */
    bool (*sent)(const struct exchange_terms *t, uint64_t *B_to);
    bool hollow; /* can be played without floats (fabric_setup.hollow), where sizes do not depend on them */

    /* The rest is for exchange.c. See exchange_parts.h. */
    void (*lay_out)(struct compressed *x);  /* asks for memory */
    status (*plan)(struct compressed *x);   /* local: plans x->op on the engine */
    void (*encode)(struct compressed *x);   /* x->vector to symbols or codes */
    void (*pack)(struct compressed *x);     /* symbols to codes. OPTIONAL */
    void (*again)(struct compressed *x);    /* what has been changed on the way is as pack left it. OPTIONAL */
    void (*residual)(struct compressed *x); /* x->vector -= what of it travels. OPTIONAL: else it is so at the end */
    enum exchange_moment residual_moment;
    void (*finish)(struct compressed *x);             /* collective: what follows x->op. OPTIONAL */
    void (*decode)(struct compressed *x, float *sum); /* sum[n], zeros, += all ranks' */
};

extern const struct exchange exchange_allreduce, exchange_allgather, exchange_two_shot, exchange_ring_requantised,
    exchange_ring_widened, exchange_sparse_doubling, exchange_sparse_split, exchange_gtopk, exchange_oktopk, exchange_hierarchical,
    exchange_server;

extern const struct exchange *const exchanges[]; /* NULL-ended */
const struct exchange *exchange_find(const char *name);
/* What rides best without being asked: allreduce for sums, allgather for the rest. */
const struct exchange *exchange_suited(const struct compressor *k, const void *options);

/* Pure. NULL, or why the terms are impossible, for the compressor's or the exchange's reasons: a part of a sentence. */
const char *exchange_refuses(const struct exchange *how, const struct exchange_terms *t);
/* Pure. Bytes of memory of one compressed exchange, without the vector: all; and of these what is kept from step to step. */
struct exchange_memory {
    size_t all_B, kept_B;
};
struct exchange_memory exchange_memory(const struct exchange *how, const struct exchange_terms *t);

/* Local. The terms' pointers stay the caller's, and must stay. */
status compressed_open(struct compressed **x, struct engine *e, const struct exchange *how, const struct exchange_terms *t);
void compressed_close(struct compressed *x);

/* One step, in this order. vector[n] is the caller's until encode, and again after decode; with feedback it is then the error,
 * else undefined. encode and pack are local, start begins the exchange; residual is local and costs no time where there is nothing
 * to do; wait is collective; decode overwrites sum[n], which may be the vector if there is no feedback. */
void compressed_encode(struct compressed *x, int64_t step, float *vector);
void compressed_pack(struct compressed *x);
void compressed_start(struct compressed *x);
void compressed_residual(struct compressed *x, enum exchange_moment now); /* at each of the moments */
void compressed_wait(struct compressed *x);
void compressed_decode(struct compressed *x, float *sum);

/* Instead of encode and pack: the codes of the last step can be started once more, and take as many bytes. Sums and errors are then
 * undefined. */
void compressed_again(struct compressed *x);

/* Of the last step: floats that this rank coded (sums that it coded anew, too), the bits of information in its codes (as the
 * literature counts), and their bytes; when the first message came. */
double compressed_floats(const struct compressed *x);
double compressed_logical_bits(const struct compressed *x);
double compressed_code_B(const struct compressed *x);
double compressed_heard_s(const struct compressed *x);

/* What is kept from step to step, *bytes of it: copied out and in, a run goes on bit for bit. */
void *compressed_state(struct compressed *x, size_t *bytes);

#endif
