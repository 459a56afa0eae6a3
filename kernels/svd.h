/* Singular values and vectors of a matrix of row-major floats; the only place that knows LAPACK. */
#ifndef DMLBENCH_KERNELS_SVD_H
#define DMLBENCH_KERNELS_SVD_H

#include <stdbool.h>
#include <stddef.h>

/* m = sum over i < k = min(rows, columns) of sigma[i] u[.][i] v[i][.], sigma descending and >= 0.
 * m        [rows][columns]
 * sigma    [k];  u [rows][k], orthonormal columns;  v [k][columns], orthonormal rows
 * scratch  svd_scratch_bytes(rows, columns), 64-byte aligned
 * false: a float of m is not finite, or the iteration did not converge; then sigma, u and v are undefined. */
bool svd(const float *m, int rows, int columns, float *sigma, float *u, float *v, void *scratch);

size_t svd_scratch_bytes(int rows, int columns);

/* Whether LAPACK's 32-bit sizes hold what it needs: they do up to 23000 rows or columns, whichever are fewer. */
bool svd_fits(size_t rows, size_t columns);

#endif
