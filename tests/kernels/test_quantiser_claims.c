/* What quantisers claim in the mean: no bias, the variance by its own formula, the bits of published tables, sums of symbols. */
#include "tests/kernels/options.h"

enum { N = 48, DRAWS = 4000, LONG = 100000 };

static float x[LONG], y[LONG];
static unsigned char code[4 * LONG], scratch_space[4 * LONG + 64];
static void *const scratch = scratch_space;
static double sum[N], squares[N];

static void normal(size_t n, uint64_t seed)
{
    random_normal(&(struct random){ .seed = seed }, 1, 0, x, n);
}

static void draw(const struct compressor *k, struct coding *c)
{
    c->random.step++;
    memset(y, 0, c->n * sizeof *y);
    k->decode(c, code, compressor_encode(k, c, NULL, x, code, scratch), 1, y, scratch);
}

static void the_mean_of_many_codes_is_the_vector(void **state)
{
    (void)state;
    static const struct {
        const char *name, *settings;
        float least; /* a float that is sometimes rounded to 0, sometimes not */
    } rows[] = {
        { "qsgd", "levels=1", 0.01f },
        { "qsgd", "levels=4 norm=max bucket=20", 0.01f },
        { "qsgd", "levels=4 scale_bits=16", 0.01f },
        { "qsgd", "levels=4 coding=elias", 0.01f },
        { "terngrad", "bucket=20", 0.01f },
        { "terngrad", "coding=base3", 0.01f },
        { "natural", "", 0x1.8p-130f },
        { "natural", "coding=8-bit", 0x1.8p-112f },
        { "natural-dithering", "levels=3 norm=max", 0.01f },
        { "natural-dithering", "levels=5", 0.01f },
        { "fp16", "rounding=stochastic", 0x1.8p-27f },
        { "bf16", "rounding=stochastic", 0x1.8p-137f },
    };
    for (size_t r = 0; r < COUNT(rows); r++) {
        const struct compressor *k = compressor_find(rows[r].name);
        struct coding c = coding_of(options_of(k, rows[r].settings), N);
        normal(N, 3);
        x[1] = 0, x[2] = rows[r].least, x[3] = -x[2];
        assert_true(compressor_traits(k, c.options) & COMPRESSOR_UNBIASED);
        memset(sum, 0, sizeof sum);
        memset(squares, 0, sizeof squares);
        for (int i = 0; i < DRAWS; i++) {
            draw(k, &c);
            for (int j = 0; j < N; j++) {
                const double error = (double)y[j] - x[j];
                sum[j] += error, squares[j] += error * error;
            }
        }
        double all = 0;
        int random = 0;
        for (int j = 0; j < N; j++) {
            if (squares[j] <= 1e-12 * DRAWS * x[j] * x[j]) /* no more than roundings */
                continue;
            const double z = sum[j] / sqrt(squares[j]);
            if (!(fabs(z) < 4.5))
                fail_msg("%s %s: float %d = %g is off by %g, z = %g", rows[r].name, rows[r].settings, j, (double)x[j],
                         sum[j] / DRAWS, z);
            all += z * z, random++;
        }
        assert_true(random > N / 2 && all / random < 1 + 4.5 * sqrt(2.0 / random)); /* chi-square */
    }
}

/* (u - |x|)(|x| - l) between the levels l < u that a table of all levels has. */
static double variance_of_levels(const double *levels, size_t count, double scale)
{
    double variance = 0;
    for (int j = 0; j < N; j++)
        for (size_t i = 0; i + 1 < count; i++) {
            const double size = fabs((double)x[j]);
            if (size >= levels[i] * scale && size < levels[i + 1] * scale)
                variance += (levels[i + 1] * scale - size) * (size - levels[i] * scale);
        }
    return variance;
}

