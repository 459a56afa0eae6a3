/* Conformance: compressors that lie, each in one way, each of which must be found out; and that the honest ones are believed. */
#include "tests/kernels/check.h"

#include "bench/conformance.h"

/* Rounds each float to one of the two neighbouring multiples of a quarter of the largest, with the mean x: unbiased, or so it says.
 * The code is the multiples and the largest. */
enum { STEPS = 4 };

static size_t honest_bytes(const struct coding *c)
{
    return (c->n + 1) * sizeof(float);
}

static float largest(const float *x, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    return most;
}

static size_t scratch_bytes(const struct coding *c)
{
    return c->n * sizeof(float);
}

/* In double precision: in single, 4 + 0.9999999 is 5. */
static float rounded(float of_largest, float chance)
{
    return (float)floor((double)of_largest * STEPS + (double)chance);
}

/* Rounds with the numbers of r. */
static size_t round_by(const struct random *r, const struct coding *c, const float *x, unsigned char *code, void *scratch)
{
    const float most = largest(x, c->n);
    float *chance = scratch;
    random_uniform(r, chance, c->n);
    memcpy(code, &most, sizeof most);
    for (size_t i = 0; i < c->n; i++) {
        const float multiple = rounded(x[i] / most, chance[i]);
        memcpy(code + (i + 1) * sizeof multiple, &multiple, sizeof multiple);
    }
    return honest_bytes(c);
}

static size_t honest_encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state;
    return round_by(&c->random, c, x, code, scratch);
}

static void decode_by(const struct coding *c, const unsigned char *code, float factor, float *y)
{
    float most, multiple;
    memcpy(&most, code, sizeof most);
    for (size_t i = 0; i < c->n; i++) {
        memcpy(&multiple, code + (i + 1) * sizeof multiple, sizeof multiple);
        y[i] += factor * most * multiple / STEPS;
    }
}

static void honest_decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    (void)bytes, (void)scratch;
    decode_by(c, code, factor, y);
}

/* The variance of rounding a + f, f in [0, 1), is f (1 - f). */
static double honest_omega(const struct coding *c, const float *x)
{
    double variance = 0, length2 = 0;
    for (size_t i = 0; i < c->n; i++) {
        const double multiple = (double)(x[i] / largest(x, c->n) * STEPS), f = multiple - floor(multiple);
        variance += f * (1 - f) * pow((double)largest(x, c->n) / STEPS, 2);
        length2 += (double)x[i] * x[i];
    }
    return variance / length2;
}

static const struct compressor honest = {
    .member = { .name = "honest" },
    .traits = COMPRESSOR_UNBIASED | COMPRESSOR_FIXED_SIZE,
    .code_bytes = honest_bytes,
    .scratch_bytes = scratch_bytes,
    .encode = honest_encode,
    .decode = honest_decode,
    .omega = honest_omega,
};

/* ---- lies ------------------------------------------------------------------------------------------------------------------ */

static double zero(const struct coding *c, const float *x)
{
    (void)c, (void)x;
    return 0;
}

static double one(const struct coding *c, const float *x)
{
    (void)c, (void)x;
    return 1;
}

static double half_as_much(const struct coding *c, const float *x)
{
    return honest_omega(c, x) / 2;
}

static double ten_percent_more(const struct coding *c, const float *x)
{
    return honest_omega(c, x) * 1.1;
}

static void one_percent_longer(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y,
                               void *scratch)
{
    honest_decode(c, code, bytes, factor * 1.01f, y, scratch);
}

/* Turns every pair of floats a little: on the average the error is at right angles to x. */
static void turned(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    const float turn = 0.2f;
    honest_decode(c, code, bytes, factor, y, scratch);
    for (size_t i = 0; i + 1 < c->n; i += 2) {
        float pair[2], most;
        memcpy(&most, code, sizeof most);
        memcpy(pair, code + (i + 1) * sizeof *pair, sizeof pair);
        y[i] += factor * turn * most * pair[1] / STEPS;
        y[i + 1] -= factor * turn * most * pair[0] / STEPS;
    }
}

