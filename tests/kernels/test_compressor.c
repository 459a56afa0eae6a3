/* Compressors: top-k against a sort of the whole vector, on inputs chosen to mislead it. */
#include "tests/kernels/options.h"

#include <time.h>

enum { MOST = 300000, GUARD = 64 };

static float x[MOST], y[MOST];
static uint32_t order[MOST];
static unsigned char code[8 * MOST + GUARD + 1], scratch[4 * MOST + GUARD];

static void gaussian(size_t n)
{
    random_normal(&(struct random){ .seed = 1 }, 1, 0, x, n);
}

static void all_equal(size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = i % 2 ? -3.f : 3.f;
}

static void rising(size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)i;
}

static void falling(size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = -(float)(n - i);
}

static void denormal_and_zero(size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(i % 5) * (i % 2 ? -0x1p-149f : 0x1p-149f);
}

static void with_infinity_and_one_nan(size_t n)
{
    gaussian(n);
    x[n / 3] = -INFINITY;
    x[n / 2] = INFINITY;
    x[n - 1] = -NAN;
}

static void few_values(size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(i * 2654435761 >> 7 & 3);
}

static void spikes_far_apart(size_t n) /* a sample sees none of them, or nothing else */
{
    for (size_t i = 0; i < n; i++)
        x[i] = i % 1000 == 0 ? 100.f + (float)i : 1e-3f * (float)(i % 7);
}

static void large_at_the_end_only(size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = i < n - n / 50 ? 0 : (float)i;
}

static void large_where_the_sample_looks(size_t n) /* topk's own formula: too few others reach what it then guesses */
{
    const size_t stride = 16;
    for (size_t i = 0; i < n; i++)
        x[i] = (float)i * 0x1p-30f;
    for (size_t i = 0; i < n / stride; i++)
        x[i * stride + (i * 2654435761 >> 16) % stride] = 2;
}

static void (*const inputs[])(size_t) = { gaussian,
                                          all_equal,
                                          rising,
                                          falling,
                                          denormal_and_zero,
                                          with_infinity_and_one_nan,
                                          few_values,
                                          spikes_far_apart,
                                          large_at_the_end_only,
                                          large_where_the_sample_looks };

static int by_magnitude(const void *pa, const void *pb)
{
    const uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
    const float fa = fabsf(x[a]), fb = fabsf(x[b]);
    const int larger = isnan(fa) != isnan(fb) ? (isnan(fa) ? -1 : 1) : fa > fb ? -1 : fa < fb;
    return larger ? larger : (a > b) - (a < b);
}

static int by_index(const void *pa, const void *pb)
{
    const uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
    return (a > b) - (a < b);
}

/* options of a top-k that sends a list */
static const void *listed(double ratio)
{
    char text[64];
    snprintf(text, sizeof text, "ratio=%.17g index=list", ratio);
    return options_of(&compress_topk, text);
}

/* order[0..k) = the indices of the k largest, ascending */
static void sort(size_t n, size_t k)
{
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    qsort(order, n, sizeof *order, by_magnitude);
    qsort(order, k, sizeof *order, by_index);
}

static void check_topk(size_t n, double ratio)
{
    const struct coding c = coding_of(listed(ratio), n);
    const size_t bytes = compress_topk.code_bytes(&c), k = bytes / 8, room = compress_topk.scratch_bytes(&c);
    unsigned char *odd = code + 1; /* codes need no alignment */
    memset(code, 0xAB, sizeof code);
    memset(scratch, 0xCD, sizeof scratch);
    assert_int_equal(compress_topk.encode(&c, NULL, x, odd, scratch), bytes);
    sort(n, k);
    for (size_t i = 0; i < k; i++) {
        assert_memory_equal(odd + 4 * i, &order[i], 4);
        assert_memory_equal(odd + 4 * (k + i), &x[order[i]], 4);
    }
    for (size_t i = 0; i < GUARD; i++)
        assert_true(odd[bytes + i] == 0xAB && scratch[room + i] == 0xCD);
}

static void topk_keeps_what_a_sort_puts_first_whatever_the_input(void **state)
{
    (void)state;
    const size_t sizes[] = { 1, 2, 15, 16, 17, 1000, 70000 };
    const double ratios[] = { 1e-9, 0.001, 0.01, 0.3, 1 };
    for (size_t i = 0; i < COUNT(inputs); i++)
        for (size_t s = 0; s < COUNT(sizes); s++) {
            inputs[i](sizes[s]);
            for (size_t r = 0; r < COUNT(ratios); r++)
                check_topk(sizes[s], ratios[r]);
        }
    for (size_t i = 0; i < COUNT(inputs); i++) {
        inputs[i](MOST);
        check_topk(MOST, 0.01);
    }
}

static void topk_keeps_the_ceiling_of_its_share_and_at_least_one(void **state)
{
    (void)state;
    const struct {
        double ratio;
        size_t n, k;
    } rows[] = { { 0.1, 10, 1 }, { 0.07, 100, 7 }, { 0.01, 100, 1 }, { 0.01, 101, 2 }, { 1e-9, 5, 1 },   { 1, 12345, 12345 },
                 { 0.3, 10, 3 }, { 0.5, 3, 2 },    { 0.1, 0, 0 },    { 1, 0, 0 },      { 1 / 3., 3, 1 }, { 0.01, 4 << 20, 41944 } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct coding c = coding_of(listed(rows[i].ratio), rows[i].n);
        assert_int_equal(compress_topk.code_bytes(&c), 8 * rows[i].k);
    }
    const struct coding nothing = coding_of(listed(rows[8].ratio), 0);
    assert_int_equal(compress_topk.encode(&nothing, NULL, x, code, scratch), 0);
}

