/* ranks: 1 8 */
/* Training is the same whoever computes what. Each layout is compared with one rank, in the same job; the gradients of one rank are
 * checked against differences in test_model.c. */
#include "tests/bench/training.h"

#include "collectives/allreduce.h"

#define BATCH    "batch.global=48", "batch.micro=2" /* 24 micro-batches: 1, 2, 3, 4, 6, 8 ranks */
#define TEXT_GPT GPT REST "}"
#define TEXT_MLP MLP REST "}"

/* Float sums in another order: 24 terms, 4 steps. Adam divides by the gradient's size, which turns rounding of tiny gradients into
 * a visible part of a step, so plain sgd. */
#define FAST_TOLERANCE 2e-5
#define SGD            "optimizer.name=sgd", "optimizer.learning_rate=0.1"

static int ranks_at_most(int ranks)
{
    return ranks < job.ranks ? ranks : job.ranks;
}

static void tree_reduction_gives_the_same_bits_on_1_2_3_4_6_and_8_ranks(void **state)
{
    (void)state;
    const char *const texts[] = { TEXT_GPT, TEXT_MLP };
    const int counts[] = { 2, 3, 4, 6, 8 };
    for (int k = 0; k < 2; k++) {
        const struct trained serial = TRAIN(texts[k], 1, BATCH, "exchange.reduction=tree");
        for (int i = 0; i < 5 && counts[i] <= job.ranks; i++) {
            const struct trained parallel = TRAIN(texts[k], counts[i], BATCH, "exchange.reduction=tree", "exchange.bucket_B=16000");
            assert_on_all_ranks(same_bits(&parallel, &serial));
        }
    }
}

static void tree_reduction_differs_in_bits_from_the_fast_one(void **state)
{
    (void)state;
    const struct trained tree = TRAIN(TEXT_GPT, 1, BATCH, "exchange.reduction=tree"), fast = TRAIN(TEXT_GPT, 1, BATCH, "seed=1");
    assert_on_all_ranks(!same_bits(&tree, &fast)); /* else the test above could not fail */
}

static void every_allreduce_trains_like_one_rank(void **state)
{
    (void)state;
    const struct trained serial = TRAIN(TEXT_GPT, 1, BATCH, SGD);
    const int counts[] = { 3, 8 };
    for (int a = 0; allreduces[a]; a++)
        for (int i = 0; i < 2 && !(allreduces[a]->share && job_is_simulated()); i++) {
            char key[64];
            snprintf(key, sizeof key, "exchange.allreduce=%s", allreduces[a]->member.name);
            const struct trained parallel = TRAIN(TEXT_GPT, ranks_at_most(counts[i]), BATCH, SGD, key, "exchange.bucket_B=16000");
            assert_on_all_ranks(close_to(&parallel, &serial, FAST_TOLERANCE));
        }
}

static void overlap_progress_and_buckets_change_no_bit(void **state)
{
    (void)state;
    const int p = ranks_at_most(4);
    const struct trained plain = TRAIN(TEXT_GPT, p, BATCH, "exchange.overlap=false", "exchange.allreduce=doubling");
    const char *const progress[] = { "none", "poll", "thread" };
    for (int i = 0; i < (job_is_simulated() ? 2 : 3); i++) {
        char key[64];
        snprintf(key, sizeof key, "exchange.progress=%s", progress[i]);
        const struct trained other =
            TRAIN(TEXT_GPT, p, BATCH, key, "exchange.allreduce=doubling", "exchange.bucket_B=10000", "exchange.segment_B=2000");
        assert_on_all_ranks(same_bits(&other, &plain));
    }
}

#define BY(how)    "exchange.collective={\"name\":\"" how "\"}"
#define CODE(kind) "exchange.compressor={\"name\":\"" kind "\"}"
#define NODES_OF_1 "exchange.collective={\"name\":\"hierarchical\",\"node_ranks\":1}"

