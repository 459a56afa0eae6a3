/* ranks: 1 2 4 8 */
/* A pipeline trains like one rank: the same bits for every layout, schedule and way of recomputing, when the order of summation is
 * fixed. Each layout is compared with one rank, in the same job. */
#include "tests/bench/training.h"

/* Eight blocks and nine positions of the loss per sample; 37 samples in 10 micro-batches of 3 or 4, which nothing divides. */
#define DEEP      "{\"model\":{\"name\":\"gpt\",\"layers\":8,\"hidden\":8,\"heads\":2,\"sequence\":9,\"vocabulary\":11}"
#define DEEP_MLP  "{\"model\":{\"name\":\"mlp\",\"inputs\":9,\"hidden\":10,\"layers\":7,\"classes\":5}"
#define BATCH     "batch.global=37", "batch.micro=4"
#define TREE      "exchange.reduction=tree"
#define UNCHECKED "measure.verify=false"

static const char *const texts[] = { DEEP REST "}", DEEP_MLP REST "}", DEEP REST ",\"optimizer\":{\"name\":\"momentum\"}}" };
enum { TEXTS = sizeof texts / sizeof *texts };

static char set_text[4][64];

static const char *set_number(int i, const char *key, int value)
{
    snprintf(set_text[i], sizeof set_text[i], "%s=%d", key, value);
    return set_text[i];
}

/* All ranks: data x pipeline. */
static struct trained train_layout(const char *text, int pipeline, const char *schedule, const char *recompute)
{
    return TRAIN(text, job.ranks, BATCH, TREE, UNCHECKED, set_number(0, "parallel.data", job.ranks / pipeline),
                 set_number(1, "parallel.pipeline", pipeline), schedule, recompute);
}

static void every_layout_and_schedule_gives_the_bits_of_one_rank(void **state)
{
    (void)state;
    static const struct {
        const char *schedule;
        bool recomputes;
    } members[] = {
        { "parallel.schedule.name=1f1b", true },    { "parallel.schedule.name=gpipe", true },
        { "parallel.schedule.name=varuna", true },  { "parallel.schedule={\"name\":\"varuna\",\"opportunistic\":true}", true },
        { "parallel.schedule.name=chimera", true }, { "parallel.schedule.name=zb-h1", false },
        { "parallel.schedule.name=zb-h2", false },
    };
    const struct trained one = TRAIN(texts[0], 1, BATCH, TREE, UNCHECKED);
    for (int pipeline = 2; pipeline <= job.ranks; pipeline *= 2)
        for (size_t i = 0; i < sizeof members / sizeof *members; i++)
            for (int recompute = 0; recompute <= members[i].recomputes; recompute++) {
                const struct trained r = train_layout(texts[0], pipeline, members[i].schedule,
                                                      recompute ? "parallel.recompute=true" : "parallel.recompute=false");
                assert_on_all_ranks(same_bits(&r, &one));
            }
}

static void recomputing_on_the_last_stage_or_not_changes_no_bit(void **state)
{
    (void)state;
    if (job.ranks < 2)
        skip_on_all_ranks("needs a pipeline");
    const struct trained one = TRAIN(texts[0], 1, BATCH, TREE, UNCHECKED);
    const char *const members[] = { "parallel.schedule.name=1f1b", "parallel.schedule.name=gpipe",
                                    "parallel.schedule.name=varuna" };
    for (int i = 0; i < 3; i++)
        for (int last = 0; last < 2; last++) {
            const struct trained r =
                TRAIN(texts[0], 2, BATCH, TREE, UNCHECKED, "parallel.pipeline=2", members[i], "parallel.recompute=true",
                      last ? "parallel.recompute_last_stage=true" : "parallel.recompute_last_stage=false");
            assert_on_all_ranks(same_bits(&r, &one));
        }
}

static void chunks_give_the_bits_of_one_rank(void **state)
{
    (void)state;
    const struct trained one = TRAIN(texts[0], 1, "batch.global=24", "batch.micro=3", TREE, UNCHECKED);
    for (int chunks = 1; chunks * job.ranks <= 8; chunks *= 2)
        for (int recompute = 0; recompute < 2; recompute++) {
            const struct trained r = TRAIN(texts[0], job.ranks, "batch.global=24", "batch.micro=3", TREE, UNCHECKED,
                                           "parallel.data=1", set_number(0, "parallel.pipeline", job.ranks),
                                           "parallel.schedule.name=interleaved", set_number(1, "parallel.schedule.chunks", chunks),
                                           recompute ? "parallel.recompute=true" : "parallel.recompute=false");
            assert_on_all_ranks(same_bits(&r, &one));
        }
}

