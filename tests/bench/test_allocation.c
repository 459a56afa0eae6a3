/* ranks: 1 4 */
/* Nothing is allocated inside a step: the linker puts a counter around malloc, calloc and realloc (-Wl,--wrap=...), in this
 * program's own objects; what MPI and OpenBLAS do inside is theirs. */
#include "tests/bench/training.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static int allocations;

void *__wrap_malloc(size_t n)
{
    allocations++;
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    allocations++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    allocations++;
    return __real_realloc(p, n);
}

static void no_step_allocates(void **state)
{
    (void)state;
    if (job_is_simulated())
        skip_on_all_ranks("SMPI's headers rename malloc");
    const char *const ways[] = { "exchange.allreduce=ring",
                                 "exchange.allreduce=tree",
                                 "exchange.reduction=tree",
                                 "exchange.compressor={\"name\":\"topk\",\"ratio\":0.1}",
                                 "parallel.zero=1",
                                 "parallel.zero=3",
                                 "parallel={\"pipeline\":2,\"activation_compressor\":{\"name\":\"topk\",\"ratio\":0.1}}" };
    const char *const texts[] = { GPT REST "}", MLP REST "}" };
    for (size_t i = 0; i < 2 * sizeof ways / sizeof *ways; i++) {
        if (strstr(ways[i / 2], "pipeline") && (i % 2 || job.ranks == 1))
            continue; /* three layers or one rank are not two stages */
        const char *const sets[] = { "batch.global=16", "batch.micro=2", "exchange.bucket_B=8000", ways[i / 2], NULL };
        struct config c = config_for(texts[i % 2], job.ranks, sets);
        struct trainer t;
        allocations = 0;
        const status opened = trainer_open(&t, &c, job.world);
        assert_on_all_ranks(opened == STATUS_OK && allocations > 0); /* the counter counts */
        for (int64_t step = 0; step < 3; step++) {
            struct stopwatch w;
            stopwatch_start(&w, t.clock, PHASE_DATA);
            allocations = 0;
            trainer_step(&t, step, &w);
            assert_on_all_ranks(allocations == 0);
        }
        trainer_close(&t);
        config_free(&c);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_step_allocates) };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
