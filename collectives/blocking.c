/* The engine's operations, aimed anew at every call: each is planned for one full segment, which settles the workspace for good. */
#include "collectives/blocking.h"

#include "collectives/operation.h"

static size_t ranks_of(const struct blocking *b)
{
    return (size_t)engine_fabric(b->engine)->ranks;
}

status blocking_open(struct blocking *b, struct engine *e, enum purpose purpose)
{
    *b = (struct blocking){ .engine = e };
    const size_t segment_B = engine_segment_B(e), segment_n = segment_B / sizeof(float);
    TRY(engine_plan_sum(e, &allreduce_ring, purpose, NULL, segment_n * ranks_of(b), &b->sum));
    TRY(engine_plan_max(e, &allreduce_ring, purpose, NULL, segment_n * ranks_of(b), &b->max));
    TRY(engine_plan_gather(e, purpose, NULL, segment_B, &b->gather));
    return engine_plan_scatter(e, purpose, NULL, segment_n, &b->scatter);
}

static void play(const struct blocking *b, struct operation *op, float *x, size_t n)
{
    operation_aim(op, x, n);
    engine_start(b->engine, op);
    engine_wait(b->engine, op);
}

void blocking_sum(const struct blocking *b, float *x, size_t n)
{
    play(b, b->sum, x, n);
}

void blocking_max(const struct blocking *b, float *x, size_t n)
{
    play(b, b->max, x, n);
}

void blocking_gather(const struct blocking *b, float *x, size_t n)
{
    play(b, b->gather, x, n / ranks_of(b) * sizeof *x);
}

void blocking_scatter(const struct blocking *b, float *x, size_t n)
{
    play(b, b->scatter, x, n / ranks_of(b));
}

uint64_t blocking_sum_sent_floats(size_t segment_B, int p, int rank, size_t n)
{
    return engine_sent_floats(&allreduce_ring, SUM_ALLREDUCE, segment_B, team_of(p, 0), rank, n);
}

uint64_t blocking_gather_sent_floats(int p, size_t n)
{
    return n / (size_t)p * (size_t)(p - 1);
}
