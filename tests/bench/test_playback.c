/* Schedules in virtual time against published tables, closed formulas, and tables that an independent event simulator gave
 * (tests/oracles/, each with its provenance). Integers and halves are exact in floating point, so most of this is equality.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "tests/bench/pipelines.h"

/* Forward, recomputation, input gradient and weight gradient take 1. */
static const struct stage_times *unit_times(void)
{
    static struct stage_times times[TEST_STAGES_MAX];
    for (int s = 0; s < TEST_STAGES_MAX; s++)
        times[s] = (struct stage_times){ 1, 1, 1, 1 };
    return times;
}

static struct playback_input input_of(struct variant v, int stages, int micro_batches, double latency_s, bool recompute)
{
    const enum setting setting = recompute ? SETTING_ON : SETTING_OFF;
    return (struct playback_input){ .pipeline = pipeline_of(v, stages, micro_batches, setting, SETTING_AUTO),
                                    .times = unit_times(),
                                    .latency_s = latency_s };
}

/* Without its stages. */
static struct playback totals(const struct playback_input *in)
{
    struct playback b;
    assert_null(pipeline_refuses(&in->pipeline));
    assert_int_equal(playback_run(in, &b), STATUS_OK);
    struct playback copy = b;
    playback_free(&b);
    copy.stages = NULL;
    return copy;
}

static double makespan(struct variant v, int stages, int micro_batches, double latency_s, bool recompute)
{
    const struct playback_input in = input_of(v, stages, micro_batches, latency_s, recompute);
    return totals(&in).makespan_s;
}

static FILE *open_oracle(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "tests/oracles/%s.csv", name);
    FILE *table = fopen(path, "r");
    assert_non_null(table);
    return table;
}

/* ---- tables -------------------------------------------------------------------------------------------------------------- */

static void check_makespans(const char *name, int rows, bool recompute_waits)
{
    FILE *table = open_oracle(name);
    char *cell[7];
    for (; read_row(table, cell, 7) == 7; rows--) {
        const struct variant v = { cell[3], atoi(cell[4]) };
        struct playback_input in = input_of(v, atoi(cell[0]), atoi(cell[1]), atof(cell[2]), strcmp(cell[5], "on") == 0);
        in.recompute_waits = recompute_waits;
        assert_true(totals(&in).makespan_s == atof(cell[6]));
    }
    assert_int_equal(rows, 0);
    fclose(table);
}

static void makespans_are_those_of_the_tables(void **state)
{
    (void)state;
    check_makespans("varuna_generator", 38, false);
    check_makespans("latency", 108, false);
    check_makespans("recompute_waits", 5, true);
    check_makespans("makespans", 33, false);
}

/* The published rate of a schedule: how much of the longest stage's span is not work. */
static double bubble_rate(struct variant v, const double row[], const struct stage_times *times)
{
    struct playback_input in = input_of(v, (int)row[0], (int)row[1], row[5], false);
    in.times = times;
    const double span_s = totals(&in).span_s;
    return (span_s - row[1] * (row[2] + row[3] + row[4])) / span_s;
}

static void bubbles_are_those_of_the_zero_bubble_paper(void **state)
{
    (void)state;
    FILE *table = open_oracle("zero_bubble_table");
    char *cell[11];
    int rows = 0;
    for (; read_row(table, cell, 11) == 11; rows++) {
        double row[11];
        struct stage_times times[TEST_STAGES_MAX];
        for (int i = 0; i < 11; i++)
            row[i] = atof(cell[i]);
        for (int s = 0; s < TEST_STAGES_MAX; s++)
            times[s] = (struct stage_times){ .forward_s = row[2], .input_grad_s = row[3], .weight_grad_s = row[4] };
        assert_true(fabs(bubble_rate((struct variant){ "1f1b", 0 }, row, times) - row[6]) < 1e-4);
        assert_true(fabs(bubble_rate((struct variant){ "interleaved", (int)row[8] }, row, times) - row[7]) < 4e-3);
        assert_true(fabs(bubble_rate((struct variant){ "zb-h1", 0 }, row, times) - row[9]) < 1e-4);
        assert_true(fabs(bubble_rate((struct variant){ "zb-h2", 0 }, row, times) - row[10]) < 1e-4);
    }
    assert_int_equal(rows, 8);
    fclose(table);
}

static double with_slow_last_stage(struct variant v, int stages, int micro_batches, double latency_s, double factor)
{
    struct playback_input in = input_of(v, stages, micro_batches, latency_s, true);
    struct stage_times times[TEST_STAGES_MAX];
    memcpy(times, in.times, sizeof times);
    times[stages - 1] = (struct stage_times){ factor, factor, factor, factor };
    in.times = times;
    return totals(&in).makespan_s;
}

