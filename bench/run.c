/* The phases of a run, one function each, in the order of the calls in run_experiment. */
#include "bench/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/interface.h"
#include "bench/progress_line.h"
#include "bench/statistics.h"
#include "bench/verify.h"
#include "collectives/ports.h"
#include "kernels/matmul.h"
#include "kernels/random.h"

/* ---- set up -------------------------------------------------------------------------------------------------------------- */

static status allocate_samples(struct samples *s, int64_t steps)
{
    const size_t n = (size_t)steps;
    double *at = calloc((PHASE_COUNT + 3) * n + 1, sizeof *at);
    if (!at)
        return status_fail(STATUS_FAILED, "no memory for the samples of %lld steps", (long long)steps);
    *s = (struct samples){ .storage = at, .step_s = at, .loss = at + n, .gradient_B = at + 2 * n };
    for (int p = 0; p < PHASE_COUNT; p++)
        s->phase_s[p] = at + (size_t)(3 + p) * n;
    return STATUS_OK;
}

static void read_clock(struct run *r, struct clock_reading *reading)
{
    *reading = (struct clock_reading){ 0 };
    if (!job_is_simulated())
        clock_read(reading, r->trainer.clock, MPI_COMM_NULL);
}

static status set_up(struct run *r)
{
    const struct config *c = r->config;
    r->sgemm_flop_per_s = r->gradient_error = r->exchange_alone_s = r->dense_alone_s = NAN;
    r->clock_offset_s = r->clock_uncertainty_s = r->frames_B = r->late_frac = NAN;
    TRY(status_agree(allocate_samples(&r->samples, c->measure.warmup_steps + c->measure.steps), r->job->world));
    TRY(status_agree(r->job->rank ? STATUS_OK : rates_of(&r->rates, c, r->job->ranks, job_is_simulated()), r->job->world));
    r->samples.warmup_steps = c->measure.warmup_steps;
    TRY(trainer_open(&r->trainer, c, r->job->world));
    read_clock(r, &r->clock);
    return STATUS_OK;
}

/* ---- verify -------------------------------------------------------------------------------------------------------------- */

static status verify(struct run *r)
{
    const struct grid *grid = &r->trainer.grid;
    const bool sends = grid->degree[AXIS_PIPELINE] * grid->degree[AXIS_TENSOR] > 1 || r->config->parallel.zero == 3;
    r->unverified_why = r->trainer.setup.hollow      ? "nothing was computed"
                        : !r->config->measure.verify ? "measure.verify is false"
                        : r->audited && sends ? "audited: nothing may be sent but by the steps; a run without --audit verifies"
                                              : NULL;
    if (r->unverified_why)
        return STATUS_OK;
    double error = NAN;
    ports_set_wide(r->trainer.setup.ports, true);
    TRY(verify_gradients(&r->trainer, &error));
    ports_set_wide(r->trainer.setup.ports, false);
    status s = STATUS_OK;
    if (!(error <= GRADIENT_TOLERANCE))
        s = status_fail(STATUS_CHECK, "the gradient differs from the difference quotient by %.3g (at most %g is allowed)", error,
                        GRADIENT_TOLERANCE);
    r->gradient_error = job_max(r->job, error);
    return status_agree(s, r->job->world);
}

/* ---- the machine's own speed --------------------------------------------------------------------------------------------- */

enum { SGEMM_N = 512 };
#define SGEMM_S 0.1

/* Rate of one product repeated for a while, as every rank does the same (before the steps and after them; the better one counts):
 * what this rank could reach at best, oversubscription included; so the mean over a time in which every rank has its turns, and not
 * the fastest product. Simulated time has no such rate. */
static double sgemm_rate(struct run *r)
{
    const size_t n = SGEMM_N;
    float *a = job_is_simulated() ? NULL : malloc(3 * n * n * sizeof *a);
    if (!a)
        return NAN;
    const struct random random = { .stream = RANDOM_CHECK };
    random_uniform(&random, a, 3 * n * n);
    double flop = 0, spent_s = 0;
    const double start_s = fabric_now_s(r->trainer.clock);
    while (spent_s < SGEMM_S) {
        matmul(false, false, SGEMM_N, SGEMM_N, SGEMM_N, 1, a, SGEMM_N, a + n * n, SGEMM_N, 0, a + 2 * n * n, SGEMM_N);
        flop += 2.0 * SGEMM_N * SGEMM_N * SGEMM_N;
        spent_s = fabric_now_s(r->trainer.clock) - start_s;
    }
    free(a);
    return flop / spent_s;
}