static void models_and_optimizers_and_partitions_give_the_bits_of_one_rank(void **state)
{
    (void)state;
    for (int i = 0; i < TEXTS; i++) {
        const struct trained one = TRAIN(texts[i], 1, BATCH, TREE, UNCHECKED);
        const struct trained r = train_layout(texts[i], job.ranks, "parallel.partition=even", "parallel.recompute=true");
        assert_on_all_ranks(same_bits(&r, &one));
    }
    const struct trained one = TRAIN(texts[0], 1, BATCH, TREE, UNCHECKED, "model.tied=false");
    const struct trained r = train_layout(texts[0], job.ranks, "model.tied=false", "parallel.partition=cost");
    assert_on_all_ranks(same_bits(&r, &one));
}

/* The head is tied: its copies are on two stages, and with chimera on the same ones as the embedding's. */
static void optimizer_state_can_be_dealt_to_the_replicas_of_a_stage(void **state)
{
    (void)state;
    const struct trained one = TRAIN(texts[0], 1, BATCH, TREE, UNCHECKED);
    const char *const members[] = { "parallel.schedule.name=1f1b", "parallel.schedule.name=chimera" };
    for (int pipeline = 1; pipeline <= job.ranks; pipeline *= 2)
        for (int i = 0; i < 1 + (pipeline > 1); i++) {
            const struct trained r = TRAIN(texts[0], job.ranks, BATCH, TREE, UNCHECKED, "parallel.zero=1", members[i],
                                           set_number(0, "parallel.pipeline", pipeline), "exchange.bucket_B=1000");
            assert_on_all_ranks(same_bits(&r, &one));
        }
}

static void fast_sums_train_like_one_rank_within_rounding(void **state)
{
    (void)state;
    const struct trained one = TRAIN(texts[0], 1, BATCH, UNCHECKED);
    for (int pipeline = 1; pipeline <= job.ranks; pipeline *= 2) {
        const struct trained r = TRAIN(texts[0], job.ranks, BATCH, UNCHECKED, "parallel.data=auto",
                                       set_number(0, "parallel.pipeline", pipeline), "exchange.bucket_B=4000");
        assert_on_all_ranks(close_to(&r, &one, 1e-5));
    }
}