static void a_slow_last_stage_costs_gpipe_its_recomputation(void **state)
{
    (void)state;
    FILE *table = open_oracle("last_stage");
    char *cell[5];
    int rows = 0;
    for (; read_row(table, cell, 5) == 5; rows++) {
        const int stages = atoi(cell[0]), m = atoi(cell[1]);
        const double factor = atof(cell[2]), latency_s = atof(cell[3]);
        const double gpipe = with_slow_last_stage((struct variant){ "gpipe", 0 }, stages, m, latency_s, factor);
        const double varuna = with_slow_last_stage((struct variant){ "varuna", 1 }, stages, m, latency_s, factor);
        assert_true(fabs(gpipe / varuna - atof(cell[4])) <= 5.1e-4); /* the table has three digits */
    }
    assert_int_equal(rows, 18);
    fclose(table);
}

static void means_under_jitter_are_those_of_the_table(void **state)
{
    (void)state;
    static const struct variant columns[] = { { "varuna", 1 }, { "varuna", 0 }, { "gpipe", 0 }, { "1f1b", 0 } };
    FILE *table = open_oracle("jitter");
    char *cell[7];
    int rows = 0;
    for (; read_row(table, cell, 7) == 7; rows++)
        for (int i = 0; i < 4; i++) {
            struct playback_input in = input_of(columns[i], atoi(cell[0]), atoi(cell[1]), 0, true);
            double sum_s = 0;
            in.jitter_network_s = atof(cell[2]);
            in.jitter_compute_s = 0.02;
            for (in.seed = 1; in.seed <= 30; in.seed++)
                sum_s += totals(&in).makespan_s;
            assert_true(fabs(sum_s / 30 / atof(cell[3 + i]) - 1) < 0.02);
        }
    assert_int_equal(rows, 8);
    fclose(table);
}

/* ---- closed formulas ----------------------------------------------------------------------------------------------------- */

static void gpipe_pays_for_latency_twice_along_the_pipeline(void **state)
{
    (void)state;
    for (int p = 1; p <= 8; p++)
        for (int m = 1; m <= 16; m++)
            for (double c = 0; c <= 3; c += 0.5) {
                const struct variant gpipe = { "gpipe", 0 };
                assert_true(makespan(gpipe, p, m, c, false) == (m + p - 1) * 3 + 2 * (p - 1) * c);
                assert_true(makespan(gpipe, p, m, c, true) == 4 * m + 3 * p - 4 + 2 * (p - 1) * c);
            }
}

static void one_f_one_b_pays_for_latency_in_every_round(void **state)
{
    (void)state;
    for (int p = 2; p <= 16; p++)
        for (int m = p; m <= 8 * p; m += p) {
            const struct variant v = { "1f1b", 0 };
            assert_true(makespan(v, p, m, 0, false) == (m + p - 1) * 3);
            for (double c = 0.25; c <= 3; c += 0.25)
                assert_true(makespan(v, p, m, c, false) == (m + p - 1) * 3 + c * (2 * (p - 1) * m / p + 2 * (p - 2)));
        }
}

static void interleaving_divides_the_bubble_by_the_chunks(void **state)
{
    (void)state;
    for (int p = 2; p <= 8; p++)
        for (int m = p; m <= 4 * p; m += p)
            for (int v = 1; v <= 4; v *= 2) { /* so that 1 / v is exact */
                const struct variant interleaved = { "interleaved", v };
                const double c = 1.0 / 1024;
                assert_true(makespan(interleaved, p, m, 0, false) == m * 3 + (p - 1) * 3.0 / v);
                if (v > 1 && m > p)
                    assert_true(makespan(interleaved, p, m, c, false) == m * 3 + (p - 1) * 3.0 / v + 2 * (p * v - 1) * c);
            }
}

static void chimera_is_as_fast_as_its_two_formulas_and_crosses_1f1b_where_they_do(void **state)
{
    (void)state;
    struct stage_times even[TEST_STAGES_MAX];
    for (int s = 0; s < TEST_STAGES_MAX; s++)
        even[s] = (struct stage_times){ 1, 1, 0.5, 0.5 };
    for (int p = 4; p <= 16; p += 2)
        for (int units = 1; units <= 8; units++) {
            const int m = p * units;
            struct playback_input in = input_of((struct variant){ "chimera", 0 }, p, m, 0, false);
            const double twice = totals(&in).makespan_s;
            assert_true(twice == 3 * m + (p - 2) * (units + 1));
            in.times = even; /* backward as long as forward */
            assert_true(totals(&in).makespan_s == 2 * m + p - 2);
            const bool faster = twice < makespan((struct variant){ "1f1b", 0 }, p, m, 0, false);
            assert_int_equal(faster, (units + 1) * (p - 2) < 3 * (p - 1));
        }
}

