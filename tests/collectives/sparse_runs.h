/* Shared by the test of sparse exchanges and show_sparse: top-k over some steps of made gradients, and what it costs.
 *
 * A gradient is normal, of standard deviation 1 everywhere (uniform: ranks agree on no index) or (k + 1)^-0.7 (clustered: Zipf's
 * law over the places, the large ones crowd at the beginning).
 */
#ifndef DMLBENCH_TESTS_COLLECTIVES_SPARSE_RUNS_H
#define DMLBENCH_TESTS_COLLECTIVES_SPARSE_RUNS_H

#include "tests/collectives/mpi_test.h"

#include "tests/collectives/exchanges.h"

enum { RANKS_MOST = 64 };

struct sparse_run {
    const char *how, *how_options, *kind_options;
    bool clustered, feedback;
    size_t n;
    int steps, warmup, measured_every; /* warm-up steps, and every so many (0: none), are left out */
};

struct sparse_outcome {
    double numbers;      /* 4-byte numbers that the rank that sends most sends, in units of k: the mean over steps */
    double numbers_most; /* and the most in any step */
    double all_numbers;  /* mean over ranks and over all steps after the warm-up, none left out */
    double imbalance;    /* bytes that the rank that receives most receives, over the mean of all */
    double aimed_frac;   /* share of the steps whose result has 0.8 k .. 1.25 k entries */
    double step_s;
};

/* Of all bits. */
static inline uint32_t mixed(int rank, size_t i)
{
    uint32_t h = (uint32_t)i * 2654435761u ^ (uint32_t)(rank + 1) * 2246822519u;
    h = (h ^ h >> 15) * 3266489917u;
    return h ^ h >> 13;
}

static uint64_t sent_to[RANKS_MOST];

static inline void count_and_send(struct fabric *f, const void *data, size_t bytes, int to, int tag, fabric_request *r)
{
    sent_to[to] += bytes;
    fabric_mpi.start_send(f, data, bytes, to, tag, r);
}

/* One exchange on an engine of its own. */
struct player {
    struct fabric_ops ops;
    struct fabric fabric;
    struct engine *engine;
    struct compressed *x;
};

/* Collective. The player stays where it is. */
static inline void open_player(struct player *p, const char *how, const struct exchange_terms *t)
{
    p->ops = fabric_mpi;
    p->ops.start_send = count_and_send;
    assert_on_all_ranks(fabric_open(&p->fabric, &p->ops, NULL, job.world) == STATUS_OK);
    assert_on_all_ranks(engine_open(&p->engine, &p->fabric, PROGRESS_POLL, SUBJECT_SEGMENT_B) == STATUS_OK);
    assert_on_all_ranks(compressed_open(&p->x, p->engine, exchange_find(how), t) == STATUS_OK);
}

/* Collective. Returns the bytes that this rank has sent. */
static inline uint64_t close_player(struct player *p)
{
    const struct ledger_row row = p->fabric.ledger.rows[PURPOSE_GRADIENT];
    assert_on_all_ranks(row.wire_B_predicted == row.wire_B_counted && !row.unpredictable);
    compressed_close(p->x);
    engine_close(p->engine);
    fabric_close(&p->fabric);
    return row.wire_B_counted;
}

static inline void add_gradient(const struct sparse_run *run, int64_t step, const float *deviation, float *gradient, float *vector)
{
    const struct random r = { .seed = 11, .worker = (uint32_t)job.rank, .step = (uint32_t)step };
    random_normal(&r, 1, 0, gradient, run->n);
    for (size_t k = 0; k < run->n; k++)
        vector[k] = (run->feedback ? vector[k] : 0) + deviation[k] * gradient[k];
}

static inline void play_one(struct compressed *x, int64_t step, float *vector, float *sum)
{
    compressed_encode(x, step, vector);
    compressed_pack(x);
    compressed_residual(x, BEFORE_START);
    compressed_start(x);
    compressed_residual(x, AFTER_START);
    compressed_wait(x);
    compressed_residual(x, AFTER_WAIT);
    compressed_decode(x, sum);
}

static inline void note_step(const struct sparse_run *run, int64_t step, size_t k, const float *sum, struct sparse_outcome *o)
{
    uint64_t received[RANKS_MOST], mine[4] = { 0 }, most[4], all[4];
    size_t entries = 0;
    MPI_Alltoall(sent_to, 1, MPI_UINT64_T, received, 1, MPI_UINT64_T, job.world);
    for (int r = 0; r < job.ranks; r++) {
        mine[0] += sent_to[r];
        mine[1] += received[r];
    }
    MPI_Allreduce(mine, most, 2, MPI_UINT64_T, MPI_MAX, job.world);
    MPI_Allreduce(mine, all, 2, MPI_UINT64_T, MPI_SUM, job.world);
    for (size_t i = 0; i < run->n; i++)
        entries += sum[i] < 0 || sum[i] > 0;
    const double unit = 4 * (double)k, p = job.ranks;
    o->all_numbers += (double)all[0] / p / unit / (run->steps - run->warmup);
    if (run->measured_every && step % run->measured_every == 0)
        return;
    const double measured =
        run->measured_every ? (run->steps - 1) / run->measured_every - (run->warmup - 1) / run->measured_every : 0;
    const double share = 1 / (run->steps - run->warmup - measured);
    o->numbers += (double)most[0] / unit * share;
    o->numbers_most = fmax(o->numbers_most, (double)most[0] / unit);
    o->imbalance += p * (double)most[1] / (double)all[1] * share;
    o->aimed_frac += 5 * entries >= 4 * k && 4 * entries <= 5 * k ? share : 0;
}

/* Collective. */
static inline struct sparse_outcome run_sparse(const struct sparse_run *run)
{
    const struct subject subject = { run->how, run->how_options, "topk", run->kind_options };
    const struct exchange_terms terms = terms_of(&subject, run->n, job.ranks, job.rank, run->feedback);
    const size_t k = terms.kind->most_entries(&terms.coding);
    struct player player;
    struct sparse_outcome outcome = { 0 };
    float *floats = calloc(4 * run->n, sizeof *floats), *deviation = floats + run->n, *gradient = deviation + run->n,
          *sum = gradient + run->n;
    open_player(&player, run->how, &terms);
    for (size_t i = 0; i < run->n; i++)
        deviation[i] = run->clustered ? powf((float)(i + 1), -0.7F) : 1;
    for (int64_t step = 0; step < run->steps; step++) {
        add_gradient(run, step, deviation, gradient, floats);
        memset(sent_to, 0, sizeof sent_to);
        const double start_s = MPI_Wtime();
        play_one(player.x, step, floats, sum);
        outcome.step_s += (MPI_Wtime() - start_s) / run->steps;
        if (step >= run->warmup)
            note_step(run, step, k, sum, &outcome);
    }
    close_player(&player);
    free(floats);
    return outcome;
}

#endif
