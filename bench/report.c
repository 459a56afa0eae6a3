/* Gathering (collective, one block of doubles per rank), then one small function per part of the result, on rank 0 only; the parts
 * that are computed are in report_parts.c. */
#include "bench/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "bench/message.h"
#include "bench/report_parts.h"
#include "bench/verify.h"

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void utc_now(char text[32])
{
    const time_t now = time(NULL);
    struct tm parts;
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
}

static char *join(int n, char **words)
{
    size_t length = 1;
    for (int i = 0; i < n; i++)
        length += strlen(words[i]) + 1;
    char *text = calloc(length, 1);
    for (int i = 0; text && i < n; i++) {
        strcat(text, i ? " " : "");
        strcat(text, words[i]);
    }
    return text;
}

status report_start(struct report *r, int argc, char **argv)
{
    r->start_s = seconds();
    utc_now(r->start_utc);
    r->at_start = usage_now();
    r->command = join(argc, argv);
    return r->command ? environment_read(&r->environment) : status_fail(STATUS_FAILED, "no memory for the command line");
}

void report_meet(struct report *r, const struct job *job, struct seat seat, enum binder bound_by)
{
    environment_rebound(&r->environment);
    r->seat = seat;
    r->bound_by = bound_by;
    r->hosts = job_gather_text(job, r->environment.host);
    r->cpusets = job_gather_text(job, r->environment.cpuset);
}

/* ---- gathering ----------------------------------------------------------------------------------------------------------- */

static void fill_sent(const struct report *r, const struct run *run, double *sent)
{
    const struct environment *e = &r->environment;
    const double place[] = { r->seat.mpi_rank, e->core, e->numa_node, e->package, r->bound_by };
    memcpy(sent + SENT_PLACE, place, sizeof place);
    const struct assignment *plan = &run->trainer.plan;
    for (int a = 0; a < AXIS_COUNT; a++)
        sent[SENT_COORDINATES + a] = plan->at[a];
    sent[SENT_PARAMETERS] = 0;
    for (int i = 0; i < plan->count; i++)
        sent[SENT_PARAMETERS] += (double)plan->parts[i].net.params.n;
    const double usage[] = { run->after.voluntary - run->before.voluntary, run->after.involuntary - run->before.involuntary,
                             run->after.minor_faults - run->before.minor_faults,
                             run->after.major_faults - run->before.major_faults };
    memcpy(sent + SENT_USAGE, usage, sizeof usage);
    sent[SENT_RSS] = run->samples.steps ? run->after.peak_rss_B : usage_now().peak_rss_B;
    sent[SENT_FRAMES] = run->frames_B;
    memcpy(sent + SENT_CODES, (const double[]){ run->codes.floats, run->codes.bits, run->codes.B }, 3 * sizeof *sent);
    for (int p = 0; p < PURPOSE_COUNT; p++) {
        const struct ledger_row *row = &run->ledger.rows[p];
        const double fields[LEDGER_FIELDS] = {
            [LEDGER_CALLS] = (double)row->calls,
            [LEDGER_MESSAGES] = (double)row->messages,
            [LEDGER_LOGICAL] = (double)row->logical_B,
            [LEDGER_PREDICTED] = (double)row->wire_B_predicted,
            [LEDGER_COUNTED] = (double)row->wire_B_counted,
            [LEDGER_UNPREDICTABLE] = row->unpredictable,
        };
        memcpy(sent + SENT_LEDGER + p * LEDGER_FIELDS, fields, sizeof fields);
    }
}

/* One number of every rank and step, to `at` on rank 0; returns what lies behind it. */
static double *gather_matrix(const struct job *job, const double *own, size_t steps, double **matrix, double *at)
{
    job_gather_doubles(job, own, steps, at);
    *matrix = at;
    return at ? at + (size_t)job->ranks * steps : NULL;
}