/* A step sends every sample's activation over every boundary and its gradient back, and a stamp with each of 2 m messages. */
static void boundaries_carry_what_the_formula_says(void **state)
{
    (void)state;
    enum { SAMPLES = 37, MICRO_BATCHES = 10, FLOATS = 9 * 8 };
    const int chunks = job.ranks <= 2 ? 2 : 1;
    const struct trained r = TRAIN(texts[0], job.ranks, BATCH, UNCHECKED, "parallel.data=1", "parallel.recompute=true",
                                   set_number(0, "parallel.pipeline", job.ranks),
                                   chunks > 1 ? "parallel.schedule.name=interleaved" : "parallel.schedule.name=1f1b");
    const uint64_t boundaries = (uint64_t)(job.ranks * chunks - 1);
    const struct {
        enum purpose purpose;
        uint64_t expected_B;
    } rows[] = { { PURPOSE_ACTIVATION, STEPS * boundaries * SAMPLES * FLOATS * 4 },
                 { PURPOSE_ACTIVATION_GRADIENT, STEPS * boundaries * SAMPLES * FLOATS * 4 },
                 { PURPOSE_STAMP, STEPS * boundaries * 2 * MICRO_BATCHES * 8 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct ledger_row *row = &r.ledger.rows[rows[i].purpose];
        const struct job world = job;
        assert_on_all_ranks((uint64_t)job_sum(&world, (double)row->wire_B_counted) == rows[i].expected_B);
        assert_on_all_ranks(row->wire_B_predicted == row->wire_B_counted);
    }
}

static double gradient_error(const char *text, const char *const *sets)
{
    struct config c = config_for(text, job.ranks, sets);
    struct trainer t;
    double error = NAN;
    assert_on_all_ranks(trainer_open(&t, &c, job.world) == STATUS_OK);
    assert_on_all_ranks(verify_gradients(&t, &error) == STATUS_OK);
    error = job_max(&job, error);
    trainer_close(&t);
    config_free(&c);
    return error;
}

static void gradients_through_a_pipeline_are_difference_quotients(void **state)
{
    (void)state;
    if (job_is_simulated())
        skip_on_all_ranks("some thousand forward passes are slow to simulate");
    const struct {
        const char *schedule;
        int from, to; /* ranks that it runs on here */
    } members[] = { { "parallel.schedule.name=1f1b", 1, 8 },
                    { "parallel.schedule.name=chimera", 2, 8 },
                    { "parallel.schedule={\"name\":\"interleaved\",\"chunks\":2}", 1, 4 } };
    for (int i = 0; i < 3; i++) {
        if (job.ranks < members[i].from || job.ranks > members[i].to)
            continue;
        const char *const sets[] = { "batch.global=16",   "batch.micro=2",
                                     "parallel.data=1",   set_number(0, "parallel.pipeline", job.ranks),
                                     members[i].schedule, NULL };
        const double error = gradient_error(texts[0], sets);
        assert_on_all_ranks(error > 0 && error < GRADIENT_TOLERANCE);
    }
}

static const struct layer_kind *sound;

static void weight_grad_too_large(const struct layer *l, struct pass *p)
{
    sound->weight_grad(l, p);
    for (size_t i = 0; i < 8 * 24; i++)
        p->grads[l->at[2] + i] *= 1.05F;
}

static void a_wrong_gradient_on_the_last_stage_is_found_by_all(void **state)
{
    (void)state;
    if (job_is_simulated())
        skip_on_all_ranks("some thousand forward passes are slow to simulate");
    const char *const sets[] = { "batch.global=16", "batch.micro=2", "parallel.data=1",
                                 set_number(0, "parallel.pipeline", job.ranks), NULL };
    struct config c = config_for(texts[0], job.ranks, sets);
    struct trainer t;
    double error = NAN;
    assert_on_all_ranks(trainer_open(&t, &c, job.world) == STATUS_OK);
    struct layer_kind wrong = { .weight_grad = weight_grad_too_large };
    if (job.rank == job.ranks - 1) {
        struct layer *block = &t.plan.parts[0].net.layers[t.plan.parts[0].net.count - 2]; /* before the head */
        sound = block->kind;
        wrong.forward = sound->forward;
        wrong.input_grad = sound->input_grad;
        block->kind = &wrong;
    }
    assert_on_all_ranks(verify_gradients(&t, &error) == STATUS_OK);
    assert_on_all_ranks(error > 3 * GRADIENT_TOLERANCE);
    trainer_close(&t);
    config_free(&c);
}

/* What the plan keeps room for is what the schedule's source says is in flight. */
static void memory_is_what_the_schedule_says(void **state)
{
    (void)state;
    const char *const members[] = { "1f1b", "gpipe", "zb-h1", "zb-h2" };
    if (job.ranks < 2)
        skip_on_all_ranks("needs a pipeline");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        char schedule[64];
        snprintf(schedule, sizeof schedule, "parallel.schedule.name=%s", members[i]);
        const char *const sets[] = { "batch.global=30",
                                     "batch.micro=1",
                                     "parallel.data=1",
                                     set_number(0, "parallel.pipeline", job.ranks),
                                     schedule,
                                     "parallel.recompute=false",
                                     NULL };
        struct config c = config_for(texts[0], job.ranks, sets);
        struct assignment a;
        assert_on_all_ranks(assignment_open(&a, &c, job.rank) == STATUS_OK);
        assert_on_all_ranks((double)a.parts[0].graphs == a.pipeline.schedule->memory(&a.pipeline, job.rank));
        assignment_close(&a);
        config_free(&c);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_and_schedule_gives_the_bits_of_one_rank),
        cmocka_unit_test(recomputing_on_the_last_stage_or_not_changes_no_bit),
        cmocka_unit_test(chunks_give_the_bits_of_one_rank),
        cmocka_unit_test(models_and_optimizers_and_partitions_give_the_bits_of_one_rank),
        cmocka_unit_test(optimizer_state_can_be_dealt_to_the_replicas_of_a_stage),
        cmocka_unit_test(fast_sums_train_like_one_rank_within_rounding),
        cmocka_unit_test(boundaries_carry_what_the_formula_says),
        cmocka_unit_test(gradients_through_a_pipeline_are_difference_quotients),
        cmocka_unit_test(a_wrong_gradient_on_the_last_stage_is_found_by_all),
        cmocka_unit_test(memory_is_what_the_schedule_says),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
