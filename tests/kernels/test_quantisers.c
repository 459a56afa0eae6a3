/* Quantisers: codes made by hand, bytes by formula, errors float by float, and what must not happen whatever the input or the code.
 * What they claim in the mean is in test_quantiser_claims.c. */
#include "tests/kernels/options.h"

#include <float.h>

enum { MOST = 1600, GUARD = 64 };

static float x[MOST + 1], y[MOST + 2 * GUARD];
static unsigned char code[8 * MOST + 2 * GUARD], other[8 * MOST + 2 * GUARD];
static _Alignas(64) unsigned char scratch[8 * MOST + 2 * GUARD];

/* A float's error is at most `relative` times itself, plus `of_norm` times its bucket's norm (no norm: of the largest float). */
static const struct row {
    const char *name, *settings;
    double relative, of_norm;
    size_t bucket;
    bool is_length;
} rows[] = {
    { "fp16", "", 0x1p-11, 0x1p-24, 0, 0 },
    { "fp16", "rounding=stochastic", 0x1p-10, 0x1p-23, 0, 0 },
    { "bf16", "", 0x1p-8, 0, 0, 0 },
    { "bf16", "rounding=stochastic", 0x1p-7, 0, 0, 0 },
    { "qsgd", "", 0, 1 / 16., 512, true },
    { "qsgd", "levels=5 bucket=37 rounding=nearest", 0, 1 / 10., 37, true },
    { "qsgd", "levels=7 norm=max bucket=128 scale_bits=16", 0, 1.01 / 7, 128, false },
    { "qsgd", "levels=1000 bucket=all", 0, 1 / 1000., 0, true },
    { "qsgd", "levels=127 norm=max packing=bytes", 0, 1 / 127., 512, false },
    { "qsgd", "levels=3 norm=max coding=elias bucket=100", 0, 1 / 3., 100, false },
    { "qsgd", "levels=32767 norm=max coding=elias", 0, 1 / 32767., 512, false },
    { "qsgd", "levels=1 bucket=all coding=elias", 0, 1, 0, true },
    { "terngrad", "", 0, 1, 0, false },
    { "terngrad", "bucket=64 coding=base3", 0, 1, 64, false },
    { "terngrad", "packing=bytes", 0, 1, 0, false },
    { "natural", "", 1, 0, 0, false },
    { "natural", "coding=8-bit", 1, 0, 0, false },
    { "natural-dithering", "", 1, 1 / 64., 512, true },
    { "natural-dithering", "levels=3 norm=max bucket=50 packing=bytes", 1, 1 / 4., 50, false },
    { "sign", "scale=0.25", 1, 0.25, 0, false },
    { "sign", "packing=bytes scale=0.25", 1, 0.25, 0, false },
    { "ef-sign", "", 1, 1, 0, false },
    { "ef-sign", "bucket=33", 1, 1, 33, false },
    { "onebit", "", 1, 1, 0, false },
    { "onebit", "bucket=100", 1, 1, 100, false },
};

static const size_t sizes[] = { 0, 1, 2, 5, 15, 16, 17, 511, 512, 513, 1000, MOST };

static const struct compressor *kind_of(const struct row *r)
{
    const struct compressor *k = compressor_find(r->name);
    assert_non_null(k);
    return k;
}

static struct coding coding(const struct row *r, size_t n)
{
    return coding_of(options_of(kind_of(r), r->settings), n);
}

static size_t encode(const struct compressor *k, const struct coding *c, const float *from, unsigned char *to)
{
    assert_true(k->code_bytes(c) + 2 * GUARD <= sizeof code && compressor_scratch_bytes(k, c) + 2 * GUARD <= sizeof scratch);
    return compressor_encode(k, c, NULL, from, to, scratch);
}

static void normal(size_t n)
{
    random_normal(&(struct random){ .seed = 7 }, 0.5f, 0, x, n);
}

