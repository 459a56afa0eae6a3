/* dmlbench: options, then the config on every rank, then one experiment, then one exit code.
 *
 * Options are rows of one table. Rank 0 reads the config file and sends its bytes to all; every rank parses the same bytes. Gates
 * (status_agree) stand after parsing, after opening the result's place, inside the run, and after writing.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/blas_kernel.h"
#include "bench/calibrate.h"
#include "bench/conformance.h"
#include "bench/explain.h"
#include "bench/gradient_choice.h"
#include "bench/interrupt.h"
#include "bench/options.h"
#include "bench/places.h"
#include "bench/report.h"
#include "collectives/audit.h"
#include "kernels/matmul.h"

struct options {
    const char *config, *out, *schema, *validate, *conformance;
    bool explain, calibrate, keys, quiet, audit, version, help;
    struct option_values with, sets;
};

static const struct program_option table[] = {
    { "--config", "FILE", "run the experiment of this file (as given, else in configs/)",
      .offset = offsetof(struct options, config) },
    { "--with", "FILE", "a config whose keys go over those of --config, such as a network's; repeatable",
      .offset = offsetof(struct options, with), .repeats = true },
    { "--set", "KEY=VALUE", "set one key, after the files; VALUE is JSON, or else a string; repeatable",
      .offset = offsetof(struct options, sets), .repeats = true },
    { "--out", "FILE", "write the result there (default results/<name>-<UTC>-<hash>.json); never overwrites",
      .offset = offsetof(struct options, out) },
    { "--explain", NULL, "print the effective config, the layout, predicted bytes and memory; run nothing",
      .offset = offsetof(struct options, explain) },
    { "--calibrate", NULL, "measure this machine's or cluster's rates once, for the key `calibration`; needs no config",
      .offset = offsetof(struct options, calibrate) },
    { "--audit", NULL, "let Open MPI's monitoring count the bytes too (the times then carry its cost)",
      .offset = offsetof(struct options, audit) },
    { "--keys", NULL, "list every config key", .offset = offsetof(struct options, keys) },
    { "--schema", "config|result|calibration", "print the JSON Schema of such files", .offset = offsetof(struct options, schema) },
    { "--validate", "FILE", "say whether FILE is a valid config, result or calibration",
      .offset = offsetof(struct options, validate) },
    { "--conformance", "NAME|all",
      "check by experiment what a compressor, a chain (\"topk+qsgd\") or all claim; options by --set, JSON to --out",
      .offset = offsetof(struct options, conformance) },
    { "--quiet", NULL, "no progress line and no summary", .offset = offsetof(struct options, quiet) },
    { "--version", NULL, "print the version", .offset = offsetof(struct options, version) },
    { "--help", NULL, "print this", .offset = offsetof(struct options, help) },
    { 0 },
};

/* ---- answers that need no experiment ------------------------------------------------------------------------------------- */

static void print_help(void)
{
    printf("usage: mpirun -np RANKS dmlbench --config FILE [options]\n"
           "       mpirun -np RANKS dmlbench --calibrate [--out FILE]\n"
           "       dmlbench --conformance NAME|all [--set KEY=VALUE] [--out FILE]\n\n");
    options_print(table);
    printf("\nexit codes: 0 ok, 1 the run failed, 2 bad usage or config, 3 it ran but a check inside it failed\n");
}

static status print_schema(const char *which)
{
    if (!strcmp(which, "config"))
        config_print_schema(stdout);
    else if (!strcmp(which, "result"))
        result_print_schema(stdout);
    else if (!strcmp(which, "calibration"))
        calibration_print_schema(stdout);
    else
        return status_fail(STATUS_USAGE, "--schema %s: there is a schema of config, of result and of calibration", which);
    return STATUS_OK;
}

/* What needs no experiment; *done says whether it was that. Only the first rank prints. */
static status answer(const struct options *o, bool prints, bool *done)
{
    *done = o->help || o->version || o->keys || o->schema || o->validate || o->conformance;
    if (!prints)
        return STATUS_OK;
    if (o->help)
        print_help();
    else if (o->version)
        printf("dmlbench %s\n", environment_version());
    else if (o->keys)
        config_print_keys(stdout);
    else if (o->schema)
        return print_schema(o->schema);
    else if (o->validate) {
        TRY(result_validate_file(o->validate));
        printf("%s: valid\n", o->validate);
    } else if (o->conformance) {
        matmul_single_thread();
        return conformance_run(o->conformance, &o->sets, o->out, stdout);
    }
    return STATUS_OK;
}

/* ---- the experiment ------------------------------------------------------------------------------------------------------ */

/* Local, rank 0. */
static status read_texts(const struct options *o, struct config_text *texts)
{
    if (!o->config)
        return status_fail(STATUS_USAGE, "--config FILE is missing; dmlbench --help lists the options");
    return config_read_texts(texts, o->config, o->with.items, o->with.count);
}

