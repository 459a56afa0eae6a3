/* Gather (allgather) and scatter (reduce-scatter) of one block per rank, round a ring.
 *
 *   gather    in round i every rank passes on the block that it got in round i - 1, its own first
 *   scatter   the same, beginning with the block of the rank before; what comes is added to the own part of that block and passed
 * on, so the sum of a block ends with its owner
 *
 * Time (p-1) (alpha + bytes beta); every rank sends p-1 blocks, which is least possible. A segment is the same part of every block.
 * Source: Thakur, Rabenseifner, Gropp, "Optimization of collective communication operations in MPICH", IJHPCA 2005.
 */
#include "collectives/operation.h"

struct blocks {
    struct operation op;
    int p, rank, first; /* block that this rank sends first */
    enum landing landing;
};

static void blocks_step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    const struct blocks *b = (const struct blocks *)op;
    const int p = b->p, sent = (b->first - i + p) % p, received = (sent - 1 + p) % p;
    unsigned char *const data = (unsigned char *)op->data + segment->at * op->element_B;
    *out = (struct step){
        .to = (b->rank + 1) % p,
        .from = (b->rank - 1 + p) % p,
        .send = data + (size_t)sent * op->n * op->element_B,
        .send_B = segment->n * op->element_B,
        .recv = data + (size_t)received * op->n * op->element_B,
        .recv_B = segment->n * op->element_B,
        .landing = b->landing,
    };
}

static uint64_t blocks_sent(const struct operation *op, size_t n)
{
    return (uint64_t)(((const struct blocks *)op)->p - 1) * n;
}

static struct blocks blocks_of(const struct engine *e, enum purpose purpose, void *data, size_t n, size_t element_B)
{
    const struct fabric *f = engine_fabric(e);
    return (struct blocks){
        .op = { .purpose = purpose,
                .data = data,
                .n = n,
                .element_B = element_B,
                .segment_n = engine_segment_B(e) / element_B,
                .rounds = f->ranks - 1,
                .step = blocks_step,
                .sent_elements = blocks_sent },
        .p = f->ranks,
        .rank = f->rank,
        .first = f->rank,
        .landing = LANDING_REPLACE,
    };
}

status engine_plan_gather(struct engine *e, enum purpose purpose, unsigned char *codes, size_t bytes, struct operation **op)
{
    struct blocks b = blocks_of(e, purpose, codes, bytes, 1);
    return engine_plan(e, &b.op, sizeof b, op);
}

status engine_plan_scatter(struct engine *e, enum purpose purpose, float *x, size_t n, struct operation **op)
{
    struct blocks b = blocks_of(e, purpose, x, n, sizeof *x);
    b.first = (b.rank - 1 + b.p) % b.p;
    b.landing = LANDING_COMBINE;
    b.op.combine = combine_add;
    return engine_plan(e, &b.op, sizeof b, op);
}
