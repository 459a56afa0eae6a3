/* Low rank: matrices whose best approximation is known, because they are made from chosen singular values. */
#include "tests/kernels/check.h"

#include "kernels/compressor.h"
#include "kernels/svd.h"

enum { SIDE = 128, MOST = SIDE * SIDE, GUARD = 64, WORKERS = 3 };

struct powersgd {
    int64_t rank;
    bool warm_start;
    int64_t start_step;
    double min_compression_rate;
};
struct atomo {
    int64_t rank;
};

static float x[MOST], y[MOST], mean[MOST], inputs[WORKERS][MOST];
static double basis_a[MOST], basis_b[MOST];
static unsigned char code[8 * MOST + GUARD], codes[WORKERS][8 * MOST], kept[4 * MOST], later[2][8 * MOST];
static _Alignas(64) unsigned char scratch[64 * MOST + GUARD], memory[4 * MOST];

static struct coding coding_of(const void *options, size_t a, size_t b)
{
    return (struct coding){ .options = options,
                            .n = a * b,
                            .rows = a,
                            .columns = b,
                            .workers = 1,
                            .random = { .seed = 5, .stream = RANDOM_COMPRESSOR },
                            .shared = { .seed = 6, .stream = RANDOM_COMPRESSOR } };
}

static struct coding at_step(struct coding c, int step)
{
    c.step = step;
    c.random.step = c.shared.step = (uint32_t)step;
    return c;
}

static double square(const float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * v[i];
    return sum;
}

static double distance2(const float *v, const float *w, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)v[i] - w[i]) * ((double)v[i] - w[i]);
    return sum;
}

static void normal(float *v, size_t n, uint32_t seed)
{
    random_normal(&(struct random){ .seed = seed, .stream = RANDOM_CHECK }, 1, 0, v, n);
}

/* basis[count][n]: orthonormal rows */
static void orthonormal(double *basis, int count, int n, uint32_t seed)
{
    float v[SIDE];
    for (int i = 0; i < count; i++) {
        double *row = basis + i * n, length = 0;
        normal(v, (size_t)n, seed + (uint32_t)i);
        widen(row, v, (size_t)n);
        for (int turn = 0; turn < 2; turn++)
            for (int k = 0; k < i; k++) {
                double share = 0;
                for (int j = 0; j < n; j++)
                    share += row[j] * basis[k * n + j];
                for (int j = 0; j < n; j++)
                    row[j] -= share * basis[k * n + j];
            }
        for (int j = 0; j < n; j++)
            length += row[j] * row[j];
        for (int j = 0; j < n; j++)
            row[j] /= sqrt(length);
    }
}

/* m[a][b] with these singular values. */
static void make_matrix(float *m, int a, int b, int count, double (*sigma)(int i), uint32_t seed)
{
    orthonormal(basis_a, count, a, seed);
    orthonormal(basis_b, count, b, seed + 1000);
    for (int i = 0; i < a; i++)
        for (int j = 0; j < b; j++) {
            double sum = 0;
            for (int k = 0; k < count; k++)
                sum += sigma(k) * basis_a[k * a + i] * basis_b[k * b + j];
            m[i * b + j] = (float)sum;
        }
}

static double harmonic(int i)
{
    return 1. / (i + 1);
}

static double flat(int i)
{
    (void)i;
    return 1;
}

/* y = C(x), and all that must hold whatever is coded: bytes, and nothing written beyond. Returns the code's bytes. */
static size_t code_and_decode(const struct compressor *k, const struct coding *c)
{
    const size_t room = k->code_bytes(c), work = compressor_scratch_bytes(k, c);
    unsigned char *odd = code + 1; /* codes need no alignment */
    memset(code, 0xAB, room + GUARD);
    memset(scratch + work, 0xCD, GUARD);
    assert_true(room + GUARD < sizeof code && work + GUARD <= sizeof scratch && compressor_state_bytes(k, c) <= sizeof memory);
    const size_t bytes = compressor_encode(k, c, memory, x, odd, scratch);
    assert_true(bytes <= room);
    if (compressor_traits(k, c->options) & COMPRESSOR_FIXED_SIZE)
        assert_int_equal(bytes, room);
    memset(y, 0, c->n * sizeof *y);
    k->decode(c, odd, bytes, 1, y, scratch);
    for (size_t i = 0; i < GUARD - 1; i++)
        assert_true(odd[room + i] == 0xAB && scratch[work + i] == 0xCD);
    return bytes;
}

