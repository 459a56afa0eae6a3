/* How much of a GPT training step is matrix products at full speed: 4 x 256, 8 heads, 128 symbols, 8 sequences, one rank.
 *
 * The linker puts a recorder around matmul (-Wl,--wrap=matmul). One step is recorded, product by product; then steps and plain
 * replays of its products, on the same arrays, are timed in turn. replay / step = achieved flop/s of the step over sgemm's rate at
 * the step's own shapes.
 * The changes of the stopwatch's phase are counted too, and timed alone: what the timers cost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/phases.h"
#include "bench/statistics.h"
#include "bench/train.h"
#include "collectives/job.h"
#include "kernels/matmul.h"

enum { CALLS_MAX = 16384, ROUNDS = 15, SWITCHES = 1000000 };

struct call {
    bool transpose_a, transpose_b;
    int m, n, k, lda, ldb, ldc;
    float alpha, beta;
    const float *a, *b;
    float *c;
};

static struct {
    struct call calls[CALLS_MAX];
    int count, switches;
    bool on;
    double flop;
} record;

void __real_matmul(bool transpose_a, bool transpose_b, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                   int ldb, float beta, float *c, int ldc);
void __wrap_matmul(bool transpose_a, bool transpose_b, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                   int ldb, float beta, float *c, int ldc);

void __wrap_matmul(bool transpose_a, bool transpose_b, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                   int ldb, float beta, float *c, int ldc)
{
    if (record.on && record.count < CALLS_MAX) {
        record.calls[record.count++] = (struct call){ transpose_a, transpose_b, m, n, k, lda, ldb, ldc, alpha, beta, a, b, c };
        record.flop += 2.0 * m * n * k;
    }
    __real_matmul(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

enum phase __real_stopwatch_switch(struct stopwatch *w, enum phase phase);
enum phase __wrap_stopwatch_switch(struct stopwatch *w, enum phase phase);

enum phase __wrap_stopwatch_switch(struct stopwatch *w, enum phase phase)
{
    record.switches += record.on;
    return __real_stopwatch_switch(w, phase);
}

/* Of one change of phase. */
static double time_switch(struct trainer *t)
{
    struct stopwatch w;
    const double start_s = stopwatch_start(&w, t->clock, PHASE_DATA);
    for (int i = 0; i < SWITCHES; i++)
        stopwatch_switch(&w, (enum phase)(i % PHASE_COUNT));
    return (stopwatch_stop(&w) - start_s) / SWITCHES;
}

static double time_step(struct trainer *t, int64_t step)
{
    struct stopwatch w;
    const double start_s = stopwatch_start(&w, t->clock, PHASE_DATA);
    trainer_step(t, step, &w);
    return stopwatch_stop(&w) - start_s;
}

static double time_replay(struct trainer *t)
{
    const double start_s = fabric_now_s(t->clock);
    for (int i = 0; i < record.count; i++) {
        const struct call *c = &record.calls[i];
        __real_matmul(c->transpose_a, c->transpose_b, c->m, c->n, c->k, c->alpha, c->a, c->lda, c->b, c->ldb, c->beta, c->c,
                      c->ldc);
    }
    return fabric_now_s(t->clock) - start_s;
}

/* A replay spoils the gradients, which the next step clears, and no parameter: no product ends in one. */
static void measure(struct trainer *t, FILE *json)
{
    double step_s[ROUNDS], replay_s[ROUNDS], ratio[ROUNDS], sorted[ROUNDS];
    for (int i = 0; i < 3; i++)
        time_step(t, i);
    record.on = true;
    time_step(t, 3);
    record.on = false;
    for (int i = 0; i < ROUNDS; i++) {
        step_s[i] = time_step(t, 4 + i);
        replay_s[i] = time_replay(t);
        ratio[i] = replay_s[i] / step_s[i];
    }
    const struct statistic s = statistic_of(ratio, ROUNDS, sorted);
    const double step = statistic_of(step_s, ROUNDS, sorted).median, replay = statistic_of(replay_s, ROUNDS, sorted).median;
    printf("  %d products, %.2f Gflop a step, kernel %s\n", record.count, 1e-9 * record.flop, matmul_kernel_name());
    printf("  step %.1f ms, %.0f Gflop/s; its products alone %.1f ms, %.0f Gflop/s\n", 1e3 * step, 1e-9 * record.flop / step,
           1e3 * replay, 1e-9 * record.flop / replay);
    printf("  achieved flop/s of sgemm's at the step's own shapes: %.3f [%.3f, %.3f], n = %d\n", s.median, s.ci95_low, s.ci95_high,
           ROUNDS);
    const double switch_s = time_switch(t);
    printf("  timers: %d changes of phase of %.0f ns, %.5f %% of the step\n", record.switches, 1e9 * switch_s,
           100 * record.switches * switch_s / step);
    if (!json)
        return;
    fprintf(json, "{\"flop\": %.17g, \"kernel\": \"%s\", \"switches\": %d, \"switch_s\": %.17g, \"rounds\": [", record.flop,
            matmul_kernel_name(), record.switches, switch_s);
    for (int i = 0; i < ROUNDS; i++)
        fprintf(json, "%s{\"step_s\": %.17g, \"replay_s\": %.17g}", i ? ", " : "", step_s[i], replay_s[i]);
    fprintf(json, "]}\n");
}

int main(int argc, char **argv)
{
    static const char text[] = "{\"model\": {\"name\": \"gpt\", \"layers\": 4, \"hidden\": 256, \"heads\": 8, \"sequence\": 128}, "
                               "\"batch\": {\"global\": 8, \"micro\": 8}, \"measure\": {\"steps\": 1}}";
    FILE *json = argc > 2 && !strcmp(argv[1], "--json") ? fopen(argv[2], "w") : NULL;
    struct job job;
    struct config c;
    struct trainer t;
    job_open(&job, &argc, &argv);
    matmul_single_thread();
    status s = config_parse(&c, "speed_gpt", text, ".", NULL, 0);
    if (s == STATUS_OK)
        s = config_settle(&c, job.ranks);
    if (s == STATUS_OK)
        s = trainer_open(&t, &c, job.world);
    if (s != STATUS_OK) {
        fprintf(stderr, "speed_gpt: %s\n", status_message());
        return s;
    }
    measure(&t, json);
    if (json)
        fclose(json);
    trainer_close(&t);
    config_free(&c);
    job_close(&job);
    return 0;
}
