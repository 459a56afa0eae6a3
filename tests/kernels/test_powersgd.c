/* PowerSGD against the best approximations of its rank, and what power iteration is known to do. */
#include "tests/kernels/lowrank.h"

enum { WORKERS = 3 };

/* As the member's rows describe it. */
struct powersgd {
    int64_t rank;
    bool warm_start;
    int64_t start_step;
    double min_compression_rate;
};

static float inputs[WORKERS][MOST], decoded[MOST];
static unsigned char codes[WORKERS][8 * MOST], kept[4 * MOST], later[8 * MOST];

static struct coding begin_powersgd(const struct powersgd *o, size_t a, size_t b)
{
    const struct coding c = coding_of(o, a, b);
    compressor_state_begin(&compress_powersgd, &c, memory);
    return c;
}

enum { STEPS = 8, BEGINNINGS = 10 };

/* error[step] of powersgd, mean over the beginnings, on 128 x 96 with sigma = 1, 1/2, 1/3 ... */
static void iterate(const struct powersgd *o, double error[STEPS])
{
    make_matrix(x, SIDE, 96, 96, harmonic, 1);
    for (int step = 0; step < STEPS; step++)
        error[step] = 0;
    for (int i = 0; i < BEGINNINGS; i++) {
        struct coding c = begin_powersgd(o, SIDE, 96);
        c.shared.seed = (uint64_t)i;
        for (int step = 0; step < STEPS; step++) {
            const struct coding now = at_step(c, step);
            code_and_decode(&compress_powersgd, &now);
            error[step] += error_frac(&c) / BEGINNINGS;
        }
    }
}

static double best_error(int rank, int count, double (*sigma)(int i))
{
    double all = 0, left_out = 0;
    for (int i = 0; i < count; i++) {
        all += sigma(i) * sigma(i);
        left_out += i >= rank ? sigma(i) * sigma(i) : 0;
    }
    return left_out / all;
}

static void powersgd_with_a_warm_start_converges_to_the_best_approximation(void **state)
{
    (void)state;
    double error[STEPS];
    iterate(&(struct powersgd){ 4, true, 0, 2 }, error);
    const double best = best_error(4, 96, harmonic);
    /* mean and standard deviation of one beginning, by numpy in double precision over 300 of them (derived) */
    const double expected[] = { .3125, .1461, .1349, .1319 }, sd[] = { .0765, .0129, .0064, .0045 };
    for (size_t step = 0; step < COUNT(expected); step++)
        assert_true(fabs(error[step] - expected[step]) < 3 * sd[step] / sqrt(BEGINNINGS));
    assert_true(fabs(best - .1291) < 1e-4 && error[STEPS - 1] <= 1.01 * best && error[STEPS - 1] > best);
}

static void powersgd_without_a_warm_start_does_not(void **state)
{
    (void)state;
    double error[STEPS];
    iterate(&(struct powersgd){ 4, false, 0, 2 }, error);
    for (int step = 0; step < STEPS; step++)
        assert_true(error[step] >= 1.5 * best_error(4, 96, harmonic));
}

static void powersgd_projects(void **state)
{
    (void)state;
    const struct powersgd o = { 4, false, 0, 2 };
    const struct coding c = begin_powersgd(&o, 40, 60);
    normal(x, c.n, 1);
    assert_int_equal(code_and_decode(&compress_powersgd, &c), 4 * 4 * (40 + 60));
    double along = 0; /* what is left is orthogonal to what is sent */
    for (size_t i = 0; i < c.n; i++)
        along += (double)y[i] * ((double)x[i] - y[i]);
    assert_true(fabs(along) < 1e-5 * square(x, c.n) && square(y, c.n) > 0);
}

static void powersgd_from_random_numbers_keeps_its_share_of_a_flat_spectrum(void **state)
{
    (void)state;
    const struct powersgd o = { 3, false, 0, 1 };
    make_matrix(x, 24, 24, 24, flat, 3);
    const struct coding c = begin_powersgd(&o, 24, 24);
    code_and_decode(&compress_powersgd, &c);
    assert_true(fabs(error_frac(&c) - (1 - 3. / 24)) < 1e-5); /* every projection of rank 3 keeps as much */
    assert_true(compress_powersgd.delta(&c, x) == 3. / 24);
    assert_true(compressor_traits(&compress_powersgd, &o) & COMPRESSOR_CONTRACTIVE);
    assert_false(compressor_traits(&compress_powersgd, &(struct powersgd){ 3, true, 0, 1 }) & COMPRESSOR_CONTRACTIVE);
}

