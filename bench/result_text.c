/* The summary that a person reads in ten seconds. Only here are numbers rounded and units scaled (k = 1000, MB = 1e6 bytes).
 * What does not exist says why, as in the file.
 */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "bench/compute.h"
#include "bench/result.h"

enum { TEXT_BYTES = 64 };

__attribute__((format(printf, 3, 4))) static void line(FILE *out, const char *label, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(out, "  %-12s ", label);
    vfprintf(out, format, arguments);
    fputc('\n', out);
    va_end(arguments);
}

/* 0.0123 s -> "12.3 ms". */
static const char *scaled(double x, const char *unit, char text[TEXT_BYTES])
{
    static const char *const prefixes[] = { "n", "µ", "m", "", "k", "M", "G", "T", "P" };
    int i = 3;
    for (; fabs(x) >= 999.5 && i < 8; i++)
        x /= 1000;
    for (; x != 0 && fabs(x) < 0.9995 && i > 0; i--)
        x *= 1000;
    snprintf(text, TEXT_BYTES, "%.*f %s%s", fabs(x) >= 99.95 ? 0 : fabs(x) >= 9.995 ? 1 : 2, x, prefixes[i], unit);
    return text;
}

static const char *tick(bool good)
{
    return good ? "✓" : "✗";
}

const struct comm_row *result_comm(const struct result *r, enum purpose purpose)
{
    for (size_t i = 0; i < r->n_comm; i++)
        if (strcmp(r->comm[i].name, purpose_name(purpose)) == 0)
            return &r->comm[i];
    return NULL;
}

static void print_layout(const struct result *r, FILE *out)
{
    char zero[TEXT_BYTES] = "";
    if (r->parallelism.zero > 0)
        snprintf(zero, sizeof zero, ", ZeRO %.0f", r->parallelism.zero);
    if (r->parallelism.pipeline > 1 || r->parallelism.tensor > 1 || r->parallelism.zero > 0)
        line(out, "layout", "data %.0f x pipeline %.0f x tensor %.0f (%s)%s%s", r->parallelism.data, r->parallelism.pipeline,
             r->parallelism.tensor, r->parallelism.order, zero, r->parallelism.sequence ? ", sequence parallel" : "");
    if (r->parallelism.schedule)
        line(out, "schedule", "%s, %.0f micro-batches through %.0f stages of %.0f chunk%s%s", r->parallelism.schedule,
             r->parallelism.micro_batches, r->parallelism.pipeline, r->parallelism.chunks, r->parallelism.chunks == 1 ? "" : "s",
             r->parallelism.recompute ? ", recomputed" : "");
}

static void print_batch(const struct result *r, FILE *out)
{
    const double most = r->parallelism.data * r->parallelism.micro_batches * r->parallelism.micro_batch;
    line(out, "batch", "%.0f samples a step: %.0f replicas x %.0f micro-batches x %.0f%s", r->parallelism.global_batch,
         r->parallelism.data, r->parallelism.micro_batches, r->parallelism.micro_batch,
         r->parallelism.global_batch < most ? " at most" : "");
}

static void print_binding(const struct result *r, FILE *out)
{
    const struct rank_row *first = r->ranks;
    bool alike = true, moved = false;
    for (size_t i = 0; i < r->n_ranks; i++) {
        alike = alike && !strcmp(r->ranks[i].bound_by, first->bound_by);
        moved = moved || r->ranks[i].mpi_rank != (double)i;
    }
    const char *how = !alike                                 ? "not the same for all ranks: see platform.ranks"
                      : !strcmp(first->bound_by, "dmlbench") ? "a core for each rank"
                      : !strcmp(first->bound_by, "launcher") ? "the launcher's"
                                                             : "none: ranks run where the system puts them";
    line(out, "binding", "%s%s", how, moved ? "; ranks renumbered, so that those of a host are consecutive" : "");
}

static void print_what(const struct result *r, FILE *out)
{
    const struct comm_row *gradient = result_comm(r, PURPOSE_GRADIENT);
    char parameters[TEXT_BYTES];
    const struct config *c = r->config;
    fprintf(out, "%s: %s on %s, %s parameters, %s, %zu rank%s\n", c->name, c->model.name, c->data.name,
            scaled(r->model.parameters_count, "", parameters), c->optimizer.name, r->n_ranks, r->n_ranks == 1 ? "" : "s");
    print_layout(r, out);
    print_batch(r, out);
    if (gradient && gradient->wire_B_predicted.value == 0)
        line(out, "exchange", "nothing: there is one replica");
    else if (gradient)
        line(out, "exchange", "%s by %s, compressor %s%s", gradient->op, gradient->algorithm,
             r->compression.name ? r->compression.name : "none", c->exchange.error_feedback ? " with error feedback" : "");
}

/* A loss in nats, or what it is instead. */
static const char *loss_text(double x, const char *otherwise, char text[TEXT_BYTES])
{
    snprintf(text, TEXT_BYTES, "%.4f", x);
    return isfinite(x) ? text : otherwise;
}

static bool is_hollow(const struct result *r)
{
    return compute_find(r->config->compute.name)->hollow;
}

