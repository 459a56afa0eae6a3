/* Element-wise layers and the vector operations that everything else shares.
 *
 * gelu needs one exponential per element, because 0.5 (1 + tanh u) = 1 / (1 + exp(-2u)) =: s(x):
 *     y = x s      dy/dx = s + x s (1 - s) 2 u'      u = sqrt(2/pi) (x + 0.044715 x^3)
 * Plain loops are left to the compiler's vectoriser: element by element there is no order of summation to keep.
 * NaN passes through, and an infinite x makes the gradient of gelu NaN; relu of NaN is NaN, as in PyTorch.
 * Source of gelu: Hendrycks & Gimpel, "Gaussian Error Linear Units", 2016.
 */
#include <math.h>

#include "kernels/layers.h"
#include "kernels/vector.h"

static const float root = 0.797884560802865355879892f; /* sqrt(2/pi) */
static const float cubic = 0.044715f;

VEC_INLINE vec gelu_gate(vec x, vec square)
{
    return 1 / (1 + vec_exp(x * (-2 * root + -2 * root * cubic * square)));
}

void gelu_forward(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = vec_count(n, i);
        const vec v = vec_load_some(x + i, m, 0);
        vec_store_some(y + i, v * gelu_gate(v, v * v), m);
    }
}

void gelu_input_grad(float *dx, const float *dy, const float *x, size_t n)
{
    const vec limit = vec_set(144); /* |x| = 12: the gate is 0 or 1 to the last bit, long before the square becomes infinite */
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = vec_count(n, i);
        const vec v = vec_load_some(x + i, m, 0), square = vec_select(v * v > limit, limit, v * v), s = gelu_gate(v, square);
        const vec slope = s + v * s * ((1 - s) * (2 * root + 6 * root * cubic * square));
        vec_store_some(dx + i, vec_load_some(dy + i, m, 0) * slope, m);
    }
}

void relu_forward(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] < 0 ? 0 : x[i];
}

void relu_input_grad(float *dx, const float *dy, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dx[i] = x[i] <= 0 ? 0 : dy[i];
}

void residual_forward(float *y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

void add(float *y, const float *x, size_t n)
{
    residual_forward(y, y, x, n);
}

void maximum(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] > y[i] ? x[i] : y[i];
}

void scale(float *y, float factor, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] *= factor;
}

size_t first_not_finite(const float *x, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vec v = vec_load(x + i), zero_or_nan = v - v;
        if (vec_sum(zero_or_nan) != 0)
            break;
    }
    while (i < n && isfinite(x[i]))
        i++;
    return i;
}
