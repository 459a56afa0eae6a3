/* ranks: 1 2 4 */
/* What a rank is said to need, and what it really takes: the peak of its resident memory while it trains, less what was there
 * before, within a tenth of the footprint. */
#include "tests/bench/training.h"

int mallopt(int parameter, int value); /* of malloc.h, which SMPI's headers break */
enum { MMAP_THRESHOLD = -3 };

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = true };
#else
enum { SANITIZED = false };
#endif

/* 8.8 million parameters in 9 layers; and a model whose activations are as large. */
#define MANY_PARAMETERS                                                                                                            \
    "{\"model\":{\"name\":\"mlp\",\"inputs\":256,\"hidden\":1024,\"layers\":9,\"classes\":16}" REST                                \
    ",\"exchange\":{\"bucket_B\":1048576}}"
#define MANY_ACTIVATIONS                                                                                                           \
    "{\"model\":{\"name\":\"gpt\",\"layers\":8,\"hidden\":128,\"heads\":4,\"sequence\":128,\"vocabulary\":128}" REST               \
    ",\"exchange\":{\"bucket_B\":1048576}}"

/* 3.9 million parameters, quickly verified. */
#define FEW_SLICES                                                                                                                 \
    "{\"model\":{\"name\":\"mlp\",\"inputs\":256,\"hidden\":1900,\"layers\":2,\"classes\":16}" REST                                \
    ",\"exchange\":{\"bucket_B\":1048576}}"

/* The same of two large matrices, each in another stage of two. */
#define TWO_MATRICES                                                                                                               \
    "{\"model\":{\"name\":\"mlp\",\"inputs\":256,\"hidden\":1400,\"layers\":3,\"classes\":16}" REST                                \
    ",\"exchange\":{\"bucket_B\":1048576}}"

/* Bytes resident now, and at the most since the last reset. */
static double resident_B(const char *field)
{
    char line[256];
    double kB = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, field, strlen(field)))
            kB = strtod(line + strlen(field) + 1, NULL);
    if (f)
        fclose(f);
    return 1024 * kB;
}

static bool reset_peak(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    const bool reset = f && fputs("5", f) >= 0;
    return f && !fclose(f) && reset;
}

static double most_memory_B(const char *text, const char *const *sets, double *planned_B)
{
    struct config c = config_for(text, job.ranks, sets);
    struct trainer t;
    struct footprint f;
    const bool can = reset_peak();
    const double before_B = resident_B("VmRSS");
    const status s = trainer_open(&t, &c, job.world);
    assert_on_all_ranks(s == STATUS_OK && can && footprint_of(&c, &t.plan, &f) == STATUS_OK);
    double error;
    if (c.measure.verify)
        assert_on_all_ranks(verify_gradients(&t, &error) == STATUS_OK);
    for (int64_t step = 0; step < 2; step++) {
        struct stopwatch w;
        stopwatch_start(&w, t.clock, PHASE_DATA);
        trainer_step(&t, step, &w);
    }
    const double most_B = resident_B("VmHWM") - before_B;
    *planned_B = footprint_most_B(&f);
    trainer_close(&t);
    config_free(&c);
    return most_B;
}

static void assert_planned(const char *text, const char *const *sets)
{
    double planned_B;
    const double most_B = most_memory_B(text, sets, &planned_B);
    if (!(fabs(most_B - planned_B) <= 0.1 * planned_B))
        print_message("rank %d, %s %s %s: %.1f MB planned, %.1f MB resident\n", job.rank, sets[0], sets[1], sets[2],
                      planned_B / 1e6, most_B / 1e6);
    assert_on_all_ranks(fabs(most_B - planned_B) <= 0.1 * planned_B);
}

#define ASSERT_PLANNED(text, ...) assert_planned(text, (const char *const[]){ __VA_ARGS__, NULL })

static void skip_where_memory_cannot_be_told(void)
{
    if (job_is_simulated() || SANITIZED)
        skip_on_all_ranks("one process holds all simulated ranks, or the sanitizer's memory, too");
    mallopt(MMAP_THRESHOLD, 1 << 16); /* so that it is not counted in what comes later */
}

/* What MPI and OpenBLAS keep once they were used. */
static void warm_up(void)
{
    double planned_B;
    const char *const sets[] = { "batch.global=8", "batch.micro=2", "measure.verify=false", NULL };
    most_memory_B(MANY_PARAMETERS, sets, &planned_B);
    most_memory_B(MANY_ACTIVATIONS, sets, &planned_B);
}

static const char *set_number(char text[64], const char *key, int value)
{
    snprintf(text, 64, "%s=%d", key, value);
    return text;
}

static void replicas_take_what_is_planned_in_every_stage_of_zero(void **state)
{
    (void)state;
    static const char *const stages[] = { "parallel.zero=0", "parallel.zero=1", "parallel.zero=2", "parallel.zero=3" };
    skip_where_memory_cannot_be_told();
    warm_up();
    for (int zero = 0; zero < 4; zero++) {
        ASSERT_PLANNED(MANY_PARAMETERS, stages[zero], "exchange.reduction=fast", "batch.micro=2", "batch.global=16",
                       "measure.verify=false");
        ASSERT_PLANNED(MANY_PARAMETERS, stages[zero], "exchange.reduction=tree", "batch.micro=2", "batch.global=16",
                       "measure.verify=false");
    }
}

