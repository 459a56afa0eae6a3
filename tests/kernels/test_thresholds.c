/* Members that keep what is above a threshold: how many that is of known distributions, what error feedback makes of it, and DGC
 * against its formulas in plain loops. */
#include "tests/kernels/options.h"

#include "kernels/random.h"

enum { MANY = 1000000 };

static float x[MANY], z[MANY], y[MANY];
static uint32_t list[MANY];
static float value[MANY];
static unsigned char code[8 * MANY], again[8 * MANY];
static _Alignas(64) unsigned char scratch[4 * MANY], memory[2][8 * MANY];

static size_t encode(const struct compressor *k, const struct coding *c, void *state)
{
    return compressor_encode(k, c, state, x, code, scratch);
}

static size_t count(const struct compressor *k, const char *options, size_t n)
{
    const struct coding c = coding_of(options_of(k, options), n);
    return encode(k, &c, NULL) / 8;
}

static void threshold_sends_what_exceeds_it_and_nothing_as_nothing(void **state)
{
    (void)state;
    const float some[] = { 0.5f, -2, 0, NAN, -0.5f, 0.75f };
    const uint32_t indices[] = { 1, 3, 5 };
    const struct coding c = coding_of(options_of(&compress_threshold, "threshold=0.5"), COUNT(some));
    memcpy(x, some, sizeof some);
    assert_int_equal(encode(&compress_threshold, &c, NULL), 24);
    assert_memory_equal(code, indices, sizeof indices);
    assert_memory_equal(code + 12, &some[1], 4);
    assert_memory_equal(code + 20, &some[5], 4);
    assert_true(compress_threshold.delta(&c, x) == 0.5 && compress_threshold.delta(&c, NULL) == 0);
    assert_int_equal(count(&compress_threshold, "threshold=3", 3), 0);
}

/* A float that is held back is a random walk; it leaves (-v, v) after (v / sigma + 0.583)^2 steps on the average (derived: exit
 * time with the overshoot of a normal walk, Siegmund 1985). Without feedback one in 15787 exceeds 4 sigma. */
static void threshold_with_error_feedback_floods(void **state)
{
    (void)state;
    enum { N = 20000, STEPS = 500, SETTLED = 200 };
    const struct coding c = coding_of(options_of(&compress_threshold, "threshold=4"), N);
    size_t first = 0, sent = 0;
    memset(x, 0, N * sizeof *x);
    for (uint32_t step = 0; step < STEPS; step++) {
        random_normal(&(struct random){ .seed = 6, .step = step }, 1, 0, z, N);
        for (size_t i = 0; i < N; i++)
            x[i] += z[i];
        const size_t bytes = encode(&compress_threshold, &c, NULL);
        compress_threshold.decode(&c, code, bytes, -1, x, scratch);
        first += step == 0 ? bytes / 8 : 0;
        sent += step >= SETTLED ? bytes / 8 : 0;
    }
    const double share = (double)sent / ((double)N * (STEPS - SETTLED)), expected = 1 / ((4 + 0.583) * (4 + 0.583));
    assert_true(fabs(share / expected - 1) < 0.05);
    assert_true(first < 10);
}

/* ---- estimates ---- */

static void uniform(float *u, uint32_t seed) /* in (0, 1) */
{
    random_uniform(&(struct random){ .seed = seed }, u, MANY);
    for (size_t i = 0; i < MANY; i++)
        u[i] += 0x1p-25f;
}

static void normal(void)
{
    random_normal(&(struct random){ .seed = 10 }, 0.37f, 0, x, MANY);
}

static void laplace(void)
{
    uniform(z, 11);
    for (size_t i = 0; i < MANY; i++)
        x[i] = z[i] < 0.5f ? logf(2 * z[i]) : -logf(2 * (1 - z[i]));
}

static void weibull(void) /* of shape 1/2, with random signs */
{
    uniform(z, 12);
    for (size_t i = 0; i < MANY; i++)
        x[i] = (i % 2 ? 1 : -1) * logf(z[i]) * logf(z[i]);
}

static void lognormal_times_normal(void)
{
    random_normal(&(struct random){ .seed = 13 }, 1, 0, x, MANY);
    random_normal(&(struct random){ .seed = 14 }, 1, 0, z, MANY);
    for (size_t i = 0; i < MANY; i++)
        x[i] *= expf(z[i]);
}

/* What is sent over what was asked for, at ratios 0.1, 0.01, 0.001. All derived from the distributions' tails: a threshold t sends
 * P(|x| > t) / ratio, with t of a normal fit = z sd, of an exponential fit = mean ln(1 / ratio), of stages by mean excesses. */
