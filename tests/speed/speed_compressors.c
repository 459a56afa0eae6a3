/* How fast each compressor is on one core: bytes of input per second that encode, pack and decode take, next to memcpy of the same
 * input in the same run. The best of many calls; options are the defaults of the member's rows, or those that are named.
 * The input looks like a gradient: normal numbers whose scale differs from block to block of 1024, log-normally.
 *     speed_compressors [--only NAME] [--json FILE]
 */
#include "tests/kernels/options.h"

#include <time.h>

enum { N = 4 << 20, BLOCK = 1024, ROWS = 2048 };

static float *gradient, *equal, *y;

static const struct row {
    const char *name, *settings;
    float **x;
} rows[] = {
    { "none", "", &gradient },
    { "topk", "", &gradient },
    { "topk", "", &equal },
    { "topk", "index=enumerative", &gradient },
    { "randk", "", &gradient },
    { "randk", "ratio=0.25", &gradient },
    { "permk", "", &gradient },
    { "threshold", "threshold=0.005", &gradient },
    { "dgc", "", &gradient },
    { "gaussiank", "", &gradient },
    { "sidco", "", &gradient },
    { "fp16", "", &gradient },
    { "fp16", "rounding=stochastic", &gradient },
    { "bf16", "", &gradient },
    { "bf16", "rounding=stochastic", &gradient },
    { "qsgd", "", &gradient },
    { "qsgd", "norm=max bucket=128 levels=7", &gradient },
    { "qsgd", "coding=elias", &gradient },
    { "terngrad", "", &gradient },
    { "terngrad", "coding=base3", &gradient },
    { "natural", "", &gradient },
    { "natural", "coding=8-bit", &gradient },
    { "natural-dithering", "", &gradient },
    { "sign", "", &gradient },
    { "ef-sign", "", &gradient },
    { "onebit", "", &gradient },
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *room(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    if (!p) {
        fprintf(stderr, "no memory for %zu bytes\n", bytes);
        exit(1);
    }
    memset(p, 0, bytes);
    return p;
}

struct task {
    const struct compressor *kind;
    struct coding coding;
    const float *x;
    unsigned char *code;
    size_t bytes;
    void *scratch, *state;
};

static void copy(struct task *t)
{
    memcpy(y, t->x, N * sizeof *y);
}

static void encode(struct task *t)
{
    t->bytes = t->kind->encode(&t->coding, t->state, t->x, t->code, t->scratch);
}

static void pack(struct task *t)
{
    t->bytes = t->kind->pack(&t->coding, t->code, t->scratch);
}

static void both(struct task *t)
{
    t->bytes = compressor_encode(t->kind, &t->coding, t->state, t->x, t->code, t->scratch);
}

static void decode(struct task *t)
{
    t->kind->decode(&t->coding, t->code, t->bytes, 1, y, t->scratch);
}

/* GB of input per second of the fastest call of those that fit into 60 ms, at least three. */
static double best_GB_per_s(void (*run)(struct task *), struct task *t)
{
    double best = INFINITY;
    const double start = now_s();
    for (int calls = 0; calls < 3 || now_s() - start < 0.06; calls++) {
        const double before = now_s();
        run(t);
        best = fmin(best, now_s() - before);
    }
    return 1e-9 * N * sizeof(float) / best;
}

/* As a row of the table, and as an object of the list in json, if there is one. */
static void measure(const struct row *r, FILE *json)
{
    const struct compressor *k = compressor_find(r->name);
    struct task t = {
        .kind = k,
        .coding = coding_of(options_of(k, r->settings), N),
        .x = *r->x,
    };
    t.coding.workers = 8; /* permk sends an eighth */
    t.code = room(k->code_bytes(&t.coding));
    t.scratch = room(compressor_scratch_bytes(k, &t.coding));
    t.state = room(compressor_state_bytes(k, &t.coding));
    compressor_state_begin(k, &t.coding, t.state);
    const double memory = best_GB_per_s(copy, &t), alone = best_GB_per_s(encode, &t),
                 packing = k->pack ? best_GB_per_s(pack, &t) : 0;
    const double encoding = best_GB_per_s(both, &t), decoding = best_GB_per_s(decode, &t);
    char name[80];
    snprintf(name, sizeof name, "%s%s%s%s", r->name, *r->settings ? " " : "", r->settings, *r->x == equal ? " (all equal)" : "");
    printf("%-38s %8.3f %8.1f %8.1f %8.1f %7.2f %8.1f %7.2f %8.1f\n", name, 8.0 * (double)t.bytes / N, alone, packing, encoding,
           encoding / memory, decoding, decoding / memory, memory);
    if (json)
        fprintf(json, "%s\n{\"name\": \"%s\", \"encode_B_per_s\": %.0f, \"decode_B_per_s\": %.0f, \"memcpy_B_per_s\": %.0f}",
                ftell(json) > 1 ? "," : "", name, 1e9 * encoding, 1e9 * decoding, 1e9 * memory);
    free(t.code), free(t.scratch), free(t.state);
}

static const char *option(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return NULL;
}

int main(int argc, char **argv)
{
    const char *only = option(argc, argv, "--only"), *file = option(argc, argv, "--json");
    FILE *json = file ? fopen(file, "w") : NULL;
    if (json)
        fputc('[', json);
    gradient = room(N * sizeof *gradient), equal = room(N * sizeof *equal), y = room(N * sizeof *y);
    float scale[N / BLOCK];
    random_normal(&(struct random){ .seed = 1 }, 1, 0, gradient, N);
    random_normal(&(struct random){ .seed = 2 }, 1, 0, scale, N / BLOCK);
    for (size_t i = 0; i < N; i++) {
        gradient[i] *= 1e-3f * expf(scale[i / BLOCK]);
        equal[i] = 1;
    }
    printf("%-38s %8s %8s %8s %8s %7s %8s %7s %8s\n", "4 Mi floats; GB/s of input", "bits/flt", "encode", "pack", "both", "/memcpy",
           "decode", "/memcpy", "memcpy");
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        if (!only || strcmp(only, rows[r].name) == 0)
            measure(&rows[r], json);
    if (json) {
        fputs("]\n", json);
        return fclose(json) != 0;
    }
    return 0;
}
