/* Layer normalisation against its formula in double precision and its central differences. */
#include "tests/kernels/check.h"

#include "kernels/layers.h"

enum { MOST = 7 * 300 };

static const struct {
    int rows, C;
} shapes[] = { { 1, 5 }, { 3, 16 }, { 7, 33 }, { 4, 1 }, { 2, 257 } };

static float x[MOST], gain[MOST], bias[MOST], y[MOST], dy[MOST], dx[MOST], dgain[MOST], dbias[MOST], start[MOST], mean[7], rstd[7];
static double x_[MOST], gain_[MOST], bias_[MOST], y_[MOST];
static int rows, C;

static void reference(void)
{
    for (int r = 0; r < rows; r++) {
        const double *row = x_ + r * C;
        double mu = 0, variance = 0;
        for (int i = 0; i < C; i++)
            mu += row[i] / C;
        for (int i = 0; i < C; i++)
            variance += (row[i] - mu) * (row[i] - mu) / C;
        for (int i = 0; i < C; i++)
            y_[r * C + i] = (row[i] - mu) / sqrt(variance + 1e-5) * gain_[i] + bias_[i];
    }
}

static double loss(void)
{
    reference();
    double sum = 0;
    for (int i = 0; i < rows * C; i++)
        sum += y_[i] * dy[i];
    return sum;
}

static void set_up(size_t shape, float offset)
{
    rows = shapes[shape].rows, C = shapes[shape].C;
    float *const inputs[] = { x, gain, bias, dy, start };
    for (uint32_t i = 0; i < COUNT(inputs); i++)
        fill(inputs[i], MOST, i);
    for (int i = 0; i < MOST; i++)
        x[i] += offset;
    widen(x_, x, MOST);
    widen(gain_, gain, MOST);
    widen(bias_, bias, MOST);
    memcpy(dgain, start, sizeof start);
    memcpy(dbias, start, sizeof start);
    reference();
    layernorm_forward(y, mean, rstd, x, gain, bias, rows, C);
}

static void forward_normalises_every_row(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); s++) {
        set_up(s, 0);
        assert_close(y, y_, (size_t)(rows * C), 3e-6);
    }
}

static void a_large_mean_does_not_spoil_the_variance(void **state)
{
    (void)state;
    set_up(4, 1000);
    assert_close(y, y_, (size_t)(rows * C), 1e-3); /* the mean itself is known to 6e-8 * 1000, the deviation is 0.6; E x^2 - (E x)^2
                                                      would be wrong by 1000^2 6e-8 / 0.3 = 0.2 */
}

static void input_gradient_is_the_difference_of_the_loss(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); s++) {
        set_up(s, 0);
        layernorm_input_grad(dx, dy, x, gain, mean, rstd, rows, C);
        assert_gradient(dx, NULL, x_, (size_t)(rows * C), loss, 1e-5); /* terms near 10 (1 / deviation of 5 numbers) cancel */
    }
}

static void weight_gradients_are_added_to_what_is_there(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); s++) {
        set_up(s, 0);
        layernorm_weight_grad(dgain, dbias, dy, x, mean, rstd, rows, C);
        assert_gradient(dgain, start, gain_, (size_t)C, loss, 3e-6);
        assert_gradient(dbias, start, bias_, (size_t)C, loss, 3e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_normalises_every_row),
        cmocka_unit_test(a_large_mean_does_not_spoil_the_variance),
        cmocka_unit_test(input_gradient_is_the_difference_of_the_loss),
        cmocka_unit_test(weight_gradients_are_added_to_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
