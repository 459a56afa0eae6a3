/* Gather (allgather) of one code per rank: in round i every rank passes on the code that it got in round i - 1, round a ring.
 *
 * Time (p-1) (alpha + bytes beta); every rank sends p-1 codes, which is least possible. A segment is the same part of every code.
 * Source: Thakur, Rabenseifner, Gropp, "Optimization of collective communication operations in MPICH", IJHPCA 2005.
 */
#include "collectives/operation.h"

struct gather {
    struct operation op;
    int p, rank;
    unsigned char *codes;
};

static void gather_step(const struct operation *op, const struct segment *segment, int i, struct step *out)
{
    const struct gather *g = (const struct gather *)op;
    int p = g->p, sent = (g->rank - i + p) % p, received = (sent - 1 + p) % p;
    *out = (struct step){
        .to = (g->rank + 1) % p,
        .from = (g->rank - 1 + p) % p,
        .send = g->codes + (size_t)sent * op->n + segment->at,
        .send_B = segment->n,
        .recv = g->codes + (size_t)received * op->n + segment->at,
        .recv_B = segment->n,
        .landing = LANDING_REPLACE,
    };
}

static uint64_t gather_sent(const struct operation *op, size_t n)
{
    return (uint64_t)(((const struct gather *)op)->p - 1) * n;
}

status engine_plan_gather(struct engine *e, enum purpose purpose, unsigned char *codes, size_t bytes, struct operation **op)
{
    const struct fabric *f = engine_fabric(e);
    struct gather g = {
        .op = { .purpose = purpose,
                .n = bytes,
                .element_B = 1,
                .segment_n = engine_segment_B(e),
                .rounds = f->ranks - 1,
                .step = gather_step,
                .sent_elements = gather_sent,
                .logical_B = bytes },
        .p = f->ranks,
        .rank = f->rank,
        .codes = codes,
    };
    return engine_plan(e, &g.op, sizeof g, op);
}