static double norm(const struct row *r, size_t i, size_t n)
{
    const size_t bucket = r->bucket ? r->bucket : n, first = i / bucket * bucket;
    double squares = 0, largest = 0;
    for (size_t j = first; j < n && j < first + bucket; j++) {
        squares += (double)x[j] * x[j];
        largest = fmax(largest, fabs(x[j]));
    }
    return r->is_length ? sqrt(squares) : largest;
}

static void codes_are_those_that_a_hand_makes(void **state)
{
    (void)state;
    static const struct {
        const char *name, *settings;
        size_t n;
        float x[40];
        size_t bytes;
        unsigned char code[24];
    } known[] = {
        { "fp16", "", 4, { 1, -2, 65504, 1e6f }, 8, { 0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b, 0x00, 0x7c } },
        { "bf16", "", 2, { 1, -2 }, 4, { 0x80, 0x3f, 0x00, 0xc0 } },
        /* norm 2 (0x40000000), then 4 1 2 3 of 3 bits */
        { "qsgd", "levels=2 norm=max", 4, { 2, -1, 0, 1 }, 6, { 0x00, 0x00, 0x00, 0x40, 0x8c, 0x06 } },
        /* length 5 (0x40a00000), then 8 1 of 4 bits */
        { "qsgd", "levels=5", 2, { 3, -4 }, 5, { 0x00, 0x00, 0xa0, 0x40, 0x18 } },
        /* 3 needs more than the upper half of a float to the right of 1.0078125 (0x3f81): 0x3f808000 is rounded up */
        { "qsgd", "levels=1 norm=max scale_bits=16", 1, { 0x1.01p0f }, 3, { 0x81, 0x3f, 0x02 } },
        /* 1.0, 1 1 of 8 bits, -1 of another bucket with norm 3 */
        { "qsgd",
          "levels=1 norm=max bucket=2 packing=bytes",
          3,
          { 1, 1, -3 },
          11,
          { 0, 0, 0x80, 0x3f, 0, 0, 0x40, 0x40, 2, 2, 0 } },
        /* sparse; norm 1; two of them: 110; 5 on: 101100, negative: 1, level 1: 0; 1 on: 0, positive: 0, level 1: 0 */
        { "qsgd", "levels=1 norm=max coding=elias", 40, { 0, 0, 0, 0, -1, 1 }, 7, { 2, 0, 0, 0x80, 0x3f, 0x6b, 0x02 } },
        /* dense; norm 8; 1 + 8: 11 1100 0, positive: 0; 1: 0; 1 + 1: 100, negative: 1; 0; 100 0; 0 */
        { "qsgd", "levels=8 norm=max coding=elias", 6, { 8, 0, -1, 0, 1, 0 }, 8, { 1, 0, 0, 0, 0x41, 0x0f, 0x52, 0x00 } },
        { "terngrad", "", 3, { 1, -1, 0 }, 5, { 0, 0, 0x80, 0x3f, 0x12 } },
        /* two bytes: floats 0 2 4 6 and 1 3 5: 2 + 3 * 1 + 9 * 0 + 27 * 2, 0 + 3 * 2 + 9 * 1 */
        { "terngrad", "coding=base3", 7, { 1, -1, 0, 1, -1, 0, 1 }, 6, { 0, 0, 0x80, 0x3f, 59, 15 } },
        { "natural", "", 3, { 1, -2, 0 }, 4, { 0x7f, 0x00, 0x03, 0x00 } }, /* 127, 256 + 128, 0 of 9 bits */
        { "natural", "coding=8-bit", 5, { 1, -2, 0, 0x1p17f, -0x1p18f }, 5, { 109, 128 + 110, 0, 126, 255 } },
        /* norm 1, then 6 1 4 3 of 3 bits */
        { "natural-dithering", "levels=3 norm=max", 4, { 1, -.5f, .25f, 0 }, 6, { 0, 0, 0x80, 0x3f, 0x0e, 0x07 } },
        { "sign", "", 5, { 1, -1, 0, -0.f, -3 }, 1, { 0x12 } },
        { "sign", "packing=bytes", 5, { 1, -1, 0, -0.f, -3 }, 5, { 0, 1, 0, 0, 1 } },
        { "ef-sign", "", 2, { 1, -3 }, 5, { 0x00, 0x00, 0x00, 0x40, 0x02 } },                           /* 2 */
        { "onebit", "", 3, { 1, 3, -4 }, 9, { 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x80, 0xc0, 0x04 } }, /* 2, -4 */
    };
    for (size_t i = 0; i < COUNT(known); i++) {
        const struct row r = { .name = known[i].name, .settings = known[i].settings };
        const struct coding c = coding(&r, known[i].n);
        const size_t bytes = encode(kind_of(&r), &c, known[i].x, code);
        if (bytes != known[i].bytes || memcmp(code, known[i].code, bytes) != 0)
            fail_msg("%s %s: %zu bytes, %02x %02x %02x %02x %02x %02x %02x %02x", r.name, r.settings, bytes, code[0], code[1],
                     code[2], code[3], code[4], code[5], code[6], code[7]);
    }
}

