/* ranks: 2 4 8 */
/* Compressed activations: codes that lose nothing give the bits of one rank in every layout and schedule; those that lose give the
 * same bits whoever computes. topk with ratio 1 keeps all, in a code of twice the floats' size. */
#include "tests/bench/training.h"

#include "kernels/compressor.h"

#define DEEP           "{\"model\":{\"name\":\"gpt\",\"layers\":8,\"hidden\":8,\"heads\":2,\"sequence\":8,\"vocabulary\":11}" REST "}"
#define BATCH          "batch.global=37", "batch.micro=4"
#define TREE           "exchange.reduction=tree"
#define UNCHECKED      "measure.verify=false"
#define CODED(options) "parallel.activation_compressor={" options "}"
#define ALL            CODED("\"name\":\"topk\",\"ratio\":1")
#define DRAWN          CODED("\"name\":\"randk\",\"ratio\":0.5,\"scaled\":false")

static char set_text[4][64];

static const char *set_number(int i, const char *key, int value)
{
    snprintf(set_text[i], sizeof set_text[i], "%s=%d", key, value);
    return set_text[i];
}

static const char *const members[] = {
    "parallel.schedule.name=1f1b",    "parallel.schedule.name=gpipe",
    "parallel.schedule.name=varuna",  "parallel.schedule={\"name\":\"varuna\",\"opportunistic\":true}",
    "parallel.schedule.name=chimera", "parallel.schedule.name=zb-h1",
    "parallel.schedule.name=zb-h2",
};
enum { MEMBERS = sizeof members / sizeof *members };

static bool bytes_agree(const struct trained *r)
{
    bool agree = true;
    for (int p = PURPOSE_ACTIVATION; p <= PURPOSE_STAMP; p++)
        agree = agree && r->ledger.rows[p].wire_B_counted == r->ledger.rows[p].wire_B_predicted;
    return agree;
}

static void codes_that_lose_nothing_give_the_bits_of_one_rank_with_every_schedule(void **state)
{
    (void)state;
    const struct trained one = TRAIN(DEEP, 1, BATCH, TREE, UNCHECKED);
    for (int pipeline = 2; pipeline <= job.ranks; pipeline *= 2)
        for (int i = 0; i < MEMBERS; i++) {
            const struct trained r =
                TRAIN(DEEP, job.ranks, BATCH, TREE, UNCHECKED, ALL, members[i], set_number(0, "parallel.pipeline", pipeline));
            assert_on_all_ranks(same_bits(&r, &one) && bytes_agree(&r));
        }
}

static void codes_that_lose_nothing_give_the_bits_of_one_rank_with_chunks(void **state)
{
    (void)state;
    const struct trained one = TRAIN(DEEP, 1, "batch.global=24", "batch.micro=3", TREE, UNCHECKED);
    const struct trained r =
        TRAIN(DEEP, job.ranks, "batch.global=24", "batch.micro=3", TREE, UNCHECKED, ALL, "parallel.schedule.name=interleaved",
              set_number(0, "parallel.schedule.chunks", 8 / job.ranks), set_number(1, "parallel.pipeline", job.ranks));
    assert_on_all_ranks(same_bits(&r, &one));
}

/* What is lost depends on the micro-batch and the boundary: not on the order of tasks, nor on the number of replicas. */
static void a_loss_is_the_same_with_every_schedule_and_any_number_of_replicas(void **state)
{
    (void)state;
    const struct trained plain = TRAIN(DEEP, 2, BATCH, TREE, UNCHECKED, "parallel.pipeline=2");
    const struct trained two = TRAIN(DEEP, 2, BATCH, TREE, UNCHECKED, DRAWN, "parallel.pipeline=2");
    assert_on_all_ranks(!same_bits(&two, &plain));
    for (int i = 0; i < MEMBERS; i++) {
        const struct trained r = TRAIN(DEEP, job.ranks, BATCH, TREE, UNCHECKED, DRAWN, "parallel.pipeline=2", members[i]);
        assert_on_all_ranks(same_bits(&r, &two) && bytes_agree(&r));
    }
}

