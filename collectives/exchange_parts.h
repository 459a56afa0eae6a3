/* What the files exchange_*.c share. Nobody else includes this, but tests of a single member.
 *
 * An exchange that must look at what came before it can go on is one operation of one segment (element_B 1, n 1): step fills the
 * i-th round from what `landed` left after the round before. A message says itself how long it is where that depends on the data;
 * its receiver has room for the longest.
 */
#ifndef DMLBENCH_COLLECTIVES_EXCHANGE_PARTS_H
#define DMLBENCH_COLLECTIVES_EXCHANGE_PARTS_H

#include "collectives/exchange.h"
#include "collectives/operation.h"

struct compressed {
    const struct exchange *how;
    struct exchange_terms terms; /* coding.step and the random numbers are those of the step */
    struct engine *engine;
    int rank, ranks;
    size_t n;
    float *vector;        /* [n] of the step */
    struct operation *op; /* set by plan */
    /* What was coded: floats, bits as the literature counts, bytes. Added to by encode, pack and landed; zero when a step begins.
     */
    double floats, bits, code_B;

    unsigned char *room; /* NULL while lay_out only counts */
    size_t kept_B, all_B;
    void *state;         /* kept: the compressor's, for the whole vector */
    void *scratch;       /* the compressor's, for the whole vector */
    unsigned char *code; /* own code of the whole vector, as long as can be */
    size_t bytes;        /* ... and as long as it is */
    void *own;           /* the member's struct */
};

/* In lay_out: memory, zero at first, 64-byte aligned; NULL while it is only counted. First all that is kept from step to step, then
 * the rest. */
void *compressed_keep(struct compressed *x, size_t bytes);
void *compressed_take(struct compressed *x, size_t bytes);

/* So many floats are coded, or a code of so many is decoded: the time passes that this is stated to take (fabric_setup), none if
 * it is not. False: the floats are not there (fabric_setup.hollow), and the sizes are all that is done. */
bool compressed_encodes(const struct compressed *x, size_t floats);
bool compressed_decodes(const struct compressed *x, size_t floats);
bool compressed_is_hollow(const struct compressed *x);
/* Of a code that was made; NaN where it was not. */
double compressed_bits(const struct compressed *x, const struct coding *c, const unsigned char *code, size_t bytes);

/* What `worker` compresses of the vector in this step. */
struct coding compressed_coding(const struct compressed *x, int worker);

/* For members whose ranks make one code of the whole vector: lay_out (state, scratch, and the code where the caller has no other
 * place for it), encode, pack, residual as they are. */
void whole_lay_out(struct compressed *x, bool with_code);
void whole_encode(struct compressed *x);
void whole_pack(struct compressed *x);
void whole_residual(struct compressed *x);

/* An operation that is played once, as a whole; in `planned` purpose, rounds, step, landed and sent_B are the member's. */
status compressed_plan(struct compressed *x, struct operation *planned, size_t bytes);

#endif
