/* gelu, relu, the vector operations and the embedding against their definitions. */
#include "tests/kernels/check.h"

#include "kernels/layers.h"

enum { MOST = 4001 };

static float x[MOST], y[MOST], dy[MOST], dx[MOST];
static double want[MOST];

static double gelu(double v)
{
    return 0.5 * v * (1 + tanh(sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
}

static void gelu_is_its_tanh_form_from_minus_20_to_20(void **state)
{
    (void)state;
    for (int i = 0; i < MOST; i++) {
        x[i] = (float)(i - MOST / 2) / 100;
        want[i] = gelu(x[i]);
    }
    gelu_forward(y, x, MOST);
    assert_close(y, want, MOST, 1e-6); /* two roundings in u, one ulp of exp, three more */
}

static void gelu_gradient_is_the_difference_of_gelu(void **state)
{
    (void)state;
    fill(dy, MOST, 1);
    for (int i = 0; i < MOST; i++) {
        x[i] = (float)(i - MOST / 2) / 100;
        want[i] = dy[i] * (gelu(x[i] + 1e-5) - gelu(x[i] - 1e-5)) / 2e-5;
    }
    gelu_input_grad(dx, dy, x, MOST);
    assert_close(dx, want, MOST, 2e-6);
}

static void gelu_of_huge_numbers_is_the_number_or_zero(void **state)
{
    (void)state;
    const float huge[] = { 1e30f, -1e30f, 3e38f, -3e38f, 13, -13, 0 }, one[] = { 1, 1, 1, 1, 1, 1, 1 };
    gelu_forward(y, huge, COUNT(huge));
    gelu_input_grad(dx, one, huge, COUNT(huge));
    for (size_t i = 0; i < COUNT(huge); i++) {
        assert_true(y[i] == (huge[i] > 0 ? huge[i] : 0));
        assert_true(dx[i] == (huge[i] > 0 ? 1 : huge[i] < 0 ? 0 : 0.5f));
    }
}

static void nan_and_infinity_pass_through(void **state)
{
    (void)state;
    const float bad[] = { NAN, INFINITY }, one[] = { 1, 1 };
    void (*const forward[])(float *, const float *, size_t) = { gelu_forward, relu_forward };
    for (size_t f = 0; f < COUNT(forward); f++) {
        forward[f](y, bad, 2);
        assert_true(isnan(y[0]) && isinf(y[1]));
    }
    gelu_input_grad(dx, one, bad, 2);
    assert_true(isnan(dx[0]) && isnan(dx[1]));
}

static void relu_keeps_what_is_positive(void **state)
{
    (void)state;
    const float v[] = { -2, -0.f, 0, 3 }, g[] = { 5, 6, 7, 8 };
    relu_forward(y, v, 4);
    assert_true(y[0] == 0 && y[1] == 0 && y[2] == 0 && y[3] == 3);
    relu_input_grad(dx, g, v, 4);
    assert_true(dx[0] == 0 && dx[1] == 0 && dx[2] == 0 && dx[3] == 8);
}

static void results_may_replace_their_input(void **state)
{
    (void)state;
    fill(x, MOST, 1);
    fill(dy, MOST, 2);
    void (*const forward[])(float *, const float *, size_t) = { gelu_forward, relu_forward };
    void (*const backward[])(float *, const float *, const float *, size_t) = { gelu_input_grad, relu_input_grad };
    for (size_t f = 0; f < COUNT(forward); f++) {
        static float in_place[MOST];
        forward[f](y, x, MOST);
        memcpy(in_place, x, sizeof x);
        forward[f](in_place, in_place, MOST);
        assert_memory_equal(in_place, y, sizeof y);
        backward[f](dx, dy, x, MOST);
        memcpy(in_place, dy, sizeof dy);
        backward[f](in_place, in_place, x, MOST);
        assert_memory_equal(in_place, dx, sizeof dx);
    }
}

static void sums_multiples_and_maxima_are_exact(void **state)
{
    (void)state;
    for (int i = 0; i < MOST; i++)
        x[i] = (float)i, dy[i] = (float)(2 * i + 1);
    residual_forward(y, x, dy, MOST);
    add(y, x, MOST);
    scale(y, 0.5f, MOST);
    for (int i = 0; i < MOST; i++)
        assert_true(y[i] == (float)(4 * i + 1) / 2);
    for (int i = 0; i < MOST; i++)
        x[i] = (float)(i % 7), y[i] = (float)(i % 5);
    maximum(y, x, MOST);
    for (int i = 0; i < MOST; i++)
        assert_true(y[i] == (float)(i % 7 > i % 5 ? i % 7 : i % 5));
}

enum { B = 2, T = 3, C = 5, V = 4 };
static const int32_t symbols[B * T] = { 1, 3, 1, 0, 1, 3 }; /* 2 does not occur, 1 occurs three times */

/* The ranges cover the vocabulary; each share adds its own rows to what the others have. */
static void embedding_adds_the_rows_of_symbol_and_position(void **state)
{
    (void)state;
    const int starts[][4] = { { 0, V, V, V }, { 0, 1, 3, V }, { 0, 0, 2, V } };
    for (size_t s = 0; s < COUNT(starts); s++) {
        float token[V * C], position[T * C], part[B * T * C], out[B * T * C] = { 0 };
        fill(token, COUNT(token), 1);
        fill(position, COUNT(position), 2);
        for (int i = 0; i < 3; i++) {
            const int first = starts[s][i];
            embedding_forward(part, symbols, token + first * C, first, starts[s][i + 1] - first, B * T, C);
            add(out, part, COUNT(out));
        }
        position_forward(out, out, position, 0, B * T, T, C);
        for (int i = 0; i < B * T * C; i++)
            assert_true(out[i] == token[symbols[i / C] * C + i % C] + position[i / C % T * C + i % C]);
    }
}

static void embedding_gradient_counts_each_use_on_top_of_what_is_there(void **state)
{
    (void)state;
    for (int split = 0; split <= V; split++) {
        float dtoken[V * C], ones[B * T * C];
        for (int i = 0; i < B * T * C; i++)
            ones[i] = 1;
        for (int i = 0; i < V * C; i++)
            dtoken[i] = 10;
        embedding_weight_grad(dtoken, symbols, ones, 0, split, B * T, C);
        embedding_weight_grad(dtoken + split * C, symbols, ones, split, V - split, B * T, C);
        const float uses[V] = { 1, 3, 0, 2 };
        for (int i = 0; i < V * C; i++)
            assert_true(dtoken[i] == 10 + uses[i / C]);
    }
}

static void position_gradient_sums_the_rows_at_each_position(void **state)
{
    (void)state;
    for (int split = 0; split <= B * T; split++) {
        float dposition[T * C], dout[B * T * C];
        for (int i = 0; i < B * T * C; i++)
            dout[i] = (float)(i / C + 1);
        for (int i = 0; i < T * C; i++)
            dposition[i] = 20;
        position_weight_grad(dposition, dout, 0, split, T, C);
        position_weight_grad(dposition, dout + split * C, split, B * T - split, T, C);
        for (int i = 0; i < T * C; i++)
            assert_true(dposition[i] == (float)(20 + 2 * (i / C + 1) + T));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gelu_is_its_tanh_form_from_minus_20_to_20),
        cmocka_unit_test(gelu_gradient_is_the_difference_of_gelu),
        cmocka_unit_test(gelu_of_huge_numbers_is_the_number_or_zero),
        cmocka_unit_test(nan_and_infinity_pass_through),
        cmocka_unit_test(relu_keeps_what_is_positive),
        cmocka_unit_test(results_may_replace_their_input),
        cmocka_unit_test(sums_multiples_and_maxima_are_exact),
        cmocka_unit_test(embedding_adds_the_rows_of_symbol_and_position),
        cmocka_unit_test(embedding_gradient_counts_each_use_on_top_of_what_is_there),
        cmocka_unit_test(position_gradient_sums_the_rows_at_each_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
