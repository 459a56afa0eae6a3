/* An exchange of gradients without a model, for tests that hand it what a backward pass would. */
#ifndef DMLBENCH_TESTS_BENCH_GRADIENTS_H
#define DMLBENCH_TESTS_BENCH_GRADIENTS_H

#include "bench/gradient.h"
#include "bench/pages.h"
#include "tests/bench/training.h"

struct bench {
    struct config config;
    struct fabric fabric;
    struct engine *engine;
    struct gradient *gradient;
    float *params;
    struct stopwatch watch;
};

/* Collective. */
static inline void open_bench(struct bench *b, const struct gradient_shape *shape, const char *const *sets)
{
    b->config = config_for(MLP REST "}", job.ranks, sets);
    assert_on_all_ranks(fabric_open(&b->fabric, &fabric_mpi, NULL, job.world) == STATUS_OK);
    assert_on_all_ranks(engine_open(&b->engine, &b->fabric, PROGRESS_POLL, (size_t)b->config.exchange.segment_B) == STATUS_OK);
    b->params = pages_open(shape->n, false);
    const status s = gradient_open(&b->gradient, b->engine, &b->config, shape, b->params);
    assert_on_all_ranks(b->params && s == STATUS_OK);
    stopwatch_start(&b->watch, &b->fabric, PHASE_BACKWARD);
}

static inline void close_bench(struct bench *b, size_t n)
{
    gradient_close(b->gradient);
    pages_close(b->params, n);
    engine_close(b->engine);
    fabric_close(&b->fabric);
    config_free(&b->config);
}

#define OPEN(b, shape, ...) open_bench(b, shape, (const char *const[]){ __VA_ARGS__, NULL })

#endif