/* Rooms for the longest codes, errors, what a compressor remembers. */
static void codes_take_what_is_planned(void **state)
{
    (void)state;
    static const char *const ways[][2] = {
        { "exchange.compressor={\"name\":\"topk\",\"ratio\":1}", "exchange.error_feedback=true" },
        { "exchange.compressor={\"name\":\"dgc\",\"ratio\":0.05}", "exchange.collective.name=allgather" },
        { "exchange.compressor.name=qsgd", "exchange.collective.name=two-shot" },
        { "exchange.compressor.name=powersgd", "exchange.error_feedback=true" },
        { "exchange.compressor.name=threshold", "exchange.collective.name=sparse-doubling" },
        { "exchange.compressor.name=topk", "exchange.collective.name=oktopk" },
    };
    skip_where_memory_cannot_be_told();
    warm_up();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        ASSERT_PLANNED(MANY_PARAMETERS, ways[i][0], ways[i][1], "batch.micro=2", "batch.global=16", "measure.verify=false");
}

static void stages_take_what_is_planned_with_every_schedule(void **state)
{
    (void)state;
    char pipeline[64];
    static const char *const members[] = {
        "parallel.schedule.name=1f1b",        "parallel.schedule.name=gpipe", "parallel.schedule.name=varuna",
        "parallel.schedule.name=zb-h1",       "parallel.schedule.name=zb-h2", "parallel.schedule.name=chimera",
        "parallel.schedule.name=interleaved",
    };
    skip_where_memory_cannot_be_told();
    if (job.ranks < 2)
        skip_on_all_ranks("needs a pipeline");
    warm_up();
    set_number(pipeline, "parallel.pipeline", job.ranks);
    ASSERT_PLANNED(MANY_ACTIVATIONS, "model.vocabulary=8192", "parallel.recompute=false", pipeline, "batch.micro=4",
                   "batch.global=32", "measure.verify=false"); /* a tied head of some size */
    ASSERT_PLANNED(MANY_ACTIVATIONS, "parallel.activation_compressor={\"name\":\"topk\",\"ratio\":1}", "parallel.recompute=true",
                   pipeline, "batch.micro=4", "batch.global=32", "measure.verify=false"); /* codes larger than floats */
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        ASSERT_PLANNED(MANY_ACTIVATIONS, members[i], "parallel.recompute=false", pipeline, "batch.micro=4", "batch.global=32",
                       "measure.verify=false");
        if (!strstr(members[i], "zb-"))
            ASSERT_PLANNED(MANY_ACTIVATIONS, members[i], "parallel.recompute=true", pipeline, "batch.micro=4", "batch.global=32",
                           "measure.verify=false");
    }
}

/* While gradients are verified all parameters are there, also with ZeRO 3: here the peak. */
static void verification_takes_what_is_planned(void **state)
{
    (void)state;
    skip_where_memory_cannot_be_told();
    warm_up();
    ASSERT_PLANNED(FEW_SLICES, "parallel.zero=0", "batch.micro=2", "batch.global=8");
    ASSERT_PLANNED(FEW_SLICES, "parallel.zero=3", "batch.micro=2", "batch.global=8");
    ASSERT_PLANNED(FEW_SLICES, "parallel.zero=0", "batch.micro=2", "batch.global=8", "optimizer.name=sgd");
}

/* All parts of a rank are there together, but one room serves to move the slices of all of them. */
static void verification_of_two_parts_takes_what_is_planned(void **state)
{
    (void)state;
    skip_where_memory_cannot_be_told();
    if (job.ranks != 2)
        skip_on_all_ranks("needs two ranks: more deal out the slices");
    warm_up();
    ASSERT_PLANNED(TWO_MATRICES, "parallel.schedule.name=chimera", "parallel.pipeline=2", "batch.micro=2", "batch.global=8",
                   "optimizer.name=sgd");
}

static void tensor_ranks_take_what_is_planned(void **state)
{
    (void)state;
    char tensor[64];
    skip_where_memory_cannot_be_told();
    if (job.ranks < 2)
        skip_on_all_ranks("needs tensor ranks");
    warm_up();
    set_number(tensor, "parallel.tensor", job.ranks);
    ASSERT_PLANNED(MANY_ACTIVATIONS, tensor, "parallel.sequence=false", "batch.micro=8", "batch.global=8", "measure.verify=false");
    ASSERT_PLANNED(MANY_ACTIVATIONS, tensor, "parallel.sequence=true", "batch.micro=8", "batch.global=8", "measure.verify=false");
    ASSERT_PLANNED(MANY_PARAMETERS, tensor, "parallel.zero=0", "batch.micro=8", "batch.global=8", "measure.verify=false");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replicas_take_what_is_planned_in_every_stage_of_zero),
        cmocka_unit_test(codes_take_what_is_planned),
        cmocka_unit_test(stages_take_what_is_planned_with_every_schedule),
        cmocka_unit_test(verification_takes_what_is_planned),
        cmocka_unit_test(verification_of_two_parts_takes_what_is_planned),
        cmocka_unit_test(tensor_ranks_take_what_is_planned),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