/* The samples of all ranks, and what each sent; on rank 0 in r->storage. */
static const double *gather(struct report *r, const struct run *run)
{
    const struct job *job = run->job;
    const size_t ranks = (size_t)job->ranks, steps = (size_t)run->samples.steps;
    double sent[SENT_COUNT];
    fill_sent(r, run, sent);
    r->ranks = ranks;
    if (job->rank == 0)
        r->storage = job_allocate(job, ranks * (SENT_COUNT + (2 + PHASE_COUNT) * steps) * sizeof(double));
    double *at = r->storage;
    double *const all = at;
    job_gather_doubles(job, sent, SENT_COUNT, all);
    at = at ? at + ranks * SENT_COUNT : NULL;
    at = gather_matrix(job, run->samples.step_s, steps, &r->result.samples.step_s, at);
    at = gather_matrix(job, run->samples.gradient_B, steps, &r->result.samples.gradient_B, at);
    for (int p = 0; p < PHASE_COUNT; p++)
        at = gather_matrix(job, run->samples.phase_s[p], steps, &r->result.samples.phase_s[p], at);
    return all;
}

/* ---- the parts of the result --------------------------------------------------------------------------------------------- */

static void fill_run(struct report *r, const struct run *run, status outcome, const char *why)
{
    struct result *out = &r->result;
    utc_now(r->end_utc);
    out->run.status = outcome == STATUS_OK ? "ok" : outcome == STATUS_CHECK ? "check" : "failed";
    out->run.why = why;
    out->run.exit_code = outcome;
    out->run.start_utc = r->start_utc;
    out->run.end_utc = r->end_utc;
    out->run.wall_s = seconds() - r->start_s;
    out->run.command = r->command ? r->command : "";
    out->run.failed_step = outcome == STATUS_FAILED && run->samples.steps ? (double)run->samples.steps - 1 : NAN;
    out->config = run->config;
    config_hash(run->config, out->config_sha256);
    struct timespec now;
    timespec_get(&now, TIME_UTC); /* simulated runs all start at 0 s, in process 1 */
    char identity[256];
    snprintf(identity, sizeof identity, "%lld.%09ld %.9f %ld %s %s", (long long)now.tv_sec, now.tv_nsec, r->start_s, (long)getpid(),
             r->environment.host, out->config_sha256);
    const XXH128_hash_t h = XXH3_128bits(identity, strlen(identity));
    snprintf(out->run.uuid, sizeof out->run.uuid, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(h.high64 >> 32),
             (unsigned)(h.high64 >> 16) & 0xffff, ((unsigned)h.high64 & 0x0fff) | 0x8000,
             ((unsigned)(h.low64 >> 48) & 0x3fff) | 0x8000, (unsigned long long)h.low64 & 0xffffffffffff);
}

static void fill_platform(struct report *r, const struct run *run)
{
    const struct job *job = run->job;
    struct environment *e = &r->result.platform;
    *e = r->environment;
    e->cjson_version = config_json_library();
    e->clock_offset_max_s = run->clock_offset_s;
    e->clock_uncertainty_s = run->clock_uncertainty_s;
    e->hosts = 0;
    for (int i = 0; i < job->ranks; i++) {
        int earlier = 0;
        for (int j = 0; j < i; j++)
            earlier += !strcmp(r->hosts[i], r->hosts[j]);
        e->hosts += earlier == 0;
    }
    e->ranks_per_core = job_is_simulated() ? NAN : r->seat.locals / e->cores; /* simulated hosts are not this machine */
    e->oversubscribed = !job_is_simulated() && r->seat.locals > e->cores;
    e->synchronisation = "one barrier before the first step; later steps meet in the exchange";
}

