/* The softmax of one row: subtract the maximum, so that the largest exponential is 1 and nothing overflows; the sum is then
 * between 1 and n. Three passes over a row that stays in cache; the exponentials are most of the time.
 */
#include "kernels/softmax.h"

#include <math.h>

#include "kernels/vector.h"

float softmax_max(const float *x, size_t n)
{
    vec max = vec_set(-INFINITY);
    for (size_t i = 0; i < n; i += LANES)
        max = vec_max(vec_load_some(x + i, vec_count(n, i), -INFINITY), max);
    return vec_largest(max);
}

float softmax_exponentials(float *x, float max, size_t n)
{
    vec sum = { 0 };
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = vec_count(n, i);
        const vec e = vec_exp(vec_load_some(x + i, m, -INFINITY) - max);
        vec_store_some(x + i, e, m);
        sum += e;
    }
    return vec_sum(sum);
}

void softmax_divide(float *x, float sum, size_t n)
{
    const float factor = 1 / sum;
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = vec_count(n, i);
        vec_store_some(x + i, factor * vec_load_some(x + i, m, 0), m);
    }
}

struct softmax softmax_row(float *x, size_t n)
{
    struct softmax s = { .max = softmax_max(x, n) };
    s.sum = softmax_exponentials(x, s.max, n);
    softmax_divide(x, s.sum, n);
    return s;
}