/* One code names the floats that it has, for the other the receiver draws the sender's numbers again. */
static void the_receiver_draws_the_numbers_of_the_sender(void **state)
{
    (void)state;
    const char *const pipeline = set_number(0, "parallel.pipeline", job.ranks);
    for (int i = 0; i < MEMBERS; i++) {
        const struct trained drawn = TRAIN(DEEP, job.ranks, BATCH, UNCHECKED, pipeline, members[i], DRAWN);
        const struct trained listed = TRAIN(DEEP, job.ranks, BATCH, UNCHECKED, pipeline, members[i],
                                            CODED("\"name\":\"randk\",\"ratio\":0.5,\"scaled\":false,\"index\":\"list\""));
        assert_on_all_ranks(same_bits(&drawn, &listed));
    }
}

/* Tensor ranks hold the same activations, and lose the same of them: what one rank in their place would lose. */
static void tensor_ranks_lose_what_one_rank_loses(void **state)
{
    (void)state;
    if (job.ranks < 4)
        skip_on_all_ranks("needs two stages of two tensor ranks");
    const struct trained two = TRAIN(DEEP, 2, BATCH, UNCHECKED, DRAWN, "parallel.pipeline=2");
    const struct trained split = TRAIN(DEEP, job.ranks, BATCH, UNCHECKED, DRAWN, "parallel.pipeline=2", "parallel.tensor=2");
    assert_on_all_ranks(close_to(&split, &two, 1e-4) && bytes_agree(&split));
}

/* Each has a share of the positions, which codes that lose nothing bring over whole. */
static void sequence_parallel_ranks_code_their_shares(void **state)
{
    (void)state;
    if (job.ranks < 4)
        skip_on_all_ranks("needs two stages of two tensor ranks");
    const struct trained one = TRAIN(DEEP, 1, BATCH, UNCHECKED);
    const struct trained all =
        TRAIN(DEEP, job.ranks, BATCH, UNCHECKED, ALL, "parallel.pipeline=2", "parallel.tensor=2", "parallel.sequence=true");
    assert_on_all_ranks(close_to(&all, &one, 1e-4) && bytes_agree(&all));
    const struct trained drawn =
        TRAIN(DEEP, job.ranks, BATCH, UNCHECKED, DRAWN, "parallel.pipeline=2", "parallel.tensor=2", "parallel.sequence=true");
    assert_on_all_ranks(!close_to(&drawn, &one, 1e-4) && bytes_agree(&drawn));
}

static void optimizer_state_can_be_dealt_to_replicas_with_it(void **state)
{
    (void)state;
    const struct trained plain = TRAIN(DEEP, job.ranks, BATCH, UNCHECKED, DRAWN, "parallel.pipeline=2");
    const struct trained dealt = TRAIN(DEEP, job.ranks, BATCH, UNCHECKED, DRAWN, "parallel.pipeline=2", "parallel.zero=1");
    assert_on_all_ranks(same_bits(&dealt, &plain));
}

/* Which floats the code of a message keeps, of all ones: a bit each. */
static uint64_t drawn_for(struct trainer *t, struct message m)
{
    float x[64], y[64], code[256];
    uint64_t set = 0;
    struct stopwatch w;
    for (int i = 0; i < 64; i++)
        x[i] = 1;
    const struct message_coder coder = { t->config, &t->plan, t->clock, (float[256]){ 0 } };
    stopwatch_start(&w, t->clock, PHASE_DATA);
    message_encode(&coder, &m, x, code, &w);
    message_decode(&coder, &m, code, y, &w);
    for (int i = 0; i < 64; i++)
        set |= (uint64_t)(y[i] != 0) << i;
    return set;
}

