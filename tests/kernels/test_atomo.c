/* Singular values, and ATOMO, which draws some of them: matrices that are made from chosen ones. */
#include "tests/kernels/lowrank.h"

#include "kernels/svd.h"

/* As the member's rows describe it. */
struct atomo {
    int64_t rank;
};

static float u[MOST], v[MOST];

/* ---- singular values ------------------------------------------------------------------------------------------------------- */

/* Largest difference of the products of vectors[count][n], in any strides, from the identity. */
static double from_identity(const float *vectors, int count, int n, int next_vector, int next_element)
{
    double worst = 0;
    for (int i = 0; i < count; i++)
        for (int j = 0; j <= i; j++) {
            double sum = 0;
            for (int k = 0; k < n; k++)
                sum += (double)vectors[i * next_vector + k * next_element] * vectors[j * next_vector + k * next_element];
            worst = fmax(worst, fabs(sum - (i == j)));
        }
    return worst;
}

static void svd_finds_the_singular_values_a_matrix_was_made_from(void **state)
{
    (void)state;
    const int shapes[][3] = {
        { 1, 1, 1 }, { 1, 30, 1 }, { 30, 1, 1 }, { 90, 20, 20 }, { 20, 90, 20 }, { 64, 64, 64 }, { 50, 40, 7 }
    };
    float sigma[SIDE];
    for (size_t s = 0; s < COUNT(shapes); s++) {
        const int a = shapes[s][0], b = shapes[s][1], rank = shapes[s][2], k = a < b ? a : b;
        make_matrix(x, a, b, rank, harmonic, 20);
        memset(scratch + svd_scratch_bytes(a, b), 0xCD, GUARD);
        assert_true(svd(x, a, b, sigma, u, v, scratch));
        for (size_t i = 0; i < GUARD; i++)
            assert_int_equal(scratch[svd_scratch_bytes(a, b) + i], 0xCD);
        for (int i = 0; i < k; i++)
            assert_true(fabs((double)sigma[i] - (i < rank ? harmonic(i) : 0)) < 1e-5);
        assert_true(from_identity(u, k, a, 1, k) < 1e-5 && from_identity(v, k, b, b, 1) < 1e-5);
        for (int i = 0; i < a * b; i++) {
            double sum = 0;
            for (int j = 0; j < k; j++)
                sum += (double)sigma[j] * u[i / b * k + j] * v[j * b + i % b];
            assert_true(fabs(sum - x[i]) < 1e-5);
        }
    }
}

static void svd_says_when_a_matrix_has_none(void **state)
{
    (void)state;
    const float wrong[] = { NAN, INFINITY, -INFINITY };
    float sigma[8];
    for (size_t i = 0; i < COUNT(wrong); i++) {
        normal(x, 64, 1);
        x[9] = wrong[i];
        assert_false(svd(x, 8, 8, sigma, u, v, scratch));
    }
    assert_true(svd_fits(23000, 100000) && !svd_fits(24000, 24000) && !svd_fits(1, (size_t)1 << 31));
}

/* ---- atomo ----------------------------------------------------------------------------------------------------------------- */

static uint32_t triplets(void)
{
    uint32_t count;
    memcpy(&count, code + 1, sizeof count);
    return count;
}

/* 8, 1, 1, ...: the paper's probabilities for a budget of 2 are 1 and seven times 1 / 7. */
static void atomo_keeps_triplets_with_the_papers_probabilities(void **state)
{
    (void)state;
    enum { N = 8, DRAWS = 4000 };
    const struct atomo o = { 2 };
    double count = 0, error = 0;
    memset(x, 0, N * 40 * sizeof *x);
    for (int i = 0; i < N; i++)
        x[i * 40 + i] = i == 2 ? -8 : 1;
    for (int draw = 0; draw < DRAWS; draw++) {
        const struct coding c = at_step(coding_of(&o, N, 40), draw);
        const size_t bytes = code_and_decode(&compress_atomo, &c);
        assert_int_equal(bytes, 4 + 4 * triplets() * (N + 40 + 1));
        for (uint32_t i = 0; i < triplets(); i++) {
            float scale;
            memcpy(&scale, code + 5 + 4 * i * (N + 40 + 1), sizeof scale);
            assert_true(fabsf(scale - (i == 0 ? 8 : 7)) < 1e-4f);
        }
        assert_true(fabsf(y[2 * 40 + 2] + 8) < 1e-4f);
        count += triplets(), error += distance2(x, y, c.n);
    }
    const double sd = sqrt(7 * (1. / 7) * (6. / 7)); /* of the binomial number of triplets beside the first */
    assert_true(fabs(count / DRAWS - 2) < 5 * sd / sqrt(DRAWS));
    assert_true(fabs(error / DRAWS - 7 * 6) < 5 * 35 * sd / sqrt(DRAWS)); /* 36 for each that is sent, 1 for each that is not */
}