/* Codes are decoded and coded anew by whoever makes progress, beside what goes on. */
static void progress_changes_no_bit_of_what_codes_bring(void **state)
{
    (void)state;
    const int p = ranks_at_most(4);
    const char *const progress[] = { "exchange.progress=none", "exchange.progress=poll", "exchange.progress=thread" };
    const char *const ways[][2] = {
        { BY("allgather"), CODE("qsgd") },        { BY("two-shot"), CODE("qsgd") },     { BY("server"), CODE("qsgd") },
        { BY("ring-requantised"), CODE("qsgd") }, { BY("ring-widened"), CODE("qsgd") }, { NODES_OF_1, CODE("qsgd") },
        { BY("sparse-doubling"), CODE("topk") },  { BY("sparse-split"), CODE("topk") }, { BY("gtopk"), CODE("topk") },
        { BY("oktopk"), CODE("topk") },
    };
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        struct trained one[3];
        for (int i = 0; i < (job_is_simulated() ? 2 : 3); i++) {
            one[i] = TRAIN(TEXT_GPT, p, BATCH, ways[w][0], ways[w][1], progress[i], "exchange.error_feedback=true",
                           "exchange.bucket_B=10000");
            assert_on_all_ranks(same_bits(&one[i], &one[0]));
        }
    }
}

static void the_same_run_twice_gives_the_same_bits_and_another_seed_does_not(void **state)
{
    (void)state;
    const int p = ranks_at_most(8);
    const struct trained first = TRAIN(TEXT_GPT, p, BATCH, "seed=7"), again = TRAIN(TEXT_GPT, p, BATCH, "seed=7"),
                         other = TRAIN(TEXT_GPT, p, BATCH, "seed=8");
    assert_on_all_ranks(same_bits(&first, &again));
    assert_on_all_ranks(!same_bits(&first, &other));
}

static void top_all_with_error_feedback_is_the_dense_sum(void **state)
{
    (void)state;
    const int p = ranks_at_most(4);
    const struct trained dense = TRAIN(TEXT_MLP, p, BATCH, SGD),
                         coded = TRAIN(TEXT_MLP, p, BATCH, SGD, "exchange.error_feedback=true",
                                       "exchange.compressor={\"name\":\"topk\",\"ratio\":1}");
    assert_on_all_ranks(close_to(&coded, &dense, FAST_TOLERANCE));
}

static void error_feedback_changes_what_top_1_percent_learns(void **state)
{
    (void)state;
    const int p = ranks_at_most(4);
    const char *topk = "exchange.compressor={\"name\":\"topk\",\"ratio\":0.01}";
    const struct trained with = TRAIN(TEXT_MLP, p, BATCH, SGD, topk, "exchange.error_feedback=true"),
                         without = TRAIN(TEXT_MLP, p, BATCH, SGD, topk);
    assert_on_all_ranks(with.loss[0] == without.loss[0] && !same_bits(&with, &without));
}

static void predicted_planned_and_counted_bytes_agree_in_every_way_of_exchange(void **state)
{
    (void)state;
    const int counts[] = { 1, 2, 3, 4, 8 };
    const char *const ways[] = { "exchange.allreduce=ring",    "exchange.allreduce=doubling",
                                 "exchange.allreduce=halving", "exchange.allreduce=tree",
                                 "exchange.reduction=tree",    "exchange.compressor={\"name\":\"topk\",\"ratio\":0.03}" };
    for (int i = 0; i < 5 && counts[i] <= job.ranks; i++)
        for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
            const struct trained r =
                TRAIN(TEXT_GPT, counts[i], BATCH, ways[w], "exchange.bucket_B=20000", "exchange.segment_B=4004");
            const struct ledger_row *row = &r.ledger.rows[PURPOSE_GRADIENT];
            assert_on_all_ranks(row->wire_B_predicted == row->wire_B_counted);
            assert_on_all_ranks((double)row->wire_B_counted == r.planned_B);
            assert_on_all_ranks(job.rank >= counts[i] || counts[i] == 1 || row->wire_B_counted > 0);
        }
}