static size_t one_byte_less(const struct coding *c)
{
    return honest_bytes(c) - 1;
}

static size_t one_byte_more(const struct coding *c)
{
    return honest_bytes(c) + 1;
}

static size_t no_scratch(const struct coding *c)
{
    (void)c;
    return 0;
}

/* The input becomes the output. */
static size_t encode_in_place(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    const size_t bytes = honest_encode(c, state, x, code, scratch);
    memset((float *)(uintptr_t)x, 0, c->n * sizeof *x);
    decode_by(c, code, 1, (float *)(uintptr_t)x);
    return bytes;
}

static size_t encode_otherwise_each_time(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    static uint32_t calls;
    (void)state;
    return round_by(&(struct random){ .seed = 1, .step = calls++ }, c, x, code, scratch);
}

/* Half of the numbers are the other workers', too. */
static size_t encode_half_shared(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    struct coding half = *c;
    half.n = c->n / 2;
    const float most = largest(x, c->n);
    honest_encode(c, state, x, code, scratch);
    random_uniform(&c->shared, scratch, half.n);
    for (size_t i = 0; i < half.n; i++) {
        const float multiple = rounded(x[i] / most, ((float *)scratch)[i]);
        memcpy(code + (i + 1) * sizeof multiple, &multiple, sizeof multiple);
    }
    return honest_bytes(c);
}

static void add_always(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    honest_decode(c, code, bytes, fabsf(factor), y, scratch);
}

static double one_bit(const struct coding *c, const unsigned char *code, size_t bytes)
{
    (void)code, (void)bytes;
    return (double)c->n;
}

static size_t state_of_a_float(const struct coding *c)
{
    (void)c;
    return sizeof(float);
}

/* The state counts, and is of no consequence. */
static size_t encode_counting(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    ++*(float *)state;
    return honest_encode(c, NULL, x, code, scratch);
}

/* What decides is kept elsewhere. */
static size_t encode_by_hidden_state(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    static uint32_t hidden;
    hidden = *(float *)state == 0 ? 0 : hidden + 1;
    *(float *)state = 1;
    return round_by(&(struct random){ .seed = 2, .step = hidden, .worker = c->random.step }, c, x, code, scratch);
}

static size_t all_elements(const struct coding *c, int part)
{
    (void)part;
    return c->n + 1;
}

static void encode_all(const struct coding *c, void *state, const float *x, int part, unsigned char *code, void *scratch)
{
    (void)part;
    honest_encode(c, state, x, code, scratch);
}

/* The sum of products is not the product of sums. */
static const struct linear not_linear = { ELEMENT_FLOAT, 1, all_elements, encode_all, NULL };

/* k floats from a place of the worker's own, and the same number from where all begin: masks that share more than chance. */
enum { KEPT = 4 };

static size_t kept(const struct coding *c)
{
    (void)c;
    return KEPT;
}

static size_t kept_bytes(const struct coding *c)
{
    (void)c;
    return KEPT * (sizeof(uint32_t) + sizeof(float));
}

static size_t write_kept(const uint32_t index[KEPT], const struct coding *c, const float *x, unsigned char *code)
{
    memcpy(code, index, KEPT * sizeof *index);
    for (size_t i = 0; i < KEPT; i++)
        memcpy(code + KEPT * sizeof *index + i * sizeof *x, &x[index[i]], sizeof *x);
    return kept_bytes(c);
}

static size_t encode_half_a_mask(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state, (void)scratch;
    const uint32_t own = (uint32_t)random_below(&c->random, 0, c->n - KEPT);
    return write_kept((const uint32_t[KEPT]){ 0, 1, own + 2, own + 3 }, c, x, code);
}

