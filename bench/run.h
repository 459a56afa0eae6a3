/* One experiment in phases: set up, verify, warm up, time, reduce. The phases end in gates (collectives/status.h). */
#ifndef DMLBENCH_BENCH_RUN_H
#define DMLBENCH_BENCH_RUN_H

#include <stdatomic.h>

#include "bench/environment.h"
#include "bench/rates.h"
#include "bench/train.h"
#include "collectives/job.h"

/* What every rank measured; the arrays are its own, [steps]. */
struct samples {
    _Atomic int64_t steps; /* really run, warm-up included; counted when their samples are there */
    int64_t warmup_steps;
    double *step_s, *phase_s[PHASE_COUNT], *loss, *gradient_B;
    void *storage;
};

struct run {
    const struct config *config;
    const struct job *job;
    bool quiet;         /* no progress line */
    bool audited;       /* Open MPI's monitoring counts every byte: nothing but the steps may send */
    struct rates rates; /* rank 0 */
    struct trainer trainer;
    struct samples samples;
    double sgemm_flop_per_s; /* of all ranks together, as they multiply at once; NaN: not measured */
    double gradient_error;   /* worst of all ranks; NaN: not verified */
    const char *unverified_why;
    double awaited, message_s;                  /* messages between stages that were waited for, and their mean time; 0: none was */
    double clock_offset_s, clock_uncertainty_s; /* of all hosts' clocks against rank 0's, the largest; NaN: not known */
    double late_frac;                           /* see metrics.late_frac; NaN: nothing is held back */
    double exchange_alone_s, dense_alone_s;     /* medians; NaN: not measured */
    double frames_B;                            /* that this host's interface sent during the steps; NaN: not known */
    struct ledger ledger;                       /* of the steps */
    struct gradient_codes codes;                /* of the measured steps */
    struct ledger sent_before, sent_after;      /* all that was sent until then */
    struct usage before, after;                 /* the steps */
    struct clock_reading clock;                 /* of this host, after the set-up */
    atomic_bool stepping;                       /* the set-up is done, and samples are being taken */
    uint64_t parameter_hash;
    bool replicas_identical, compared; /* compared: the end was reached */
};

/* Collective. Runs everything. STATUS_OK, STATUS_CHECK (a check failed) or STATUS_FAILED (a loss that is not finite): what was
 * measured until then is in r. If the set-up failed, r->trainer.config is NULL. */
status run_experiment(struct run *r);
/* Collective. Ends the trainer; the samples stay, until run_free. */
void run_finish(struct run *r);
void run_free(struct run *r);

#endif
