/* ranks: 1 2 3 4 8 */
/* Training with ZeRO. Oracles: plain data parallel training, bit for bit; the bytes of the textbook formulas; the memory that the
 * system counts. */
#include "tests/bench/training.h"

#define TEXT_GPT GPT REST "}"
#define TEXT_MLP MLP REST "}"
#define APART    "model.tied=false" /* a tied matrix is there twice for the tree, which ZeRO cannot deal out */
/* Some buckets, each of some segments, that end inside layers. */
#define SMALL "batch.micro=2", "exchange.bucket_B=7000", "exchange.segment_B=404"

static const char *const stages[] = { "parallel.zero=1", "parallel.zero=2", "parallel.zero=3" };
static const char *const updates[] = { "optimizer.name=adamw", "optimizer.name=momentum" };

/* So that every rank has m micro-batches of 2. */
static const char *batch(int m)
{
    static char key[32];
    snprintf(key, sizeof key, "batch.global=%d", 2 * m * job.ranks);
    return key;
}

static void stage_1_trains_to_the_bits_of_plain_data_parallel(void **state)
{
    (void)state;
    const char *const sums[] = { "exchange.allreduce=ring", "exchange.allreduce=halving", "exchange.reduction=tree" };
    for (int i = 0; i < 3; i++)
        for (int m = 1; m <= 3; m++) {
            const char *optimizer = updates[m % 2], *text = m % 2 ? TEXT_GPT : TEXT_MLP;
            const char *apart = i == 2 && m % 2 ? APART : "seed=1";
            const struct trained plain = TRAIN(text, job.ranks, SMALL, apart, sums[i], optimizer, batch(m));
            const struct trained zero = TRAIN(text, job.ranks, SMALL, apart, sums[i], optimizer, batch(m), stages[0]);
            assert_on_all_ranks(same_bits(&plain, &zero));
        }
}

static void stages_2_and_3_with_one_micro_batch_train_to_the_bits_of_plain_data_parallel(void **state)
{
    (void)state;
    const char *const sums[] = { "exchange.allreduce=ring", "exchange.allreduce=halving" };
    const char *const texts[] = { TEXT_GPT, TEXT_MLP };
    for (int i = 0; i < 4; i++) {
        const struct trained plain = TRAIN(texts[i % 2], job.ranks, SMALL, sums[i / 2], updates[i % 2], batch(1));
        for (int z = 1; z < 3; z++) {
            const struct trained zero = TRAIN(texts[i % 2], job.ranks, SMALL, sums[i / 2], updates[i % 2], batch(1), stages[z]);
            assert_on_all_ranks(same_bits(&plain, &zero));
        }
    }
}

static void stages_2_and_3_by_the_tree_train_to_the_bits_of_plain_data_parallel(void **state)
{
    (void)state;
    if (job.ranks & (job.ranks - 1))
        skip_on_all_ranks("refused: the replicas' micro-batches are no node of the tree");
    for (int m = 1; m <= 4; m++) {
        const char *optimizer = updates[m % 2], *text = m % 2 ? TEXT_GPT : TEXT_MLP;
        const char *apart = m % 2 ? APART : "seed=1";
        const struct trained plain = TRAIN(text, job.ranks, SMALL, apart, "exchange.reduction=tree", optimizer, batch(m));
        for (int z = 1; z < 3; z++) {
            const struct trained zero =
                TRAIN(text, job.ranks, SMALL, apart, "exchange.reduction=tree", optimizer, batch(m), stages[z]);
            assert_on_all_ranks(same_bits(&plain, &zero));
        }
    }
}

