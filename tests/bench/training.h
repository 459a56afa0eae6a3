/* Shared by the tests that train: a config from a few words, and a run of some steps on the first ranks of the job. */
#ifndef DMLBENCH_TESTS_BENCH_TRAINING_H
#define DMLBENCH_TESTS_BENCH_TRAINING_H

#include <math.h>
#include <string.h>

#include "bench/footprint.h"
#include "bench/train.h"
#include "bench/verify.h"
#include "tests/collectives/mpi_test.h"

#define GPT  "{\"model\":{\"name\":\"gpt\",\"layers\":2,\"hidden\":24,\"heads\":3,\"sequence\":10,\"vocabulary\":17}"
#define MLP  "{\"model\":{\"name\":\"mlp\",\"inputs\":20,\"hidden\":33,\"layers\":2,\"classes\":5}"
#define REST ",\"data\":{\"name\":\"synthetic\"},\"measure\":{\"steps\":1}"

enum { SETS_MAX = 12, STEPS = 4 };

/* The sets end with NULL. */
static inline struct config config_for(const char *text, int ranks, const char *const *sets)
{
    struct config c;
    int n = 0;
    while (sets[n])
        n++;
    status s = config_parse(&c, "test", text, ".", sets, n);
    if (s == STATUS_OK)
        s = config_settle(&c, ranks);
    if (s != STATUS_OK)
        fprintf(stderr, "%s\n", status_message());
    assert_on_all_ranks(s == STATUS_OK);
    return c;
}

struct trained {
    double loss[STEPS];
    uint64_t hash;
    bool identical; /* what several ranks hold */
    struct ledger ledger;
    double planned_B; /* gradient bytes of this rank by gradient_plan */
    double planned_parameters_B;
    double first_parameters[8];
};

/* Collective over the job: ranks below `ranks` train STEPS steps, the others get rank 0's losses and hash. */
static inline struct trained train(const char *text, int ranks, const char *const *sets)
{
    struct config c = config_for(text, ranks, sets);
    struct trained result = { 0 };
    MPI_Comm some;
    MPI_Comm_split(job.world, job.rank < ranks, job.rank, &some);
    if (job.rank < ranks) {
        struct trainer t;
        struct footprint f;
        const status s = trainer_open(&t, &c, some);
        if (s != STATUS_OK) {
            fprintf(stderr, "%s\n", status_message());
            MPI_Abort(job.world, 1);
        }
        for (int64_t step = 0; step < STEPS; step++) {
            struct stopwatch w;
            stopwatch_start(&w, t.clock, PHASE_DATA);
            result.loss[step] = trainer_step(&t, step, &w);
        }
        result.ledger = trainer_ledger(&t);
        if (verify_parameters(&t, &result.hash, &result.identical) != STATUS_OK || footprint_of(&c, &t.plan, &f) != STATUS_OK)
            MPI_Abort(job.world, 1);
        result.planned_B = STEPS * f.gradients_sent_B;
        result.planned_parameters_B = STEPS * f.parameters_sent_B;
        for (int i = 0; i < 8; i++)
            result.first_parameters[i] = (double)t.parts[0].params[i];
        trainer_close(&t);
    }
    MPI_Comm_free(&some);
    assert_on_all_ranks(job.rank >= ranks || result.identical);
    MPI_Bcast(&result.hash, 1, MPI_UINT64_T, 0, job.world);
    MPI_Bcast(result.loss, STEPS, MPI_DOUBLE, 0, job.world);
    MPI_Bcast(result.first_parameters, 8, MPI_DOUBLE, 0, job.world);
    config_free(&c);
    return result;
}

#define TRAIN(text, ranks, ...) train(text, ranks, (const char *const[]){ __VA_ARGS__, NULL })

static inline bool same_bits(const struct trained *a, const struct trained *b)
{
    return a->hash == b->hash && !memcmp(a->loss, b->loss, sizeof a->loss);
}

/* Losses and parameters agree to `tolerance`, relative to 1. */
static inline bool close_to(const struct trained *a, const struct trained *b, double tolerance)
{
    bool close = true;
    for (int i = 0; i < STEPS; i++)
        close = close && fabs(a->loss[i] - b->loss[i]) <= tolerance * fabs(b->loss[i]);
    for (int i = 0; i < 8; i++)
        close = close && fabs(a->first_parameters[i] - b->first_parameters[i]) <= tolerance;
    return close;
}

#endif