static void every_message_has_numbers_of_its_own_but_not_every_tensor_rank(void **state)
{
    (void)state;
    static const struct message base = { TO_NEXT, 64, 1, 3, 5, 7 };
    static const struct message others[] = {
        { TO_PREVIOUS, 64, 1, 3, 5, 7 }, { TO_NEXT, 64, 1, 4, 5, 7 }, { TO_NEXT, 64, 1, 3, 6, 7 }, { TO_NEXT, 64, 1, 3, 5, 8 }
    };
    const char *const sets[] = { BATCH, DRAWN, "parallel.pipeline=2", NULL };
    struct config c = config_for(DEEP, job.ranks, sets);
    struct trainer t;
    assert_on_all_ranks(trainer_open(&t, &c, job.world) == STATUS_OK);
    const uint64_t set = drawn_for(&t, base);
    bool apart = __builtin_popcountll(set) == 32;
    for (int i = 0; i < 4; i++)
        apart = apart && drawn_for(&t, others[i]) != set;
    assert_on_all_ranks(apart && drawn_for(&t, base) == set);
    t.plan.at[AXIS_TENSOR] = 1;
    assert_on_all_ranks(drawn_for(&t, base) == set);
    c.parallel.sequence = true;
    assert_on_all_ranks(drawn_for(&t, base) != set);
    trainer_close(&t);
    config_free(&c);
}

/* A row is a position, a column a channel: 8 of them, so that rank 8 loses nothing and saves nothing, but is a product. */
static void a_product_of_full_rank_is_the_activations(void **state)
{
    (void)state;
    const char *const pipeline = set_number(0, "parallel.pipeline", job.ranks);
    const struct trained plain = TRAIN(DEEP, job.ranks, BATCH, UNCHECKED, pipeline);
    const struct trained whole = TRAIN(DEEP, job.ranks, BATCH, UNCHECKED, pipeline,
                                       CODED("\"name\":\"powersgd\",\"warm_start\":false,\"rank\":8,\"min_compression_rate\":0"));
    const struct trained low = TRAIN(DEEP, job.ranks, BATCH, UNCHECKED, pipeline,
                                     CODED("\"name\":\"powersgd\",\"warm_start\":false,\"rank\":2,\"min_compression_rate\":0"));
    assert_on_all_ranks(close_to(&whole, &plain, 1e-3) && !close_to(&low, &plain, 1e-3) && bytes_agree(&low));
}

static bool is_refused(const char *text, const char *const *sets, int n)
{
    struct config c;
    assert_on_all_ranks(config_parse(&c, "test", text, ".", sets, n) == STATUS_OK);
    const bool refused = config_settle(&c, job.ranks) != STATUS_OK;
    config_free(&c);
    return refused;
}

static void every_compressor_that_is_not_refused_sends_the_bytes_that_it_says(void **state)
{
    (void)state;
    int trained = 0;
    for (int i = 0; compressors[i]; i++) {
        char codes[128];
        snprintf(codes, sizeof codes, "parallel.activation_compressor.name=%s", compressors[i]->member.name);
        const char *const sets[] = { BATCH, UNCHECKED, codes, "parallel.pipeline=2", "optimizer.learning_rate=0.0001" };
        if (is_refused(DEEP, sets, 6))
            continue;
        const struct trained r = TRAIN(DEEP, job.ranks, BATCH, UNCHECKED, codes, sets[4], sets[5]);
        assert_on_all_ranks(bytes_agree(&r) && isfinite(r.loss[STEPS - 1]));
        trained++;
    }
    assert_on_all_ranks(trained >= 10);
}

enum { LEARNING_STEPS = 80, LAST_STEPS = 10 };