static void estimated_thresholds_send_what_the_tails_say(void **state)
{
    (void)state;
    const struct {
        const struct compressor *kind;
        const char *options;
        void (*fill)(void);
        double expected[3];
    } rows[] = {
        { &compress_gaussiank, "", normal, { 1, 1, 1 } },
        { &compress_gaussiank, "", laplace, { 0.977, 2.617, 9.527 } },
        { &compress_sidco, "stages=1", laplace, { 1, 1, 1 } },
        { &compress_sidco, "stages=1", normal, { 0.662, 0.0239, 0 } },
        { &compress_sidco, "", weibull, { 0.628, 0.640, 1.243 } },
        { &compress_sidco, "", laplace, { 1, 1, 1 } },
        { &compress_sidco, "", lognormal_times_normal, { 0.643, 0.620, 1.401 } },
        { &compress_gaussiank, "", lognormal_times_normal, { 0.572, 2.514, 15.12 } },
    };
    for (size_t r = 0; r < COUNT(rows); r++) {
        double ratio = 0.1;
        rows[r].fill();
        for (int i = 0; i < 3; i++, ratio /= 10) {
            char options[64];
            snprintf(options, sizeof options, "ratio=%g %s", ratio, rows[r].options);
            const double got = (double)count(rows[r].kind, options, MANY) / (ratio * MANY);
            const double tolerance = (i < 2 ? 0.03 : 0.05) * rows[r].expected[i] + 0.01 * (i == 2);
            if (!(fabs(got - rows[r].expected[i]) <= tolerance))
                fail_msg("row %zu, ratio %g: %g of what was asked for, expected %g", r, ratio, got, rows[r].expected[i]);
        }
    }
}

static void gaussiank_counts_both_tails_of_a_shifted_normal(void **state)
{
    (void)state;
    for (int shift = -1; shift <= 1; shift++) {
        normal();
        for (size_t i = 0; i < MANY; i++)
            x[i] += 0.5f * (float)shift;
        assert_true(fabs((double)count(&compress_gaussiank, "ratio=0.01", MANY) / (0.01 * MANY) - 1) < 0.03);
    }
}

/* Of uniform numbers in (-1/2, 1/2) the fit sends 1 - 1.645 / sqrt(3) = 0.503 of a tenth; a division adds about 0.11. */
static void gaussiank_lowers_a_threshold_that_few_exceed_where_asked_to(void **state)
{
    (void)state;
    uniform(x, 15);
    for (size_t i = 0; i < MANY; i++)
        x[i] -= 0.5f;
    const double fitted = (double)count(&compress_gaussiank, "ratio=0.1", MANY) / (0.1 * MANY);
    const double adjusted = (double)count(&compress_gaussiank, "ratio=0.1 adjust=true", MANY) / (0.1 * MANY);
    assert_true(fabs(fitted - 0.503) < 0.01);
    assert_true(adjusted >= 5 / 6. && adjusted < 5 / 6. + 0.12);
    assert_int_equal(count(&compress_gaussiank, "ratio=0.01", MANY), 0);
}

static void estimates_send_what_is_not_finite(void **state)
{
    (void)state;
    const struct compressor *const kinds[] = { &compress_gaussiank, &compress_sidco };
    for (int kind = 0; kind < 2; kind++)
        for (int i = 0; i < 2; i++) {
            for (size_t j = 0; j < 100; j++)
                x[j] = 1;
            x[50] = i == 0 ? INFINITY : -NAN;
            assert_true(count(kinds[kind], "", 100) >= 1);
            bool found = false;
            for (size_t j = 0; j < count(kinds[kind], "", 100); j++)
                found |= ((const uint32_t *)(const void *)code)[j] == 50;
            assert_true(found);
            memset(x, 0, 100 * sizeof *x);
            assert_int_equal(count(kinds[kind], "", 100), 0);
            assert_int_equal(count(kinds[kind], "", 0), 0);
        }
}

/* ---- DGC ---- */

/* The formulas once more, in plain loops, with the exact k largest; of no equals. */
static void reference(const float *g, double *u, double *v, size_t n, size_t k, double momentum, double scale, bool masking,
                      double *sent)
{
    for (size_t i = 0; i < n; i++) {
        u[i] = momentum * u[i] + scale * (double)g[i];
        v[i] += u[i];
        sent[i] = 0;
    }
    for (; k > 0; k--) {
        size_t best = 0;
        for (size_t i = 1; i < n; i++)
            best = fabs(v[i]) > fabs(v[best]) ? i : best;
        sent[best] = v[best];
        v[best] = 0;
        u[best] = masking ? 0 : u[best];
    }
}