static void fill_ranks(struct report *r, const double *sent, struct rank_row *rows)
{
    for (size_t i = 0; i < r->ranks; i++) {
        const double *s = sent + i * SENT_COUNT;
        rows[i] = (struct rank_row){
            .host = r->hosts[i],
            .cpuset = r->cpusets[i],
            .mpi_rank = s[SENT_PLACE],
            .core = s[SENT_PLACE + 1],
            .numa_node = s[SENT_PLACE + 2],
            .package = s[SENT_PLACE + 3],
            .bound_by = binder_name((enum binder)s[SENT_PLACE + 4]),
            .data = s[SENT_COORDINATES + AXIS_DATA],
            .pipeline = s[SENT_COORDINATES + AXIS_PIPELINE],
            .tensor = s[SENT_COORDINATES + AXIS_TENSOR],
            .parameters_count = s[SENT_PARAMETERS],
            .peak_rss_B = s[SENT_RSS],
            .context_switches_voluntary = s[SENT_USAGE],
            .context_switches_involuntary = s[SENT_USAGE + 1],
            .page_faults_minor = s[SENT_USAGE + 2],
            .page_faults_major = s[SENT_USAGE + 3],
        };
    }
    r->result.ranks = rows;
    r->result.n_ranks = r->ranks;
}

static void fill_work(struct result *out, const struct run *run)
{
    const struct trainer *t = &run->trainer;
    const struct config *c = run->config;
    const double batch = (double)c->batch.global;
    out->model.name = c->model.name;
    out->model.parameters_count = (double)t->plan.model.parameters;
    out->model.flop_forward = batch * t->plan.model.flop_forward;
    out->model.flop_backward = batch * t->plan.model.flop_backward;
    out->model.loss_floor = t->data.floor;
    out->data.name = c->data.name;
    out->data.size_B = t->data.kind ? t->data.size_B : NAN; /* nothing is read where nothing is computed */
    out->data.samples = t->data.samples ? (double)t->data.samples : NAN;
    snprintf(out->data.xxh3, sizeof out->data.xxh3, "%016llx", (unsigned long long)t->data.hash);
}

/* Ring allreduces of every part's gradients over its p replicas: 2 (p-1) 4 n for a group, so 2 (p-1)/p 4 n a rank. */
static void fill_dense(struct result *out, const struct run *run)
{
    const double p = replicas_of_a_part(run);
    double n = 0;
    for (size_t i = 0; i < out->n_ranks; i++)
        n += out->ranks[i].parameters_count;
    out->comm_total.dense_equivalent_B = 2 * (p - 1) * 4 * (n / p) * (double)run->samples.steps;
}

static void fill_samples(struct report *r, const struct run *run, bool *warmup)
{
    struct result *out = &r->result;
    out->samples.ranks = r->ranks;
    out->samples.steps = (size_t)run->samples.steps;
    out->samples.warmup_steps = fmin((double)run->samples.warmup_steps, (double)run->samples.steps);
    out->samples.measured_steps = (double)run->samples.steps - out->samples.warmup_steps;
    out->samples.loss = run->samples.loss;
    for (int64_t i = 0; i < run->samples.steps; i++)
        warmup[i] = i < run->samples.warmup_steps;
    out->samples.warmup = warmup;
}

static void fill_correctness(struct report *r, const struct run *run)
{
    struct result *out = &r->result;
    const struct samples *s = &run->samples;
    out->correctness.loss_first = s->steps ? s->loss[0] : NAN;
    out->correctness.loss_last = s->steps ? s->loss[s->steps - 1] : NAN;
    out->correctness.replicas_identical = run->replicas_identical;
    out->correctness.gradient_max_rel_err = maybe(run->gradient_error, run->unverified_why ? run->unverified_why : "not reached");
    snprintf(r->parameter_hash, sizeof r->parameter_hash, "%016llx", (unsigned long long)run->parameter_hash);
    out->correctness.parameter_hash = run->compared ? r->parameter_hash : NULL;
}

static void fill_interference(struct report *r, const struct run *run)
{
    struct result *out = &r->result;
    out->interference.load_before = r->at_start.load;
    out->interference.load_after = run->after.load;
    out->interference.steal_s = run->after.steal_s - run->before.steal_s;
    for (size_t i = 0; i < out->n_ranks; i++)
        out->interference.context_switches_involuntary += out->ranks[i].context_switches_involuntary;
}