static void the_variance_is_that_of_the_two_levels_around_each_float(void **state)
{
    (void)state;
    static const struct {
        const char *name, *settings;
        bool is_length;
        size_t count;
        double levels[8];
    } rows[] = {
        { "qsgd", "levels=4", true, 5, { 0, .25, .5, .75, 1 } },
        { "qsgd", "levels=2 norm=max", false, 3, { 0, .5, 1 } },
        { "terngrad", "", false, 2, { 0, 1 } },
        { "natural-dithering", "levels=3", true, 4, { 0, .25, .5, 1 } },
        { "natural-dithering", "levels=4 norm=max", false, 5, { 0, .125, .25, .5, 1 } },
    };
    normal(N, 5);
    double length = 0, largest = 0;
    for (int j = 0; j < N; j++)
        length += (double)x[j] * x[j], largest = fmax(largest, fabs((double)x[j]));
    for (size_t r = 0; r < COUNT(rows); r++) {
        const struct compressor *k = compressor_find(rows[r].name);
        struct coding c = coding_of(options_of(k, rows[r].settings), N);
        double measured = 0;
        for (int i = 0; i < DRAWS; i++) {
            draw(k, &c);
            for (int j = 0; j < N; j++)
                measured += ((double)y[j] - x[j]) * ((double)y[j] - x[j]) / DRAWS;
        }
        const double expected = variance_of_levels(rows[r].levels, rows[r].count, rows[r].is_length ? sqrt(length) : largest);
        assert_true(fabs(measured / expected - 1) < 0.05);
        assert_true(k->omega(&c, x) >= expected / length * (1 - 1e-5) && k->omega(&c, NULL) >= k->omega(&c, x) * (1 - 1e-5));
        if (strcmp(rows[r].name, "terngrad") == 0)
            assert_true(fabs(k->omega(&c, x) * length / expected - 1) < 1e-5);
    }
}

static void the_variance_claimed_of_every_vector_is_the_formula(void **state)
{
    (void)state;
    static const struct {
        const char *name, *settings;
        size_t n;
        double omega;
    } rows[] = {
        { "qsgd", "levels=4 bucket=all", 64, 1 },                     /* B / (4 s^2), attained where all floats are equal */
        { "qsgd", "levels=1 bucket=64", 1000, 8 },                    /* sqrt(B) / s */
        { "qsgd", "levels=1 norm=max", 81, 5 },                       /* (1 + sqrt(B)) / (2 s) */
        { "qsgd", "levels=10 norm=max bucket=4", 100, 0.01 },         /* B / (4 s^2) */
        { "qsgd", "levels=1 bucket=64 scale_bits=16", 1000, 8.0625 }, /* a norm is up to 1 + 2^-7 larger */
        { "terngrad", "", 81, 4 },                                    /* (sqrt(B) - 1) / 2 */
        { "natural-dithering", "levels=3 bucket=16", 100, 0.375 },    /* 1/8 + B 2^(2 - 2 s) / 4 */
        { "natural-dithering", "levels=1", 25, 5.125 },               /* 1/8 + sqrt(B) 2^(1 - s) */
    };
    for (size_t r = 0; r < COUNT(rows); r++) {
        const struct compressor *k = compressor_find(rows[r].name);
        const struct coding c = coding_of(options_of(k, rows[r].settings), rows[r].n);
        assert_true(fabs(k->omega(&c, NULL) - rows[r].omega) < 1e-9);
    }
}

static void the_largest_float_by_the_norm_max_is_always_at_the_highest_level(void **state)
{
    (void)state;
    struct coding c = coding_of(options_of(&compress_qsgd, "levels=32767 norm=max bucket=1"), LONG / 2);
    normal(LONG / 2, 4);
    for (int draws = 0; draws < 5; draws++) {
        draw(&compress_qsgd, &c);
        for (int i = 0; i < LONG / 2; i++)
            assert_true(fabs((double)y[i] / x[i] - 1) < 1e-6);
    }
}

static void natural_compression_attains_an_eighth_at_four_thirds(void **state)
{
    (void)state;
    struct coding c = coding_of(options_of(&compress_natural, ""), LONG);
    for (int i = 0; i < LONG; i++)
        x[i] = 4 / 3.f;
    draw(&compress_natural, &c);
    double error = 0;
    for (int i = 0; i < LONG; i++)
        error += ((double)y[i] - x[i]) * ((double)y[i] - x[i]) / LONG;
    assert_true(fabs(error / (16 / 9.) / 0.125 - 1) < 0.02);
}

/* In the middle of a gap above 0 of width g all the variance, (g / 2)^2, is the gap's. */
static void floats_in_the_gap_above_zero_are_as_far_off_as_is_said(void **state)
{
    (void)state;
    const struct {
        const struct compressor *kind;
        const char *settings;
        float middle;
        double above; /* what is claimed of floats above the gap */
    } cases[] = { { &compress_natural, "", 0x1p-127f, 1 / 8. },
                  { &compress_natural, "coding=8-bit", 0x1p-109f, 1 / 8. },
                  { &compress_fp16, "rounding=stochastic", 0x1p-25f, 0x1p-22 },
                  { &compress_bf16, "rounding=stochastic", 0x1p-134f, 0x1p-16 } };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct coding c = coding_of(options_of(cases[i].kind, cases[i].settings), LONG);
        for (int j = 0; j < LONG; j++)
            x[j] = cases[i].middle;
        draw(cases[i].kind, &c);
        double up = 0;
        for (int j = 0; j < LONG; j++) {
            assert_true(y[j] == 0 || y[j] == 2 * x[j]);
            up += y[j] > 0;
        }
        assert_true(fabs(up / LONG - 0.5) < 0.01);
        assert_true(fabs(cases[i].kind->omega(&c, x) - (1 + cases[i].above)) < 1e-9);
    }
}