/* ---- warm up and time ---------------------------------------------------------------------------------------------------- */

/* What the steps sent, and not what was sent before to verify the gradients. Codes are those of the measured steps, since `warm`.
 */
static void count_bytes(struct run *r, const struct gradient_codes *warm)
{
    const struct gradient_codes all = trainer_codes(&r->trainer);
    if (r->samples.steps > r->samples.warmup_steps)
        r->codes = (struct gradient_codes){ all.floats - warm->floats, all.bits - warm->bits, all.B - warm->B };
    r->sent_after = trainer_ledger(&r->trainer);
    r->ledger = ledger_since(&r->sent_after, &r->sent_before);
}

/* From the messages that somebody waited for: of the others nobody knows when they came. */
static void count_awaited(struct run *r)
{
    double count, s;
    links_awaited(r->trainer.links, &count, &s);
    r->awaited = job_sum(r->job, count);
    r->message_s = job_sum(r->job, s) / fmax(r->awaited, 1);
}

static void count_lateness(struct run *r)
{
    if (!r->trainer.setup.ports)
        return;
    const struct lateness mine = r->trainer.setup.ports->lateness;
    const double waited_s = job_sum(r->job, mine.waited_s), late_s = job_sum(r->job, mine.late_s);
    r->late_frac = waited_s > 0 ? late_s / waited_s : 0;
}

/* Whatever is under way between hosts when the first rank is there is sent before the last. */
static double frames_B(const struct run *r)
{
    job_barrier(r->job);
    return job_is_simulated() ? NAN : interface_sent_B();
}

/* Verification lies between the two readings that tell how the clocks drift. */
static void set_clock(struct run *r)
{
    struct clock_reading now;
    read_clock(r, &now);
    r->trainer.common = clock_fit(&r->clock, &now);
    r->clock_offset_s = job_max(r->job, fabs(now.ahead_s));
    r->clock_uncertainty_s = job_max(r->job, now.uncertainty_s);
}

static void check_clock(struct run *r)
{
    struct clock_reading end;
    read_clock(r, &end);
    r->clock_uncertainty_s = fmax(r->clock_uncertainty_s, job_max(r->job, clock_error_s(&r->trainer.common, &end)));
}

static double run_step(struct run *r, int64_t step)
{
    struct samples *s = &r->samples;
    struct stopwatch w;
    const struct ledger before = trainer_ledger(&r->trainer);
    const double start_s = stopwatch_start(&w, r->trainer.clock, PHASE_DATA);
    const double sum = trainer_step(&r->trainer, step, &w), loss = r->trainer.setup.hollow ? NAN : sum;
    s->step_s[step] = stopwatch_stop(&w) - start_s;
    for (int p = 0; p < PHASE_COUNT; p++)
        s->phase_s[p][step] = w.spent_s[p];
    const struct ledger now = trainer_ledger(&r->trainer);
    s->gradient_B[step] = (double)(now.rows[PURPOSE_GRADIENT].wire_B_counted - before.rows[PURPOSE_GRADIENT].wire_B_counted);
    s->loss[step] = loss;
    s->steps = step + 1;
    return loss;
}

/* The same on every rank, but for the words: so all stop at the same step. */
static status judge_step(const struct run *r, int64_t step, double loss)
{
    const char *fault = r->trainer.faulty ? trainer_fault(&r->trainer) : NULL;
    if (!isfinite(loss) && !r->trainer.setup.hollow)
        return status_fail(STATUS_FAILED, "the loss is %s at step %lld (the learning rate %s)",
                           isnan(loss) ? "not a number" : "infinite", (long long)step,
                           "may be too high, or the data are not finite");
    if (fault)
        return status_fail(STATUS_FAILED,
                           "the gradient of \"%s\" is not finite at step %lld on rank %d, and cannot be compressed (the learning "
                           "rate may be too high)",
                           fault, (long long)step, r->job->rank);
    return STATUS_OK;
}

