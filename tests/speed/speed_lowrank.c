/* How much PowerSGD costs beyond its three matrix products: both parts of the code and its decoding, next to sgemm at the same
 * shapes in the same run. The best of many calls in turn. Start it with OPENBLAS_NUM_THREADS=1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kernels/compressor.h"
#include "kernels/matmul.h"

enum { SIDE = 2048, N = SIDE * SIDE, RANK_MAX = 32, TURNS = 20 };

/* As the member's rows describe it. */
struct options {
    int64_t rank;
    bool warm_start;
    int64_t start_step;
    double min_compression_rate;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *room(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!p) {
        fprintf(stderr, "no memory for %zu bytes\n", bytes);
        exit(1);
    }
    return p;
}

static void products(int rank, const float *x, float *y, float *left, float *right)
{
    matmul(false, true, rank, SIDE, SIDE, 1, right, SIDE, x, SIDE, 0, left, SIDE);
    matmul(false, false, rank, SIDE, SIDE, 1, left, SIDE, x, SIDE, 0, right, SIDE);
    matmul(true, false, SIDE, SIDE, rank, 1e-6f, left, SIDE, right, SIDE, 1, y, SIDE);
}

static void compare(int rank, const float *x, float *y, float *factors)
{
    const struct options o = { rank, true, 0, 2 };
    const struct coding c = { .options = &o, .n = N, .rows = SIDE, .columns = SIDE, .workers = 1 };
    void *state = room(compressor_state_bytes(&compress_powersgd, &c));
    void *scratch = room(compressor_scratch_bytes(&compress_powersgd, &c));
    unsigned char *code = room(compress_powersgd.code_bytes(&c));
    double best_s[3] = { 1e9, 1e9, 1e9 };
    compressor_state_begin(&compress_powersgd, &c, state);
    for (int turn = 0; turn < TURNS; turn++) {
        random_normal(&(struct random){ .seed = 2 }, 1, 0, factors, 2 * SIDE * RANK_MAX);
        const double start = now_s();
        products(rank, x, y, factors, factors + SIDE * RANK_MAX);
        const double multiplied = now_s();
        const size_t bytes = compressor_encode(&compress_powersgd, &c, state, x, code, scratch);
        const double encoded = now_s();
        compress_powersgd.decode(&c, code, bytes, 1e-6f, y, scratch);
        const double took[] = { multiplied - start, encoded - multiplied, now_s() - encoded };
        for (int i = 0; i < 3; i++)
            best_s[i] = took[i] < best_s[i] ? took[i] : best_s[i];
    }
    printf("powersgd rank %-2d, 2048 x 2048: encode %7.3f ms, decode %7.3f ms; its products alone %7.3f ms, ratio %5.2f\n", rank,
           best_s[1] * 1e3, best_s[2] * 1e3, best_s[0] * 1e3, (best_s[1] + best_s[2]) / best_s[0]);
    free(state), free(scratch), free(code);
}

int main(void)
{
    float *x = room(N * sizeof *x), *y = room(N * sizeof *y), *factors = room(2 * SIDE * RANK_MAX * sizeof *factors);
    matmul_single_thread();
    random_normal(&(struct random){ .seed = 1 }, 1, 0, x, N);
    random_normal(&(struct random){ .seed = 3 }, 1, 0, y, N);
    for (int rank = 1; rank <= RANK_MAX; rank *= 2)
        compare(rank, x, y, factors);
    free(x), free(y), free(factors);
    return 0;
}