/* 1e5 normal numbers in one bucket. omega is sqrt(2 n / pi) / s - 1 where no float reaches the first level (derived), and by an
 * independent program for s = 317; so are the shortest code's bits a float. The literature has 2.8 at s = sqrt(n) (published). */
static void elias_codes_take_the_bits_of_the_table(void **state)
{
    (void)state;
    static const struct {
        const char *settings;
        double omega, bits;
    } rows[] = {
        { "levels=1 bucket=all coding=elias", 251.3, 0.0439 },
        { "levels=16 bucket=all coding=elias", 14.77, 0.435 },
        { "levels=64 bucket=all coding=elias", 2.942, 1.139 },
        { "levels=317 bucket=all coding=elias", 0.167, 2.758 },
    };
    normal(LONG, 11);
    double length = 0;
    for (int i = 0; i < LONG; i++)
        length += (double)x[i] * x[i];
    for (size_t r = 0; r < COUNT(rows); r++) {
        struct coding c = coding_of(options_of(&compress_qsgd, rows[r].settings), LONG);
        double error = 0, bits = 0;
        for (int i = 0; i < 5; i++) {
            draw(&compress_qsgd, &c);
            bits += 8 * (double)compressor_encode(&compress_qsgd, &c, NULL, x, code, scratch) / LONG / 5;
            for (int j = 0; j < LONG; j++)
                error += ((double)y[j] - x[j]) * ((double)y[j] - x[j]) / length / 5;
        }
        if (fabs(error / rows[r].omega - 1) > 0.03 || fabs(bits / rows[r].bits - 1) > 0.03)
            fail_msg("%s: omega %g, %g bits a float", rows[r].settings, error, bits);
        assert_true(bits > 0.5 * log2(1 + 1 / error)); /* no unbiased code has fewer */
    }
}

static void a_scaled_sign_and_two_means_leave_exactly_what_they_say(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "ef-sign", "" }, { "ef-sign", "bucket=7" }, { "onebit", "" }, { "onebit", "bucket=7" }
    };
    normal(N, 8);
    for (size_t r = 0; r < COUNT(rows); r++) {
        const struct compressor *k = compressor_find(rows[r][0]);
        struct coding c = coding_of(options_of(k, rows[r][1]), N);
        double length = 0, error = 0;
        draw(k, &c);
        for (int i = 0; i < N; i++) {
            length += (double)x[i] * x[i];
            error += ((double)y[i] - x[i]) * ((double)y[i] - x[i]);
        }
        assert_true(fabs(error / length - (1 - k->delta(&c, x))) < 1e-6);
        assert_true(k->delta(&c, NULL) <= k->delta(&c, x));
    }
}

static void rounding_to_the_nearest_keeps_its_delta(void **state)
{
    (void)state;
    for (int levels = 1; levels <= 8; levels *= 2)
        for (int bits = 16; bits <= 32; bits += 16) {
            char settings[80];
            snprintf(settings, sizeof settings, "levels=%d norm=max rounding=nearest bucket=16 scale_bits=%d", levels, bits);
            struct coding c = coding_of(options_of(&compress_qsgd, settings), N);
            assert_true(compressor_traits(&compress_qsgd, c.options) & COMPRESSOR_CONTRACTIVE);
            for (uint32_t seed = 0; seed < 100; seed++) {
                double length = 0, error = 0;
                normal(N, seed);
                for (int i = 0; i < N; i++)
                    x[i] = seed % 2 ? x[i] : copysignf(i % 16 ? 0.499f / (float)levels : 1.01f, x[i]); /* the worst, or any */
                draw(&compress_qsgd, &c);
                for (int i = 0; i < N; i++) {
                    length += (double)x[i] * x[i];
                    error += ((double)y[i] - x[i]) * ((double)y[i] - x[i]);
                }
                assert_true(error <= (1 - compress_qsgd.delta(&c, x)) * length * (1 + 1e-6));
            }
        }
}