static void atomo_is_unbiased_and_varies_as_it_claims(void **state)
{
    (void)state;
    enum { A = 12, B = 30, DRAWS = 4000 };
    const struct atomo o = { 3 };
    double (*const spectra[])(int) = { harmonic, flat };
    for (size_t s = 0; s < COUNT(spectra); s++) {
        struct coding c = coding_of(&o, A, B);
        make_matrix(x, A, B, A, spectra[s], 30);
        const double length2 = square(x, c.n), omega = compress_atomo.omega(&c, x);
        double along = 0, along2 = 0, error = 0;
        for (int draw = 0; draw < DRAWS; draw++) {
            c = at_step(c, draw);
            code_and_decode(&compress_atomo, &c);
            double share = 0;
            for (size_t i = 0; i < c.n; i++)
                share += (double)x[i] * y[i] / length2;
            along += share - 1, along2 += (share - 1) * (share - 1), error += distance2(x, y, c.n) / length2;
        }
        assert_true(fabs(along) < 4 * sqrt(along2));
        assert_true(omega == 3 && error / DRAWS < omega * 1.03);
        if (spectra[s] == flat)
            assert_true(error / DRAWS > omega * .97);
    }
}

static void atomo_sends_as_it_is_what_its_triplets_would_not_shrink(void **state)
{
    (void)state;
    const struct {
        size_t a, b, rank, bytes;
    } rows[] = {
        { 1, 100, 1, 400 }, { 100, 1, 1, 400 },          { 1, 0, 1, 0 }, { 10, 10, 4, 4 + 4 * 10 * 21 }, { 10, 10, 5, 400 },
        { 3, 5, 100, 60 },  { 20, 5, 3, 4 + 4 * 5 * 26 }
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct atomo o = { (int64_t)rows[i].rank };
        const struct coding c = coding_of(&o, rows[i].a, rows[i].b);
        assert_int_equal(compress_atomo.code_bytes(&c), rows[i].bytes);
        if (rows[i].bytes != 4 * c.n)
            continue;
        normal(x, c.n, 40);
        assert_int_equal(code_and_decode(&compress_atomo, &c), rows[i].bytes);
        assert_memory_equal(x, y, c.n * sizeof *x);
        assert_true(compress_atomo.omega(&c, x) == 0);
    }
}

static void atomo_needs_nothing_for_nothing_and_all_for_little(void **state)
{
    (void)state;
    const struct atomo o = { 4 };
    const struct coding c = coding_of(&o, 20, 30);
    memset(x, 0, c.n * sizeof *x);
    assert_int_equal(code_and_decode(&compress_atomo, &c), 4);
    assert_true(square(y, c.n) == 0);
    for (size_t i = 0; i < c.n; i++) /* rank 1, exactly */
        x[i] = (float)(i / 30 + 1) * (float)(i % 30 - 15);
    code_and_decode(&compress_atomo, &c);
    assert_true(error_frac(&c) < 1e-10);
}

static void atomo_shows_what_is_no_number(void **state)
{
    (void)state;
    const struct atomo o = { 4 };
    const struct coding c = coding_of(&o, 20, 30);
    normal(x, c.n, 41);
    x[5] = NAN;
    code_and_decode(&compress_atomo, &c);
    assert_true(isnan(y[0]));
}

static void atomo_decodes_hostile_codes_inside_its_matrix(void **state)
{
    (void)state;
    enum { A = 20, B = 30 };
    const struct atomo o = { 4 };
    const struct coding c = coding_of(&o, A, B);
    const size_t room = compress_atomo.code_bytes(&c);
    for (uint32_t seed = 0; seed < 100; seed++) { /* counts that are impossible; that fit the bytes; that do not */
        const size_t fitting = 4 + 4 * (seed % (A + 2)) * (A + B + 1);
        assert_hostile_code_stays_inside(&compress_atomo, &c, seed, room, 0);
        assert_hostile_code_stays_inside(&compress_atomo, &c, seed, fitting, A + 2);
        assert_hostile_code_stays_inside(&compress_atomo, &c, seed, seed % 7, A + 2);
    }
    memcpy(code, &(uint32_t){ A + 1 }, 4); /* one more than there are, and the bytes for it */
    memset(y, 0, c.n * sizeof *y);
    compress_atomo.decode(&c, code, 4 + 4 * (A + 1) * (A + B + 1), 1, y, scratch);
    assert_true(square(y, c.n) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(svd_finds_the_singular_values_a_matrix_was_made_from),
        cmocka_unit_test(svd_says_when_a_matrix_has_none),
        cmocka_unit_test(atomo_keeps_triplets_with_the_papers_probabilities),
        cmocka_unit_test(atomo_is_unbiased_and_varies_as_it_claims),
        cmocka_unit_test(atomo_sends_as_it_is_what_its_triplets_would_not_shrink),
        cmocka_unit_test(atomo_needs_nothing_for_nothing_and_all_for_little),
        cmocka_unit_test(atomo_shows_what_is_no_number),
        cmocka_unit_test(atomo_decodes_hostile_codes_inside_its_matrix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
