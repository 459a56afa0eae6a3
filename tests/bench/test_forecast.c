/* Forecasts. Oracles: the closed forms written out for layouts that are simple enough, with flop and floats counted by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/forecast.h"

static const double flop_per_s = 1e10, a = 1e-3, B = 1e6;

/* One hidden layer, 8 -> 16 -> 4: (8 x 16 + 16 x 4) products, 212 parameters. */
#define MLP                                                                                                                        \
    "{\"model\": {\"name\": \"mlp\", \"inputs\": 8, \"hidden\": 16, \"layers\": 1, \"classes\": 4}, \"data\": {\"name\": "         \
    "\"synthetic\"}, \"batch\": {\"global\": 16, "                                                                                 \
    "\"micro\": 4}, \"compute\": {\"rate_flop_per_s\": 1e10}}"
/* Four blocks; 8 samples of 16 positions, 32 channels; ends that cost next to nothing. */
#define GPT                                                                                                                        \
    "{\"model\": {\"name\": \"gpt\", \"layers\": 4, \"hidden\": 32, \"heads\": 4, \"sequence\": 16, \"vocabulary\": 16}, "         \
    "\"data\": "                                                                                                                   \
    "{\"name\": \"synthetic\"}, \"batch\": {\"global\": 8, \"micro\": 1}, \"compute\": {\"rate_flop_per_s\": 1e10}}"
#define NETWORK                                                                                                                    \
    "network.node_ranks=1", "network.between.latency_s=1e-3", "network.between.bandwidth_B_per_s=1e6", "exchange.segment_B=16777216"

static struct forecast forecast(int ranks, const char *text, const char *const *sets)
{
    struct config c;
    struct rates r;
    struct forecast f;
    int count = 0;
    while (sets[count])
        count++;
    if (config_parse(&c, "test", text, NULL, sets, count) || config_settle(&c, ranks) || rates_of(&r, &c, ranks, false) ||
        forecast_make(&f, &c, ranks, &r))
        fail_msg("%s", status_message());
    config_free(&c);
    return f;
}
#define FORECAST(ranks, text, ...) forecast(ranks, text, (const char *const[]){ __VA_ARGS__, NULL })

static void assert_s(double got_s, double wanted_s)
{
    if (!(fabs(got_s - wanted_s) <= 1e-6 * wanted_s))
        fail_msg("%.9g s, not %.9g s", got_s, wanted_s);
}

/* Forward and weight gradient are whole; the input gradient is that of the second layer only. */
static const double mlp_flop = 2 * (2 * (8 * 16 + 16 * 4) + 16 * 4), mlp_floats = 8 * 16 + 16 + 16 * 4 + 4;

static void replicas_take_the_longer_of_computing_and_exchanging(void **state)
{
    (void)state;
    const struct forecast f = FORECAST(4, MLP, NETWORK);
    const double compute_s = 4 * mlp_flop / flop_per_s, exchange_s = 2 * 3 * (a + 4 * mlp_floats / 4 / B);
    assert_s(f.compute_s, compute_s);
    assert_s(f.pipeline_s, compute_s);
    assert_s(f.exchange_s, exchange_s);
    assert_s(f.step_s, exchange_s);
    assert_s(f.serial_s, compute_s + exchange_s);
    assert_true(f.tensor_s == 0);
}

static void algorithms_have_their_own_forms(void **state)
{
    (void)state;
    const double n_s = 4 * mlp_floats / B;
    assert_s(FORECAST(4, MLP, NETWORK, "exchange.allreduce=doubling").exchange_s, 2 * (a + n_s));
    assert_s(FORECAST(4, MLP, NETWORK, "exchange.allreduce=halving").exchange_s, 4 * a + 2 * 3.0 / 4 * n_s);
    assert_true(isnan(FORECAST(4, MLP, NETWORK, "exchange.allreduce=mpi").exchange_s));
}

static void zero_sends_parameters_for_sums(void **state)
{
    (void)state;
    const double dense_s = FORECAST(4, MLP, NETWORK).exchange_s;
    assert_s(FORECAST(4, MLP, NETWORK, "parallel.zero=1").exchange_s, dense_s);
    assert_s(FORECAST(4, MLP, NETWORK, "parallel.zero=3", "exchange.bucket_B=4194304").exchange_s, 1.5 * dense_s);
}

/* Of two micro-batches each: what is scattered for one may travel with what is gathered for the other, under one latency; the other
 * gathers come one after the other. */
static void zero_of_several_micro_batches_overlaps_its_parts(void **state)
{
    (void)state;
    const double n_s = 4 * mlp_floats / B, both_s = 6 * (a + 2 * n_s / 4), gather_s = 3 * (a + n_s / 4);
    assert_s(FORECAST(4, MLP, NETWORK, "parallel.zero=3", "exchange.bucket_B=4194304", "batch.micro=2").exchange_s,
             both_s + 2 * gather_s);
}

/* Two bytes for each float, from each of three others. */
static void codes_count_by_their_bytes(void **state)
{
    (void)state;
    const struct forecast f =
        FORECAST(4, MLP, NETWORK, "exchange.compressor.name=fp16", "exchange.collective.name=allgather", "exchange.unit=bucket");
    assert_s(f.exchange_s, 3 * 2 * mlp_floats / B + a);
}