/* Symbols of four workers with the largest of their scales, summed as integers, are what their decoded codes would sum to. */
static void symbols_with_common_scales_may_be_summed(void **state)
{
    (void)state;
    enum { WORKERS = 4, SIZE = 300 };
    static const char *const rows[][2] = { { "qsgd", "levels=10 bucket=64" },
                                           { "qsgd", "norm=max" },
                                           { "terngrad", "bucket=100" } };
    for (size_t r = 0; r < COUNT(rows); r++) {
        const struct compressor *k = compressor_find(rows[r][0]);
        const struct levels *levels = k->levels;
        struct coding c = coding_of(options_of(k, rows[r][1]), SIZE);
        float scales[SIZE] = { 0 }, own[SIZE], apart[SIZE] = { 0 };
        int32_t total[SIZE] = { 0 }, symbols[SIZE];
        for (uint32_t w = 0; w < WORKERS; w++) {
            normal(SIZE, w);
            levels->measure(&c, x, own);
            for (size_t b = 0; b < levels->scales(&c); b++)
                scales[b] = fmaxf(scales[b], own[b]);
        }
        for (uint32_t w = 0; w < WORKERS; w++) {
            normal(SIZE, w);
            c.random.worker = w;
            levels->quantise(&c, x, scales, symbols);
            levels->add(&c, symbols, scales, apart);
            for (int i = 0; i < SIZE; i++) {
                assert_true(abs(symbols[i]) <= levels->most(c.options));
                total[i] += symbols[i];
            }
        }
        memset(y, 0, SIZE * sizeof *y);
        levels->add(&c, total, scales, y);
        for (int i = 0; i < SIZE; i++)
            assert_true(fabs((double)y[i] - apart[i]) <= 1e-5 * fabs((double)y[i]) + 1e-5);
    }
}

static void symbols_with_ones_own_scales_are_the_code(void **state)
{
    (void)state;
    struct coding c = coding_of(options_of(&compress_qsgd, "levels=9 bucket=70"), 1000);
    int32_t symbols[1000];
    float scales[15], decoded[1000];
    normal(1000, 2);
    draw(&compress_qsgd, &c);
    memcpy(decoded, y, sizeof decoded);
    assert_int_equal(compress_qsgd.levels->scales(&c), 15);
    compress_qsgd.levels->measure(&c, x, scales);
    compress_qsgd.levels->quantise(&c, x, scales, symbols);
    memset(y, 0, sizeof decoded);
    compress_qsgd.levels->add(&c, symbols, scales, y);
    assert_memory_equal(y, decoded, sizeof decoded);
}

static void clipping_lowers_the_scale_and_withdraws_the_claim(void **state)
{
    (void)state;
    struct coding c = coding_of(options_of(&compress_terngrad, "clip=2.5"), N);
    assert_int_equal(compressor_traits(&compress_terngrad, c.options) & COMPRESSOR_UNBIASED, 0);
    for (int i = 0; i < N; i++)
        x[i] = i ? 0.1f : 10;
    draw(&compress_terngrad, &c);
    float scale;
    memcpy(&scale, code, sizeof scale);
    assert_true(fabs(scale / (2.5 * sqrt((100 + 47 * 0.01) / N)) - 1) < 1e-6);
    assert_true(y[0] == scale);
    for (int i = 0; i < N; i++)
        x[i] = 3;
    draw(&compress_terngrad, &c);
    for (int i = 0; i < N; i++)
        assert_true(y[i] == 3); /* equal floats are not clipped away */
}

static void a_vote_is_the_sign_of_the_majority(void **state)
{
    (void)state;
    float votes[] = { 3, -1, 0, 1, -5 };
    const float expected[] = { 0.5f, -0.5f, 0, 0.5f, -0.5f };
    struct coding c = coding_of(options_of(&compress_sign, "vote=true scale=0.5"), 5);
    compress_sign.finish_sum(&c, votes);
    assert_memory_equal(votes, expected, sizeof expected);
    c.options = options_of(&compress_sign, "scale=2");
    compress_sign.finish_sum(&c, votes);
    assert_memory_equal(votes, expected, sizeof expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mean_of_many_codes_is_the_vector),
        cmocka_unit_test(the_variance_is_that_of_the_two_levels_around_each_float),
        cmocka_unit_test(the_variance_claimed_of_every_vector_is_the_formula),
        cmocka_unit_test(the_largest_float_by_the_norm_max_is_always_at_the_highest_level),
        cmocka_unit_test(natural_compression_attains_an_eighth_at_four_thirds),
        cmocka_unit_test(floats_in_the_gap_above_zero_are_as_far_off_as_is_said),
        cmocka_unit_test(elias_codes_take_the_bits_of_the_table),
        cmocka_unit_test(a_scaled_sign_and_two_means_leave_exactly_what_they_say),
        cmocka_unit_test(rounding_to_the_nearest_keeps_its_delta),
        cmocka_unit_test(symbols_with_common_scales_may_be_summed),
        cmocka_unit_test(symbols_with_ones_own_scales_are_the_code),
        cmocka_unit_test(clipping_lowers_the_scale_and_withdraws_the_claim),
        cmocka_unit_test(a_vote_is_the_sign_of_the_majority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