static status run_steps(struct run *r)
{
    const struct config *c = r->config;
    const int64_t steps = c->measure.warmup_steps + c->measure.steps;
    struct progress_line line;
    struct gradient_codes warm = { 0 };
    progress_line_start(&line, steps, !r->quiet && r->job->rank == 0);
    status s = STATUS_OK;
    set_clock(r);
    const double sent_B = frames_B(r);
    r->before = r->after = usage_now();
    r->sent_before = trainer_ledger(&r->trainer);
    r->stepping = true;
    for (int64_t step = 0; step < steps && s == STATUS_OK && !r->trainer.faulty; step++) {
        if (step == c->measure.warmup_steps) {
            links_forget_awaited(r->trainer.links);
            warm = trainer_codes(&r->trainer);
        }
        const double loss = run_step(r, step);
        s = judge_step(r, step, loss);
        progress_line_update(&line, step + 1, loss, (double)c->batch.global / r->samples.step_s[step]);
    }
    r->after = usage_now();
    progress_line_end(&line);
    r->frames_B = frames_B(r) - sent_B;
    count_bytes(r, &warm);
    count_awaited(r);
    count_lateness(r);
    check_clock(r);
    return status_agree(s, r->job->world);
}

/* What the same exchange takes when nothing is computed beside it: the yardstick of the overlap. From when the last rank begins,
 * because a barrier lets one go a latency before the other, until the last is done. */
static double time_alone(struct run *r, bool dense)
{
    enum { REPEATS = 5 };
    const size_t repeats = job_is_charged() ? 1 : REPEATS; /* where nothing is left to chance */
    double alone_s[REPEATS], sorted[REPEATS];
    for (size_t i = 0; i < repeats; i++) {
        job_barrier(r->job);
        const double began_s = fabric_now_s(r->trainer.clock), done_s = began_s + trainer_exchange_alone_s(&r->trainer, dense);
        alone_s[i] = job_max(r->job, done_s) - job_max(r->job, began_s);
    }
    return statistic_of(alone_s, repeats, sorted).median;
}

static void time_exchange_alone(struct run *r)
{
    if (r->audited || !trainer_has_replicas(&r->trainer))
        return;
    r->exchange_alone_s = time_alone(r, false);
    r->dense_alone_s = gradient_is_coded(r->config) ? time_alone(r, true) : r->exchange_alone_s;
}

/* ---- reduce -------------------------------------------------------------------------------------------------------------- */

static status compare_replicas(struct run *r)
{
    if (r->trainer.setup.hollow)
        return STATUS_OK;
    ports_set_wide(r->trainer.setup.ports, true);
    const status s = verify_parameters(&r->trainer, &r->parameter_hash, &r->replicas_identical);
    ports_set_wide(r->trainer.setup.ports, false);
    r->compared = s == STATUS_OK;
    if (r->audited) { /* comparing may gather parameters, which the monitoring sees */
        const struct ledger now = trainer_ledger(&r->trainer), since = ledger_since(&now, &r->sent_after);
        ledger_charge(&r->ledger, PURPOSE_CHECK, &since);
    }
    return s;
}

static status check_end(const struct run *r)
{
    const long long steps = r->samples.steps;
    if (r->trainer.setup.hollow)
        return STATUS_OK;
    if (!r->replicas_identical)
        return status_fail(STATUS_CHECK, "the replicas' parameters differ after %lld steps", steps);
    if (!verify_finite(&r->trainer))
        return status_fail(STATUS_FAILED, "the parameters are not finite after %lld steps (the learning rate may be too high)",
                           steps);
    return STATUS_OK;
}

status run_experiment(struct run *r)
{
    TRY(set_up(r));
    TRY(verify(r));
    job_barrier(r->job);
    r->sgemm_flop_per_s = job_sum(r->job, sgemm_rate(r));
    const status stepped = run_steps(r);
    const status compared = compare_replicas(r);
    TRY(stepped);
    TRY(compared);
    TRY(status_agree(check_end(r), r->job->world));
    r->sgemm_flop_per_s = fmax(r->sgemm_flop_per_s, job_sum(r->job, sgemm_rate(r)));
    time_exchange_alone(r);
    return STATUS_OK;
}

void run_finish(struct run *r)
{
    if (r->trainer.config)
        trainer_close(&r->trainer);
}

void run_free(struct run *r)
{
    free(r->samples.storage);
}
