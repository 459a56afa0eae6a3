/* Magnitudes compare as the integers of their bits without the sign: a NaN is the largest and is not lost. */
#include "kernels/norm.h"

#include <stdbool.h>

#include "kernels/vector.h"

typedef double lanes_8 __attribute__((vector_size(64)));
typedef float half_vec __attribute__((vector_size(32)));

float norm_largest(const float *x, size_t n)
{
    vec_int largest = { 0 };
    for (size_t i = 0; i < n; i += LANES) {
        const vec_int bits = (vec_int)vec_load_some(x + i, vec_count(n, i), 0) & 0x7fffffff, larger = bits > largest;
        largest = (bits & larger) | (largest & ~larger);
    }
    int32_t bits = 0;
    for (int l = 0; l < LANES; l++)
        bits = largest[l] > bits ? largest[l] : bits;
    float norm;
    memcpy(&norm, &bits, sizeof norm);
    return norm;
}

/* Sixteen sums. */
struct sums {
    lanes_8 halves[2];
};

VEC_INLINE void add(struct sums *s, vec v, bool squared)
{
    half_vec halves[2];
    memcpy(halves, &v, sizeof v);
    for (int h = 0; h < 2; h++) {
        const lanes_8 wide = __builtin_convertvector(halves[h], lanes_8);
        s->halves[h] += squared ? wide * wide : wide;
    }
}

static double total(const struct sums *sums)
{
    const lanes_8 s = sums->halves[0] + sums->halves[1];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

VEC_INLINE double sum(const float *x, size_t n, bool squared)
{
    struct sums s = { 0 };
    for (size_t i = 0; i < n; i += LANES)
        add(&s, (vec)((vec_int)vec_load_some(x + i, vec_count(n, i), 0) & 0x7fffffff), squared);
    return total(&s);
}

double norm_magnitudes(const float *x, size_t n)
{
    return sum(x, n, false);
}

double norm_squares(const float *x, size_t n)
{
    return sum(x, n, true);
}

VEC_INLINE size_t count_all(vec_int count)
{
    size_t all = 0;
    for (int l = 0; l < LANES; l++)
        all += (size_t)count[l];
    return all;
}

size_t norm_sides(const float *x, size_t n, double *positive, double *negative)
{
    struct sums sides[2] = { 0 };
    vec_int count = { 0 };
    for (size_t i = 0; i < n; i += LANES) {
        const vec v = vec_load_some(x + i, vec_count(n, i), 0);
        const vec_int is_negative = v < 0;
        add(&sides[0], (vec)((vec_int)v & ~is_negative), false);
        add(&sides[1], (vec)((vec_int)v & is_negative), false);
        count -= is_negative; /* true is -1 */
    }
    *positive = total(&sides[0]);
    *negative = total(&sides[1]);
    return count_all(count);
}

size_t norm_excess(const float *x, size_t n, float threshold, double *excess)
{
    struct sums above = { 0 };
    vec_int count = { 0 };
    for (size_t i = 0; i < n; i += LANES) {
        const vec v = (vec)((vec_int)vec_load_some(x + i, vec_count(n, i), 0) & 0x7fffffff) - threshold;
        const vec_int is_above = v > 0;
        add(&above, (vec)((vec_int)v & is_above), false);
        count -= is_above;
    }
    *excess = total(&above);
    return count_all(count);
}
