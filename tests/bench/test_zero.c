/* ranks: 1 2 3 4 8 */
/* Training with ZeRO. Oracles: plain data parallel training, bit for bit; the bytes of the textbook formulas. */
#include "tests/bench/training.h"

#define TEXT_GPT GPT REST "}"
#define TEXT_MLP MLP REST "}"
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
            const struct trained plain = TRAIN(text, job.ranks, SMALL, sums[i], optimizer, batch(m));
            const struct trained zero = TRAIN(text, job.ranks, SMALL, sums[i], optimizer, batch(m), stages[0]);
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
        const struct trained plain = TRAIN(text, job.ranks, SMALL, "exchange.reduction=tree", optimizer, batch(m));
        for (int z = 1; z < 3; z++) {
            const struct trained zero = TRAIN(text, job.ranks, SMALL, "exchange.reduction=tree", optimizer, batch(m), stages[z]);
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
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
