/* Rules about data x pipeline x tensor: the sentence of each, and that what it says would fit does fit. */
#include "tests/kernels/check.h"

#include "bench/config.h"

enum { SETS_MAX = 5, FITS_MAX = 4 };

struct row {
    int ranks;
    const char *sets[SETS_MAX];
    const char *message;        /* NULL: it is a layout */
    const char *fits[FITS_MAX]; /* each set after the others mends it */
};

/* Settles {} with the row's sets and one more (NULL: none). */
static status settle(const struct row *row, const char *mend)
{
    const char *sets[SETS_MAX + 1];
    struct config c;
    int n = 0;
    for (; n < SETS_MAX && row->sets[n]; n++) {
        const size_t key = strcspn(row->sets[n], "=");
        sets[n] = mend && !strncmp(row->sets[n], mend, key + 1) ? mend : row->sets[n];
        mend = sets[n] == mend ? NULL : mend;
    }
    if (mend)
        sets[n++] = mend;
    assert_int_equal(config_parse(&c, "x.json", "{}", ".", sets, n), STATUS_OK);
    const status s = config_settle(&c, row->ranks);
    config_free(&c);
    return s;
}

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const status s = settle(&rows[i], NULL);
        assert_string_equal(s == STATUS_OK ? "" : status_message(), rows[i].message ? rows[i].message : "");
        assert_int_equal(s, rows[i].message ? STATUS_USAGE : STATUS_OK);
        for (int k = 0; k < FITS_MAX && rows[i].fits[k]; k++)
            if (settle(&rows[i], rows[i].fits[k]) != STATUS_OK)
                fail_msg("%s: %s", rows[i].fits[k], status_message());
    }
}
#define RUNS(n, ...)                                                                                                               \
    {                                                                                                                              \
        .ranks = n, .sets = { __VA_ARGS__ }                                                                                        \
    }
#define CHECK(...)                                                                                                                 \
    do {                                                                                                                           \
        static const struct row rows_[] = { __VA_ARGS__ };                                                                         \
        check_rows(rows_, COUNT(rows_));                                                                                           \
    } while (0)

static void a_layout_that_does_not_make_the_ranks_lists_the_nearest_that_run(void **state)
{
    (void)state;
    /* The default gpt has 4 blocks and 4 heads: 8 stages are never offered. */
    CHECK(
        { 8,
          { "parallel.data=2", "parallel.pipeline=4", "parallel.tensor=2" },
          "x.json: parallel.data x parallel.pipeline x parallel.tensor = 2 x 4 x 2 does not make 8 ranks (fits: 2 x 2 x 2, 2 x 4 x "
          "1, 1 x 4 x 2, 4 x 1 x 2, or another number of ranks: 16)",
          { "parallel.data=1", "parallel.pipeline=2", "parallel.tensor=1" } },
        { 1,
          { "parallel.data=4" },
          "x.json: parallel.data x parallel.pipeline x parallel.tensor = 4 x 1 x 1 does not make 1 rank (fits: 1 x 1 x 1, or "
          "another number of ranks: 4)",
          { "parallel.data=1", "parallel.data=auto" } },
        { 8,
          { "parallel.pipeline=3" },
          "x.json: parallel.data x parallel.pipeline x parallel.tensor = auto x 3 x 1 does not make 8 ranks (fits: 2 x 4 x 1, 4 x "
          "2 x 1, 1 x 4 x 2, 8 x 1 x 1)", /* with 4 blocks no number of ranks has 3 stages */
          { "parallel.pipeline=2", "parallel.pipeline=4" } },
        { 7, /* the nearest number of ranks, larger or smaller, with which everything else fits */
          { "parallel.pipeline=4" },
          "x.json: parallel.data x parallel.pipeline x parallel.tensor = auto x 4 x 1 does not make 7 ranks (fits: 7 x 1 x 1, or "
          "another number of ranks: 8)",
          { "parallel.pipeline=1" } },
        { 7,
          { "parallel.pipeline=4", "batch.global=1" },
          "x.json: parallel.data x parallel.pipeline x parallel.tensor = auto x 4 x 1 does not make 7 ranks (fits: another number "
          "of ranks: 4)",
          { NULL } });
}

