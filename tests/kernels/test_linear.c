/* Linear layers, plain and transposed, against y = x w + b in double precision and its central differences. */
#include "tests/kernels/check.h"

#include "kernels/layers.h"

enum { MOST = 33 * 33 };
static const double tolerance = 2e-6; /* at most 33 terms of at most 1, each rounded at 6e-8 */

static const struct {
    int rows, in, out;
} shapes[] = { { 1, 5, 16 }, { 3, 16, 33 }, { 7, 33, 5 }, { 9, 1, 1 }, { 17, 33, 17 } };

static float x[MOST], w[MOST], b[MOST], y[MOST], dy[MOST], dx[MOST], dw[MOST], db[MOST], start[MOST];
static double x_[MOST], w_[MOST], b_[MOST], y_[MOST];
static int rows, in, out;
static bool transposed;

static void reference(void)
{
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < out; o++) {
            double sum = transposed ? 0 : b_[o];
            for (int i = 0; i < in; i++)
                sum += x_[r * in + i] * (transposed ? w_[o * in + i] : w_[i * out + o]);
            y_[r * out + o] = sum;
        }
}

static double loss(void)
{
    reference();
    double sum = 0;
    for (int i = 0; i < rows * out; i++)
        sum += y_[i] * dy[i];
    return sum;
}

static void set_up(size_t shape, bool is_transposed)
{
    rows = shapes[shape].rows, in = shapes[shape].in, out = shapes[shape].out, transposed = is_transposed;
    float *const inputs[] = { x, w, b, dy, start };
    for (uint32_t i = 0; i < COUNT(inputs); i++)
        fill(inputs[i], MOST, i);
    widen(x_, x, MOST);
    widen(w_, w, MOST);
    widen(b_, b, MOST);
    memcpy(dw, start, sizeof dw);
    memcpy(db, start, sizeof db);
    reference();
}

static void forward_is_x_w_plus_b(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); s++) {
        set_up(s, false);
        linear_forward(y, x, w, b, rows, in, out);
        assert_close(y, y_, (size_t)(rows * out), tolerance);
        set_up(s, true);
        linear_transposed_forward(y, x, w, rows, in, out);
        assert_close(y, y_, (size_t)(rows * out), tolerance);
    }
}

static void a_missing_bias_is_zero(void **state)
{
    (void)state;
    set_up(1, false);
    memset(b_, 0, sizeof b_);
    reference();
    linear_forward(y, x, w, NULL, rows, in, out);
    assert_close(y, y_, (size_t)(rows * out), tolerance);
    linear_weight_grad(dw, NULL, x, dy, rows, in, out);
    assert_gradient(dw, start, w_, (size_t)(in * out), loss, tolerance);
}

static void input_gradients_are_the_differences_of_the_loss(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); s++) {
        set_up(s, false);
        linear_input_grad(dx, dy, w, rows, in, out);
        assert_gradient(dx, NULL, x_, (size_t)(rows * in), loss, tolerance);
        set_up(s, true);
        linear_transposed_input_grad(dx, dy, w, rows, in, out);
        assert_gradient(dx, NULL, x_, (size_t)(rows * in), loss, tolerance);
    }
}

static void weight_gradients_are_added_to_what_is_there(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); s++) {
        set_up(s, false);
        linear_weight_grad(dw, db, x, dy, rows, in, out);
        assert_gradient(dw, start, w_, (size_t)(in * out), loss, tolerance);
        assert_gradient(db, start, b_, (size_t)out, loss, tolerance);
        set_up(s, true);
        linear_transposed_weight_grad(dw, x, dy, rows, in, out);
        assert_gradient(dw, start, w_, (size_t)(in * out), loss, tolerance);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_x_w_plus_b),
        cmocka_unit_test(a_missing_bias_is_zero),
        cmocka_unit_test(input_gradients_are_the_differences_of_the_loss),
        cmocka_unit_test(weight_gradients_are_added_to_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
