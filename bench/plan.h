/* What dmlplan does: a pipeline from the config, played in virtual time and shown as a table, as JSON, or as a drawing. No MPI.
 *
 * Keys under `plan` say what to play; what they leave open comes from the run that the same config describes: its schedule, its
 * stages, the micro-batches of a replica. Times are the user's; where none is given, but compute.rate_flop_per_s or a calibration
 * says how fast a rank computes, they are those of the run's own layers and messages (forecast.h). Nothing is measured here.
 */
#ifndef DMLBENCH_BENCH_PLAN_H
#define DMLBENCH_BENCH_PLAN_H

#include <stdio.h>

#include "bench/config.h"
#include "bench/playback.h"
#include "bench/rates.h"

struct plan {
    struct playback_input input; /* points into the config */
    struct stage_times *times;
    struct rates rates; /* where the plan's times are by these; else their sources are "" */
    bool uneven;        /* of the run's replicas some have a micro-batch less */
    struct playback playback;
};

/* Local. Plays what the config asks for; plan_free frees. What cannot be: STATUS_USAGE and a sentence with what would fit. */
status plan_make(struct plan *plan, const struct config *c);
void plan_free(struct plan *plan);

void plan_print(const struct plan *plan, FILE *out);      /* a table for people */
void plan_print_json(const struct plan *plan, FILE *out); /* one object */
/* One row a stage, `columns` wide: F forward, R recompute, B backward or input gradient, W weight gradient, with the micro-batch's
 * number if there is room for all of them; + where tasks share a column. */
void plan_draw(const struct plan *plan, int columns, FILE *out);

#endif
