/* Shared by the tests of kernels/: inputs, comparisons, numeric gradients.
 *
 * The oracle of a layer is its formula written once more in double precision, in the plainest loops; the oracle of a gradient is
 * the central difference of that double-precision formula, so that its own error (about 1e-9) is far below a float's.
 */
#ifndef DMLBENCH_TESTS_KERNELS_CHECK_H
#define DMLBENCH_TESTS_KERNELS_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* x[n] in [-1, 1), the same for the same seed. */
static inline void fill(float *x, size_t n, uint32_t seed)
{
    uint64_t state = seed + 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(state >> 40) * 0x1p-23f - 1;
    }
}

static inline void widen(double *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i];
}

/* |got - want| <= tolerance (1 + |want|) for every element. */
static inline void assert_close(const float *got, const double *want, size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= tolerance * (1 + fabs(want[i]))))
            fail_msg("element %zu of %zu: %.9g, expected %.9g", i, n, (double)got[i], want[i]);
}

/* got[i] - before[i] is the derivative of loss() by at[i]; before may be NULL (zero). */
static inline void assert_gradient(const float *got, const float *before, double *at, size_t n, double (*loss)(void),
                                   double tolerance)
{
    const double h = 1e-5;
    for (size_t i = 0; i < n; i++) {
        const double middle = at[i];
        at[i] = middle + h;
        const double above = loss();
        at[i] = middle - h;
        const double want = (above - loss()) / (2 * h) + (before ? (double)before[i] : 0);
        at[i] = middle;
        assert_close(got + i, &want, 1, tolerance);
    }
}

#endif
