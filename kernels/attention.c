/* Causal self-attention, head by head, as matrix products on slices of qkv (a head's queries are T rows, 3C floats apart).
 *
 *     S = Q K^T / sqrt(D)    P = softmax(S), row t over columns <= t    Y = P V
 *     dP = dY V^T    dS = P (dP - rowsum(P dP))    dQ = dS K / sqrt(D)    dK = dS^T Q / sqrt(D)    dV = P^T dY
 *
 *        columns       The matrices T x T are lower triangular, so rows are taken in blocks and each block stops at its own last
 *      # . . .         column; sums over rows likewise begin at the block's first. Blocks must not be small, or the matrix
 *      # # . .  rows   products become slow.
 *      # # # .
 *      # # # #
 * Not flash attention: the probabilities are kept, as the backward pass is a call of its own.
 * Source: Vaswani et al., "Attention Is All You Need", 2017.
 */
#include <math.h>
#include <string.h>

#include "kernels/layers.h"
#include "kernels/matmul.h"
#include "kernels/softmax.h"
#include "kernels/vector.h"

enum { BLOCK = 64 };

/* One head of one sequence; the offset of a row is in size_t, as T rows of qkv may exceed an int. */
struct head {
    int T, C, D;
    float scale;
    const float *q, *k, *v;
};

static struct head head_of(const float *qkv, int b, int h, int T, int C, int H)
{
    const int D = C / H;
    const float *q = qkv + (size_t)b * (size_t)T * 3 * (size_t)C + (size_t)h * (size_t)D;
    return (struct head){ .T = T, .C = C, .D = D, .scale = 1 / sqrtf((float)D), .q = q, .k = q + C, .v = q + 2 * (size_t)C };
}

static size_t at(int row, int width)
{
    return (size_t)row * (size_t)width;
}

static int block_rows(int T, int t)
{
    return T - t < BLOCK ? T - t : BLOCK;
}

static void head_forward(const struct head *a, float *y, float *p)
{
    const int T = a->T, D = a->D, ld = 3 * a->C;
    for (int t = 0; t < T; t += BLOCK) {
        const int rows = block_rows(T, t), columns = t + rows;
        matmul(false, true, rows, columns, D, a->scale, a->q + at(t, ld), ld, a->k, ld, 0, p + at(t, T), T);
        for (int r = t; r < columns; r++) {
            softmax_row(p + at(r, T), (size_t)r + 1);
            memset(p + at(r, T) + r + 1, 0, (size_t)(T - r - 1) * sizeof *p);
        }
        matmul(false, false, rows, D, columns, 1, p + at(t, T), T, a->v, ld, 0, y + at(t, a->C), a->C);
    }
}

void attention_forward(float *y, float *probabilities, const float *qkv, int B, int T, int C, int H)
{
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++) {
            const struct head a = head_of(qkv, b, h, T, C, H);
            head_forward(&a, y + at(b, T) * (size_t)C + at(h, a.D), probabilities + at(b * H + h, T) * (size_t)T);
        }
}

/* ds[n] from dp[n], in place: p (dp - sum(p dp)). */
static void softmax_input_grad(float *dp, const float *p, size_t n)
{
    vec sum = { 0 };
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = vec_count(n, i);
        sum += vec_load_some(p + i, m, 0) * vec_load_some(dp + i, m, 0);
    }
    const float total = vec_sum(sum);
    for (size_t i = 0; i < n; i++)
        dp[i] = p[i] * (dp[i] - total);
}

static void head_input_grad(const struct head *a, float *dq, const float *dy, const float *p, float *ds)
{
    const int T = a->T, C = a->C, D = a->D, ld = 3 * C;
    float *dk = dq + C, *dv = dk + C;
    for (int t = 0; t < T; t += BLOCK) {
        const int rows = block_rows(T, t), columns = t + rows;
        matmul(false, true, rows, columns, D, 1, dy + at(t, C), C, a->v, ld, 0, ds + at(t, T), T);
        for (int r = t; r < columns; r++) {
            softmax_input_grad(ds + at(r, T), p + at(r, T), (size_t)r + 1);
            memset(ds + at(r, T) + r + 1, 0, (size_t)(columns - r - 1) * sizeof *ds);
        }
        matmul(false, false, rows, D, columns, a->scale, ds + at(t, T), T, a->k, ld, 0, dq + at(t, ld), ld);
    }
    for (int t = 0; t < T; t += BLOCK) {
        const int columns = block_rows(T, t), rows = T - t;
        matmul(true, false, columns, D, rows, a->scale, ds + at(t, T) + t, T, a->q + at(t, ld), ld, 0, dk + at(t, ld), ld);
        matmul(true, false, columns, D, rows, 1, p + at(t, T) + t, T, dy + at(t, C), C, 0, dv + at(t, ld), ld);
    }
}

void attention_input_grad(float *dqkv, const float *dy, const float *qkv, const float *probabilities, float *scratch, int B, int T,
                          int C, int H)
{
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++) {
            const struct head a = head_of(qkv, b, h, T, C, H);
            head_input_grad(&a, dqkv + (a.q - qkv), dy + at(b, T) * (size_t)C + at(h, a.D),
                            probabilities + at(b * H + h, T) * (size_t)T, scratch);
        }
}
