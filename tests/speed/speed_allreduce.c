/* ranks: 2 4 */
/* How fast the own allreduce algorithms are, against MPI_Allreduce of the same MPI: same vectors, in place, same ranks.
 *
 *   mpirun -np 2 speed_allreduce [--json FILE] [--segment BYTES]
 *
 * Per size, every repetition runs each algorithm once, one after the other, so that a slow moment of the machine hits all of them.
 * A sample is the slowest rank's time of a few calls in a row, divided by their number; buffers hold numbers, written before.
 * The table has medians; ratio = MPI_Allreduce / best own algorithm, above 1: faster than the library.
 */
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/engine.h"
#include "collectives/job.h"

enum { SIZES = 9, OWN_MOST = 10, REPEAT_MOST = 64, SEGMENT_B = 32 << 10 };

struct contest {
    struct job job;
    struct fabric fabric;
    struct engine *engine;
    size_t n;
    int calls, repeats, contestants;
    float *x;
    struct operation *op[OWN_MOST]; /* [0]: NULL, MPI_Allreduce itself */
    const char *name[OWN_MOST];
    double sample_s[SIZES][OWN_MOST][REPEAT_MOST];
};

static struct contest contest;

static size_t size_B(int size)
{
    return (size_t)1024 << 2 * size;
}

static double time_calls(struct contest *c, int who)
{
    for (size_t k = 0; k < c->n; k++)
        c->x[k] = (float)(k % 1000) * 1e-3f - 0.3f * (float)c->job.rank;
    job_barrier(&c->job);
    double start_s = MPI_Wtime();
    for (int call = 0; call < c->calls; call++) {
        if (c->op[who]) {
            engine_start(c->engine, c->op[who]);
            engine_wait(c->engine, c->op[who]);
        } else {
            MPI_Allreduce(MPI_IN_PLACE, c->x, (int)c->n, MPI_FLOAT, MPI_SUM, c->job.world);
        }
    }
    double mine_s = (MPI_Wtime() - start_s) / c->calls, slowest_s;
    MPI_Allreduce(&mine_s, &slowest_s, 1, MPI_DOUBLE, MPI_MAX, c->job.world);
    return slowest_s;
}

/* Few calls where one is long; at most 20, so that no float overflows. */
static void measure_size(struct contest *c, int size)
{
    c->n = size_B(size) / sizeof(float);
    c->calls = size < 4 ? 20 : size < 6 ? 4 : 1;
    c->repeats = size < 5 ? REPEAT_MOST : size < 8 ? 21 : 7;
    c->contestants = 0;
    c->name[c->contestants++] = "MPI_Allreduce";
    for (size_t a = 0; allreduces[a]; a++) {
        c->name[c->contestants] = allreduces[a]->member.name;
        if (engine_plan_sum(c->engine, allreduces[a], PURPOSE_GRADIENT, c->x, c->n, &c->op[c->contestants++]) != STATUS_OK) {
            fprintf(stderr, "%s\n", status_message());
            MPI_Abort(c->job.world, 1);
        }
    }
    for (int who = 0; who < c->contestants; who++) /* warm up: connections, pages */
        time_calls(c, who);
    for (int r = 0; r < c->repeats; r++)
        for (int who = 0; who < c->contestants; who++)
            c->sample_s[size][who][r] = time_calls(c, who);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *x, int n)
{
    double sorted[REPEAT_MOST];
    memcpy(sorted, x, (size_t)n * sizeof *x);
    qsort(sorted, (size_t)n, sizeof *x, compare);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* Prints the size's row; returns the ratio. */
static double print_row(const struct contest *c, int size)
{
    double best_s = INFINITY, library_s = median(c->sample_s[size][0], c->repeats);
    printf("%10zu", size_B(size));
    for (int who = 0; who < c->contestants; who++) {
        double s = median(c->sample_s[size][who], c->repeats);
        printf(" %13.2f", s * 1e6);
        if (c->op[who] && strcmp(c->name[who], "mpi") && s < best_s)
            best_s = s;
    }
    printf(" %8.2f\n", library_s / best_s);
    return library_s / best_s;
}

static void print_json_row(const struct contest *c, int size, FILE *out)
{
    fprintf(out, "%s\n  { \"size_B\": %zu", size ? "," : "", size_B(size));
    for (int who = 0; who < c->contestants; who++) {
        fprintf(out, ", \"%s_s\": [", c->name[who]);
        for (int r = 0; r < c->repeats; r++)
            fprintf(out, "%s%.9g", r ? ", " : "", c->sample_s[size][who][r]);
        fprintf(out, "]");
    }
    fprintf(out, " }");
}

static void measure_all(struct contest *c, FILE *json)
{
    double log_ratio = 0;
    for (int size = 0; size < SIZES; size++) {
        measure_size(c, size);
        if (c->job.rank)
            continue;
        if (size == 0) {
            printf("%d ranks, microseconds, medians\n%10s", c->job.ranks, "bytes");
            for (int who = 0; who < c->contestants; who++)
                printf(" %13s", c->name[who]);
            printf(" %8s\n", "ratio");
        }
        log_ratio += log(print_row(c, size));
        if (json)
            print_json_row(c, size, json);
    }
    if (c->job.rank == 0)
        printf("geometric mean of the ratios %.2f\n", exp(log_ratio / SIZES));
}

int main(int argc, char **argv)
{
    struct contest *c = &contest;
    const char *path = NULL;
    size_t segment_B = SEGMENT_B;
    job_open(&c->job, &argc, &argv);
    for (int i = 1; i + 1 < argc; i += 2)
        if (!strcmp(argv[i], "--json"))
            path = argv[i + 1];
        else if (!strcmp(argv[i], "--segment"))
            segment_B = strtoull(argv[i + 1], NULL, 10);
    const struct fabric_setup setup = { .window = engine_window(segment_B, c->job.ranks) };
    FILE *json = path && !c->job.rank ? fopen(path, "w") : NULL;
    c->x = malloc(size_B(SIZES - 1));
    status mine =
        c->x && (!path || c->job.rank || json) ? STATUS_OK : status_fail(STATUS_FAILED, "no memory, or cannot write %s", path);
    if (mine == STATUS_OK)
        mine = fabric_open(&c->fabric, &fabric_mpi, &setup, c->job.world);
    if (mine != STATUS_OK || engine_open(&c->engine, &c->fabric, PROGRESS_NONE, segment_B) != STATUS_OK) {
        fprintf(stderr, "speed_allreduce: %s\n", status_message());
        MPI_Abort(c->job.world, 1);
    }
    if (json)
        fprintf(json, "{ \"ranks\": %d, \"segment_B\": %zu, \"rows\": [", c->job.ranks, segment_B);
    measure_all(c, json);
    if (json) {
        fprintf(json, "\n] }\n");
        fclose(json);
    }
    engine_close(c->engine);
    fabric_close(&c->fabric);
    free(c->x);
    job_close(&c->job);
    return 0;
}