static void codes_have_the_bytes_of_the_formula(void **state)
{
    (void)state;
    static const struct {
        const char *name, *settings;
        size_t n, bytes;
        double logical_bits;
    } known[] = {
        { "fp16", "", 1001, 2002, 16016 },
        { "qsgd", "", 1000, 2 * 4 + 750, 2 * 32 + 6000 },                                     /* 33 symbols: 6 bits */
        { "qsgd", "bucket=all levels=1", 1001, 4 + 251, 32 + 2002 },                          /* 3 symbols: 2 bits */
        { "qsgd", "levels=7 norm=max bucket=128 scale_bits=16", 1280, 20 + 640, 160 + 5120 }, /* 15: 4 bits */
        { "qsgd", "levels=8", 1000, 8 + 625, 64 + 5000 },                                     /* 17: 5 bits */
        { "qsgd", "levels=127 packing=bytes", 1000, 8 + 1000, 64 + 8000 },
        { "qsgd", "levels=32767", 1000, 8 + 2000, 64 + 16000 },
        { "terngrad", "", 1001, 4 + 251, 32 + 2002 },
        { "terngrad", "packing=bytes", 1001, 4 + 1001, 32 + 2002 },
        { "terngrad", "coding=base3", 1001, 4 + 201, 8 * 205 },
        { "natural", "", 1001, 1127, 9009 },
        { "natural", "coding=8-bit", 1001, 1001, 8008 },
        { "natural-dithering", "", 1000, 8 + 500, 64 + 4000 },
        { "natural-dithering", "levels=8 packing=bytes", 1000, 8 + 1000, 64 + 5000 },
        { "sign", "", 1001, 126, 1001 },
        { "sign", "packing=bytes", 1001, 1001, 1001 },
        { "ef-sign", "", 1001, 4 + 126, 32 + 1001 },
        { "ef-sign", "bucket=100", 1001, 44 + 126, 352 + 1001 },
        { "onebit", "", 1001, 8 + 126, 64 + 1001 },
    };
    normal(MOST);
    for (size_t i = 0; i < COUNT(known); i++) {
        const struct row r = { .name = known[i].name, .settings = known[i].settings };
        const struct coding c = coding(&r, known[i].n);
        assert_int_equal(kind_of(&r)->code_bytes(&c), known[i].bytes);
        assert_int_equal(encode(kind_of(&r), &c, x, code), known[i].bytes);
        assert_true(compressor_logical_bits(kind_of(&r), &c, code, known[i].bytes) == known[i].logical_bits);
    }
}