/* Rank 0 is on the first stage, which sends as much as any. */
static void warn_of_messages(struct report *r, const struct run *run)
{
    const struct config *c = run->config;
    const struct assignment *a = &run->trainer.plan;
    const size_t floats = part_out_floats(a, &a->parts[0]), code_B = message_B(c, a, floats, a->samples);
    if (code_B > floats * (size_t)a->samples * sizeof(float))
        warn(r, "a message between stages is larger as a code: %zu bytes for %zu floats", code_B, floats * (size_t)a->samples);
    if (message_is_coded(c) && !strcmp(c->exchange.reduction, "tree"))
        warn(r,
             "exchange.reduction tree gives the same bits for any number of replicas, but not of stages: what "
             "parallel.activation_compressor %s loses depends on the boundaries",
             c->parallel.activation_compressor.name);
}

/* More than that is worth a word. */
#define LATE_FRAC 0.1

static void fill_warnings(struct report *r, const struct run *run)
{
    struct result *out = &r->result;
    const struct config *c = run->config;
    r->result.warnings = r->warnings;
    if (out->platform.oversubscribed && !job_is_simulated())
        warn(r, "%g ranks share each core: times say little about %d separate processors", out->platform.ranks_per_core,
             run->job->ranks);
    if (out->platform.oversubscribed && c->parallel.pipeline > 1 && !compute_find(c->compute.name)->forward_s)
        warn(r,
             "stages that share cores lend each other what they idle: with compute.name sleep the measured bubble is a pipeline's");
    if (out->samples.measured_steps < 6)
        warn(r, "%g measured steps are too few for an interval of the median (6 or more)", out->samples.measured_steps);
    if (out->metrics.late_frac.value > LATE_FRAC)
        warn(r, "this machine is too slow for the stated links: of the time spent waiting for messages, in %.0f %% they were due",
             1e2 * out->metrics.late_frac.value);
    if (out->metrics.mfu_frac.value > 1)
        warn(r, "MFU above 1: something else disturbed the measurement of sgemm's rate more than the steps");
    if (out->correctness.loss_last > 2 * out->correctness.loss_first)
        warn(r, "the loss rose from %.4g to %.4g", out->correctness.loss_first, out->correctness.loss_last);
    if (run->audited && !job_is_simulated())
        warn(r, "audited: the times carry the cost of MPI's monitoring");
    if (!strcmp(c->exchange.reduction, "tree") && config_was_given(c, "exchange.allreduce"))
        warn(r,
             "exchange.allreduce %s is not used for gradients: exchange.reduction tree fixes the order of summation by an exchange "
             "of its own",
             c->exchange.allreduce);
    if (!out->comm_total.match && isfinite(out->comm_total.wire_B_predicted.value))
        warn(r, "predicted and counted bytes differ");
    warn_of_codes(r, run);
    warn_of_messages(r, run);
    if (out->interference.load_before > 0.5 * out->platform.cores)
        warn(r, "the machine was busy before the run (load %.1f on %g cores)", out->interference.load_before, out->platform.cores);
}

/* Everything but the bytes; `sent` and the matrices of the samples are in place. */
static void fill(struct report *r, const struct run *run, const double *sent, status outcome, const char *why)
{
    const size_t steps = (size_t)run->samples.steps, stages = (size_t)run->trainer.plan.pipeline.stages;
    double *work = job_allocate(run->job, (4 * steps + r->ranks) * sizeof *work);
    fill_run(r, run, outcome, why);
    fill_platform(r, run);
    fill_ranks(r, sent, job_allocate(run->job, r->ranks * sizeof(struct rank_row)));
    fill_work(&r->result, run);
    fill_samples(r, run, job_allocate(run->job, steps * sizeof(bool) + 1));
    status s =
        fill_layout(&r->result, run, job_allocate(run->job, stages * (size_t)run->trainer.plan.count * sizeof(struct stage_row)));
    fill_metrics(&r->result, run, work);
    s = s == STATUS_OK ? fill_bubble(&r->result, run, work) : s;
    s = s == STATUS_OK ? fill_bounds(&r->result, run) : s;
    if (s != STATUS_OK)
        warn(r, "the result is not whole: %s", status_message());
    fill_dense(&r->result, run);
    fill_correctness(r, run);
    fill_interference(r, run);
    free(work);
}