static void print_loss(const struct result *r, FILE *out)
{
    char first[TEXT_BYTES], last[TEXT_BYTES], least[TEXT_BYTES];
    if (is_hollow(r)) {
        line(out, "loss", "- (nothing was computed)");
        return;
    }
    line(out, "loss", "%s -> %s nats (floor %s)", loss_text(r->correctness.loss_first, "not a number", first),
         loss_text(r->correctness.loss_last, "not a number", last), loss_text(r->model.loss_floor, "unknown", least));
}

static const char *plain(double x, const char *unit, char text[TEXT_BYTES])
{
    snprintf(text, TEXT_BYTES, "%.4g %s", x, unit);
    return text;
}

typedef const char *number_format(double x, const char *unit, char text[TEXT_BYTES]);

static void print_statistic(const char *label, const struct statistic *s, number_format *as, const char *unit, FILE *out)
{
    char median[TEXT_BYTES], low[TEXT_BYTES], high[TEXT_BYTES];
    if (s->n == 0)
        line(out, label, "- (no step was measured)");
    else if (isnan(s->ci95_low))
        line(out, label, "%s (median of %zu, too few for an interval)", as(s->median, unit, median), s->n);
    else
        line(out, label, "%s (median of %zu; 95 %% interval %s .. %s)", as(s->median, unit, median), s->n,
             as(s->ci95_low, unit, low), as(s->ci95_high, unit, high));
}

/* Shares of the measured steps' time, over all ranks. */
static void print_phases(const struct result *r, FILE *out)
{
    double spent[PHASE_COUNT] = { 0 }, total = 0;
    for (size_t i = 0; r->samples.step_s && i < r->samples.ranks * r->samples.steps; i++)
        if (!r->samples.warmup[i % r->samples.steps]) {
            total += r->samples.step_s[i];
            for (int p = 0; p < PHASE_COUNT; p++)
                spent[p] += r->samples.phase_s[p] ? r->samples.phase_s[p][i] : 0;
        }
    if (!(total > 0))
        return;
    fprintf(out, "  %-12s", "time");
    for (int p = 0; p < PHASE_COUNT; p++)
        if (spent[p] > 0)
            fprintf(out, " %s %.0f %%", phase_name((enum phase)p), 100 * spent[p] / total);
    fputc('\n', out);
}

/* A share in percent, followed by `of`, or why there is none. */
static void print_share(const char *label, const struct maybe *m, const char *of, FILE *out)
{
    if (isfinite(m->value))
        line(out, label, "%.1f %% %s", 100 * m->value, of);
    else
        line(out, label, "- (%s)", m->why);
}

static void print_mfu(const struct result *r, FILE *out)
{
    char rate[TEXT_BYTES], of[2 * TEXT_BYTES];
    snprintf(of, sizeof of, "of sgemm's %s here", scaled(r->metrics.sgemm_flop_per_s.value, "flop/s", rate));
    print_share("MFU", &r->metrics.mfu_frac, of, out);
}

/* Of what the bound is, if not of all. */
static const char *part_of_bound(const struct result *r)
{
    return !isfinite(r->bounds.compute_s.value)    ? " (exchange alone: no rate of computing is known)"
           : !isfinite(r->bounds.pipeline_s.value) ? " (computing alone: what links are like is not known)"
           : !isfinite(r->bounds.exchange_s.value) ? " (without the exchange, whose time is not known)"
                                                   : "";
}

static void print_bounds(const struct result *r, FILE *out)
{
    const struct maybe *compute = &r->bounds.compute_s, *exchange = &r->bounds.exchange_s;
    char text[TEXT_BYTES];
    if (!isfinite(r->bounds.step_s.value))
        return;
    if (isfinite(r->bounds.step_ratio.value))
        line(out, "bound", "%s a step; it took %.3g times that%s", scaled(r->bounds.step_s.value, "s", text),
             r->bounds.step_ratio.value, part_of_bound(r));
    else
        line(out, "bound", "- (%s)", r->bounds.step_ratio.why);
    if (isfinite(compute->value))
        line(out, "  compute", "%s by %s", scaled(compute->value, "s", text), r->bounds.compute_source);
    if (isfinite(exchange->value) && exchange->value > 0)
        line(out, "  exchange", "%s by %s", scaled(exchange->value, "s", text), r->bounds.network_source);
}

static double mean_of_ranks(const struct result *r, size_t offset)
{
    double sum = 0;
    for (size_t i = 0; i < r->n_ranks; i++)
        sum += *(const double *)((const char *)&r->ranks[i] + offset);
    return sum / (double)r->n_ranks;
}

