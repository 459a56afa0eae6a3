/* Softmax cross-entropy against its formula in double precision and its central differences. */
#include "tests/kernels/check.h"

#include "kernels/layers.h"

enum { ROWS = 7, V_MOST = 257, MOST = ROWS * V_MOST };

static const int widths[] = { 1, 3, 16, 33, V_MOST };

static float logits[MOST], probabilities[MOST], dlogits[MOST];
static double logits_[MOST], probabilities_[MOST];
static int32_t targets[ROWS];
static int V;

static double loss(void)
{
    double total = 0;
    for (int r = 0; r < ROWS; r++) {
        const double *row = logits_ + r * V;
        double max = row[0], sum = 0;
        for (int i = 0; i < V; i++)
            max = fmax(max, row[i]);
        for (int i = 0; i < V; i++)
            sum += exp(row[i] - max);
        for (int i = 0; i < V; i++)
            probabilities_[r * V + i] = exp(row[i] - max) / sum;
        total += max + log(sum) - row[targets[r]];
    }
    return total;
}

static double set_up(int width, float factor)
{
    V = width;
    fill(logits, MOST, 5);
    scale(logits, factor, MOST);
    widen(logits_, logits, MOST);
    for (int r = 0; r < ROWS; r++)
        targets[r] = r * 31 % V;
    memcpy(probabilities, logits, sizeof logits);
    return cross_entropy_forward(probabilities, targets, ROWS, V);
}

static void loss_and_probabilities_follow_the_formula_for_small_and_huge_logits(void **state)
{
    (void)state;
    const float factors[] = { 0, 1, 30, 1e4f };
    for (size_t w = 0; w < COUNT(widths); w++)
        for (size_t f = 0; f < COUNT(factors); f++) {
            const double got = set_up(widths[w], factors[f]), want = loss();
            assert_true(fabs(got - want) <= 1e-6 * (1 + want)); /* a sum of at most 257 floats, rounded at 6e-8 each */
            assert_close(probabilities, probabilities_, (size_t)(ROWS * V), 1e-6);
        }
}

static void equal_logits_cost_log_v_per_row(void **state)
{
    (void)state;
    assert_true(fabs(set_up(V_MOST, 0) / ROWS - log(V_MOST)) < 1e-12);
}

static void a_nan_anywhere_makes_the_loss_nan(void **state)
{
    (void)state;
    for (int i = 0; i < V_MOST; i++) {
        set_up(V_MOST, 1);
        memcpy(probabilities, logits, sizeof logits);
        probabilities[3 * V_MOST + i] = NAN;
        assert_true(isnan(cross_entropy_forward(probabilities, targets, ROWS, V)));
    }
}

enum { SHARES = 3 };

/* Columns [at, at + n) of a matrix of V columns, as a matrix. */
static void take_columns(float *out, const float *x, int at, int n)
{
    for (int r = 0; r < ROWS; r++)
        memcpy(out + r * n, x + r * V + at, (size_t)n * sizeof *out);
}

static void split_columns_give_the_loss_probabilities_and_gradients_of_all(void **state)
{
    (void)state;
    static float share[SHARES][MOST], max[SHARES][ROWS], sum[SHARES][ROWS], target[SHARES][ROWS], whole[MOST];
    const float factors[] = { 0, 3, 1e4f };
    for (int start = 1; start < 33; start += 5)
        for (size_t f = 0; f < COUNT(factors); f++) {
            const double want = set_up(33, factors[f]);
            const int at[SHARES + 1] = { 0, start, start + (33 - start) / 2, 33 };
            for (int s = 0; s < SHARES; s++) {
                take_columns(share[s], logits, at[s], at[s + 1] - at[s]);
                cross_entropy_max(max[s], share[s], ROWS, at[s + 1] - at[s]);
                if (s)
                    maximum(max[0], max[s], ROWS);
            }
            for (int s = 0; s < SHARES; s++) {
                cross_entropy_exponentials(share[s], sum[s], target[s], max[0], targets, at[s], ROWS, at[s + 1] - at[s]);
                if (s)
                    add(sum[0], sum[s], ROWS), add(target[0], target[s], ROWS);
            }
            cross_entropy_input_grad(whole, probabilities, targets, 0.25f, 0, ROWS, V);
            for (int s = 0; s < SHARES; s++) {
                const int n = at[s + 1] - at[s];
                const double got = cross_entropy_divide(share[s], max[0], sum[0], target[0], ROWS, n);
                assert_true(fabs(got - want) <= 1e-6 * (1 + want));
                cross_entropy_input_grad(share[s], share[s], targets, 0.25f, at[s], ROWS, n);
                for (int i = 0; i < ROWS * n; i++)
                    assert_true(fabsf(share[s][i] - whole[i / n * V + at[s] + i % n]) <= 1e-7f);
            }
        }
}

static void one_share_with_all_columns_gives_the_same_bits(void **state)
{
    (void)state;
    static float max[ROWS], sum[ROWS], target[ROWS];
    for (size_t w = 0; w < COUNT(widths); w++) {
        const double want = set_up(widths[w], 30);
        cross_entropy_max(max, logits, ROWS, V);
        cross_entropy_exponentials(logits, sum, target, max, targets, 0, ROWS, V);
        assert_true(cross_entropy_divide(logits, max, sum, target, ROWS, V) == want);
        assert_memory_equal(logits, probabilities, (size_t)(ROWS * V) * sizeof *logits);
    }
}

static void gradient_is_the_difference_of_the_loss_times_the_weight(void **state)
{
    (void)state;
    const float weight = 0.25f;
    for (size_t w = 0; w < COUNT(widths); w++) {
        set_up(widths[w], 3);
        cross_entropy_input_grad(dlogits, probabilities, targets, weight, 0, ROWS, V);
        cross_entropy_input_grad(probabilities, probabilities, targets, weight, 0, ROWS, V);
        assert_memory_equal(dlogits, probabilities, (size_t)(ROWS * V) * sizeof *dlogits);
        scale(dlogits, 1 / weight, (size_t)(ROWS * V));
        assert_gradient(dlogits, NULL, logits_, (size_t)(ROWS * V), loss, 1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_and_probabilities_follow_the_formula_for_small_and_huge_logits),
        cmocka_unit_test(equal_logits_cost_log_v_per_row),
        cmocka_unit_test(a_nan_anywhere_makes_the_loss_nan),
        cmocka_unit_test(split_columns_give_the_loss_probabilities_and_gradients_of_all),
        cmocka_unit_test(one_share_with_all_columns_gives_the_same_bits),
        cmocka_unit_test(gradient_is_the_difference_of_the_loss_times_the_weight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