/* A mask drawn together, but moved by one from worker to worker. */
static size_t encode_a_moved_mask(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    (void)state, (void)scratch;
    const uint32_t at = (uint32_t)(random_below(&c->shared, 0, c->n - KEPT - (size_t)c->workers) + (size_t)c->worker);
    return write_kept((const uint32_t[KEPT]){ at, at + 1, at + 2, at + 3 }, c, x, code);
}

static size_t kept_entries(const struct coding *c, const unsigned char *code, size_t bytes, uint32_t *index, float *value,
                           void *scratch)
{
    (void)c, (void)bytes, (void)scratch;
    memcpy(index, code, KEPT * sizeof *index);
    memcpy(value, code + KEPT * sizeof *index, KEPT * sizeof *value);
    return KEPT;
}

static void kept_decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    uint32_t index[KEPT];
    float value[KEPT];
    kept_entries(c, code, bytes, index, value, scratch);
    for (int i = 0; i < KEPT; i++)
        y[index[i]] += factor * value[i];
}

static const struct compressor sparse_liar = {
    .traits = COMPRESSOR_FIXED_SIZE | COMPRESSOR_SPARSE,
    .code_bytes = kept_bytes,
    .encode = encode_half_a_mask,
    .decode = kept_decode,
    .entries = kept_entries,
    .most_entries = kept,
};

/* ---- found out ------------------------------------------------------------------------------------------------------------- */

static struct conformance_row row;

static bool fails(enum conformance_check check)
{
    return row.cells[check].checked && row.cells[check].of_allowed_ratio > 1;
}

/* This check fails, and none that this lie does not touch: `too` is one more that may. */
static void assert_found_out(const struct compressor *liar, enum conformance_check check, enum conformance_check too)
{
    assert_int_equal(conformance_check(liar, NULL, &row), STATUS_OK);
    assert_false(conformance_passes(&row));
    for (int i = 0; i < CHECKS; i++)
        if (fails((enum conformance_check)i) != (i == (int)check) && !(i == (int)too && fails(too)))
            fail_msg("%s: %g of what is allowed", conformance_checks[i].name, row.cells[i].of_allowed_ratio);
}

static void the_honest_are_believed(void **state)
{
    (void)state;
    struct compressor tight = honest;
    tight.traits |= COMPRESSOR_TIGHT;
    assert_int_equal(conformance_check(&honest, NULL, &row), STATUS_OK);
    assert_true(conformance_passes(&row) && row.cells[CHECK_OMEGA].checked && !row.cells[CHECK_DELTA].checked);
    assert_int_equal(conformance_check(&tight, NULL, &row), STATUS_OK);
    assert_true(conformance_passes(&row));
}

static void lies_about_the_error_are_found_out(void **state)
{
    (void)state;
    struct compressor liar = honest;
    liar.omega = zero;
    assert_found_out(&liar, CHECK_OMEGA, CHECK_BIAS);
    liar.omega = half_as_much;
    assert_found_out(&liar, CHECK_OMEGA, CHECK_OMEGA);
    liar.omega = ten_percent_more; /* as a bound it is true */
    assert_int_equal(conformance_check(&liar, NULL, &row), STATUS_OK);
    assert_true(conformance_passes(&row));
    liar.traits |= COMPRESSOR_TIGHT;
    assert_found_out(&liar, CHECK_OMEGA, CHECK_OMEGA);
    liar = honest;
    liar.traits |= COMPRESSOR_CONTRACTIVE;
    liar.delta = one;
    assert_found_out(&liar, CHECK_DELTA, CHECK_DELTA);
    liar = honest;
    liar.traits |= COMPRESSOR_LOSSLESS;
    assert_found_out(&liar, CHECK_LOSSLESS, CHECK_LOSSLESS);
    liar = honest;
    liar.logical_bits = one_bit;
    assert_found_out(&liar, CHECK_BITS, CHECK_BITS);
}

