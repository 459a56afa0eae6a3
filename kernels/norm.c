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

VEC_INLINE double sum(const float *x, size_t n, bool squared)
{
    lanes_8 sums[2] = { { 0 }, { 0 } };
    for (size_t i = 0; i < n; i += LANES) {
        const vec v = (vec)((vec_int)vec_load_some(x + i, vec_count(n, i), 0) & 0x7fffffff);
        half_vec halves[2];
        memcpy(halves, &v, sizeof v);
        for (int h = 0; h < 2; h++) {
            const lanes_8 wide = __builtin_convertvector(halves[h], lanes_8);
            sums[h] += squared ? wide * wide : wide;
        }
    }
    const lanes_8 s = sums[0] + sums[1];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

double norm_magnitudes(const float *x, size_t n)
{
    return sum(x, n, false);
}

double norm_squares(const float *x, size_t n)
{
    return sum(x, n, true);
}