static void zero_bubble_schedules_have_the_bubbles_of_their_paper(void **state)
{
    (void)state;
    for (int p = 2; p <= 16; p++)
        for (int m = 2 * p; m <= 6 * p; m += p) {
            struct playback_input h1 = input_of((struct variant){ "zb-h1", 0 }, p, m, 0, false);
            struct playback_input h2 = input_of((struct variant){ "zb-h2", 0 }, p, m, 0, false);
            assert_true(totals(&h1).makespan_s == 3 * m + p - 1 && totals(&h1).span_s == 3 * m + p - 1);
            assert_true(totals(&h2).makespan_s == 3 * m + p - 1 && totals(&h2).span_s == 3 * m);
            h1.latency_s = h2.latency_s = 0.25;
            assert_true(totals(&h1).makespan_s == 3 * m + p - 1 + 4 * (p - 1) * 0.25);
            assert_true(totals(&h2).makespan_s == 3 * m + p - 1 + (p - 1) * 0.25);
        }
}

static void opportunism_holds_as_many_inputs_as_fit_into_a_round_trip(void **state)
{
    (void)state;
    for (int p = 2; p <= 8; p++)
        for (double c = 0; c <= 2; c += 0.5) {
            const struct playback_input in = input_of((struct variant){ "varuna", 1 }, p, 64, c, true);
            struct playback b;
            assert_int_equal(playback_run(&in, &b), STATUS_OK);
            for (int s = 0; s < p - 1; s++)
                assert_true(b.stages[s].peak_activations == fmin(64, ceil(4 + 2 * c) * (p - 1 - s)));
            assert_true(b.stages[p - 1].peak_activations == 1);
            playback_free(&b);
        }
}

/* m / (m + p - 1), published as 81 % and 90 % for p = 16 and m = 4 p, 8 p (DeepSpeed, 2020). */
static void bubble_fraction_and_ratio_are_those_of_the_formulas(void **state)
{
    (void)state;
    for (int p = 1; p <= 16; p++)
        for (int m = 1; m <= 8 * p; m += p) {
            const struct playback_input in = input_of((struct variant){ "1f1b", 0 }, p, m, 0, false);
            const struct playback b = totals(&in);
            assert_true(fabs(b.bubble_frac - (p - 1.0) / (m + p - 1)) < 1e-12);
            assert_true(fabs(b.bubble_ratio - (p - 1.0) / m) < 1e-12);
            assert_true(pipeline_bubble_theory(&in.pipeline) == b.bubble_frac);
        }
}

/* ---- what is said of each stage ------------------------------------------------------------------------------------------ */

static void check_causes(const struct pipeline *p)
{
    const struct playback_input in = { .pipeline = *p, .times = unit_times(), .latency_s = 0.75 };
    struct playback b;
    assert_int_equal(playback_run(&in, &b), STATUS_OK);
    for (int s = 0; s < p->stages; s++) {
        const struct played_stage *stage = &b.stages[s];
        double busy_s = 0;
        for (int i = 0; i < stage->count; i++) {
            busy_s += stage->tasks[i].end_s - stage->tasks[i].start_s;
            assert_true(i == 0 || stage->tasks[i].start_s >= stage->tasks[i - 1].end_s);
        }
        assert_true(fabs(busy_s - stage->busy_s) < 1e-9 && fabs(busy_s + stage->idle_s - b.makespan_s) < 1e-9);
        assert_true(stage->fill_s == stage->tasks[0].start_s);
        assert_true(fmin(stage->wait_activation_s, fmin(stage->wait_gradient_s, stage->drain_s)) >= 0);
        const double formula = p->schedule->memory(p, s), peak = stage->peak_activations;
        const bool bound = p->schedule->placement == PLACEMENT_BIDIRECTIONAL && p->micro_batches < p->stages;
        assert_true(pipeline_reorders(p) || peak == formula || (bound && peak < formula));
    }
    playback_free(&b);
}

static void a_stage_is_busy_or_idle_for_one_cause_at_any_moment(void **state)
{
    (void)state;
    assert_true(each_pipeline(check_causes) > 2500);
}

/* 1F1B, p = 2, m = 2, a hop takes 0.5.   stage 0: F0 0-1, F1 1-2, B0 5-7 (its gradient left at 4.5), B1 8-10 (left at 7.5)
 *                                        stage 1: F0 1.5-2.5, B0 2.5-4.5, F1 4.5-5.5, B1 5.5-7.5 */
