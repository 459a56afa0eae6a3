/* mpirun -np P show_sparse [FLOATS [STEPS]]: what exchanges of sparse codes cost with P ranks, top-k 1 %, random and clustered
 * indices; a table. k: entries kept; a number is 4 bytes, an entry two. Ok-Topk's numbers leave out the steps that measure. */
#include "tests/collectives/sparse_runs.h"

static const struct {
    const char *how, *options, *shown;
} rows[] = {
    { "allgather", "", "allgather" },
    { "sparse-doubling", "", "sparse-doubling" },
    { "sparse-split", "", "sparse-split" },
    { "gtopk", "", "gtopk" },
    { "oktopk", "", "oktopk" },
    { "oktopk", "boundaries_every=never", "oktopk, equal parts" },
    { "oktopk", "balance=false", "oktopk, no balance" },
    { "oktopk", "boundaries_every=never balance=false", "oktopk, neither" },
};

static void show(size_t n, int steps)
{
    if (job.rank == 0)
        printf("%d ranks, %zu floats, %d steps; numbers sent by the rank that sends most, mean (most); all: by the mean rank, with "
               "steps that measure\n%-22s%-12s%10s%10s%10s%14s%14s%10s\n",
               job.ranks, n, steps, "", "", "k", "most k", "all k", "received max", "0.8-1.25 k", "ms");
    for (int clustered = 0; clustered < 2; clustered++)
        for (size_t i = 0; i < COUNT(rows); i++) {
            const struct sparse_run run = { .how = rows[i].how,
                                            .how_options = rows[i].options,
                                            .kind_options = "",
                                            .clustered = clustered,
                                            .feedback = true,
                                            .n = n,
                                            .steps = steps,
                                            .warmup = steps / 2,
                                            .measured_every = strcmp(rows[i].how, "oktopk") == 0 ? 128 : 0 };
            const struct sparse_outcome o = run_sparse(&run);
            if (job.rank == 0)
                printf("%-22s%-12s%10.2f%10.2f%10.2f%14.2f%13.0f%%%10.2f\n", rows[i].shown, clustered ? "clustered" : "uniform",
                       o.numbers, o.numbers_most, o.all_numbers, o.imbalance, 100 * o.aimed_frac, 1e3 * o.step_s);
        }
}

int main(int argc, char **argv)
{
    job_open(&job, &argc, &argv);
    show(argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000, argc > 2 ? atoi(argv[2]) : 200);
    job_close(&job);
    return 0;
}
