/* What compression gained and cost. Letters: S bytes saved by a rank in a step, T seconds that it spent on codes.
 *
 *     time with codes - time without = T - S / bandwidth      break-even bandwidth S / T
 *
 * A statement about one step whose exchange nothing hides: what overlaps with computation gains less.
 * Source of the criterion: Agarwal, Wang, Venkataraman, Papailiopoulos, "On the utility of gradient compression in distributed
 * training systems", MLSys 2022.
 */
#include <math.h>
#include <string.h>

#include "bench/codec.h"
#include "bench/report_parts.h"

static double over_ranks(const struct report *r, const double *sent, int field)
{
    double sum = 0;
    for (size_t i = 0; i < r->ranks; i++)
        sum += sent[i * SENT_COUNT + (size_t)field];
    return sum;
}

static double codec_s(const struct result *out, double *work)
{
    static const enum phase phases[] = { PHASE_ENCODE, PHASE_PACK, PHASE_RESIDUAL, PHASE_DECODE };
    const size_t first = (size_t)out->samples.warmup_steps, n = (size_t)out->samples.measured_steps;
    for (size_t i = 0; i < n; i++) {
        work[i] = 0;
        for (size_t p = 0; p < sizeof phases / sizeof *phases; p++)
            work[i] += mean_over_ranks(out, phases[p], first + i);
    }
    return statistic_of(work, n, work + n).median;
}

/* By a rank in a measured step: mean. */
static double sent_B(const struct result *out)
{
    const size_t first = (size_t)out->samples.warmup_steps;
    double sum = 0;
    for (size_t r = 0; r < out->samples.ranks; r++)
        for (size_t i = first; i < out->samples.steps; i++)
            sum += out->samples.gradient_B[r * out->samples.steps + i];
    return sum / (double)out->samples.ranks / out->samples.measured_steps;
}

/* Not by the two rates: messages have latencies, too, and codes may take more of them or fewer. */
static const char *verdict(double with_s, double without_s)
{
    return !isfinite(with_s) || !isfinite(without_s) ? NULL : with_s < without_s ? "saves time" : "costs time";
}

void no_compression(struct result *out, const char *why)
{
    const struct maybe unknown = maybe(NAN, why);
    out->compression.logical_bits_per_element = out->compression.wire_bits_per_element = unknown;
    out->compression.codec_s = out->compression.exchange_alone_s = out->compression.dense_alone_s = unknown;
    out->compression.saved_B = out->compression.break_even_B_per_s = out->compression.dense_B_per_s = unknown;
}

/* Errors that are fed back stay bounded where a code is nearer to its vector than zeros are. An unbiased code with omega >= 1 is
 * not: what it loses may be more than what it was given. */
static bool errors_may_grow(const struct config *c, const struct assignment *a)
{
    struct codec codec;
    codec_of(c, &codec);
    const size_t n = a->parts[0].net.params.n;
    const struct coding coding = { .options = codec.options, .n = n, .rows = 1, .columns = n, .workers = a->degree[AXIS_DATA] };
    const unsigned traits = compressor_traits(codec.kind, codec.options);
    return c->exchange.error_feedback && traits & COMPRESSOR_UNBIASED && codec.kind->omega(&coding, NULL) >= 1;
}

void warn_of_codes(struct report *r, const struct run *run)
{
    const struct result *out = &r->result;
    const struct comm_row *gradient = result_comm(out, PURPOSE_GRADIENT);
    const double dense_B = out->comm_total.dense_equivalent_B;
    if (!gradient_is_coded(run->config))
        return;
    if (gradient && gradient->wire_B_counted > dense_B * 1.01)
        warn(r, "exchanging codes sends more than a ring allreduce of the gradients: %.3g times the bytes",
             gradient->wire_B_counted / dense_B);
    if (out->compression.wire_bits_per_element.value > 32)
        warn(r, "a code is larger than its input: %.3g bits for each float of 32", out->compression.wire_bits_per_element.value);
    if (run->trainer.plan.parts && errors_may_grow(run->config, &run->trainer.plan))
        warn(r, "errors fed back to %s may grow without bound: it is unbiased with omega >= 1, which needs none",
             out->compression.name);
}

void fill_compression(struct report *r, const struct run *run, const double *sent, double *work)
{
    struct result *out = &r->result;
    const struct comm_row *gradient = result_comm(out, PURPOSE_GRADIENT);
    const char *one = "there is one replica, or the run did not get to its end", *no_floats = "no step was measured";
    const char *no_bits = run->trainer.setup.hollow ? "nothing was computed" : no_floats;
    no_compression(out, "gradients are exchanged as they are");
    out->compression.dense_alone_s = maybe(run->dense_alone_s, one);
    if (!gradient_is_coded(run->config))
        return;
    const double floats = over_ranks(r, sent, SENT_CODES), ranks = (double)r->ranks;
    const double dense_B = out->comm_total.dense_equivalent_B / (double)run->samples.steps / ranks, spent_s = codec_s(out, work);
    const bool exchanged = gradient && replicas_of_a_part(run) > 1;
    const double saved_B = exchanged ? dense_B - sent_B(out) : NAN;
    out->compression.name = codec_name(run->config, out->compression.text);
    out->compression.logical_bits_per_element = maybe(over_ranks(r, sent, SENT_CODES + 1) / floats, no_bits);
    out->compression.wire_bits_per_element = maybe(8 * over_ranks(r, sent, SENT_CODES + 2) / floats, no_floats);
    out->compression.codec_s = maybe(spent_s, no_floats);
    out->compression.saved_B = maybe(saved_B, one);
    out->compression.break_even_B_per_s = maybe(saved_B > 0 ? saved_B / spent_s : NAN, exchanged ? "nothing is saved" : one);
    out->compression.dense_B_per_s = maybe(dense_B / run->dense_alone_s, one);
    out->compression.exchange_alone_s = maybe(run->exchange_alone_s, one);
    out->compression.verdict = verdict(spent_s + run->exchange_alone_s, run->dense_alone_s);
}
