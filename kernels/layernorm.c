/* Layer normalisation over rows of C.
 *
 *     x' = (x - mean) rstd      y = x' gain + bias      rstd = 1 / sqrt(mean((x - mean)^2) + 1e-5)
 *     dx = rstd (g - mean(g) - x' mean(g x'))   with g = dy gain
 *     dgain += sum over rows of dy x'           dbias += sum over rows of dy
 *
 * The variance is taken about the mean in a second pass, which finds the row in cache and cannot cancel as E x^2 - (E x)^2 does.
 * Source: Ba, Kiros, Hinton, "Layer Normalization", 2016.
 */
#include <math.h>

#include "kernels/layers.h"
#include "kernels/vector.h"

static const float epsilon = 1e-5f;

enum { ROWS_AT_ONCE = 4 }; /* rows summed per visit of dgain and dbias */

static float row_mean(const float *x, size_t n)
{
    vec sum = { 0 };
    for (size_t i = 0; i < n; i += LANES)
        sum += vec_load_some(x + i, vec_count(n, i), 0);
    return vec_sum(sum) / (float)n;
}

static float row_variance(const float *x, float mean, size_t n)
{
    vec sum = { 0 };
    for (size_t i = 0; i < n; i += LANES) {
        const vec d = vec_load_some(x + i, vec_count(n, i), mean) - mean;
        sum += d * d;
    }
    return vec_sum(sum) / (float)n;
}

void layernorm_forward(float *y, float *mean, float *rstd, const float *x, const float *gain, const float *bias, int rows, int C)
{
    const size_t n = (size_t)C;
    for (int r = 0; r < rows; r++, x += n, y += n) {
        const float mu = row_mean(x, n), factor = 1 / sqrtf(row_variance(x, mu, n) + epsilon);
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - mu) * factor * gain[i] + bias[i];
        mean[r] = mu;
        rstd[r] = factor;
    }
}

void layernorm_input_grad(float *dx, const float *dy, const float *x, const float *gain, const float *mean, const float *rstd,
                          int rows, int C)
{
    const size_t n = (size_t)C;
    for (int r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        const float mu = mean[r], factor = rstd[r];
        vec sum_g = { 0 }, sum_gx = { 0 };
        for (size_t i = 0; i < n; i += LANES) {
            const size_t m = vec_count(n, i);
            const vec g = vec_load_some(dy + i, m, 0) * vec_load_some(gain + i, m, 0);
            sum_g += g;
            sum_gx += g * ((vec_load_some(x + i, m, 0) - mu) * factor);
        }
        const float mean_g = vec_sum(sum_g) / (float)n, mean_gx = vec_sum(sum_gx) / (float)n;
        for (size_t i = 0; i < n; i++)
            dx[i] = factor * (dy[i] * gain[i] - mean_g - (x[i] - mu) * factor * mean_gx);
    }
}

void layernorm_weight_grad(float *dgain, float *dbias, const float *dy, const float *x, const float *mean, const float *rstd,
                           int rows, int C)
{
    const size_t n = (size_t)C;
    for (int r0 = 0; r0 < rows; r0 += ROWS_AT_ONCE) {
        const int r1 = rows - r0 < ROWS_AT_ONCE ? rows : r0 + ROWS_AT_ONCE;
        for (size_t i = 0; i < n; i += LANES) {
            const size_t m = vec_count(n, i);
            vec gain = vec_load_some(dgain + i, m, 0), bias = vec_load_some(dbias + i, m, 0);
            for (int r = r0; r < r1; r++) {
                const vec d = vec_load_some(dy + (size_t)r * n + i, m, 0);
                gain += d * ((vec_load_some(x + (size_t)r * n + i, m, 0) - mean[r]) * rstd[r]);
                bias += d;
            }
            vec_store_some(dgain + i, gain, m);
            vec_store_some(dbias + i, bias, m);
        }
    }
}