static void print_bubble(const struct result *r, FILE *out)
{
    char activation[TEXT_BYTES], gradient[TEXT_BYTES], transfer[TEXT_BYTES];
    if (!r->parallelism.schedule)
        return;
    print_share("bubble", &r->metrics.bubble_frac_theory, "by the schedule", out);
    print_share("  planned", &r->metrics.bubble_frac_planned, "by this run's own times of each stage", out);
    print_share("  measured", &r->metrics.bubble_frac_measured, "idle", out);
    line(out, "  idle", "%s for activations, %s for gradients, %s for messages on their way: a step's mean over ranks",
         scaled(mean_of_ranks(r, offsetof(struct rank_row, idle_activation_s)), "s", activation),
         scaled(mean_of_ranks(r, offsetof(struct rank_row, idle_gradient_s)), "s", gradient),
         scaled(mean_of_ranks(r, offsetof(struct rank_row, transfer_s)), "s", transfer));
}

static void print_one_count(const char *label, const struct maybe *m, FILE *out)
{
    char text[TEXT_BYTES];
    if (isfinite(m->value))
        line(out, label, "%s", scaled(m->value, "B", text));
    else
        line(out, label, "- (%s)", m->why);
}

static void print_bytes(const struct result *r, FILE *out)
{
    char text[TEXT_BYTES];
    const struct comm_row *gradient = result_comm(r, PURPOSE_GRADIENT);
    const double counted = r->comm_total.wire_B_counted, dense = r->comm_total.dense_equivalent_B;
    const double exchanged = gradient ? gradient->wire_B_counted : 0;
    if (isfinite(counted))
        line(out, "bytes sent", "%s counted %s", scaled(counted, "B", text), tick(r->comm_total.match));
    else
        line(out, "bytes sent", "- (not counted: the MPI library's own allreduce)");
    print_one_count("  predicted", &r->comm_total.wire_B_predicted, out);
    if (isfinite(r->comm_total.frames_ratio.value))
        line(out, "  measured", "%s by the hosts' interfaces: %.3f times what goes between hosts, headers included",
             scaled(r->comm_total.wire_B_measured.value, "B", text), r->comm_total.frames_ratio.value);
    else
        print_one_count("  measured", &r->comm_total.wire_B_measured, out);
    if (r->comm_total.step_between_nodes_B.value > 0)
        line(out, "  per step", "%s between nodes, predicted", scaled(r->comm_total.step_between_nodes_B.value, "B", text));
    if (exchanged > 0 && r->compression.name)
        line(out, "  dense", "%s without the compressor, by ring: %.1f times what was sent for gradients", scaled(dense, "B", text),
             dense / exchanged);
}

static void print_compression(const struct result *r, FILE *out)
{
    char codec[TEXT_BYTES], even[TEXT_BYTES], reached[TEXT_BYTES], alone[TEXT_BYTES], dense[TEXT_BYTES];
    if (!r->compression.name)
        return;
    line(out, "codes", "%.4g bits for each float of 32 (%.4g counted as in the literature)",
         r->compression.wire_bits_per_element.value, r->compression.logical_bits_per_element.value);
    if (r->compression.verdict)
        line(out, "  time", "%s a step and %s on the way, against %s dense: it %s",
             scaled(r->compression.codec_s.value, "s", codec), scaled(r->compression.exchange_alone_s.value, "s", alone),
             scaled(r->compression.dense_alone_s.value, "s", dense), r->compression.verdict);
    if (isfinite(r->compression.break_even_B_per_s.value))
        line(out, "  even at", "%s a rank; dense, this network gave %s",
             scaled(r->compression.break_even_B_per_s.value, "B/s", even),
             scaled(r->compression.dense_B_per_s.value, "B/s", reached));
}

static void print_checks(const struct result *r, FILE *out)
{
    const struct maybe *error = &r->correctness.gradient_max_rel_err;
    if (isfinite(error->value))
        line(out, "gradients", "largest relative error %.1e", error->value);
    else
        line(out, "gradients", "- (%s)", error->why);
    if (r->correctness.parameter_hash)
        line(out, "replicas", "%s %s, parameters %s", r->correctness.replicas_identical ? "identical" : "DIFFERENT",
             tick(r->correctness.replicas_identical), r->correctness.parameter_hash);
    else
        line(out, "replicas", "- (not compared: %s)", is_hollow(r) ? "nothing was computed" : "the run did not get to its end");
}

void result_print_summary(const struct result *r, const char *path, FILE *out)
{
    char memory[TEXT_BYTES];
    print_what(r, out);
    if (r->run.exit_code != 0)
        line(out, "status", "%s: %s", r->run.status, r->run.why);
    print_loss(r, out);
    print_statistic("throughput", &r->metrics.throughput_samples_per_s, plain, "samples/s", out);
    print_statistic("step", &r->metrics.step_s, scaled, "s", out);
    print_phases(r, out);
    print_mfu(r, out);
    print_bounds(r, out);
    print_share("overlap", &r->metrics.overlap_frac, "of the exchange hidden by computation", out);
    print_bubble(r, out);
    print_bytes(r, out);
    print_compression(r, out);
    print_checks(r, out);
    print_binding(r, out);
    if (!isnan(r->metrics.peak_rss_B))
        line(out, "memory", "%s at most in a rank", scaled(r->metrics.peak_rss_B, "B", memory));
    for (size_t i = 0; i < r->n_warnings; i++)
        line(out, "warning", "%s", r->warnings[i]);
    if (path)
        line(out, "result", "%s", path);
}