static void stages_2_and_3_with_more_micro_batches_differ_by_rounding_only(void **state)
{
    (void)state;
    const char *sgd = "optimizer={\"name\":\"sgd\",\"learning_rate\":0.1}";
    const struct trained plain = TRAIN(TEXT_GPT, job.ranks, SMALL, sgd, batch(3));
    for (int z = 1; z < 3; z++) {
        const struct trained zero = TRAIN(TEXT_GPT, job.ranks, SMALL, sgd, batch(3), stages[z]);
        for (int i = 0; i < STEPS; i++)
            assert_on_all_ranks(fabs(zero.loss[i] - plain.loss[i]) <= 2e-5 * fabs(plain.loss[i]));
    }
}

static void overlap_and_progress_change_no_bit(void **state)
{
    (void)state;
    const char *const ways[] = { "exchange.overlap=false", "exchange.progress=none", "exchange.progress=thread" };
    for (int z = 0; z < 3; z++) {
        const struct trained first = TRAIN(TEXT_GPT, job.ranks, SMALL, batch(2), stages[z]);
        for (int i = 0; i < (job_is_simulated() ? 2 : 3); i++) {
            const struct trained other = TRAIN(TEXT_GPT, job.ranks, SMALL, batch(2), stages[z], ways[i]);
            assert_on_all_ranks(same_bits(&first, &other));
        }
    }
}

/* ---- bytes ------------------------------------------------------------------------------------------------------------------- */

static void bytes_are_planned_predicted_and_counted_alike(void **state)
{
    (void)state;
    const char *const sums[] = { "exchange.allreduce=ring", "exchange.allreduce=halving", "exchange.reduction=tree" };
    for (int i = 0; i < 3; i++)
        for (int z = 0; z < 3; z++) {
            if (i == 2 && z > 0 && (job.ranks & (job.ranks - 1)))
                continue;
            const char *twice = i + z > 1 ? "parallel={\"recompute\":true,\"recompute_last_stage\":true}" : "seed=1";
            const struct trained r = TRAIN(i == 2 ? TEXT_MLP : TEXT_GPT, job.ranks, SMALL, sums[i], batch(2), twice, stages[z]);
            const struct ledger_row *g = &r.ledger.rows[PURPOSE_GRADIENT], *p = &r.ledger.rows[PURPOSE_PARAMETERS];
            assert_on_all_ranks(g->wire_B_predicted == g->wire_B_counted && p->wire_B_predicted == p->wire_B_counted);
            assert_on_all_ranks((double)g->wire_B_counted == r.planned_B);
            assert_on_all_ranks((double)p->wire_B_counted == r.planned_parameters_B);
        }
}

/* 24 -> 32 -> 32: 1856 parameters, which 2, 4 and 8 ranks share equally; one bucket of one segment. */
#define EVEN "{\"model\":{\"name\":\"mlp\",\"inputs\":24,\"hidden\":32,\"layers\":1,\"classes\":32}" REST "}"
enum { EVEN_FLOATS = 24 * 32 + 32 + 32 * 32 + 32 };

static void where_ranks_divide_the_bytes_are_those_of_the_textbook(void **state)
{
    (void)state;
    if (job.ranks & (job.ranks - 1))
        skip_on_all_ranks("parameters are not shared equally");
    const uint64_t share = (uint64_t)STEPS * sizeof(float) * EVEN_FLOATS * (uint64_t)(job.ranks - 1) / (uint64_t)job.ranks;
    uint64_t plain_B = 0;
    for (int m = 1; m <= 2; m++)
        for (int zero = 0; zero < 4; zero++) {
            const struct trained r = TRAIN(EVEN, job.ranks, "batch.micro=2", batch(m), zero ? stages[zero - 1] : "parallel.zero=0");
            const uint64_t g = r.ledger.rows[PURPOSE_GRADIENT].wire_B_counted, p = r.ledger.rows[PURPOSE_PARAMETERS].wire_B_counted;
            const uint64_t turns = (uint64_t)(zero < 2 ? 1 : m);
            assert_on_all_ranks(g == (zero ? turns : 2) * share);
            assert_on_all_ranks(p == (zero == 0 ? 0 : zero < 3 ? 1 : 2 * turns) * share);
            if (m == 1 && zero == 0)
                plain_B = g;
            if (m == 1 && zero == 3)
                assert_on_all_ranks(2 * (g + p) == 3 * plain_B); /* one and a half times plain data parallel */
        }
}