static double error_frac(const struct coding *c)
{
    return distance2(x, y, c->n) / square(x, c->n);
}

/* ---- powersgd -------------------------------------------------------------------------------------------------------------- */

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
    const float scales[] = { 0x1p-60f, 1, 0x1p60f };
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
        for (int w = 0; w < WORKERS; w++)
            compress_powersgd.linear->encode_part(c, states[w], inputs[w], part, codes[w], scratch);
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
        memset(mean, 0, c.n * sizeof *mean);
        compress_powersgd.decode(&now, codes[0], compress_powersgd.code_bytes(&now), 1, mean, scratch);
        code_and_decode(&compress_powersgd, &now);
        assert_true(distance2(mean, y, c.n) < 1e-9 * square(x, c.n));
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
            memcpy(later[0], code, written);
        assert_true((memcmp(later[0], code, written) == 0) == (turn != 1));
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

/* ---- singular values ------------------------------------------------------------------------------------------------------- */

/* Largest difference of a v' (both [count][n] by strides) from the identity. */
static double from_identity(const float *v, int count, int n, int next_vector, int next_element)
{
    double worst = 0;
    for (int i = 0; i < count; i++)
        for (int j = 0; j <= i; j++) {
            double sum = 0;
            for (int k = 0; k < n; k++)
                sum += (double)v[i * next_vector + k * next_element] * v[j * next_vector + k * next_element];
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
    float sigma[SIDE], *u = inputs[0], *v = inputs[1];
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
        assert_false(svd(x, 8, 8, sigma, inputs[0], inputs[1], scratch));
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

/* ---- both ------------------------------------------------------------------------------------------------------------------ */

static void hostile_codes_write_nothing_outside(void **state)
{
    (void)state;
    enum { A = 20, B = 30, N = A * B };
    const struct powersgd power = { 4, true, 0, 1 };
    const struct atomo atomo = { 4 };
    const struct coding codings[] = { coding_of(&power, A, B), coding_of(&atomo, A, B) };
    const struct compressor *const members[] = { &compress_powersgd, &compress_atomo };
    for (size_t m = 0; m < COUNT(members); m++)
        for (uint32_t seed = 0; seed < 200; seed++) {
            const size_t room = members[m]->code_bytes(&codings[m]);
            for (uint32_t block = 0; block < sizeof code / 16; block++) {
                uint32_t words[4];
                random_words(&(struct random){ .seed = seed }, block, words);
                memcpy(code + 16 * block, words, sizeof words);
            }
            if (seed % 2) /* a count that may be, with bytes that fit it or do not */
                memcpy(code, &(uint32_t){ seed % (A + 2) }, 4);
            for (size_t i = 0; i < N + GUARD; i++)
                y[i] = 3;
            const size_t whole = 4 + 4 * (seed % (A + 2)) * (A + B + 1), cut = seed % 3 ? room : whole < room ? whole : seed % 5;
            members[m]->decode(&codings[m], code, m == 0 ? room : cut, 1, y, scratch);
            for (size_t i = N; i < N + GUARD; i++)
                assert_true(y[i] == 3);
        }
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
        cmocka_unit_test(svd_finds_the_singular_values_a_matrix_was_made_from),
        cmocka_unit_test(svd_says_when_a_matrix_has_none),
        cmocka_unit_test(atomo_keeps_triplets_with_the_papers_probabilities),
        cmocka_unit_test(atomo_is_unbiased_and_varies_as_it_claims),
        cmocka_unit_test(atomo_sends_as_it_is_what_its_triplets_would_not_shrink),
        cmocka_unit_test(atomo_needs_nothing_for_nothing_and_all_for_little),
        cmocka_unit_test(atomo_shows_what_is_no_number),
        cmocka_unit_test(hostile_codes_write_nothing_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