static void powersgd_of_enough_rank_sends_all(void **state)
{
    (void)state;
    const size_t shapes[][2] = { { 20, 7 }, { 7, 20 }, { 16, 16 }, { 1, 50 }, { 50, 1 }, { 1, 1 }, { 1, 0 } };
    for (size_t i = 0; i < COUNT(shapes); i++)
        for (int rate = 0; rate < 2; rate++) {
            const struct powersgd o = { 16, true, 0, rate };
            const struct coding c = begin_powersgd(&o, shapes[i][0], shapes[i][1]);
            normal(x, c.n, 2);
            code_and_decode(&compress_powersgd, &c);
            assert_true(distance2(x, y, c.n) <= 1e-10 * square(x, c.n));
        }
}

static void powersgd_compresses_where_it_pays(void **state)
{
    (void)state;
    const struct {
        size_t a, b;
        int64_t rank, start_step;
        double rate;
        size_t floats;
    } rows[] = { { 40, 60, 4, 0, 2, 400 }, { 16, 16, 4, 0, 2, 256 },   { 17, 17, 4, 0, 2, 136 },  { 32, 32, 8, 0, 2, 1024 },
                 { 33, 33, 8, 0, 2, 528 }, { 1, 4096, 1, 0, 0, 4096 }, { 40, 60, 4, 1, 2, 2400 }, { 64, 64, 60, 1, 0, 7680 } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct powersgd o = { rows[i].rank, true, rows[i].start_step, rows[i].rate };
        const struct coding c = coding_of(&o, rows[i].a, rows[i].b);
        assert_int_equal(compress_powersgd.code_bytes(&c), 4 * rows[i].floats);
    }
}

static void powersgd_sends_everything_before_its_start(void **state)
{
    (void)state;
    const struct powersgd o = { 2, true, 3, 2 };
    const struct coding c = begin_powersgd(&o, 40, 60);
    normal(x, c.n, 4);
    assert_false(compressor_traits(&compress_powersgd, &o) & COMPRESSOR_FIXED_SIZE);
    for (int step = 0; step < 5; step++) {
        const struct coding now = at_step(c, step);
        const size_t bytes = code_and_decode(&compress_powersgd, &now);
        assert_int_equal(bytes, step < 3 ? 4 * c.n : 4 * 2 * (40 + 60));
        assert_true((memcmp(x, y, c.n * sizeof *x) == 0) == (step < 3));
    }
}

static void powersgd_follows_a_matrix_that_was_zero(void **state)
{
    (void)state;
    const struct powersgd o = { 4, true, 0, 2 };
    const struct coding c = begin_powersgd(&o, 40, 60);
    memset(x, 0, c.n * sizeof *x);
    for (int step = 0; step < 2; step++)
        code_and_decode(&compress_powersgd, &c);
    assert_true(square(y, c.n) == 0);
    make_matrix(x, 40, 60, 1, flat, 5); /* rank 1, of four */
    code_and_decode(&compress_powersgd, &c);
    assert_true(error_frac(&c) < 1e-10);
    make_matrix(x, 40, 60, 4, flat, 6); /* rank 4: the three columns that were of no use are so no more */
    for (int step = 0; step < 2; step++)
        code_and_decode(&compress_powersgd, &c);
    assert_true(error_frac(&c) < 1e-8);
}

static void powersgd_is_the_same_at_any_scale(void **state)
{
    (void)state;
    const struct powersgd o = { 4, true, 0, 2 };
    const float scales[] = { 0x1p-80f, 1, 0x1p80f }; /* whose squares are no floats */
    float first[40 * 60];
    for (size_t s = 0; s < COUNT(scales); s++) {
        const struct coding c = begin_powersgd(&o, 40, 60);
        normal(x, c.n, 7);
        for (size_t i = 0; i < c.n; i++)
            x[i] *= scales[s];
        for (int step = 0; step < 3; step++)
            code_and_decode(&compress_powersgd, &c);
        for (size_t i = 0; i < c.n; i++)
            y[i] /= scales[s];
        if (s == 0)
            memcpy(first, y, sizeof first);
        assert_memory_equal(first, y, sizeof first);
    }
}

