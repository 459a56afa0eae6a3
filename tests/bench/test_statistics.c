/* bench/statistics.c against ranks derived by hand from the binomial distribution, and against the promise itself: intervals of
 * simulated samples must cover the known median in about 95 % of the cases. Recomputed by numpy in tests/cli/test_statistics.py.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/statistics.h"
#include "kernels/random.h"

enum { N_MAX = 100 };

/* Samples 1..n in a scrambled order: a value is its own rank. */
static struct statistic of_ranks(size_t n)
{
    double x[N_MAX], sorted[N_MAX];
    for (size_t i = 0; i < n; i++)
        x[i] = (double)((i * 37) % n + 1); /* 37 is prime to every n below */
    return statistic_of(x, n, sorted);
}

static void the_interval_of_the_median_has_the_exact_ranks(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        double low, high, level;
    } rows[] = { /* level = 1 - 2 P(B < low): 1 - 2/64, 1 - 22/1024, ... */
                 { 6, 1, 6, 0.96875 },
                 { 10, 2, 9, 0.978515625 },
                 { 20, 6, 15, 0.9586105346679688 },
                 { 30, 10, 21, 0.9572260547429323 },
                 { 50, 18, 33, 0.9671608624357315 },
                 { 100, 40, 61, 0.9647997997822952 }
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct statistic s = of_ranks(rows[i].n);
        assert_true(s.ci95_low == rows[i].low);
        assert_true(s.ci95_high == rows[i].high);
        assert_true(fabs(s.ci_level - rows[i].level) < 1e-12); /* lgamma's last digits, and a few additions */
    }
}

static void fewer_than_six_samples_have_no_interval(void **state)
{
    (void)state;
    for (size_t n = 1; n < 6; n++) {
        struct statistic s = of_ranks(n);
        assert_true(isnan(s.ci95_low) && isnan(s.ci95_high) && isnan(s.ci_level));
        assert_true(s.median == ((double)n + 1) / 2);
        assert_true(s.min == 1 && s.max == (double)n);
    }
}

static void the_interval_of_a_million_samples_neither_underflows_nor_misses_the_normal_limit(void **state)
{
    (void)state;
    size_t n = 1000000;
    double *x = malloc(2 * n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = (double)(i + 1);
    struct statistic s = statistic_of(x, n, x + n);
    /* de Moivre-Laplace: half width 1.959964 sqrt(n) / 2 = 980 ranks */
    assert_true(fabs((s.ci95_high - s.ci95_low) / 2 - 980) < 1.5);
    assert_true(s.ci_level >= 0.95 && s.ci_level < 0.951);
    free(x);
}

static void no_samples_or_a_nan_among_them_give_nan(void **state)
{
    (void)state;
    double x[3] = { 1, NAN, 3 }, sorted[3];
    for (size_t n = 0; n <= 3; n += 3) {
        struct statistic s = statistic_of(x, n, sorted);
        assert_int_equal(s.n, n);
        assert_true(isnan(s.median) && isnan(s.min) && isnan(s.max) && isnan(s.mean) && isnan(s.sd) && isnan(s.p5));
    }
}

static void one_sample_is_its_own_quantile_and_has_no_deviation(void **state)
{
    (void)state;
    struct statistic s = of_ranks(1);
    assert_true(s.p5 == 1 && s.p99 == 1 && s.mean == 1);
    assert_true(isnan(s.sd));
}

static void quantiles_interpolate_between_order_statistics(void **state)
{
    (void)state;
    const double x[] = { 10, 20, 30, 40, 50 };
    assert_true(quantile(x, 5, 0) == 10);
    assert_true(quantile(x, 5, 1) == 50);
    assert_true(quantile(x, 5, 0.25) == 20);
    assert_true(fabs(quantile(x, 5, 0.95) - 48) < 1e-12); /* 40 + 0.8 * 10: place 4 * 0.95 = 3.8 */
}

static void a_large_offset_does_not_spoil_the_deviation(void **state)
{
    (void)state;
    const double x[] = { 1e9 + 1, 1e9 + 2, 1e9 + 3 };
    double sorted[3];
    assert_true(fabs(statistic_of(x, 3, sorted).sd - 1) < 1e-12);
}

/* How many of 2000 intervals of `n` samples each hold the distribution's median. */
static int covered(size_t n, double (*transform)(double), double median)
{
    int hits = 0;
    for (uint32_t repetition = 0; repetition < 2000; repetition++) {
        float normal[N_MAX];
        double x[N_MAX], sorted[N_MAX];
        random_normal(&(struct random){ .seed = 7, .stream = RANDOM_CHECK, .step = repetition }, 1, 0, normal, n);
        for (size_t i = 0; i < n; i++)
            x[i] = transform((double)normal[i]);
        struct statistic s = statistic_of(x, n, sorted);
        hits += s.ci95_low <= median && median <= s.ci95_high;
    }
    return hits;
}

static double same(double x)
{
    return x;
}

static void the_interval_covers_the_median_of_normal_and_lognormal_samples(void **state)
{
    (void)state;
    /* n = 20 promises 95.86 %, n = 30 95.72 %; the simulation's own deviation is 0.45 % */
    for (size_t n = 20; n <= 30; n += 10) {
        assert_in_range(covered(n, same, 0), 1860, 1960);
        assert_in_range(covered(n, exp, 1), 1860, 1960);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_interval_of_the_median_has_the_exact_ranks),
        cmocka_unit_test(fewer_than_six_samples_have_no_interval),
        cmocka_unit_test(the_interval_of_a_million_samples_neither_underflows_nor_misses_the_normal_limit),
        cmocka_unit_test(no_samples_or_a_nan_among_them_give_nan),
        cmocka_unit_test(one_sample_is_its_own_quantile_and_has_no_deviation),
        cmocka_unit_test(quantiles_interpolate_between_order_statistics),
        cmocka_unit_test(a_large_offset_does_not_spoil_the_deviation),
        cmocka_unit_test(the_interval_covers_the_median_of_normal_and_lognormal_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
