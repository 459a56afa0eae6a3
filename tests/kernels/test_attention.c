/* Causal attention against the loops of its definition in double precision and their central differences. */
#include "tests/kernels/check.h"

#include "kernels/layers.h"

enum { MOST = 20000, T_MOST = 70 };
static const double tolerance = 3e-6; /* dot products of at most 33 terms and means of at most 70, of numbers of at most 1 */

static const struct {
    int B, T, C, H;
} shapes[] = { { 1, 1, 5, 1 }, { 2, 2, 16, 2 }, { 1, 17, 33, 1 }, { 2, 17, 12, 4 }, { 1, T_MOST, 6, 2 } };

static float qkv[MOST], y[MOST], dy[MOST], dqkv[MOST], probabilities[MOST], scratch[T_MOST * T_MOST];
static double qkv_[MOST], y_[MOST];
static int B, T, C, H;

static void reference_row(const double *q, const double *k, const double *v, int t, int D, double *out)
{
    double p[T_MOST], sum = 0;
    for (int s = 0; s <= t; s++) {
        double dot = 0;
        for (int d = 0; d < D; d++)
            dot += q[t * 3 * C + d] * k[s * 3 * C + d];
        p[s] = exp(dot / sqrt(D));
        sum += p[s];
    }
    for (int d = 0; d < D; d++) {
        out[d] = 0;
        for (int s = 0; s <= t; s++)
            out[d] += p[s] / sum * v[s * 3 * C + d];
    }
}

static void reference(void)
{
    const int D = C / H;
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++)
            for (int t = 0; t < T; t++) {
                const double *q = qkv_ + b * T * 3 * C + h * D;
                reference_row(q, q + C, q + 2 * C, t, D, y_ + (b * T + t) * C + h * D);
            }
}

static double loss(void)
{
    reference();
    double sum = 0;
    for (int i = 0; i < B * T * C; i++)
        sum += y_[i] * dy[i];
    return sum;
}

static void set_up(size_t shape)
{
    B = shapes[shape].B, T = shapes[shape].T, C = shapes[shape].C, H = shapes[shape].H;
    fill(qkv, MOST, 1);
    fill(dy, MOST, 2);
    fill(scratch, COUNT(scratch), 3); /* old contents must not matter */
    fill(probabilities, MOST, 4);
    widen(qkv_, qkv, MOST);
    reference();
    attention_forward(y, probabilities, qkv, B, T, C, H);
}

static void forward_is_the_mean_of_the_values_up_to_here(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); s++) {
        set_up(s);
        assert_close(y, y_, (size_t)(B * T * C), tolerance);
    }
}

static void probabilities_sum_to_one_and_are_zero_above_the_diagonal(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); s++) {
        set_up(s);
        for (int row = 0; row < B * H * T; row++) {
            double sum = 0;
            for (int i = 0; i < T; i++) {
                sum += probabilities[row * T + i];
                assert_true(i <= row % T || probabilities[row * T + i] == 0);
            }
            assert_true(fabs(sum - 1) < 1e-6);
        }
    }
}

static void the_future_does_not_change_the_past_in_any_bit(void **state)
{
    (void)state;
    static float changed[MOST];
    set_up(4);
    for (int t = 1; t < T; t++) {
        set_up(4);
        fill(qkv + t * 3 * C, (size_t)((T - t) * 3 * C), 99);
        attention_forward(changed, probabilities, qkv, B, T, C, H);
        assert_memory_equal(changed, y, (size_t)(t * C) * sizeof *y);
        assert_memory_not_equal(changed + t * C, y + t * C, (size_t)C * sizeof *y);
    }
}

static void input_gradient_is_the_difference_of_the_loss(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); s++) {
        set_up(s);
        attention_input_grad(dqkv, dy, qkv, probabilities, scratch, B, T, C, H);
        assert_gradient(dqkv, NULL, qkv_, (size_t)(B * T * 3 * C), loss, tolerance);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_the_mean_of_the_values_up_to_here),
        cmocka_unit_test(probabilities_sum_to_one_and_are_zero_above_the_diagonal),
        cmocka_unit_test(the_future_does_not_change_the_past_in_any_bit),
        cmocka_unit_test(input_gradient_is_the_difference_of_the_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
