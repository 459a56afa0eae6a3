/* Matrix products by OpenBLAS. Nothing is copied or transposed in memory: strides and flags are passed through, so a layer can
 * multiply slices of larger matrices (attention's heads) in place.
 * Not a BLAS interface: one product of row-major floats is all that the layers need.
 */
#include "kernels/matmul.h"

#include <cblas.h>

void matmul(bool transpose_a, bool transpose_b, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
            float beta, float *c, int ldc)
{
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans, m, n, k, alpha, a,
                lda, b, ldb, beta, c, ldc);
}

void matmul_single_thread(void)
{
    openblas_set_num_threads(1);
}

const char *matmul_kernel_name(void)
{
    return openblas_get_corename();
}

const char *matmul_library(void)
{
    return openblas_get_config();
}