static void topk_refuses_what_its_indices_cannot_count(void **state)
{
    (void)state;
    const double ratio = 0.01;
    const struct coding fits = coding_of(listed(ratio), UINT32_MAX), more = coding_of(listed(ratio), (size_t)UINT32_MAX + 1);
    assert_null(compress_topk.refuses(&fits));
    assert_non_null(compress_topk.refuses(&more));
}

static void topk_leaves_the_error_when_its_code_is_subtracted(void **state)
{
    (void)state;
    const double ratio = 0.1;
    enum { N = 1000 };
    gaussian(N);
    const struct coding c = coding_of(listed(ratio), N);
    const size_t bytes = compress_topk.encode(&c, NULL, x, code, scratch);
    memcpy(y, x, N * sizeof *y);
    compress_topk.decode(&c, code, bytes, -1, y, scratch);
    double before = 0, after = 0;
    for (int i = 0; i < N; i++)
        before += (double)x[i] * x[i], after += (double)y[i] * y[i];
    assert_true(after <= (1 - ratio) * before);
    compress_topk.decode(&c, code, bytes, 1, y, scratch);
    assert_memory_equal(x, y, N * sizeof *x);
}

static void topk_ignores_indices_outside_the_vector(void **state)
{
    (void)state;
    const double ratio = 1;
    const uint32_t indices[] = { 4, 1, UINT32_MAX, 0x80000000 };
    const float values[] = { 10, 20, 30, 40 };
    memcpy(code, indices, sizeof indices);
    memcpy(code + sizeof indices, values, sizeof values);
    memset(y, 0, 5 * sizeof *y);
    const struct coding c = coding_of(listed(ratio), 4);
    compress_topk.decode(&c, code, 32, 1, y, scratch);
    assert_true(y[0] == 0 && y[1] == 20 && y[2] == 0 && y[3] == 0 && y[4] == 0);
}

static void topk_takes_the_shorter_of_list_and_bitmap(void **state)
{
    (void)state;
    const struct {
        const char *options;
        size_t bytes; /* of 3200 floats; both are 400 where k = 100 */
    } rows[] = { { "k=99", 8 * 99 },           { "k=100", 8 * 100 },
                 { "k=101", 400 + 4 * 101 },   { "k=101 index=list", 8 * 101 },
                 { "k=3200", 400 + 4 * 3200 }, { "k=99 index=bitmap", 400 + 4 * 99 } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct coding c = coding_of(options_of(&compress_topk, rows[i].options), 3200);
        assert_int_equal(compress_topk.code_bytes(&c), rows[i].bytes);
    }
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of three tries, the fastest. */
static double topk_s(void (*input)(size_t), size_t n)
{
    const struct coding c = coding_of(listed(0.01), n);
    double best = 1e9;
    input(n);
    for (int i = 0; i < 3; i++) {
        const double start = cpu_s();
        compress_topk.encode(&c, NULL, x, code, scratch);
        best = fmin(best, cpu_s() - start);
    }
    return best;
}

/* Ten times the floats cost ten times as much, give or take what fits into caches; a sort's or a bad pivot's cost would be 100. */
static void topk_costs_no_more_than_in_proportion_whatever_the_input(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(inputs); i++)
        assert_true(topk_s(inputs[i], MOST) < 40 * topk_s(inputs[i], MOST / 10));
}

static void none_sends_every_bit(void **state)
{
    (void)state;
    enum { N = 101 };
    gaussian(N);
    const struct coding c = coding_of(NULL, N);
    assert_int_equal(compress_none.code_bytes(&c), 4 * N);
    assert_int_equal(compress_none.encode(&c, NULL, x, code + 1, NULL), 4 * N);
    assert_memory_equal(code + 1, x, 4 * N);
    memset(y, 0, N * sizeof *y);
    compress_none.decode(&c, code + 1, 4 * N, 1, y, NULL);
    assert_memory_equal(y, x, 4 * N);
    compress_none.decode(&c, code + 1, 4 * N - 1, 1, y, NULL); /* cut short: says nothing */
    compress_none.decode(&c, code + 1, 4 * N, -1, y, NULL);
    for (int i = 0; i < N; i++)
        assert_true(y[i] == 0);
}

static void members_are_found_by_name(void **state)
{
    (void)state;
    for (int c = 0; compressors[c]; c++)
        assert_ptr_equal(compressor_find(compressors[c]->member.name), compressors[c]);
    assert_null(compressor_find("top-k"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topk_keeps_what_a_sort_puts_first_whatever_the_input),
        cmocka_unit_test(topk_keeps_the_ceiling_of_its_share_and_at_least_one),
        cmocka_unit_test(topk_refuses_what_its_indices_cannot_count),
        cmocka_unit_test(topk_leaves_the_error_when_its_code_is_subtracted),
        cmocka_unit_test(topk_ignores_indices_outside_the_vector),
        cmocka_unit_test(topk_takes_the_shorter_of_list_and_bitmap),
        cmocka_unit_test(topk_costs_no_more_than_in_proportion_whatever_the_input),
        cmocka_unit_test(none_sends_every_bit),
        cmocka_unit_test(members_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