static void dgc_is_its_formulas(void **state)
{
    (void)state;
    enum { N = 50 };
    const struct {
        const char *options;
        double momentum, limit;
        bool masking;
    } rows[] = { { "ratio=0.1", 0.9, 0, true },
                 { "ratio=0.1 masking=false momentum=0.5", 0.5, 0, false },
                 { "ratio=0.1 clip=4", 0.9, 4 / 2., true } }; /* of 4 workers */
    for (size_t r = 0; r < COUNT(rows); r++) {
        double u[N] = { 0 }, v[N] = { 0 }, sent[N];
        struct coding c = coding_of(options_of(&compress_dgc, rows[r].options), N);
        c.workers = 4;
        compressor_state_begin(&compress_dgc, &c, memory[0]);
        for (c.step = 0; c.step < 20; c.step++) {
            random_normal(&(struct random){ .seed = 20, .step = (uint32_t)c.step }, 1, 0, x, N);
            double norm = 0;
            for (int i = 0; i < N; i++)
                norm += (double)x[i] * x[i];
            norm = sqrt(norm);
            const double scale = rows[r].limit > 0 && norm > rows[r].limit ? rows[r].limit / norm : 1;
            reference(x, u, v, N, 5, rows[r].momentum, scale, rows[r].masking, sent);
            const size_t bytes = encode(&compress_dgc, &c, memory[0]);
            assert_int_equal(bytes, 8 * 5);
            memset(y, 0, N * sizeof *y);
            compress_dgc.decode(&c, code, bytes, 1, y, scratch);
            assert_close(y, sent, N, 1e-5);
        }
    }
}

static void dgc_warms_up_from_a_quarter_by_quarters(void **state)
{
    (void)state;
    const size_t expected[] = { 25600, 25600, 6400, 6400, 1600, 1600, 1024, 1024, 1024 }; /* 102400 / 4, / 16, / 64, then 1 % */
    struct coding c = coding_of(options_of(&compress_dgc, "ratio=0.01 warmup_steps=2"), 102400);
    compressor_state_begin(&compress_dgc, &c, memory[0]);
    assert_int_equal(compress_dgc.code_bytes(&c), 8 * 33280); /* 1.3 * 25600 */
    for (c.step = 0; c.step < (int64_t)COUNT(expected); c.step++) {
        random_normal(&(struct random){ .seed = 21, .step = (uint32_t)c.step }, 1, 0, x, c.n);
        const double share = (double)encode(&compress_dgc, &c, memory[0]) / 8 / (double)expected[c.step];
        assert_true(share >= 0.7 && share <= 1.3);
    }
}

static void dgc_keeps_to_its_bounds_on_inputs_that_mislead_a_sample(void **state)
{
    (void)state;
    const struct coding c = coding_of(options_of(&compress_dgc, "ratio=0.01"), MANY);
    for (int kind = 0; kind < 4; kind++) {
        for (size_t i = 0; i < MANY; i++)
            x[i] = kind == 0 ? 1 : kind == 1 ? (float)(i % 1000 == 0) * (float)i : kind == 2 ? 0 : ldexpf(1, (int)(i % 200) - 100);
        compressor_state_begin(&compress_dgc, &c, memory[0]);
        const size_t bytes = encode(&compress_dgc, &c, memory[0]);
        assert_true(bytes >= 8 * 7000 && bytes <= 8 * 13000);
        assert_true(compress_dgc.entries(&c, code, bytes, list, value, scratch) == bytes / 8);
    }
}

static void dgc_goes_on_from_a_saved_state_bit_for_bit(void **state)
{
    (void)state;
    struct coding c = coding_of(options_of(&compress_dgc, "ratio=0.01 clip=1"), 50000);
    compressor_state_begin(&compress_dgc, &c, memory[0]);
    for (c.step = 0; c.step < 10; c.step++) {
        random_normal(&(struct random){ .seed = 22, .step = (uint32_t)c.step }, 1, 0, x, c.n);
        const size_t bytes = encode(&compress_dgc, &c, memory[0]);
        if (c.step == 4)
            memcpy(memory[1], memory[0], compress_dgc.state_bytes(&c));
        if (c.step > 4) {
            memcpy(again, code, bytes);
            assert_int_equal(encode(&compress_dgc, &c, memory[1]), bytes);
            assert_memory_equal(again, code, bytes);
        }
    }
    assert_memory_equal(memory[0], memory[1], compress_dgc.state_bytes(&c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threshold_sends_what_exceeds_it_and_nothing_as_nothing),
        cmocka_unit_test(threshold_with_error_feedback_floods),
        cmocka_unit_test(estimated_thresholds_send_what_the_tails_say),
        cmocka_unit_test(gaussiank_counts_both_tails_of_a_shifted_normal),
        cmocka_unit_test(gaussiank_lowers_a_threshold_that_few_exceed_where_asked_to),
        cmocka_unit_test(estimates_send_what_is_not_finite),
        cmocka_unit_test(dgc_is_its_formulas),
        cmocka_unit_test(dgc_warms_up_from_a_quarter_by_quarters),
        cmocka_unit_test(dgc_keeps_to_its_bounds_on_inputs_that_mislead_a_sample),
        cmocka_unit_test(dgc_goes_on_from_a_saved_state_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
