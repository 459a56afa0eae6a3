/* ranks: 2 */
/* What layouts gain: the step of a GPT 4 x 256 (8 heads, 128 symbols) on one rank against the same step on all ranks.
 *
 *   mpirun -np 2 speed_layouts [--json FILE]
 *
 * In one process, in turn: a step on rank 0 alone, while the others sleep, and the same batch on all: as stages of a pipeline with
 * 8 micro-batches, as tensor ranks, as replicas. A round's ratio is step alone / slowest rank's step, above 1: a gain.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/statistics.h"
#include "bench/train.h"
#include "collectives/job.h"
#include "kernels/matmul.h"

enum { ROUNDS = 15, WARMUP = 2 };

/* Ways to do the work of a batch of so many sequences, 8 at a time; the first of a batch is what the others are held against. */
static const struct way {
    const char *name;
    bool alone;
    int batch;
    const char *axis, *more; /* which degree all ranks are */
} ways[] = {
    { "one rank", true, 8, "data", "parallel.zero=0" },
    { "tensor", false, 8, "tensor", "parallel.zero=0" },
    { "tensor, sequence", false, 8, "tensor", "parallel.sequence=true" },
    { "one rank, m = 8", true, 64, "data", "parallel.zero=0" },
    { "pipeline 1f1b", false, 64, "pipeline", "parallel.schedule.name=1f1b" },
    { "pipeline gpipe", false, 64, "pipeline", "parallel.schedule.name=gpipe" },
    { "pipeline zb-h1", false, 64, "pipeline", "parallel.schedule.name=zb-h1" },
    { "data", false, 64, "data", "parallel.zero=0" },
    { "data, ZeRO 3", false, 64, "data", "parallel.zero=3" },
};
enum { WAYS = sizeof ways / sizeof *ways };

static struct job job;
static struct config configs[WAYS];
static struct trainer trainers[WAYS];
static double step_s[WAYS][ROUNDS];

static bool takes_part(int way)
{
    return !ways[way].alone || job.rank == 0;
}

static status open_way(int way)
{
    static const char text[] = "{\"model\": {\"name\": \"gpt\", \"layers\": 4, \"hidden\": 256, \"heads\": 8, \"sequence\": 128}, "
                               "\"batch\": {\"micro\": 8}, \"parallel\": {\"data\": 1}, \"measure\": {\"steps\": 1}}";
    const struct way *w = &ways[way];
    const int ranks = w->alone ? 1 : job.ranks;
    char degree[64], batch[64];
    snprintf(degree, sizeof degree, "parallel.%s=%d", w->axis, ranks);
    snprintf(batch, sizeof batch, "batch.global=%d", w->batch);
    const char *const sets[] = { degree, batch, w->more };
    TRY(config_parse(&configs[way], "speed_layouts", text, ".", sets, 3));
    TRY(config_settle(&configs[way], ranks));
    return takes_part(way) ? trainer_open(&trainers[way], &configs[way], w->alone ? MPI_COMM_SELF : job.world) : STATUS_OK;
}

/* The slowest rank's time; a barrier by which the others sleep, so that they take nothing from the one that computes. */
static double time_step(int way, int64_t step)
{
    struct stopwatch w;
    double mine_s = 0;
    MPI_Request all_came;
    int come = 0;
    job_barrier(&job);
    if (takes_part(way)) {
        const double start_s = stopwatch_start(&w, trainers[way].clock, PHASE_DATA);
        trainer_step(&trainers[way], step, &w);
        mine_s = stopwatch_stop(&w) - start_s;
    }
    MPI_Ibarrier(job.world, &all_came);
    for (MPI_Test(&all_came, &come, MPI_STATUS_IGNORE); !come; MPI_Test(&all_came, &come, MPI_STATUS_IGNORE))
        usleep(1000);
    return job_max(&job, mine_s);
}

/* The way of the same batch that one rank goes alone. */
static int baseline(int way)
{
    while (!ways[way].alone)
        way--;
    return way;
}

static void report_way(int way)
{
    double ratio[ROUNDS], sorted[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        ratio[i] = step_s[baseline(way)][i] / step_s[way][i];
    const struct statistic r = statistic_of(ratio, ROUNDS, sorted), s = statistic_of(step_s[way], ROUNDS, sorted);
    printf("  %-18s step %6.1f ms (least %.1f); one rank / this %.2f [%.2f, %.2f], n = %d\n", ways[way].name, 1e3 * s.median,
           1e3 * s.min, r.median, r.ci95_low, r.ci95_high, ROUNDS);
}

static void report(FILE *json)
{
    printf("gpt 4 x 256, %d ranks\n", job.ranks);
    for (int way = 0; way < WAYS; way++) {
        report_way(way);
        for (int i = 0; json && i < ROUNDS; i++)
            fprintf(json, "%s{\"way\": \"%s\", \"baseline\": \"%s\", \"step_s\": %.9g}", way + i ? ",\n" : "[", ways[way].name,
                    ways[baseline(way)].name, step_s[way][i]);
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
        fprintf(stderr, "speed_layouts: %s\n", status_message());
        MPI_Abort(job.world, s);
    }
    for (int i = -WARMUP; i < ROUNDS; i++)
        for (int way = 0; way < WAYS; way++) {
            const double s_of_step = time_step(way, WARMUP + i);
            if (i >= 0)
                step_s[way][i] = s_of_step;
        }
    if (job.rank == 0)
        report(json);
    for (int way = 0; way < WAYS; way++) {
        if (takes_part(way))
            trainer_close(&trainers[way]);
        config_free(&configs[way]);
    }
    job_close(&job);
    return 0;
}