static void one_degree_may_be_auto(void **state)
{
    (void)state;
    CHECK(
        RUNS(8, "parallel.pipeline=2"), RUNS(8, "parallel.data=2", "parallel.pipeline=auto"),
        RUNS(8, "parallel.data=4", "parallel.tensor=auto"), RUNS(1, "parallel.data=auto"),
        { 8,
          { "parallel.pipeline=auto" },
          "x.json: more than one of parallel.data, parallel.pipeline and parallel.tensor is \"auto\", which is what parallel.data "
          "is by default (fits: numbers for all but one)",
          { "parallel.data=2" } });
    struct config c;
    const char *const sets[] = { "parallel.data=2", "parallel.pipeline=auto", "parallel.tensor=2" };
    assert_int_equal(config_parse(&c, "x.json", "{}", ".", sets, 3), STATUS_OK);
    assert_int_equal(config_settle(&c, 16), STATUS_OK);
    assert_int_equal(c.parallel.pipeline, 4);
    config_free(&c);
}

static void every_replica_gets_a_micro_batch_and_nothing_has_to_divide(void **state)
{
    (void)state;
    CHECK(RUNS(8, "batch.global=9", "batch.micro=4", "parallel.data=2", "parallel.pipeline=4"),
          RUNS(8, "batch.global=50", "batch.micro=3"),
          { 8,
            { "batch.global=9", "batch.micro=2" },
            "x.json: batch.global = 9 in micro-batches of batch.micro = 2 makes 5, which is less than one for each of "
            "parallel.data = "
            "8 replicas (fits: batch.global = 15 or batch.micro = 1)",
            { "batch.global=15", "batch.micro=1" } },
          { 4,
            { "batch.global=8", "batch.micro=8", "parallel.pipeline=4", "parallel.schedule.name=chimera" },
            "x.json: batch.global = 8 in micro-batches of batch.micro = 8 makes 1, which is less than one for each of "
            "parallel.data = "
            "1 replicas and directions (fits: batch.global = 9 or batch.micro = 7)",
            { "batch.global=9", "batch.micro=7" } });
}

static void stages_share_the_repeated_layers_equally(void **state)
{
    (void)state;
    CHECK(
        { 8,
          { "model.layers=7", "parallel.pipeline=4" },
          "x.json: model.layers = 7 makes 7 layers to share, which 4 stages x 1 chunk cannot share equally (fits: model.layers = 4 "
          "or 8)",
          { "model.layers=4", "model.layers=8" } },
        { 2,
          { "parallel.pipeline=2", "parallel.schedule.name=interleaved", "parallel.schedule.chunks=4" },
          "x.json: model.layers = 4 makes 4 layers to share, which 2 stages x 4 chunks cannot share equally (fits: model.layers = "
          "8)",
          { "model.layers=8", "parallel.schedule.chunks=2" } },
        { 6,
          { "model.name=mlp", "model.layers=3", "parallel.pipeline=3" }, /* three hidden layers and the last */
          "x.json: model.layers = 3 makes 4 layers to share, which 3 stages x 1 chunk cannot share equally (fits: model.layers = 2 "
          "or 5)",
          { "model.layers=2", "model.layers=5" } },
        RUNS(4, "parallel.pipeline=4", "parallel.schedule.name=chimera")); /* two copies: four pieces, not eight */
}