/* codes[0] = the sum of all workers' codes, part by part, after which each has learnt from it */
static void sum_parts(const struct coding *c, unsigned char states[WORKERS][4 * 60 * 4])
{
    size_t at = 0;
    for (int part = 0; part < 2; part++) {
        const size_t count = compress_powersgd.linear->part_elements(c, part);
        for (int w = 0; w < WORKERS; w++) {
            struct coding own = *c;
            own.worker = w, own.random.worker = (uint32_t)w;
            compress_powersgd.linear->encode_part(&own, states[w], inputs[w], part, codes[w], scratch);
        }
        for (size_t i = 0; i < count; i++, at += sizeof(float)) {
            float sum = 0, one;
            for (int w = 0; w < WORKERS; w++) {
                memcpy(&one, codes[w] + at, sizeof one);
                sum += one;
            }
            for (int w = 0; w < WORKERS; w++)
                memcpy(codes[w] + at, &sum, sizeof sum);
        }
    }
    for (int w = 0; w < WORKERS; w++)
        compress_powersgd.linear->summed(c, states[w], codes[w]);
}

static void powersgd_of_several_workers_is_that_of_their_sum(void **state)
{
    (void)state;
    static _Alignas(64) unsigned char states[WORKERS][4 * 60 * 4];
    const struct powersgd o = { 4, true, 0, 2 };
    const struct coding c = begin_powersgd(&o, 40, 60);
    memset(states, 0, sizeof states);
    memset(x, 0, c.n * sizeof *x);
    for (int w = 0; w < WORKERS; w++) {
        normal(inputs[w], c.n, 8 + (uint32_t)w);
        for (size_t i = 0; i < c.n; i++)
            x[i] += inputs[w][i];
    }
    for (int step = 0; step < 3; step++) {
        const struct coding now = at_step(c, step);
        sum_parts(&now, states);
        memset(decoded, 0, c.n * sizeof *decoded);
        compress_powersgd.decode(&now, codes[0], compress_powersgd.code_bytes(&now), 1, decoded, scratch);
        code_and_decode(&compress_powersgd, &now);
        assert_true(distance2(decoded, y, c.n) < 1e-9 * square(x, c.n));
    }
}

static void powersgd_goes_on_from_a_saved_state(void **state)
{
    (void)state;
    const struct powersgd o = { 4, true, 0, 2 };
    const struct coding c = begin_powersgd(&o, 40, 60);
    const size_t bytes = compress_powersgd.state_bytes(&c);
    assert_int_equal(bytes, 4 * 4 * 60);
    normal(x, c.n, 9);
    for (int step = 0; step < 2; step++)
        code_and_decode(&compress_powersgd, &c);
    memcpy(kept, memory, bytes);
    for (int turn = 0; turn < 3; turn++) { /* on; once more without what was saved; and with it */
        if (turn == 2)
            memcpy(memory, kept, bytes);
        const size_t written = code_and_decode(&compress_powersgd, &c);
        if (turn == 0)
            memcpy(later, code, written);
        assert_true((memcmp(later, code, written) == 0) == (turn != 1));
    }
}

static void powersgd_shows_what_is_no_number(void **state)
{
    (void)state;
    const struct powersgd o = { 4, true, 0, 2 };
    const struct coding c = begin_powersgd(&o, 40, 60);
    normal(x, c.n, 10);
    x[77] = NAN;
    code_and_decode(&compress_powersgd, &c);
    assert_true(isnan(y[77]));
}

static void powersgd_decodes_hostile_codes_inside_its_matrix(void **state)
{
    (void)state;
    const struct powersgd o = { 4, true, 0, 1 };
    const struct coding c = begin_powersgd(&o, 20, 30);
    for (uint32_t seed = 0; seed < 100; seed++)
        assert_hostile_code_stays_inside(&compress_powersgd, &c, seed, compress_powersgd.code_bytes(&c), 0);
    memset(y, 0, sizeof y); /* cut short: says nothing */
    compress_powersgd.decode(&c, code, compress_powersgd.code_bytes(&c) - 1, 1, y, scratch);
    for (size_t i = 0; i < c.n; i++)
        assert_true(y[i] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(powersgd_with_a_warm_start_converges_to_the_best_approximation),
        cmocka_unit_test(powersgd_without_a_warm_start_does_not),
        cmocka_unit_test(powersgd_projects),
        cmocka_unit_test(powersgd_from_random_numbers_keeps_its_share_of_a_flat_spectrum),
        cmocka_unit_test(powersgd_of_enough_rank_sends_all),
        cmocka_unit_test(powersgd_compresses_where_it_pays),
        cmocka_unit_test(powersgd_sends_everything_before_its_start),
        cmocka_unit_test(powersgd_follows_a_matrix_that_was_zero),
        cmocka_unit_test(powersgd_is_the_same_at_any_scale),
        cmocka_unit_test(powersgd_of_several_workers_is_that_of_their_sum),
        cmocka_unit_test(powersgd_goes_on_from_a_saved_state),
        cmocka_unit_test(powersgd_shows_what_is_no_number),
        cmocka_unit_test(powersgd_decodes_hostile_codes_inside_its_matrix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
