/* Element-wise layers and the three vector operations that everything else shares.
 *
 * gelu needs one exponential per element, because 0.5 (1 + tanh u) = 1 / (1 + exp(-2u)) =: s(x):
 *     y = x s      dy/dx = s + x s (1 - s) 2 du/dx      u = sqrt(2/pi) (x + 0.044715 x^3)
 * Plain loops are left to the compiler's vectoriser: element by element there is no order of summation to keep.
 * NaN passes through; relu of NaN is NaN, as in PyTorch.
 * Source of gelu: Hendrycks & Gimpel, "Gaussian Error Linear Units", 2016.
 */
#include "kernels/layers.h"
#include "kernels/vector.h"

static const float root = 0.797884560802865355879892f; /* sqrt(2/pi) */
static const float cubic = 0.044715f;

VEC_INLINE vec gelu_gate(vec x)
{
    return 1 / (1 + vec_exp(-2 * root * (x + cubic * x * x * x)));
}

void gelu_forward(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = vec_count(n, i);
        const vec v = vec_load_some(x + i, m, 0);
        vec_store_some(y + i, v * gelu_gate(v), m);
    }
}

void gelu_input_grad(float *dx, const float *dy, const float *x, size_t n)
{
    const vec limit = vec_set(12); /* beyond it the gate is 0 or 1 to the last bit, but x^3 would become infinite */
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = vec_count(n, i);
        vec v = vec_load_some(x + i, m, 0);
        v = vec_select(v > limit, limit, vec_select(v < -limit, -limit, v));
        const vec s = gelu_gate(v);
        const vec slope = s + v * s * (1 - s) * (2 * root * (1 + 3 * cubic * v * v));
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

void scale(float *y, float factor, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] *= factor;
}
