/* Calibrations: lines through measured times, and files. Oracles: points of a known line, and what was written. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/calibrate.h"
#include "bench/calibration.h"

enum { SIZES = 13 };

/* latency + n / bandwidth, every other point a little above, the next a little below; returns the fit. */
static struct line_fit fit(double latency_s, double B_per_s, double noise_frac, int spoilt)
{
    double x[SIZES], y[SIZES];
    for (int i = 0; i < SIZES; i++) {
        x[i] = ldexp(1, 2 * i);
        y[i] = (latency_s + x[i] / B_per_s) * (i == spoilt ? 50 : i % 2 ? 1 + noise_frac : 1 - noise_frac);
    }
    return line_fit(x, y, SIZES);
}

static void a_line_is_found_at_every_scale(void **state)
{
    (void)state;
    const double latencies_s[] = { 2e-7, 3e-5, 0.05 }, rates_B_per_s[] = { 1e10, 1.25e8, 1.25e6 };
    for (int i = 0; i < 3; i++) {
        const struct line_fit exact = fit(latencies_s[i], rates_B_per_s[i], 0, -1),
                              noisy = fit(latencies_s[i], rates_B_per_s[i], 0.03, -1);
        assert_true(fabs(exact.at_0 / latencies_s[i] - 1) < 1e-6 && fabs(exact.slope * rates_B_per_s[i] - 1) < 1e-6);
        assert_true(exact.residual_frac < 1e-6);
        assert_true(fabs(noisy.at_0 / latencies_s[i] - 1) < 0.05 && fabs(noisy.slope * rates_B_per_s[i] - 1) < 0.05);
        assert_true(noisy.residual_frac > 0.005 && noisy.residual_frac < 0.06);
    }
}

/* A bucket of tokens lets 4 KiB pass at once: what is larger has the link's bandwidth all the same. */
static void a_burst_does_not_hide_the_bandwidth(void **state)
{
    (void)state;
    double x[SIZES], y[SIZES];
    for (int i = 0; i < SIZES; i++) {
        x[i] = ldexp(1, 2 * i);
        y[i] = 7e-6 + (x[i] <= 4096 ? 0 : x[i] - 4096) / 1.25e7;
    }
    const struct line_fit f = line_fit(x, y, SIZES);
    assert_true(fabs(f.slope * 1.25e7 - 1) < 0.01 && fabs(f.at_0 / 7e-6 - 1) < 0.2);
    assert_true(isnan(line_fit(x, y, 2).slope));
}

static void one_size_that_went_wrong_hardly_counts(void **state)
{
    (void)state;
    for (int spoilt = 0; spoilt < SIZES; spoilt++) {
        const struct line_fit f = fit(3e-5, 1.25e8, 0.01, spoilt);
        assert_true(fabs(f.at_0 / 3e-5 - 1) < 0.05);
        assert_true(fabs(f.slope * 1.25e8 - 1) < 0.05);
    }
}

/* ---- files --------------------------------------------------------------------------------------------------------------- */

static struct statistic about(double median)
{
    double x[] = { median * 0.9, median, median * 1.2 }, sorted[3];
    return statistic_of(x, 3, sorted);
}

/* malloced */
static char *written(void)
{
    const struct measured_product products[] = { { "forward", 128, 256, 64, about(1e11) },
                                                 { "weight gradient", 64, 256, 128, about(3e10) } };
    const struct measured_message messages[] = { { 1, about(1e-6) } };
    const struct measured_link links[] = { { "inside", { 2e-7, 1e-10, 0.04 }, 1e10, messages, 1 },
                                           { "between", { NAN, NAN, NAN }, NAN, NULL, 0 } };
    const struct measured_codec codecs[] = { { "topk", about(2e9), about(5e10) } };
    const struct measurements m = { .utc = "2026-11-20T18:00:00Z",
                                    .platform = { .version = "0.1.0", .cores = NAN, .l3_B = NAN },
                                    .ranks = 2,
                                    .hosts = 1,
                                    .products = products,
                                    .n_products = 2,
                                    .copy_B = 1 << 24,
                                    .memory_B_per_s = about(2e10),
                                    .links = links,
                                    .n_links = 2,
                                    .codecs = codecs,
                                    .n_codecs = 1 };
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    calibration_write_json(&m, out);
    fclose(out);
    return text;
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    char *text = written();
    struct calibration k;
    assert_int_equal(calibration_parse(&k, "k.json", text), STATUS_OK);
    assert_true(k.ranks == 2 && k.hosts == 1 && k.memory_B_per_s == 2e10);
    assert_true(k.shapes == 2 && k.sgemm_flop_per_s == 1e11 && k.sgemm[1].flop_per_s == 3e10 && k.sgemm[1].k == 128);
    assert_true(k.inside.latency_s == 2e-7 && k.inside.bandwidth_B_per_s == 1e10);
    assert_true(isnan(k.between.latency_s) && isnan(k.between.bandwidth_B_per_s));
    assert_int_equal(k.codec_count, 1);
    assert_string_equal(k.codecs[0].name, "topk");
    assert_true(k.codecs[0].encode_B_per_s == 2e9 && k.codecs[0].decode_B_per_s == 5e10);
    free(text);
}

