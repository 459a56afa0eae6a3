/* Everything that one run has to say, as plain data on rank 0; result_fields.c names each field once (key, unit, meaning), and the
 * JSON writer, the published schema and docs/results.md walk those rows. The run fills this struct; only the writers print it.
 */
#ifndef DMLBENCH_BENCH_RESULT_H
#define DMLBENCH_BENCH_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/config.h"
#include "bench/environment.h"
#include "bench/phases.h"
#include "bench/statistics.h"

/* A number that may not exist: NaN with the reason; written as null beside "<key>_why". */
struct maybe {
    double value;
    const char *why;
};

struct comm_row {
    const char *name, *group, *op, *algorithm; /* "gradient", "data", "allreduce", "ring" */
    double calls, messages, logical_B, wire_B_counted;
    struct maybe wire_B_predicted, wire_B_measured;
};

struct rank_row { /* one per rank */
    const char *host, *cpuset, *bound_by;
    double mpi_rank, core, numa_node, package; /* NaN: it may run on several */
    double data, pipeline, tensor;             /* coordinates */
    double parameters_count;
    double idle_activation_s, idle_gradient_s, idle_send_s, transfer_s; /* mean of a measured step; NaN: no pipeline */
    double peak_rss_B, context_switches_voluntary, context_switches_involuntary, page_faults_minor, page_faults_major;
};

struct stage_row { /* one per part of the model */
    double stage, chunk, layers_count, parameters_count, cost_frac;
    char layers[72]; /* "embedding .. block.1" */
};

struct result {
    struct {
        const char *status, *why; /* ok | failed | check; why "" when ok */
        double exit_code;
        char uuid[37];
        const char *start_utc, *end_utc;
        double wall_s;
        const char *command;
        double failed_step; /* NaN unless a step failed */
    } run;
    const struct config *config; /* echoed with defaults */
    char config_sha256[65];
    struct environment platform;
    struct rank_row *ranks;
    size_t n_ranks;
    struct {
        double data, pipeline, tensor, global_batch, micro_batch, micro_batches;
        const char *order, *schedule; /* schedule NULL: no pipeline */
        double chunks, zero;
        bool recompute, sequence;
        struct stage_row *stages;
        size_t n_stages;
    } parallelism;
    struct {
        const char *name;
        double parameters_count, flop_forward, flop_backward; /* flop of one global batch */
        double loss_floor;                                    /* nats; NaN: unknown */
    } model;
    struct {
        const char *name;
        char xxh3[17];
        double size_B, samples;
    } data;
    struct {
        double warmup_steps, measured_steps;
        size_t steps, ranks;          /* shape of the arrays below; steps counts what was really run, warm-up included */
        double *step_s, *gradient_B;  /* [ranks][steps] */
        double *phase_s[PHASE_COUNT]; /* each [ranks][steps] */
        double *loss;                 /* [steps], mean of the global batch before the step's update */
        bool *warmup;                 /* [steps] */
    } samples;
    struct comm_row *comm;
    size_t n_comm;
    struct {
        struct maybe wire_B_predicted, wire_B_measured, step_between_nodes_B;
        const char *measured_by; /* NULL: nothing was measured from outside */
        struct maybe frames_B_predicted, frames_ratio;
        double wire_B_counted, dense_equivalent_B;
        bool match;
    } comm_total;
    struct {
        const char *name; /* NULL: gradients are exchanged as they are */
        struct maybe logical_bits_per_element, wire_bits_per_element;
        struct maybe codec_s, exchange_alone_s, dense_alone_s, saved_B, break_even_B_per_s, dense_B_per_s;
        const char *verdict; /* saves time, costs time; NULL: not known */
        char text[96];
    } compression;
    struct {
        struct statistic step_s, throughput_samples_per_s;
        struct maybe mfu_frac, overlap_frac, late_frac, sgemm_flop_per_s;
        struct maybe bubble_frac_theory, bubble_frac_planned, bubble_frac_measured, bubble_ratio_measured;
        double peak_rss_B;
    } metrics;
    struct {
        struct maybe compute_s, tensor_s, pipeline_s, exchange_s, step_s, serial_step_s, step_ratio;
        const char *compute_source, *network_source; /* NULL: nobody said */
    } bounds;
    struct {
        double loss_first, loss_last;
        const char *parameter_hash; /* NULL: the run did not get to its end */
        bool replicas_identical;
        struct maybe gradient_max_rel_err;
    } correctness;
    struct {
        double load_before, load_after, steal_s, context_switches_involuntary;
    } interference;
    const char **warnings;
    size_t n_warnings;
};

/* The row of comm for a purpose; NULL: nothing was sent for it. */
const struct comm_row *result_comm(const struct result *r, enum purpose purpose);

/* Local. Opens the place for the result early, so that a missing right or folder is found before the training and not after.
 * path NULL: results/<name>-<UTC>-<hash>.json. Nothing is visible until result_commit; an existing file is never overwritten
 * (STATUS_FAILED, names it). Result text is written beside (unlinked temporary) and linked. */
struct result_file;
status result_open(struct result_file **f, const char *path, const struct config *c);
/* Likewise for any document: own is its malloced path where `path` is NULL, and is taken over. */
status result_open_at(struct result_file **f, const char *path, char *own);
/* Local. Writes everything and makes it visible under its name; no space, no right: a sentence, and nothing half-written stays. */
status result_commit(struct result_file *f, const struct result *r);
/* Its two halves: what is written can be written anew as long as it is not shown. The first for any document. */
typedef void document_writer(const void *document, FILE *out);
status result_write(struct result_file *f, document_writer *writer, const void *document);
status result_prepare(struct result_file *f, const struct result *r);
status result_show(struct result_file *f);
/* Takes back what was shown, and makes room for another. */
status result_retract(struct result_file *f);
void result_discard(struct result_file *f); /* also after result_commit; NULL: nothing to do */
const char *result_path(const struct result_file *f);

/* The whole result as JSON. */
void result_write_json(const struct result *r, FILE *out);
/* The summary that a person reads in ten seconds. */
void result_print_summary(const struct result *r, const char *path, FILE *out);

void result_print_schema(FILE *out);   /* JSON Schema, draft 7 */
void result_print_markdown(FILE *out); /* docs/results.md */
/* --validate FILE: 0 when the file is a result (or config) that fits this program's schema; else a sentence. */
status result_validate_file(const char *path);

#endif
