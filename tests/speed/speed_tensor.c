/* ranks: 2 */
/* What tensor ranks gain: the step of a GPT 4 x 256 (8 heads, 128 symbols, 8 sequences) on one rank against the same on all.
 *
 *   mpirun -np 2 speed_tensor [--json FILE]
 *
 * In one process, in turn: a step on rank 0 alone, while the others sleep; a step of all as tensor ranks; the same with sequence
 * parallelism. A round's ratio is step alone / slowest rank's step, above 1: a gain. The time in collectives contains waiting
 * for the slower rank.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/statistics.h"
#include "bench/train.h"
#include "collectives/job.h"
#include "kernels/matmul.h"

enum { ROUNDS = 25, WARMUP = 3, WAYS = 3 };

static const char *const names[WAYS] = { "alone", "tensor", "tensor, sequence" };

struct timing {
    double step_s, tensor_s;
};

static struct job job;
static struct config configs[WAYS];
static struct trainer trainers[WAYS];
static struct timing timings[WAYS][ROUNDS];

static status open_way(int way)
{
    static const char text[] = "{\"model\": {\"name\": \"gpt\", \"layers\": 4, \"hidden\": 256, \"heads\": 8, \"sequence\": 128}, "
                               "\"batch\": {\"global\": 8, \"micro\": 8}, \"measure\": {\"steps\": 1}}";
    char tensor[64];
    const int ranks = way ? job.ranks : 1;
    snprintf(tensor, sizeof tensor, "parallel.tensor=%d", ranks);
    const char *const sets[] = { tensor, way == 2 ? "parallel.sequence=true" : "parallel.sequence=false" };
    TRY(config_parse(&configs[way], "speed_tensor", text, ".", sets, 2));
    TRY(config_settle(&configs[way], ranks));
    return way || job.rank == 0 ? trainer_open(&trainers[way], &configs[way], way ? job.world : MPI_COMM_SELF) : STATUS_OK;
}

/* The slowest rank's times; a barrier by which the others sleep, so that they take nothing from the one that computes. */
static struct timing time_step(int way, int64_t step)
{
    struct stopwatch w;
    struct timing t = { 0 };
    MPI_Request all_came;
    int come = 0;
    job_barrier(&job);
    if (way || job.rank == 0) {
        const double start_s = stopwatch_start(&w, trainers[way].clock, PHASE_DATA);
        trainer_step(&trainers[way], step, &w);
        t.step_s = stopwatch_stop(&w) - start_s;
        t.tensor_s = w.spent_s[PHASE_TENSOR];
    }
    MPI_Ibarrier(job.world, &all_came);
    for (MPI_Test(&all_came, &come, MPI_STATUS_IGNORE); !come; MPI_Test(&all_came, &come, MPI_STATUS_IGNORE))
        usleep(1000);
    return (struct timing){ job_max(&job, t.step_s), job_max(&job, t.tensor_s) };
}

static void report_way(int way)
{
    double step_s[ROUNDS], tensor_s[ROUNDS], ratio[ROUNDS], sorted[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        step_s[i] = timings[way][i].step_s;
        tensor_s[i] = timings[way][i].tensor_s;
        ratio[i] = timings[0][i].step_s / step_s[i];
    }
    const struct statistic r = statistic_of(ratio, ROUNDS, sorted), s = statistic_of(step_s, ROUNDS, sorted);
    const double tensor_median_s = statistic_of(tensor_s, ROUNDS, sorted).median;
    printf("  %-18s step %6.1f ms (least %.1f), in collectives %5.1f ms; alone / this %.2f [%.2f, %.2f], n = %d\n", names[way],
           1e3 * s.median, 1e3 * s.min, 1e3 * tensor_median_s, r.median, r.ci95_low, r.ci95_high, ROUNDS);
}

static void report(FILE *json)
{
    printf("gpt 4 x 256, %d ranks\n", job.ranks);
    for (int way = 0; way < WAYS; way++) {
        report_way(way);
        for (int i = 0; json && i < ROUNDS; i++)
            fprintf(json, "%s{\"way\": \"%s\", \"step_s\": %.9g, \"tensor_s\": %.9g}", way + i ? ",\n" : "[", names[way],
                    timings[way][i].step_s, timings[way][i].tensor_s);
    }
    if (!json)
        return;
    fprintf(json, "]\n");
    fclose(json);
}

int main(int argc, char **argv)
{
    status s = STATUS_OK;
    job_open(&job, &argc, &argv);
    FILE *json = job.rank == 0 && argc > 2 && !strcmp(argv[1], "--json") ? fopen(argv[2], "w") : NULL;
    matmul_single_thread();
    for (int way = 0; way < WAYS && s == STATUS_OK; way++)
        s = open_way(way);
    if (s != STATUS_OK) {
        fprintf(stderr, "speed_tensor: %s\n", status_message());
        MPI_Abort(job.world, s);
    }
    for (int i = -WARMUP; i < ROUNDS; i++)
        for (int way = 0; way < WAYS; way++) {
            const struct timing t = time_step(way, WARMUP + i);
            if (i >= 0)
                timings[way][i] = t;
        }
    if (job.rank == 0)
        report(json);
    for (int way = 0; way < WAYS; way++) {
        if (way || job.rank == 0)
            trainer_close(&trainers[way]);
        config_free(&configs[way]);
    }
    job_close(&job);
    return 0;
}
