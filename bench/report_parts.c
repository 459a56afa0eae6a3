/* Times, and what follows from them; and what all parts of a report use. */
#include "bench/report_parts.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void warn(struct report *r, const char *format, ...)
{
    struct result *out = &r->result;
    if (out->n_warnings == REPORT_WARNINGS_MAX)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(r->warning_text[out->n_warnings], REPORT_WARNING_BYTES, format, arguments);
    va_end(arguments);
    r->warnings[out->n_warnings] = r->warning_text[out->n_warnings];
    out->n_warnings++;
}

struct maybe maybe(double value, const char *why)
{
    return (struct maybe){ value, isfinite(value) ? NULL : why };
}

/* A step is as long as its slowest rank's. */
static double slowest(const struct result *out, size_t step)
{
    double most = 0;
    for (size_t r = 0; r < out->samples.ranks; r++)
        most = fmax(most, out->samples.step_s[r * out->samples.steps + step]);
    return most;
}

double mean_over_ranks(const struct result *out, enum phase p, size_t step)
{
    double sum = 0;
    for (size_t r = 0; r < out->samples.ranks; r++)
        sum += out->samples.phase_s[p][r * out->samples.steps + step];
    return sum / (double)out->samples.ranks;
}

/* work: room for four doubles a step. */
static void fill_times(struct result *out, double *work)
{
    const size_t first = (size_t)out->samples.warmup_steps, n = (size_t)out->samples.measured_steps;
    double *step_s = work, *rate = work + n, *sorted = work + 2 * n;
    double total_s = 0;
    for (size_t i = 0; i < n; i++) {
        step_s[i] = slowest(out, first + i);
        rate[i] = out->parallelism.global_batch / step_s[i];
        total_s += step_s[i];
    }
    out->metrics.step_s = statistic_of(step_s, n, sorted);
    out->metrics.throughput_samples_per_s = statistic_of(rate, n, sorted);
    out->metrics.throughput_samples_per_s.mean = n ? out->parallelism.global_batch * (double)n / total_s : NAN;
}

static void fill_overlap(struct result *out, const struct run *run, double *work)
{
    const size_t first = (size_t)out->samples.warmup_steps, n = (size_t)out->samples.measured_steps;
    for (size_t i = 0; i < n; i++)
        work[i] = mean_over_ranks(out, PHASE_WAIT, first + i) + mean_over_ranks(out, PHASE_EXCHANGE, first + i);
    const double wait_s = statistic_of(work, n, work + n).median, alone_s = run->exchange_alone_s;
    const char *why = !trainer_has_replicas(&run->trainer) ? "no other rank holds the same parameters"
                      : isnan(alone_s)
                          ? "the exchange alone was not timed: the run failed, or was audited"
                          : "the ranks waited longer than the exchange alone takes: waiting for each other, not for bytes";
    out->metrics.overlap_frac = maybe(wait_s <= alone_s ? 1 - wait_s / alone_s : NAN, why);
}

void fill_metrics(struct result *out, const struct run *run, double *work)
{
    fill_times(out, work);
    fill_overlap(out, run, work);
    out->metrics.late_frac = maybe(run->late_frac, "messages come when they come: fabric.name \"shaped\" states when");
    const double flop = out->model.flop_forward + out->model.flop_backward, peak = run->sgemm_flop_per_s;
    const char *no_peak = job_is_simulated() ? "simulated time has no sgemm rate" : "not measured";
    out->metrics.sgemm_flop_per_s = maybe(peak, no_peak);
    out->metrics.mfu_frac = maybe(flop / out->metrics.step_s.median / peak, isfinite(peak) ? "no step was measured" : no_peak);
    out->metrics.peak_rss_B = NAN; /* unless a rank knows */
    for (size_t i = 0; i < out->n_ranks; i++)
        out->metrics.peak_rss_B = fmax(out->metrics.peak_rss_B, out->ranks[i].peak_rss_B);
}