/* Collective. Rank 0's text on every rank. */
static void share_text(const struct job *job, const char *origin, struct config_text *t)
{
    char *text = job->rank ? NULL : (char *)t->text, *folder = job->rank ? NULL : (char *)t->folder;
    job_broadcast_text(job, &text, text ? (ssize_t)strlen(text) : 0);
    job_broadcast_text(job, &folder, folder ? (ssize_t)strlen(folder) : 0);
    *t = (struct config_text){ origin, text, folder };
}

/* Collective. The config, from rank 0's files, parsed and settled on every rank. */
static status load_config(const struct job *job, const struct options *o, struct config *c)
{
    const int count = 1 + o->with.count;
    struct config_text *texts = job_allocate(job, (size_t)count * sizeof *texts);
    status s = status_agree(job->rank ? STATUS_OK : read_texts(o, texts), job->world);
    if (s == STATUS_OK) {
        for (int i = 0; i < count; i++)
            share_text(job, i ? o->with.items[i - 1] : o->config, &texts[i]);
        s = config_parse_texts(c, texts, count, o->sets.items, o->sets.count);
        config_free_texts(texts, count);
        if (s == STATUS_OK) {
            s = config_settle(c, job->ranks);
            if (s != STATUS_OK)
                config_free(c);
        }
        s = status_agree(s, job->world);
    }
    free(texts);
    return s;
}

/* One run of the program, from the first option to the exit code. */
struct session {
    struct options options;
    struct job job;
    struct config config;
    bool configured;
    struct run run;
    struct report report;
    struct result_file *file; /* rank 0 */
    bool reported;            /* there is something to write */
    bool spoken;              /* the last words are visible */
};

/* Local, rank 0. */
static status write_result(struct session *s)
{
    TRY(result_commit(s->file, &s->report.result));
    if (!s->options.quiet)
        result_print_summary(&s->report.result, result_path(s->file), stdout);
    return STATUS_OK;
}

/* Local, rank 0, on the thread of interrupt.h: the other ranks may be gone. */
static void speak_last_words(void *session)
{
    struct session *s = session;
    if (!s->run.stepping)
        return;
    if (s->run.samples.steps == 0) {
        fprintf(stderr, "dmlbench: interrupted before a step was done: there is no result\n");
        return;
    }
    if (report_interrupted(&s->report, &s->run, s->file) == STATUS_OK && result_show(s->file) == STATUS_OK)
        s->spoken = true;
    if (s->spoken)
        fprintf(stderr, "dmlbench: interrupted; what was measured until then is in %s\n", result_path(s->file));
}

static void take_back_last_words(void *session)
{
    struct session *s = session;
    if (s->spoken && result_retract(s->file) == STATUS_OK)
        fprintf(stderr, "dmlbench: the run goes on; %s is taken back\n", result_path(s->file));
    s->spoken = false;
}

/* Collective. The result's place is opened first, so that a missing right is found before the training and not after. */
static status run_and_report(struct session *s)
{
    const bool writes = s->job.rank == 0;
    TRY(status_agree(writes ? result_open(&s->file, s->options.out, &s->config) : STATUS_OK, s->job.world));
    s->run.config = &s->config;
    s->run.job = &s->job;
    s->run.quiet = s->options.quiet;
    s->run.audited = s->options.audit;
    const status outcome = run_experiment(&s->run);
    s->reported = s->run.trainer.config != NULL;
    if (writes)
        interrupt_end();
    if (s->reported)
        report_gather(&s->report, &s->run, outcome);
    run_finish(&s->run);
    if (!s->reported || s->options.audit) /* an audited result is written when MPI has ended and its monitoring has spoken */
        return outcome;
    const status written = status_agree(writes ? write_result(s) : STATUS_OK, s->job.world);
    return outcome != STATUS_OK ? outcome : written;
}

static status run_calibration(struct session *s)
{
    const struct options *o = &s->options;
    if (o->config || o->with.count || o->sets.count || o->explain || o->audit)
        return status_fail(STATUS_USAGE, "--calibrate goes with --out and --quiet alone: it measures the same whatever the config");
    report_meet(&s->report, &s->job, (struct seat){ .mpi_rank = s->job.rank }, BOUND_BY_NOBODY);
    return calibrate(&s->job, &s->report.environment, s->report.hosts, o->out, o->quiet);
}

/* Collective. Which number each rank has, and which core. */
static status take_places(struct session *s)
{
    const struct environment *e = &s->report.environment;
    const struct config *c = &s->config;
    const bool neighbours = strncmp(c->parallel.order, "tp", 2) == 0; /* tensor parallel ranks */
    const struct seat seat = places_take(&s->job, &s->config, e->host, e->machine ? e->machine : e->host);
    const struct seating seating = { seat.local, seat.locals, neighbours ? (int)c->parallel.tensor : 1 };
    enum binder by = BOUND_BY_NOBODY;
    TRY(status_agree(s->options.explain ? STATUS_OK : topology_bind(c->parallel.binding, &seating, &by), s->job.world));
    report_meet(&s->report, &s->job, seat, by);
    return gradient_choose(&s->config, &s->job);
}