static void nothing_outside_is_written_and_alignment_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t s = 0; s < COUNT(sizes); s++) {
            const struct coding c = coding(&rows[i], sizes[s]);
            const struct compressor *k = kind_of(&rows[i]);
            normal(MOST);
            memset(code, 0xab, sizeof code);
            memset(other, 0xab, sizeof other);
            memset(scratch, 0xcd, sizeof scratch);
            const size_t bytes = encode(k, &c, x, code + GUARD);
            for (size_t j = 0; j < GUARD; j++) {
                assert_true(code[j] == 0xab && code[GUARD + k->code_bytes(&c) + j] == 0xab);
                assert_int_equal(scratch[compressor_scratch_bytes(k, &c) + j], 0xcd);
            }
            assert_true(bytes <= k->code_bytes(&c));
            if (compressor_traits(k, c.options) & COMPRESSOR_FIXED_SIZE)
                assert_int_equal(bytes, k->code_bytes(&c));
            memcpy(y, x, sizes[s] * sizeof *x);
            memmove(x + 1, x, sizes[s] * sizeof *x);
            assert_int_equal(encode(k, &c, x + 1, other + GUARD + 1), bytes);
            assert_memory_equal(other + GUARD + 1, code + GUARD, bytes);
            assert_memory_equal(x + 1, y, sizes[s] * sizeof *x); /* x is not written */
        }
}

static void a_float_is_off_by_a_level_at_most(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t s = 0; s < COUNT(sizes); s++) {
            const size_t n = sizes[s];
            const struct coding c = coding(&rows[i], n);
            normal(n);
            const size_t bytes = encode(kind_of(&rows[i]), &c, x, code + 1);
            memset(y, 0, sizeof y);
            kind_of(&rows[i])->decode(&c, code + 1, bytes, 1, y, scratch);
            for (size_t j = 0; j < n; j++)
                if (!(fabs((double)y[j] - x[j]) <= rows[i].relative * fabs(x[j]) + (rows[i].of_norm + 1e-6) * norm(&rows[i], j, n)))
                    fail_msg("%s %s: float %zu of %zu: %g became %g", rows[i].name, rows[i].settings, j, n, (double)x[j],
                             (double)y[j]);
            assert_true(y[n] == 0);
            kind_of(&rows[i])->decode(&c, code + 1, bytes, -1, y, scratch); /* a factor is applied to exactly the same numbers */
            for (size_t j = 0; j < n; j++)
                assert_true(y[j] == 0);
        }
}

static void zeros_stay_zeros_where_a_code_has_a_zero(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct coding c = coding(&rows[i], 600);
        const double expected = strcmp(rows[i].name, "sign") == 0 ? 0.25 : 0;
        memset(x, 0, sizeof x);
        memset(y, 0, sizeof y);
        kind_of(&rows[i])->decode(&c, code, encode(kind_of(&rows[i]), &c, x, code), 1, y, scratch);
        for (size_t j = 0; j < 600; j++)
            assert_true((double)y[j] == expected);
    }
}

static void numbers_do_not_repeat_where_they_must_not(void **state)
{
    (void)state;
    normal(MOST);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct coding c = coding(&rows[i], MOST);
        const bool is_random = compressor_traits(kind_of(&rows[i]), c.options) & COMPRESSOR_UNBIASED;
        const size_t bytes = encode(kind_of(&rows[i]), &c, x, code);
        assert_int_equal(encode(kind_of(&rows[i]), &c, x, other), bytes);
        assert_memory_equal(code, other, bytes);
        c.random.worker++;
        const bool same = encode(kind_of(&rows[i]), &c, x, other) == bytes && memcmp(code, other, bytes) == 0;
        assert_true(same != is_random);
    }
}

static void what_is_not_finite_is_not_hidden(void **state)
{
    (void)state;
    float bad[] = { INFINITY, -INFINITY, NAN, NAN };
    memset(&bad[3], 0xff, sizeof *bad); /* the NaN that leaves no room to round its bits up */
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t b = 0; b < COUNT(bad); b++) {
            const struct coding c = coding(&rows[i], 1024);
            normal(1024);
            x[700] = bad[b];
            memset(y, 0, sizeof y);
            kind_of(&rows[i])->decode(&c, code, encode(kind_of(&rows[i]), &c, x, code), 1, y, scratch);
            assert_true(isfinite(y[700]) == (strcmp(rows[i].name, "sign") == 0)); /* a sign is all that sign knows */
            if (rows[i].bucket)
                assert_true(isfinite(y[0]));
        }
}

