/* ranks: 1 2 4 8 */
/* What split layers cost, known before they run: bytes against the ledger and by hand, flop, memory by the published formula; and
 * what cannot be split. */
#include "tests/bench/shards.h"

static uint64_t sent_B(void)
{
    return fabric.ledger.rows[PURPOSE_TENSOR].wire_B_counted;
}

static void bytes_are_those_of_the_formulas(void **state)
{
    (void)state;
    for (int e = 0; e < EXAMPLES; e++) {
        set_up(&examples[e]);
        const int layers = part.net.count;
        forward(&part, layers);
        assert_on_all_ranks(sent_B() == tensor_sent_B(&part.net, TENSOR_FORWARD, SAMPLES, SEGMENT_B));
        const uint64_t forward_B = sent_B();
        backward(&part, layers);
        uint64_t partial_B = 0;
        for (int i = 0; i < part.net.params.count; i++)
            if (part.net.params.slices[i].partial)
                partial_B += sizeof(float) * blocking_sum_sent_floats(SEGMENT_B, job.ranks, job.rank, part.net.params.slices[i].n);
        assert_on_all_ranks(sent_B() == forward_B + tensor_sent_B(&part.net, TENSOR_BACKWARD, SAMPLES, SEGMENT_B) + partial_B);
        assert_on_all_ranks(fabric.ledger.rows[PURPOSE_TENSOR].wire_B_predicted == sent_B());
        tear_down();
    }
}

/* Bytes of a rank, by hand: t divides all sizes. */
static void a_transformer_sends_what_megatron_states(void **state)
{
    (void)state;
    for (int e = 0; e < 4; e++) {
        set_up(&examples[e]);
        const uint64_t t = (uint64_t)job.ranks, b = 16, activation = b * 8 * 32, layers = 2, rows = b * 8;
        const uint64_t blocks = layers * 8 * (t - 1) * activation / t, ends = 2 * 2 * (t - 1) * activation / t;
        const uint64_t loss = 3 * 2 * (t - 1) * rows / t;
        const uint64_t forward_B = tensor_sent_B(&part.net, TENSOR_FORWARD, (int)b, 1 << 20);
        const uint64_t backward_B = tensor_sent_B(&part.net, TENSOR_BACKWARD, (int)b, 1 << 20);
        assert_on_all_ranks(forward_B + backward_B == 4 * (blocks + ends + loss));
        assert_on_all_ranks(forward_B - 4 * loss == backward_B);
        tear_down();
    }
}

static void flop_of_all_ranks_are_those_of_the_whole(void **state)
{
    (void)state;
    for (int e = 0; e < EXAMPLES; e++) {
        set_up(&examples[e]);
        assert_on_all_ranks(network_flop_forward(&part.net) * job.ranks == network_flop_forward(&whole.net));
        assert_on_all_ranks(network_flop_backward(&part.net) * job.ranks == network_flop_backward(&whole.net));
        tear_down();
    }
}

/* Published: bytes in fp16 of a block's activations, over positions and channels (Korthikanti et al. 2022, tables 2 and 4): a
 * heads, S positions, h channels. Selective: attention's square matrices are computed again. */
enum memory { TENSOR, TENSOR_SEQUENCE, TENSOR_SEQUENCE_SELECTIVE };
static double published_B(enum memory way, double t, double a, double S, double h)
{
    const double square = way == TENSOR_SEQUENCE_SELECTIVE ? 0 : 5 * a * S / (h * t);
    return way == TENSOR ? 10 + 24 / t + square : 34 / t + square;
}

/* The same tables' models on 8 tensor ranks: 530, 175 and 22 G parameters; the paper says "5x". Derived: 4.94, 5.41, 6.20. */
static void the_published_formula_gives_the_published_saving(void **state)
{
    (void)state;
    static const struct {
        double a, h, saving;
    } published[] = { { 128, 20480, 4.94 }, { 96, 12288, 5.41 }, { 64, 6144, 6.20 } };
    for (int i = 0; i < 3; i++) {
        const double all = published_B(TENSOR, 8, published[i].a, 2048, published[i].h);
        const double least = published_B(TENSOR_SEQUENCE_SELECTIVE, 8, published[i].a, 2048, published[i].h);
        assert_on_all_ranks(fabs(all / least - published[i].saving) < 0.005);
    }
}

/* Ours per position and channel, at 2 bytes a float, are the published ones without dropout (2 masks of a byte; of the square
 * matrices one of fp16 and a mask), and with sequence parallelism with the norms' outputs whole, 4 bytes instead of 4 / t. Four
 * floats a row, means and deviations, are left out by the paper. */
static void saved_activations_are_those_of_the_published_formula(void **state)
{
    (void)state;
    for (int e = 0; e < 2; e++) {
        set_up(&examples[e]);
        const double T = 8, C = 32, H = 8, t = job.ranks, s = examples[e].sequence ? t : 1;
        const double dropout_B = 2 / s + 3 * H * T / (C * t), gathered_B = examples[e].sequence ? 4 - 4 / t : 0;
        const double expected_B = published_B(s > 1 ? TENSOR_SEQUENCE : TENSOR, t, H, T, C) - dropout_B + gathered_B;
        const struct layer *block = &part.net.layers[1];
        const double statistics = 4 * T / s, ours = (double)(block->saved_floats + block->out_floats) - statistics;
        assert_on_all_ranks(2 * ours / (T * C) == expected_B);
        tear_down();
    }
}

static void what_cannot_be_shared_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int tensor;
        bool sequence;
        const char *names;
    } cases[] = {
        { GPT "true" CLOSE, 3, false, "model.heads = 8 cannot be shared equally by parallel.tensor = 3 ranks" },
        { "{\"model\":{\"heads\":8,\"hidden\":64,\"sequence\":6}}", 4, true, "model.sequence = 6" },
        { "{\"model\":{\"heads\":8,\"hidden\":64,\"vocabulary\":5}}", 8, false, "model.vocabulary = 5 cannot" },
        { MLP "1" CLOSE, 5, false, "model.hidden = 32" },
        { MLP "0" CLOSE, 16, false, "model.classes = 9" },
        { MLP "2" CLOSE, 16, false, "model.classes = 9" },
        { MLP "2" CLOSE, 2, true, "(fits: parallel.sequence = false)" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config c;
        assert_on_all_ranks(config_parse(&c, "test", cases[i].text, ".", NULL, 0) == STATUS_OK);
        const char *why = model_find(c.model.name)->refuses_shard(c.model.options, cases[i].tensor, cases[i].sequence);
        assert_on_all_ranks(why && strstr(why, cases[i].names));
        config_free(&c);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_those_of_the_formulas),
        cmocka_unit_test(a_transformer_sends_what_megatron_states),
        cmocka_unit_test(flop_of_all_ranks_are_those_of_the_whole),
        cmocka_unit_test(the_published_formula_gives_the_published_saving),
        cmocka_unit_test(saved_activations_are_those_of_the_published_formula),
        cmocka_unit_test(what_cannot_be_shared_is_refused_by_name),
    };
    RUN_ON_ALL_RANKS(argc, argv, tests);
}