static void a_bias_is_found_out_along_the_vector_and_across(void **state)
{
    (void)state;
    struct compressor liar = honest;
    liar.decode = one_percent_longer;
    assert_int_equal(conformance_check(&liar, NULL, &row), STATUS_OK);
    assert_true(fails(CHECK_BIAS_ALONG) && fails(CHECK_OMEGA)); /* omega: where there is nothing to round, the bias is all */
    liar.decode = turned;
    assert_int_equal(conformance_check(&liar, NULL, &row), STATUS_OK);
    assert_true(fails(CHECK_BIAS) && !fails(CHECK_BIAS_ALONG));
}

static void lies_about_memory_are_found_out(void **state)
{
    (void)state;
    struct compressor liar = honest;
    liar.code_bytes = one_byte_less;
    assert_found_out(&liar, CHECK_BYTES, CHECK_BOUNDS);
    assert_true(fails(CHECK_BOUNDS));
    liar.code_bytes = one_byte_more;
    assert_found_out(&liar, CHECK_BYTES, CHECK_BYTES);
    liar.traits &= ~(unsigned)COMPRESSOR_FIXED_SIZE; /* as a bound it is true */
    assert_int_equal(conformance_check(&liar, NULL, &row), STATUS_OK);
    assert_true(conformance_passes(&row));
    liar = honest;
    liar.scratch_bytes = no_scratch;
    assert_found_out(&liar, CHECK_BOUNDS, CHECK_BOUNDS);
    liar = honest;
    liar.encode = encode_in_place;
    assert_int_equal(conformance_check(&liar, NULL, &row), STATUS_OK);
    assert_true(fails(CHECK_BOUNDS));
}

static void what_an_exchange_could_not_rely_on_is_found_out(void **state)
{
    (void)state;
    struct compressor liar = honest;
    liar.encode = encode_otherwise_each_time;
    assert_found_out(&liar, CHECK_REPEATS, CHECK_REPEATS);
    liar = honest;
    liar.decode = add_always;
    assert_found_out(&liar, CHECK_FEEDBACK, CHECK_FEEDBACK);
    liar = honest;
    liar.encode = encode_half_shared;
    assert_found_out(&liar, CHECK_WORKERS, CHECK_WORKERS);
    liar = honest;
    liar.traits |= COMPRESSOR_LINEAR;
    liar.linear = &not_linear;
    assert_found_out(&liar, CHECK_SUM, CHECK_SUM);
    assert_found_out(&sparse_liar, CHECK_MASKS, CHECK_MASKS);
    liar = sparse_liar;
    liar.encode = encode_a_moved_mask;
    assert_found_out(&liar, CHECK_MASKS, CHECK_MASKS);
}

static void a_state_that_does_nothing_or_not_all_is_found_out(void **state)
{
    (void)state;
    struct compressor liar = honest;
    liar.state_bytes = state_of_a_float;
    liar.encode = encode_counting;
    assert_found_out(&liar, CHECK_STATE, CHECK_STATE);
    liar.encode = encode_by_hidden_state;
    assert_int_equal(conformance_check(&liar, NULL, &row), STATUS_OK);
    assert_true(fails(CHECK_STATE));
}

static void the_projects_own_are_honest(void **state)
{
    (void)state;
    const struct option_values none = { NULL, 0 };
    FILE *nowhere = fopen("/dev/null", "w");
    assert_non_null(nowhere);
    const status s = conformance_run("all", &none, NULL, nowhere);
    fclose(nowhere);
    if (s != STATUS_OK)
        fail_msg("%s", status_message());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_honest_are_believed),
        cmocka_unit_test(lies_about_the_error_are_found_out),
        cmocka_unit_test(a_bias_is_found_out_along_the_vector_and_across),
        cmocka_unit_test(lies_about_memory_are_found_out),
        cmocka_unit_test(what_an_exchange_could_not_rely_on_is_found_out),
        cmocka_unit_test(a_state_that_does_nothing_or_not_all_is_found_out),
        cmocka_unit_test(the_projects_own_are_honest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