static void floats_at_the_ends_of_the_range_are_no_exception(void **state)
{
    (void)state;
    const float ends[] = { 0x1p-149f, -0x1p-130f, 0x1p-126f, FLT_MAX, -FLT_MAX, 0x1p-60f };
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t e = 0; e < COUNT(ends); e++) {
            const struct coding c = coding(&rows[i], 20);
            for (int j = 0; j < 20; j++)
                x[j] = j % 3 ? ends[e] : 0;
            memset(y, 0, sizeof y);
            kind_of(&rows[i])->decode(&c, code, encode(kind_of(&rows[i]), &c, x, code), 1, y, scratch);
            const bool has_zero = !strstr(rows[i].name, "sign") && strcmp(rows[i].name, "onebit") != 0;
            for (int j = 0; j < 20; j++) {
                assert_true(fabsf(ends[e]) > 1 || fabs((double)y[j]) <= 0.25);
                assert_true(!has_zero || x[j] != 0 || y[j] == 0 || isnan(y[j]));
            }
        }
}

static void a_hostile_code_writes_and_reads_nothing_outside(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (uint32_t seed = 0; seed < 40; seed++) {
            const size_t n = sizes[seed % COUNT(sizes)];
            const struct coding c = coding(&rows[i], n);
            const size_t whole = kind_of(&rows[i])->code_bytes(&c), bytes = seed % 4 == 3 ? whole / 2 : whole;
            unsigned char *hostile = malloc(bytes); /* of just its size, so that a sanitizer sees what is read after it */
            uint32_t words[8 * MOST / 4];
            random_bits(&(struct random){ .seed = seed }, 0, words, COUNT(words));
            memcpy(hostile, words, bytes);
            if (bytes > 0 && seed % 4 < 3)
                hostile[0] = seed % 4;
            for (size_t j = 0; j < COUNT(y); j++)
                y[j] = 42;
            kind_of(&rows[i])->decode(&c, hostile, bytes, 1, y + GUARD, scratch);
            for (size_t j = 0; j < GUARD; j++)
                assert_true(y[j] == 42 && y[GUARD + n + j] == 42);
            free(hostile);
        }
}

static void options_that_exclude_each_other_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *name, *settings, *word;
    } refused[] = {
        { "qsgd", "levels=128 packing=bytes", "levels" },
        { "qsgd", "coding=elias packing=bytes", "coding" },
        { "qsgd", "scale_bits=24", "scale_bits" },
        { "terngrad", "coding=base3 packing=bytes", "coding" },
    };
    for (size_t i = 0; i < COUNT(refused); i++) {
        const struct row r = { .name = refused[i].name, .settings = refused[i].settings };
        const struct coding c = coding(&r, 10);
        const char *why = kind_of(&r)->refuses(&c);
        assert_non_null(why);
        assert_non_null(strstr(why, refused[i].word));
    }
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct coding c = coding(&rows[i], 10);
        assert_true(!kind_of(&rows[i])->refuses || !kind_of(&rows[i])->refuses(&c));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_those_that_a_hand_makes),
        cmocka_unit_test(codes_have_the_bytes_of_the_formula),
        cmocka_unit_test(nothing_outside_is_written_and_alignment_changes_nothing),
        cmocka_unit_test(a_float_is_off_by_a_level_at_most),
        cmocka_unit_test(zeros_stay_zeros_where_a_code_has_a_zero),
        cmocka_unit_test(numbers_do_not_repeat_where_they_must_not),
        cmocka_unit_test(what_is_not_finite_is_not_hidden),
        cmocka_unit_test(floats_at_the_ends_of_the_range_are_no_exception),
        cmocka_unit_test(a_hostile_code_writes_and_reads_nothing_outside),
        cmocka_unit_test(options_that_exclude_each_other_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