/* Mean loss of the last steps of a gpt on four stages. */
static double learned(const char *codes)
{
    static const char text[] = "{\"model\":{\"name\":\"gpt\",\"layers\":4,\"hidden\":32,\"heads\":2,\"sequence\":16,"
                               "\"vocabulary\":16},\"data\":{\"name\":\"synthetic\"},\"batch\":{\"global\":16,\"micro\":4},"
                               "\"optimizer\":{\"name\":\"adamw\",\"learning_rate\":0.005,\"warmup_steps\":5}}";
    const char *const sets[] = { codes, "parallel.pipeline=4", NULL };
    struct config c = config_for(text, job.ranks, sets);
    struct trainer t;
    double sum = 0;
    assert_on_all_ranks(trainer_open(&t, &c, job.world) == STATUS_OK);
    for (int64_t step = 0; step < LEARNING_STEPS; step++) {
        struct stopwatch w;
        stopwatch_start(&w, t.clock, PHASE_DATA);
        const double loss = trainer_step(&t, step, &w);
        sum += step >= LEARNING_STEPS - LAST_STEPS ? loss : 0;
    }
    trainer_close(&t);
    config_free(&c);
    return sum / LAST_STEPS;
}

static void codes_of_enough_bits_learn_like_floats_and_of_too_few_do_not(void **state)
{
    (void)state;
    static const struct {
        const char *codes;
        double least, most; /* loss, of the plain one */
    } rows[] = { { CODED("\"name\":\"fp16\""), 0.99, 1.01 },
                 { CODED("\"name\":\"bf16\""), 0.99, 1.01 },
                 { CODED("\"name\":\"qsgd\",\"levels\":127,\"norm\":\"max\""), 0.99, 1.01 },
                 { CODED("\"name\":\"terngrad\""), 1.5, INFINITY } };
    if (job.ranks < 4)
        skip_on_all_ranks("needs four stages");
    const double plain = learned(CODED("\"name\":\"none\""));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const double ratio = learned(rows[i].codes) / plain;
        if (job.rank == 0 && !(ratio >= rows[i].least && ratio <= rows[i].most))
            print_message("%s: %g of the loss\n", rows[i].codes, ratio);
        assert_on_all_ranks(ratio >= rows[i].least && ratio <= rows[i].most);
    }
}

/* Codes have no derivative, so it goes without them; they come back for the steps. */
static void gradients_are_verified_without_codes(void **state)
{
    (void)state;
    if (job_is_simulated())
        skip_on_all_ranks("some thousand forward passes are slow to simulate");
    const char *const sets[] = { "batch.global=16", "batch.micro=2", DRAWN, set_number(0, "parallel.pipeline", job.ranks), NULL };
    struct config c = config_for(DEEP, job.ranks, sets);
    struct trainer t;
    struct stopwatch w;
    double error = NAN, first = NAN;
    assert_on_all_ranks(trainer_open(&t, &c, job.world) == STATUS_OK && verify_gradients(&t, &error) == STATUS_OK);
    stopwatch_start(&w, t.clock, PHASE_DATA);
    first = trainer_step(&t, 0, &w);
    trainer_close(&t);
    config_free(&c);
    const struct trained drawn = TRAIN(DEEP, job.ranks, "batch.global=16", "batch.micro=2", UNCHECKED, DRAWN, sets[3]);
    assert_on_all_ranks(job_max(&job, error) < GRADIENT_TOLERANCE && first == drawn.loss[0]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_that_lose_nothing_give_the_bits_of_one_rank_with_every_schedule),
        cmocka_unit_test(codes_that_lose_nothing_give_the_bits_of_one_rank_with_chunks),
        cmocka_unit_test(a_loss_is_the_same_with_every_schedule_and_any_number_of_replicas),
        cmocka_unit_test(the_receiver_draws_the_numbers_of_the_sender),
        cmocka_unit_test(tensor_ranks_lose_what_one_rank_loses),
        cmocka_unit_test(sequence_parallel_ranks_code_their_shares),
        cmocka_unit_test(optimizer_state_can_be_dealt_to_replicas_with_it),
        cmocka_unit_test(every_message_has_numbers_of_its_own_but_not_every_tensor_rank),
        cmocka_unit_test(a_product_of_full_rank_is_the_activations),
        cmocka_unit_test(every_compressor_that_is_not_refused_sends_the_bytes_that_it_says),
        cmocka_unit_test(codes_of_enough_bits_learn_like_floats_and_of_too_few_do_not),
        cmocka_unit_test(gradients_are_verified_without_codes),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