static void schedules_refuse_what_they_cannot_do(void **state)
{
    (void)state;
    CHECK({ 4,
            { "batch.global=7", "batch.micro=1", "parallel.pipeline=2", "parallel.schedule.name=interleaved" },
            "x.json: parallel.schedule.name = \"interleaved\" with parallel.pipeline = 2: 3 micro-batches of a replica "
            "do not make groups of 2, one for each stage (fits: batch.global = 4 or 8)", /* the first replica has four */
            { "batch.global=4", "batch.global=8", "parallel.schedule.name=1f1b" } },
          { 3,
            { "model.layers=3", "parallel.pipeline=3", "parallel.schedule.name=chimera" },
            "x.json: parallel.schedule.name = \"chimera\" with parallel.pipeline = 3: 3 stages are not even (fits: 2 or 4)",
            { "parallel.schedule.name=gpipe" } },
          { 2,
            { "parallel.pipeline=2", "parallel.recompute=true", "parallel.schedule.name=zb-h1" },
            "x.json: parallel.schedule.name = \"zb-h1\" with parallel.pipeline = 2: its warm-up and its delays are counted without "
            "recomputation (fits: recompute = false, or schedule.name = \"1f1b\")",
            { "parallel.recompute=false", "parallel.schedule.name=1f1b" } },
          { 2,
            { "parallel.pipeline=2", "parallel.recompute_last_stage=true" },
            "x.json: parallel.schedule.name = \"1f1b\" with parallel.pipeline = 2: recompute_last_stage = true, but the last stage "
            "recomputes only if the others do (fits: recompute = true, or recompute_last_stage = false)",
            { "parallel.recompute=true", "parallel.recompute_last_stage=false" } });
}

static void what_needs_a_tensor_axis_or_does_not_go_with_one_says_so(void **state)
{
    (void)state;
    CHECK(
        { 2,
          { "parallel.sequence=true" },
          "x.json: parallel.sequence = true, but with parallel.tensor = 1 no rank shares a sequence with another (fits: "
          "parallel.tensor = 2 or more)",
          { "parallel.tensor=2" } },
        { 2,
          { "parallel.pipeline=2", "exchange.progress=thread" },
          "x.json: exchange.progress = \"thread\" cannot go with parallel.pipeline = 2 x parallel.tensor = 1, whose messages the "
          "computing rank itself sends meanwhile (fits: poll, none)",
          { "exchange.progress=poll", "exchange.progress=none", "parallel.pipeline=1" } },
        { 4,
          { "parallel.pipeline=2", "parallel.tensor=2", "parallel.schedule={\"name\":\"varuna\",\"opportunistic\":true}" },
          "x.json: parallel.schedule.opportunistic = true lets every rank decide its order by what has come, and the 2 ranks of "
          "parallel.tensor must do the same at the same time (fits: parallel.schedule.opportunistic = false, or parallel.tensor = "
          "1)",
          { "parallel.schedule={\"name\":\"varuna\",\"opportunistic\":false}", "parallel.tensor=1" } },
        { 4,
          { "parallel.tensor=2", "exchange.compressor={\"name\":\"topk\",\"ratio\":0.5}", "exchange.unit=bucket" },
          "x.json: exchange.unit = \"bucket\" compresses what all 2 ranks of parallel.tensor hold together with each one's own "
          "share, and they would update it differently (fits: exchange.unit = \"tensor\")",
          { "exchange.unit=tensor", "exchange.unit=auto", "parallel.tensor=1", "exchange.compressor={\"name\":\"none\"}" } });
}

static void codes_between_stages_are_of_one_size_and_have_no_memory(void **state)
{
    (void)state;
    CHECK(
        { 2,
          { "parallel.activation_compressor.name=topk" },
          "x.json: parallel.activation_compressor.name = \"topk\": with parallel.pipeline = 1 no activation leaves its rank (fits: "
          "\"none\", or parallel.pipeline = 2 or more)",
          { "parallel.activation_compressor.name=none", "parallel.pipeline=2" } },
        { 2,
          { "parallel.pipeline=2", "parallel.activation_compressor.name=threshold" },
          "x.json: parallel.activation_compressor.name = \"threshold\": its codes vary in size, and a stage asks for a message "
          "before it is sent (fits: compressors of a fixed size, such as \"fp16\")",
          { "parallel.activation_compressor.name=randk", "parallel.activation_compressor.name=topk" } },
        { 2,
          { "parallel.pipeline=2", "parallel.activation_compressor.name=powersgd" },
          "x.json: parallel.activation_compressor.name = \"powersgd\": it learns from step to step, but a micro-batch's samples do "
          "not come again (fits: compressors or options without a memory)",
          { "parallel.activation_compressor={\"name\":\"powersgd\",\"warm_start\":false}" } },
        { 2, /* 8 samples of 64 x 128 floats; 63 of 8 at most are of 7 and 8 */
          { "parallel.pipeline=2", "parallel.activation_compressor={\"name\":\"topk\",\"k\":65535}", "batch.global=63" },
          "x.json: parallel.activation_compressor.name = \"topk\": k = 65535 of a vector of 57344 floats; k can be 57344 at most",
          { "batch.global=64" } });
}