/* By `hierarchical` with one rank in a node all coding and decoding is done on the way; what is left for afterwards is an addition.
 */
static void work_on_codes_on_their_way_is_decoding_whatever_was_waited_for(void **state)
{
    (void)state;
    const char *const ways[] = { "exchange.progress=none", "exchange.progress=poll", "exchange.overlap=false" };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const char *const sets[] = { BATCH,
                                     ways[i],
                                     "exchange.compressor={\"name\":\"qsgd\",\"coding\":\"elias\"}",
                                     NODES_OF_1,
                                     "exchange.bucket_B=4000",
                                     "model.layers=6",
                                     NULL };
        struct config c = config_for(TEXT_GPT, job.ranks, sets);
        struct trainer t;
        struct stopwatch w;
        assert_on_all_ranks(trainer_open(&t, &c, job.world) == STATUS_OK);
        const double start_s = stopwatch_start(&w, t.clock, PHASE_DATA);
        trainer_step(&t, 0, &w);
        double left_s = stopwatch_stop(&w) - start_s;
        for (int p = 0; p < PHASE_COUNT; p++) {
            assert_on_all_ranks(w.spent_s[p] >= -1e-9);
            left_s -= w.spent_s[p];
        }
        const double work_s = engine_work_s(t.engines[GROUP_WORLD]);
        assert_on_all_ranks(work_s > 0 && w.spent_s[PHASE_DECODE] >= work_s);
        assert_on_all_ranks(fabs(left_s) < 1e-6);
        trainer_close(&t);
        config_free(&c);
    }
}

/* Else its time would be that of another exchange. Lists of entries grow on their way: what is played again has to begin small. */
static void an_exchange_that_is_played_again_sends_as_many_bytes(void **state)
{
    (void)state;
    const char *const ways[] = { BY("allgather"),    BY("two-shot"), BY("server"), BY("sparse-doubling"),
                                 BY("sparse-split"), BY("gtopk"),    BY("oktopk") };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const char *const sets[] = { BATCH, ways[i], "exchange.compressor={\"name\":\"topk\",\"ratio\":0.03}", NULL };
        struct config c = config_for(TEXT_MLP, job.ranks, sets);
        struct trainer t;
        struct stopwatch w;
        assert_on_all_ranks(trainer_open(&t, &c, job.world) == STATUS_OK);
        stopwatch_start(&w, t.clock, PHASE_DATA);
        trainer_step(&t, 0, &w);
        const struct ledger step = trainer_ledger(&t);
        trainer_exchange_alone_s(&t, false);
        trainer_exchange_alone_s(&t, false);
        const struct ledger all = trainer_ledger(&t);
        assert_on_all_ranks(all.rows[PURPOSE_GRADIENT].wire_B_counted == 3 * step.rows[PURPOSE_GRADIENT].wire_B_counted);
        trainer_close(&t);
        config_free(&c);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_reduction_gives_the_same_bits_on_1_2_3_4_6_and_8_ranks),
        cmocka_unit_test(tree_reduction_differs_in_bits_from_the_fast_one),
        cmocka_unit_test(every_allreduce_trains_like_one_rank),
        cmocka_unit_test(overlap_progress_and_buckets_change_no_bit),
        cmocka_unit_test(progress_changes_no_bit_of_what_codes_bring),
        cmocka_unit_test(the_same_run_twice_gives_the_same_bits_and_another_seed_does_not),
        cmocka_unit_test(top_all_with_error_feedback_is_the_dense_sum),
        cmocka_unit_test(error_feedback_changes_what_top_1_percent_learns),
        cmocka_unit_test(predicted_planned_and_counted_bytes_agree_in_every_way_of_exchange),
        cmocka_unit_test(an_exchange_that_is_played_again_sends_as_many_bytes),
        cmocka_unit_test(work_on_codes_on_their_way_is_decoding_whatever_was_waited_for),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