void report_gather(struct report *r, const struct run *run, status outcome)
{
    const double *sent = gather(r, run);
    if (run->job->rank)
        return;
    fill(r, run, sent, outcome, outcome == STATUS_OK ? "" : status_message());
    fill_comm(r, run, sent, job_allocate(run->job, PURPOSE_COUNT * sizeof(struct comm_row)));
    fill_places(r, run, sent);
    double *work = job_allocate(run->job, 4 * (size_t)run->samples.steps * sizeof *work);
    fill_compression(r, run, sent, work);
    free(work);
    fill_warnings(r, run);
}

status report_interrupted(const struct report *whole, const struct run *running, struct result_file *file)
{
    struct report r = *whole; /* the run may go on after all; and it goes on while this is written, so both are copies */
    struct run run = *running;
    double sent[SENT_COUNT];
    char why[128];
    const char *no_totals = "the ranks' counts were not gathered";
    const int64_t steps = run.samples.steps;
    run.after = usage_now();
    snprintf(why, sizeof why, "interrupted after step %lld: the job was told to end, or a rank has died", (long long)steps - 1);
    r.ranks = 1;
    fill_sent(&r, &run, sent);
    r.result.samples.step_s = run.samples.step_s;
    r.result.samples.gradient_B = run.samples.gradient_B;
    memcpy(r.result.samples.phase_s, run.samples.phase_s, sizeof run.samples.phase_s);
    fill(&r, &run, sent, STATUS_FAILED, why);
    r.result.run.failed_step = (double)steps; /* it did not end */
    r.result.comm_total.wire_B_predicted = r.result.comm_total.wire_B_measured = r.result.comm_total.step_between_nodes_B =
        r.result.comm_total.frames_B_predicted = r.result.comm_total.frames_ratio = maybe(NAN, no_totals);
    r.result.comm_total.wire_B_counted = r.result.comm_total.dense_equivalent_B = NAN;
    no_compression(&r.result, no_totals);
    r.result.warnings = r.warnings;
    warn(&r, "interrupted: the samples are those of rank 0 alone");
    const status s = result_prepare(file, &r.result);
    free(r.result.ranks);
    free(r.result.parallelism.stages);
    free(r.result.samples.warmup);
    return s;
}

void report_audit(struct report *r, double measured_B, size_t notice_B, const char *why)
{
    struct result *out = &r->result;
    for (size_t i = 0; i < out->n_comm; i++) {
        measured_B -= notice_B ? (double)notice_B * out->comm[i].messages : 0; /* nobody knows how many the library's sum sends */
        out->comm[i].wire_B_measured = maybe(NAN, "the monitoring counts all messages of the job together: see comm_total");
    }
    out->comm_total.wire_B_measured = maybe(measured_B, why);
    out->comm_total.measured_by = isfinite(measured_B) ? "monitoring" : NULL;
    if (isfinite(measured_B) && measured_B != out->comm_total.wire_B_counted) {
        out->comm_total.match = false;
        warn(r, "counted %.0f bytes, but MPI's monitoring %.0f", out->comm_total.wire_B_counted, measured_B);
    }
}

void report_free(struct report *r)
{
    environment_free(&r->environment);
    free(r->result.ranks);
    free(r->result.comm);
    free(r->result.parallelism.stages);
    free(r->result.samples.warmup);
    free(r->storage);
    free(r->hosts);
    free(r->cpusets);
    free(r->command);
}