static void zero_says_what_it_cannot_share(void **state)
{
    (void)state;
    CHECK(
        { 4,
          { "parallel.pipeline=2", "parallel.zero=2" },
          "x.json: parallel.zero = 2 would exchange each of the micro-batches that keep the 2 stages of a pipeline busy (fits: "
          "parallel.zero = 0 or 1)",
          { "parallel.zero=0", "parallel.zero=1", "parallel.pipeline=1" } },
        { 3,
          { "parallel.zero=2", "batch.global=64", "batch.micro=8" },
          "x.json: parallel.zero = 2 exchanges every micro-batch, and 8 of batch.micro = 8 samples are not shared equally by "
          "parallel.data = 3 replicas (fits: batch.global = 72)",
          { "batch.global=72", "parallel.zero=1" } },
        { 6,
          { "parallel.zero=2", "batch.global=63", "batch.micro=8", "exchange.reduction=tree" },
          "x.json: parallel.zero = 2 with exchange.reduction = \"tree\" adds the replicas' micro-batches as one node of the tree, "
          "which parallel.data = 6 replicas do not make (fits: a power of two there, or exchange.reduction = \"fast\")",
          { "parallel.zero=1" } },
        RUNS(4, "parallel.zero=3"), RUNS(4, "parallel.zero=1", "parallel.pipeline=2"),
        RUNS(4, "parallel.zero=3", "exchange.reduction=tree"));
}

/* Published: Megatron splits attention by heads. */
static void a_model_says_what_tensor_ranks_cannot_share(void **state)
{
    (void)state;
    CHECK({ 6,
            { "parallel.data=2", "parallel.tensor=3" },
            "x.json: model.heads = 4 cannot be shared equally by parallel.tensor = 3 ranks (fits: parallel.data x "
            "parallel.pipeline x "
            "parallel.tensor = 3 x 1 x 2, 6 x 1 x 1, 3 x 2 x 1)",
            { NULL } },
          RUNS(6, "parallel.data=3", "parallel.tensor=2"), RUNS(6, "parallel.data=3", "parallel.pipeline=2"),
          { 8, /* what is said of the model alone goes with the tensor ranks too */
            { "parallel.tensor=4", "model.heads=3" },
            "x.json: model.hidden = 128 is not a multiple of model.heads = 3 (fits: model.hidden = 128 with model.heads = 4)",
            { "model.heads=4" } },
          { 2,
            { "parallel.tensor=2", "parallel.sequence=true", "model.name=mlp" },
            "x.json: model.name = \"mlp\" has no sequence that tensor ranks could share (fits: parallel.sequence = false)",
            { "parallel.sequence=false" } });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layout_that_does_not_make_the_ranks_lists_the_nearest_that_run),
        cmocka_unit_test(one_degree_may_be_auto),
        cmocka_unit_test(every_replica_gets_a_micro_batch_and_nothing_has_to_divide),
        cmocka_unit_test(stages_share_the_repeated_layers_equally),
        cmocka_unit_test(schedules_refuse_what_they_cannot_do),
        cmocka_unit_test(what_needs_a_tensor_axis_or_does_not_go_with_one_says_so),
        cmocka_unit_test(codes_between_stages_are_of_one_size_and_have_no_memory),
        cmocka_unit_test(zero_says_what_it_cannot_share),
        cmocka_unit_test(a_model_says_what_tensor_ranks_cannot_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
