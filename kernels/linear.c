/* Fully connected layers: three matrix products, and the bias.
 *
 *     y = x w + b      dx = dy w^T      dw += x^T dy      db += 1^T dy
 *
 * The bias is laid into y before the product, which then adds to it: one pass over y less than adding it afterwards.
 */
#include <string.h>

#include "kernels/layers.h"
#include "kernels/matmul.h"
#include "kernels/vector.h"

enum { ROWS_AT_ONCE = 8 }; /* rows summed per visit of db, whose loads and stores would otherwise cost as much as dy's */

void bias_weight_grad(float *db, const float *dy, int rows, int out)
{
    const size_t R = (size_t)rows, n = (size_t)out;
    for (size_t r0 = 0; r0 < R; r0 += ROWS_AT_ONCE) {
        const size_t r1 = R - r0 < ROWS_AT_ONCE ? R : r0 + ROWS_AT_ONCE;
        for (size_t i = 0; i < n; i += LANES) {
            const size_t m = vec_count(n, i);
            vec sum = vec_load_some(db + i, m, 0);
            for (size_t r = r0; r < r1; r++)
                sum += vec_load_some(dy + r * n + i, m, 0);
            vec_store_some(db + i, sum, m);
        }
    }
}

void linear_forward(float *y, const float *x, const float *w, const float *b, int rows, int in, int out)
{
    if (b)
        for (int r = 0; r < rows; r++)
            memcpy(y + (size_t)r * (size_t)out, b, (size_t)out * sizeof *b);
    matmul(false, false, rows, out, in, 1, x, in, w, out, b ? 1 : 0, y, out);
}

void linear_input_grad(float *dx, const float *dy, const float *w, int rows, int in, int out)
{
    matmul(false, true, rows, in, out, 1, dy, out, w, out, 0, dx, in);
}

void linear_weight_grad(float *dw, float *db, const float *x, const float *dy, int rows, int in, int out)
{
    matmul(true, false, in, out, rows, 1, x, in, dy, out, 1, dw, out);
    if (db)
        bias_weight_grad(db, dy, rows, out);
}

void linear_transposed_forward(float *y, const float *x, const float *w, int rows, int in, int out)
{
    matmul(false, true, rows, out, in, 1, x, in, w, in, 0, y, out);
}

void linear_transposed_input_grad(float *dx, const float *dy, const float *w, int rows, int in, int out)
{
    matmul(false, false, rows, in, out, 1, dy, out, w, in, 0, dx, in);
}

void linear_transposed_weight_grad(float *dw, const float *x, const float *dy, int rows, int in, int out)
{
    matmul(true, false, out, in, rows, 1, dy, out, x, in, 1, dw, in);
}