static void the_nearest_shape_has_the_rate(void **state)
{
    (void)state;
    char *text = written();
    struct calibration k;
    assert_int_equal(calibration_parse(&k, "k.json", text), STATUS_OK);
    assert_true(calibration_sgemm(&k, 128, 256, 64) == 1e11);
    assert_true(calibration_sgemm(&k, 200, 256, 50) == 1e11);
    assert_true(calibration_sgemm(&k, 64, 200, 512) == 3e10);
    k.shapes = 0;
    assert_true(isnan(calibration_sgemm(&k, 1, 1, 1)));
    free(text);
}

static void without_a_file_nothing_is_known(void **state)
{
    (void)state;
    struct calibration k;
    const struct config c = { .calibration = "" };
    assert_int_equal(calibration_load(&k, &c), STATUS_OK);
    assert_true(isnan(k.sgemm_flop_per_s) && isnan(k.inside.latency_s) && isnan(k.memory_B_per_s) && k.shapes == 0);
}

static void what_is_no_calibration_is_refused_with_a_sentence(void **state)
{
    (void)state;
    struct calibration k;
    char *text = written(), *at = strstr(text, "\"copy_B\": 16777216");
    assert_non_null(at);
    memcpy(at + 10, "\"much\"  ", 8);
    assert_int_equal(calibration_parse(&k, "k.json", text), STATUS_USAGE);
    assert_non_null(strstr(status_message(), "k.json: memory.copy_B = \"much\""));
    assert_int_equal(calibration_parse(&k, "k.json", "{\"name\": \"data\"}"), STATUS_USAGE);
    assert_non_null(strstr(status_message(), "k.json: is no calibration"));
    const struct config missing = { .calibration = "nowhere.json", .folder = "/" };
    assert_int_equal(calibration_load(&k, &missing), STATUS_USAGE);
    assert_non_null(strstr(status_message(), "calibration: cannot find nowhere.json"));
    free(text);
}

static void a_rate_is_above_0(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        { "\"bandwidth_B_per_s\": 1", "\"bandwidth_B_per_s\":-1",
          "k.json: links[0].bandwidth_B_per_s = -10000000000 (must be above 0)" },
        { "\"latency_s\": 2", "\"latency_s\":-2", "k.json: links[0].latency_s = -2e-07 (must be 0 or more)" },
        { "\"median\": 100000000000", "\"median\": 0           ", "k.json: sgemm[0].flop_per_s.median = 0 (must be above 0)" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct calibration k;
        char *text = written(), *at = strstr(text, rows[i][0]);
        assert_non_null(at);
        memcpy(at, rows[i][1], strlen(rows[i][1]));
        assert_int_equal(calibration_parse(&k, "k.json", text), STATUS_USAGE);
        assert_string_equal(status_message(), rows[i][2]);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_found_at_every_scale),
        cmocka_unit_test(a_burst_does_not_hide_the_bandwidth),
        cmocka_unit_test(one_size_that_went_wrong_hardly_counts),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(the_nearest_shape_has_the_rate),
        cmocka_unit_test(without_a_file_nothing_is_known),
        cmocka_unit_test(what_is_no_calibration_is_refused_with_a_sentence),
        cmocka_unit_test(a_rate_is_above_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
