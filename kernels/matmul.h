/* Matrix products of row-major floats; the only place that knows cblas. */
#ifndef DMLBENCH_KERNELS_MATMUL_H
#define DMLBENCH_KERNELS_MATMUL_H

#include <stdbool.h>

/* C = alpha op(A) op(B) + beta C.  op(A) is m x k, op(B) is k x n, C is m x n; all row-major.
 * transpose_a  A is stored k x m;  transpose_b  B is stored n x k
 * lda, ldb, ldc  floats from one stored row to the next
 * 2 m n k flop. The bits depend on shapes, values and the OpenBLAS kernel only, not on the calling rank. */
void matmul(bool transpose_a, bool transpose_b, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
            float beta, float *c, int ldc);

/* One thread per rank: more would compete with the other ranks and change the order of summation. Call once at start. */
void matmul_single_thread(void);

/* Name of the kernel that OpenBLAS chose when it was loaded ("SkylakeX"), and the library's own description. */
const char *matmul_kernel_name(void);
const char *matmul_library(void);

#endif
