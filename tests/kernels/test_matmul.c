/* matmul against three plain loops in double precision. */
#include "tests/kernels/check.h"

#include "kernels/matmul.h"

enum { M = 7, N = 5, K = 19, GAP = 3, SIDE = 32 };

static float a[SIDE * SIDE], b[SIDE * SIDE], c[SIDE * SIDE], before[SIDE * SIDE];

static void check(bool transpose_a, bool transpose_b, float alpha, float beta)
{
    const int lda = (transpose_a ? M : K) + GAP, ldb = (transpose_b ? K : N) + GAP, ldc = N + GAP;
    fill(c, COUNT(c), 3);
    memcpy(before, c, sizeof c);
    matmul(transpose_a, transpose_b, M, N, K, alpha, a, lda, b, ldb, beta, c, ldc);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0;
            for (int l = 0; l < K; l++)
                sum += (double)(transpose_a ? a[l * lda + i] : a[i * lda + l]) * (transpose_b ? b[j * ldb + l] : b[l * ldb + j]);
            const double want = alpha * sum + (double)beta * before[i * ldc + j];
            assert_close(&c[i * ldc + j], &want, 1, 1e-6); /* 19 terms of at most 1, rounded at 6e-8 each */
        }
    for (int i = 0; i < M; i++)
        assert_memory_equal(c + i * ldc + N, before + i * ldc + N, GAP * sizeof *c);
}

static void all_four_transposes_agree_with_plain_loops_and_leave_gaps_between_rows_alone(void **state)
{
    (void)state;
    fill(a, COUNT(a), 1);
    fill(b, COUNT(b), 2);
    for (int transposes = 0; transposes < 4; transposes++) {
        check(transposes & 1, transposes & 2, 1, 0);
        check(transposes & 1, transposes & 2, 0.5f, 1);
        check(transposes & 1, transposes & 2, -2, 0.25f);
    }
}

static void beta_zero_overwrites_even_nan(void **state)
{
    (void)state;
    const float one[] = { 1 }, two[] = { 2 };
    float y[] = { NAN };
    matmul(false, false, 1, 1, 1, 1, one, 1, two, 1, 0, y, 1);
    assert_true(y[0] == 2);
}

static void the_library_tells_its_name_and_kernel(void **state)
{
    (void)state;
    matmul_single_thread();
    assert_non_null(strstr(matmul_library(), "OpenBLAS"));
    assert_true(strlen(matmul_kernel_name()) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_four_transposes_agree_with_plain_loops_and_leave_gaps_between_rows_alone),
        cmocka_unit_test(beta_zero_overwrites_even_nan),
        cmocka_unit_test(the_library_tells_its_name_and_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