static status experiment(struct session *s)
{
    if (s->options.calibrate)
        return run_calibration(s);
    TRY(load_config(&s->job, &s->options, &s->config));
    s->configured = true;
    TRY(take_places(s));
    if (s->options.audit && gradient_shares_memory(&s->config))
        return status_fail(STATUS_USAGE,
                           "%s: --audit counts messages, and exchange.allreduce = \"%s\" goes through shared memory (fits: another "
                           "exchange.allreduce)",
                           s->config.origin, s->config.exchange.allreduce);
    if (s->options.explain)
        return status_agree(s->job.rank ? STATUS_OK : explain(&s->config, s->job.ranks, s->report.hosts, stdout), s->job.world);
    return run_and_report(s);
}

/* Local, rank 0, after MPI has ended. */
static status write_audited(struct session *s)
{
    const char *why = NULL;
    const double measured_B = audit_collect(s->job.ranks, &why);
    report_audit(&s->report, measured_B, fabric_find(s->config.fabric.name)->notice_B, why);
    return write_result(s);
}

static void session_close(struct session *s)
{
    if (s->file)
        result_discard(s->file);
    run_free(&s->run);
    report_free(&s->report);
    if (s->configured)
        config_free(&s->config);
}

/* The rank that mpirun or srun gave, before MPI is asked: answers need no MPI, but should be printed once. */
static const char *launched_rank(void)
{
    static const char *const names[] = { "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (getenv(names[i]))
            return getenv(names[i]);
    return NULL;
}

static bool first_rank(void)
{
    return !launched_rank() || !strcmp(launched_rank(), "0");
}

static void complain(void)
{
    if (first_rank())
        fprintf(stderr, "dmlbench: %s\n", status_message());
}

/* What all ranks have to complain about: a launcher ends all as soon as one has left, and the first must not be ended before it has
 * spoken. */
static void complain_together(int argc, char **argv)
{
    struct job job;
    if (!job_is_simulated())
        complain();
    if (!launched_rank() && !job_is_simulated())
        return;
    job_open(&job, &argc, &argv);
    if (job_is_simulated() && job.rank == 0)
        complain();
    status_agree(STATUS_USAGE, job.world); /* the first gate of a run: another program of the job may have no mistake */
    job_close(&job);
}

/* Local. Rank 0 has last words; the other ranks just end when told to. */
static status start(struct session *s, int argc, char **argv)
{
    if (s->job.rank == 0 && s->job.ranks > job_room()) /* one asks: that takes time linear in the hosts */
        return status_fail(STATUS_USAGE, "-np %d is more than the platform's hosts take: they have %d cores", s->job.ranks,
                           job_room());
    TRY(report_start(&s->report, argc, argv));
    if (s->job.rank == 0 && !job_is_simulated())
        return interrupt_watch((struct last_words){ speak_last_words, take_back_last_words, s });
    interrupt_unblock();
    return STATUS_OK;
}

static status run_session(struct session *s, int argc, char **argv)
{
    blas_kernel_choose(argv);
    matmul_single_thread();
    if (s->options.audit)
        audit_prepare();
    if (!job_is_simulated())
        interrupt_block();
    job_open(&s->job, &argc, &argv);
    status outcome = status_agree(start(s, argc, argv), s->job.world);
    if (outcome == STATUS_OK)
        outcome = experiment(s);
    const bool first = s->job.rank == 0;
    if (outcome != STATUS_OK && first)
        fprintf(stderr, "dmlbench: %s\n", status_message());
    job_close(&s->job);
    if (s->options.audit && !s->reported && first)
        audit_discard(s->job.ranks);
    if (s->options.audit && s->reported && first) {
        const status written = write_audited(s);
        if (written != STATUS_OK)
            fprintf(stderr, "dmlbench: %s\n", status_message());
        outcome = outcome != STATUS_OK ? outcome : written;
    }
    session_close(s);
    return outcome;
}

int main(int argc, char **argv)
{
    struct session s = { 0 };
    bool answered = false;
    status outcome = options_parse("dmlbench", table, &s.options, argc, argv);
    if (outcome != STATUS_OK) {
        complain_together(argc, argv);
    } else {
        outcome = answer(&s.options, first_rank(), &answered);
        if (outcome == STATUS_OK && answered)
            outcome = options_printed();
        if (outcome != STATUS_OK)
            complain();
        else if (!answered)
            outcome = run_session(&s, argc, argv);
    }
    options_free(table, &s.options);
    return outcome;
}
