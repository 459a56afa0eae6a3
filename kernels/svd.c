/* Singular value decomposition by LAPACK's divide and conquer, sgesdd, which Debian's OpenBLAS contains.
 *
 * LAPACK stores columns, so row-major m is its m': m' = V S U', and what it calls U are our rows v. No header declares the
 * function: Debian's LAPACKE is a library of its own. Source: Anderson et al., LAPACK Users' Guide, third edition, 1999; the
 * routine's own comment on its workspace.
 */
#include "kernels/svd.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Numbers are 32-bit in Debian's default build; the last argument is Fortran's length of `job`. */
void sgesdd_(const char *job, const int *m, const int *n, float *a, const int *lda, float *s, float *u, const int *ldu, float *vt,
             const int *ldvt, float *work, const int *work_count, int *iwork, int *info, size_t job_length);

static size_t smaller(size_t x, size_t y)
{
    return x < y ? x : y;
}

/* Floats of `work`: the documented least for job "S", 4 k^2 + 7 k, and room for blocks of 64 columns. */
static size_t work_count(size_t rows, size_t columns)
{
    const size_t k = smaller(rows, columns);
    return 4 * k * k + 7 * k + 64 * (rows + columns);
}

bool svd_fits(size_t rows, size_t columns)
{
    return rows <= INT32_MAX && columns <= INT32_MAX && smaller(rows, columns) < (1 << 15) &&
           work_count(rows, columns) <= INT32_MAX;
}

static size_t whole_lines(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t copy_bytes(int rows, int columns)
{
    return whole_lines((size_t)rows * (size_t)columns * sizeof(float));
}

static size_t work_bytes(int rows, int columns)
{
    return whole_lines(work_count((size_t)rows, (size_t)columns) * sizeof(float));
}

size_t svd_scratch_bytes(int rows, int columns)
{
    return copy_bytes(rows, columns) + work_bytes(rows, columns) + 8 * smaller((size_t)rows, (size_t)columns) * sizeof(int);
}

static bool all_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

bool svd(const float *m, int rows, int columns, float *sigma, float *u, float *v, void *scratch)
{
    const size_t n = (size_t)rows * (size_t)columns;
    const int k = rows < columns ? rows : columns, count = (int)work_count((size_t)rows, (size_t)columns);
    void *behind_copy = (char *)scratch + copy_bytes(rows, columns);
    void *behind_work = (char *)behind_copy + work_bytes(rows, columns);
    float *copy = scratch, *work = behind_copy;
    int *integers = behind_work, info;
    if (!all_finite(m, n))
        return false;
    memcpy(copy, m, n * sizeof *m);
    sgesdd_("S", &columns, &rows, copy, &columns, sigma, v, &columns, u, &k, work, &count, integers, &info, 1);
    return info == 0;
}
