/* How fast the kernels are on one core: bytes read and written per second, next to memcpy's in the same run, and flop per second,
 * next to a square sgemm's. The best of many calls, as the question is what the code can do, not what the machine was doing.
 * Sizes are those of a GPT with 8 x 128 tokens, 256 channels and 8 heads. Start it with OPENBLAS_NUM_THREADS=1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/layers.h"
#include "kernels/matmul.h"
#include "kernels/optimizer.h"
#include "kernels/random.h"

enum { B = 8, T = 128, C = 256, H = 8, ROWS = B * T, F = 4 * C, N = ROWS * F, SIDE = 1024, BATCH = 64 };

static float *x, *y, *z, *gain, *param, *grad, *state, *probabilities, *scratch;
static int32_t symbols[ROWS];
static double loss;
static const struct random numbers = { .seed = 1 };

/* Options as the config makes them, from the defaults of the member's rows; none of its values is text. */
static const void *defaults(const struct key *keys)
{
    static _Alignas(16) unsigned char options[256];
    memset(options, 0, sizeof options);
    for (; keys->name; keys++)
        if (keys->kind == KEY_REAL)
            memcpy(options + keys->offset, &(double){ strtod(keys->fallback, NULL) }, sizeof(double));
    return options;
}

static void optimize(const struct optimizer *o)
{
    o->step(defaults(o->member.keys), 1, param, grad, state, N, true, N);
}

static void copy(void)
{
    memcpy(y, x, N * sizeof *y);
}

static void gelu(void)
{
    gelu_forward(y, x, N);
}

static void gelu_grad(void)
{
    gelu_input_grad(y, z, x, N);
}

static void relu(void)
{
    relu_forward(y, x, N);
}

static void residual(void)
{
    residual_forward(y, x, z, N);
}

static void layernorm(void)
{
    layernorm_forward(y, scratch, scratch + F, x, gain, gain, F, ROWS);
}

static void layernorm_dx(void)
{
    layernorm_input_grad(y, z, x, gain, scratch, scratch + F, F, ROWS);
}

static void layernorm_dw(void)
{
    layernorm_weight_grad(param, param + F, z, x, scratch, scratch + F, F, ROWS);
}

static void embed(void)
{
    embedding_forward(y, symbols, x, 0, C, ROWS, C);
    position_forward(y, y, z, 0, ROWS, T, C);
}

static void entropy(void)
{
    loss += cross_entropy_forward(y, symbols, ROWS, C);
}

static void entropy_grad(void)
{
    cross_entropy_input_grad(y, x, symbols, 1, 0, ROWS, C);
}

static void sgd(void)
{
    optimize(&optimizer_sgd);
}

static void momentum(void)
{
    optimize(&optimizer_momentum);
}

static void adamw(void)
{
    optimize(&optimizer_adamw);
}

static void uniform(void)
{
    random_uniform(&numbers, y, N);
}

static void normal(void)
{
    random_normal(&numbers, 1, 0, y, N);
}

static void square(void)
{
    matmul(false, false, SIDE, SIDE, SIDE, 1, x, SIDE, z, SIDE, 0, y, SIDE);
}

static void linear(void)
{
    linear_forward(y, x, z, gain, ROWS, C, F);
}

static void linear_dx(void)
{
    linear_input_grad(y, x, z, ROWS, C, F);
}

static void linear_dw(void)
{
    linear_weight_grad(param, grad, x, z, ROWS, C, F);
}

static void linear_few(void)
{
    linear_forward(y, x, z, gain, BATCH, SIDE, SIDE);
}

static void attention(void)
{
    attention_forward(y, probabilities, x, B, T, C, H);
}

static void attention_grad(void)
{
    attention_input_grad(y, z, x, probabilities, scratch, B, T, C, H);
}

#define TRIANGLE ((double)B * T * (T + 1) * C) /* multiplications and additions of one product of a head's T x T half */

/* work: bytes that the kernel must read and write, or flop; beside: the row that it is compared with */
static const struct row {
    const char *name;
    void (*run)(void);
    double work;
    const char *unit;
    void (*beside)(void);
} rows[] = {
    { "memcpy, 1 Mi floats", copy, 8. * N, "GB/s", copy },
    { "gelu", gelu, 8. * N, "GB/s", copy },
    { "gelu, input gradient", gelu_grad, 12. * N, "GB/s", copy },
    { "relu", relu, 8. * N, "GB/s", copy },
    { "residual", residual, 12. * N, "GB/s", copy },
    { "layernorm", layernorm, 8. * N, "GB/s", copy },
    { "layernorm, input gradient", layernorm_dx, 12. * N, "GB/s", copy },
    { "layernorm, weight gradient", layernorm_dw, 8. * N, "GB/s", copy },
    { "embedding", embed, 20. * ROWS *C, "GB/s", copy },
    { "cross-entropy", entropy, 8. * ROWS *C, "GB/s", copy },
    { "cross-entropy, gradient", entropy_grad, 8. * ROWS *C, "GB/s", copy },
    { "sgd", sgd, 12. * N, "GB/s", copy },
    { "momentum", momentum, 20. * N, "GB/s", copy },
    { "adamw", adamw, 28. * N, "GB/s", copy },
    { "random, uniform", uniform, 4. * N, "GB/s", copy },
    { "random, normal", normal, 4. * N, "GB/s", copy },
    { "sgemm 1024 x 1024 x 1024", square, 2. * SIDE *SIDE *SIDE, "Gflop/s", square },
    { "linear 1024 x 256 x 1024", linear, 2. * ROWS *C *F, "Gflop/s", square },
    { "linear, input gradient", linear_dx, 2. * ROWS *C *F, "Gflop/s", square },
    { "linear, weight gradient", linear_dw, 2. * ROWS *C *F, "Gflop/s", square },
    { "linear 64 x 1024 x 1024", linear_few, 2. * BATCH *SIDE *SIDE, "Gflop/s", square },
    { "attention (lower triangle)", attention, 2 * TRIANGLE, "Gflop/s", square },
    { "attention, gradient", attention_grad, 4 * TRIANGLE, "Gflop/s", square },
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of the fastest call of those that fit into a tenth of a second, at least three. */
static double best_s(void (*run)(void))
{
    double best = 1e30;
    const double start = now_s();
    for (int calls = 0; calls < 3 || now_s() - start < 0.1; calls++) {
        const double before = now_s();
        run();
        const double took = now_s() - before;
        best = took < best ? took : best;
    }
    return best;
}

static float *floats(size_t n, uint32_t worker)
{
    float *p = aligned_alloc(64, n * sizeof *p);
    if (!p) {
        fprintf(stderr, "no memory for %zu floats\n", n);
        exit(1);
    }
    random_normal(&(struct random){ .seed = 2, .worker = worker }, 1, 0, p, n);
    return p;
}

int main(void)
{
    x = floats(N, 0), y = floats(N, 1), z = floats(N, 2), gain = floats(F, 3);
    param = floats(N, 4), grad = floats(N, 5), state = floats(2 * N, 6), probabilities = floats(B * H * T * T, 7);
    scratch = floats(N, 8);
    for (int i = 0; i < ROWS; i++)
        symbols[i] = i % C;
    matmul_single_thread();
    double reference = 0;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        const double s = best_s(rows[r].run), rate = rows[r].work / s * 1e-9;
        reference = rows[r].run == rows[r].beside ? rate : reference;
        printf("%-34s %9.3f ms %8.1f %-7s %6.2f\n", rows[r].name, s * 1e3, rate, rows[r].unit, rate / reference);
    }
    return 0;
}