static void idle_time_has_its_cause(void **state)
{
    (void)state;
    const struct playback_input in = input_of((struct variant){ "1f1b", 0 }, 2, 2, 0.5, false);
    struct playback b;
    assert_int_equal(playback_run(&in, &b), STATUS_OK);
    assert_true(b.makespan_s == 10 && b.span_s == 10);
    const struct played_stage *first = &b.stages[0], *last = &b.stages[1];
    assert_true(first->fill_s == 0 && first->drain_s == 0 && first->wait_activation_s == 0 && first->wait_gradient_s == 4);
    assert_true(last->fill_s == 1.5 && last->drain_s == 2.5 && last->wait_activation_s == 0 && last->wait_gradient_s == 0);
    playback_free(&b);
}

/* p = 3, a hop takes 10, stage 0 needs 10 for a forward pass, else all is 1. Stage 1 has done F2 at 41; the gradient of B0 left
 * stage 2 at 34 and comes at 44, F3 comes at 50. */
static void an_opportunistic_stage_waits_for_the_earlier_of_forward_pass_and_gradient(void **state)
{
    (void)state;
    struct playback_input in = input_of((struct variant){ "varuna", 1 }, 3, 4, 10, true);
    const struct stage_times times[] = { { 10, 1, 1, 1 }, { 1, 1, 1, 1 }, { 1, 1, 1, 1 } };
    in.times = times;
    struct playback b;
    assert_int_equal(playback_run(&in, &b), STATUS_OK);
    const struct played_task *after_f2 = &b.stages[1].tasks[3];
    assert_true(after_f2->task.kind == TASK_RECOMPUTE && after_f2->start_s == 44);
    playback_free(&b);
}

static void chunks_of_one_stage_send_each_other_nothing(void **state)
{
    (void)state;
    assert_true(makespan((struct variant){ "interleaved", 2 }, 1, 4, 5, false) == 4 * 3);
}

static void bytes_take_their_time(void **state)
{
    (void)state;
    struct playback_input in = input_of((struct variant){ "gpipe", 0 }, 3, 4, 0.5, false);
    in.message_B = 1e6;
    in.bandwidth_B_per_s = 4e6;
    assert_true(totals(&in).makespan_s == 6 * 3 + 2 * 2 * 0.75);
}

static void the_same_seed_gives_the_same_times_and_another_one_others(void **state)
{
    (void)state;
    struct playback_input in = input_of((struct variant){ "varuna", 1 }, 4, 8, 0.5, true);
    in.jitter_network_s = 0.3;
    in.jitter_compute_s = 0.1;
    const double first = totals(&in).makespan_s;
    assert_true(totals(&in).makespan_s == first);
    in.seed++;
    assert_true(totals(&in).makespan_s != first);
}

static void a_pipeline_of_36_stages_and_128_micro_batches_plays_at_once(void **state)
{
    (void)state;
    struct playback_input in = input_of((struct variant){ "varuna", 1 }, 36, 128, 0.5, true);
    in.jitter_network_s = 0.3;
    double best_s = INFINITY;
    for (int i = 0; i < 5; i++) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        totals(&in);
        clock_gettime(CLOCK_MONOTONIC, &end);
        best_s = fmin(best_s, (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec));
    }
    assert_true(best_s < 0.05); /* it takes 0.003 s; sanitizers and other load have room */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makespans_are_those_of_the_tables),
        cmocka_unit_test(bubbles_are_those_of_the_zero_bubble_paper),
        cmocka_unit_test(a_slow_last_stage_costs_gpipe_its_recomputation),
        cmocka_unit_test(means_under_jitter_are_those_of_the_table),
        cmocka_unit_test(gpipe_pays_for_latency_twice_along_the_pipeline),
        cmocka_unit_test(one_f_one_b_pays_for_latency_in_every_round),
        cmocka_unit_test(interleaving_divides_the_bubble_by_the_chunks),
        cmocka_unit_test(chimera_is_as_fast_as_its_two_formulas_and_crosses_1f1b_where_they_do),
        cmocka_unit_test(zero_bubble_schedules_have_the_bubbles_of_their_paper),
        cmocka_unit_test(opportunism_holds_as_many_inputs_as_fit_into_a_round_trip),
        cmocka_unit_test(bubble_fraction_and_ratio_are_those_of_the_formulas),
        cmocka_unit_test(a_stage_is_busy_or_idle_for_one_cause_at_any_moment),
        cmocka_unit_test(idle_time_has_its_cause),
        cmocka_unit_test(an_opportunistic_stage_waits_for_the_earlier_of_forward_pass_and_gradient),
        cmocka_unit_test(chunks_of_one_stage_send_each_other_nothing),
        cmocka_unit_test(bytes_take_their_time),
        cmocka_unit_test(the_same_seed_gives_the_same_times_and_another_one_others),
        cmocka_unit_test(a_pipeline_of_36_stages_and_128_micro_batches_plays_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