static void a_straggler_makes_its_stage_as_slow(void **state)
{
    (void)state;
    assert_s(FORECAST(4, MLP, NETWORK, "compute.slowdown=[[2, 3.5]]").compute_s, 3.5 * 4 * mlp_flop / flop_per_s);
}

/* Stated times: every block takes 10 ms forward and 20 ms backward; stages are equal, messages all but free. */
#define STATED "compute.name=sleep", "compute.forward_s=0.01", "compute.backward_s=0.02"

static void a_pipeline_takes_its_formula(void **state)
{
    (void)state;
    const double m = 8, F = 0.01, R = 2 * F;
    const struct forecast f = FORECAST(4, GPT, STATED, "parallel.pipeline=4", "parallel.data=1", "network.between.latency_s=0",
                                       "network.inside.latency_s=0", "network.inside.bandwidth_B_per_s=1e15");
    assert_s(f.compute_s, m * (F + R));
    assert_s(f.pipeline_s, (m + 3) * (F + R)); /* the first stage has its first and last task of all */
    assert_true(f.exchange_s == 0);
    const struct forecast again = FORECAST(4, GPT, STATED, "parallel.pipeline=4", "parallel.data=1", "parallel.recompute=true",
                                           "parallel.recompute_last_stage=true", "network.inside.latency_s=0");
    assert_s(again.compute_s, m * (F + F + R));
}

/* A message takes c = a + (16 positions x 32 channels x 4 bytes + a stamp) / B. GPipe's forward wave and its backward wave wait for
 * p - 1 of them each. */
static void messages_lengthen_the_waves(void **state)
{
    (void)state;
    const double c = a + (16 * 32 * 4 + 8) / B, m = 8, F = 0.01, R = 0.02;
    const struct forecast f = FORECAST(4, GPT, STATED, NETWORK, "parallel.pipeline=4", "parallel.data=1",
                                       "parallel.schedule.name=gpipe", "parallel.recompute=false");
    assert_s(f.pipeline_s, (m + 3) * (F + R) + 2 * 3 * c);
}

/* T = m L 4 T_AR(b S h, t) inside blocks; embedding and head one sum each, the loss three of a row each (Shoeybi et al. 2019). */
static void tensor_ranks_sum_four_times_a_block(void **state)
{
    (void)state;
    const double m = 8, block_s = 2 * (a + 4 * 16 * 32 / 2 / B), loss_s = 2 * (a + 4 * 16 / 2 / B);
    const struct forecast f = FORECAST(2, GPT, NETWORK, "parallel.tensor=2", "parallel.data=1");
    assert_s(f.tensor_s, m * ((4 * 4 + 2) * block_s + 3 * loss_s));
    assert_s(f.pipeline_s, f.compute_s + f.tensor_s);
    const struct forecast sequence = FORECAST(2, GPT, NETWORK, "parallel.tensor=2", "parallel.data=1", "parallel.sequence=true");
    assert_s(sequence.compute_s, f.compute_s);
}

/* T = (m + p - 1)(F + B) + T_AR(4 n, d): with two replicas on nodes of one rank each. */
static void a_hybrid_adds_the_exchange_of_its_largest_stage(void **state)
{
    (void)state;
    const struct forecast f = FORECAST(4, GPT, STATED, NETWORK, "parallel.pipeline=2", "parallel.data=2",
                                       "parallel.schedule.name=gpipe", "parallel.recompute=false");
    const double c = a + (16 * 32 * 4 + 8) / B, block = 12 * 32 * 32 + 13 * 32, n = 2 * block + 16 * 32 + 16 * 32;
    assert_s(f.pipeline_s, (4 + 1) * 2 * 0.03 + 2 * c);
    assert_s(f.exchange_s, 2 * (a + 4 * n / 2 / B));
    assert_s(f.serial_s, f.pipeline_s + f.exchange_s);
}

static void what_nobody_has_said_is_unknown(void **state)
{
    (void)state;
    const struct forecast unlinked = FORECAST(4, MLP, "name=x"),
                          unrated = FORECAST(4, MLP, NETWORK, "compute.rate_flop_per_s=auto");
    assert_true(isnan(unlinked.exchange_s) && isnan(unlinked.serial_s) && unlinked.step_s == unlinked.compute_s);
    assert_true(isnan(unrated.compute_s) && isnan(unrated.serial_s) && unrated.step_s == unrated.exchange_s);
    assert_true(FORECAST(1, MLP, "name=x").exchange_s == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replicas_take_the_longer_of_computing_and_exchanging),
        cmocka_unit_test(algorithms_have_their_own_forms),
        cmocka_unit_test(zero_sends_parameters_for_sums),
        cmocka_unit_test(zero_of_several_micro_batches_overlaps_its_parts),
        cmocka_unit_test(codes_count_by_their_bytes),
        cmocka_unit_test(a_straggler_makes_its_stage_as_slow),
        cmocka_unit_test(a_pipeline_takes_its_formula),
        cmocka_unit_test(messages_lengthen_the_waves),
        cmocka_unit_test(tensor_ranks_sum_four_times_a_block),
        cmocka_unit_test(a_hybrid_adds_the_exchange_of_its_largest_stage),
        cmocka_unit_test(what_nobody_has_said_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