/* ---- memory ------------------------------------------------------------------------------------------------------------------ */

int mallopt(int parameter, int value); /* of malloc.h, which SMPI's headers break */
enum { MMAP_THRESHOLD = -3 };

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = true };
#else
enum { SANITIZED = false };
#endif

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

static double most_memory_B(const char *stage, const char *sum, double *planned_B)
{
    /* 8.8 million parameters in 9 layers */
    const char *const sets[] = {
        "model={\"name\":\"mlp\",\"inputs\":256,\"hidden\":1024,\"layers\":9,\"classes\":16}",
        "batch.micro=2",
        batch(2),
        stage,
        sum,
        "exchange.bucket_B=1048576",
        "measure.verify=false",
        NULL,
    };
    struct config c = config_for(TEXT_MLP, job.ranks, sets);
    struct trainer t;
    struct footprint f;
    const bool can = reset_peak();
    const double before_B = resident_B("VmRSS");
    const status s = trainer_open(&t, &c, job.world);
    assert_on_all_ranks(s == STATUS_OK && can && footprint_of(&c, &t.plan, &f) == STATUS_OK);
    for (int64_t step = 0; step < 2; step++) {
        struct stopwatch w;
        stopwatch_start(&w, t.clock, PHASE_DATA);
        trainer_step(&t, step, &w);
    }
    const double most_B = resident_B("VmHWM") - before_B;
    *planned_B = f.parameters_B + f.gradients_B + f.optimizer_B + f.exchange_B + f.activations_B + f.messages_B;
    trainer_close(&t);
    config_free(&c);
    return most_B;
}

static void memory_is_what_was_planned_within_a_tenth(void **state)
{
    (void)state;
    if (job_is_simulated() || SANITIZED)
        skip_on_all_ranks("one process holds all simulated ranks, or the sanitizer's memory, too");
    if (job.ranks > 4)
        skip_on_all_ranks("nothing new, and a gigabyte");
    const char *const sums[] = { "exchange.allreduce=ring", "exchange.reduction=tree" };
    double planned_B;
    mallopt(MMAP_THRESHOLD, 1 << 16); /* what is freed is given back, so that it is not counted in what comes later */
    most_memory_B("parallel.zero=0", sums[0], &planned_B); /* what MPI keeps once it was used */
    for (int i = 0; i < 2; i++)
        for (int zero = 0; zero < 4; zero++) {
            if (i && zero > 1 && (job.ranks & (job.ranks - 1)))
                continue;
            const double most_B = most_memory_B(zero ? stages[zero - 1] : "parallel.zero=0", sums[i], &planned_B);
            if (!(fabs(most_B - planned_B) <= 0.1 * planned_B))
                print_message("zero %d, %s: %.1f MB planned, %.1f MB resident\n", zero, sums[i], planned_B / 1e6, most_B / 1e6);
            assert_on_all_ranks(fabs(most_B - planned_B) <= 0.1 * planned_B);
        }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stage_1_trains_to_the_bits_of_plain_data_parallel),
        cmocka_unit_test(stages_2_and_3_with_one_micro_batch_train_to_the_bits_of_plain_data_parallel),
        cmocka_unit_test(stages_2_and_3_by_the_tree_train_to_the_bits_of_plain_data_parallel),
        cmocka_unit_test(stages_2_and_3_with_more_micro_batches_differ_by_rounding_only),
        cmocka_unit_test(overlap_and_progress_change_no_bit),
        cmocka_unit_test(bytes_are_planned_predicted_and_counted_alike),
        cmocka_unit_test(where_ranks_divide_the_bytes_are_those_of_the_textbook),
        cmocka_unit_test(memory_is_what_was_planned_within_a_tenth),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
