/* What compression gained and cost. Letters: S bytes saved by a rank in a step, T seconds that it spent on codes.
 *
 *     time with codes - time without = T - S / bandwidth      break-even bandwidth S / T
 *
 * A statement about one step whose exchange nothing hides: what overlaps with computation gains less.
 * Source of the criterion: Agarwal, Wang, Venkataraman, Papailiopoulos, "On the utility of gradient compression in distributed
 * training systems", MLSys 2022.
 */
#include <math.h>

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

/* Not by the two rates: messages have latencies, too, and codes may take more of them or fewer. */
static const char *verdict(double with_s, double without_s)
{
    return !isfinite(with_s) || !isfinite(without_s) ? NULL : with_s < without_s ? "saves time" : "costs time";
}

void fill_compression(struct report *r, const struct run *run, const double *sent, double *work)
{
    struct result *out = &r->result;
    const struct comm_row *gradient = result_comm(out, PURPOSE_GRADIENT);
    const double floats = over_ranks(r, sent, SENT_CODES), steps = (double)run->samples.steps, ranks = (double)r->ranks;
    const char *none = "gradients are exchanged as they are", *alone = "there is one replica, or the run did not get to its end";
    const bool coded = gradient_is_coded(run->config), exchanged = coded && gradient && replicas_of_a_part(run) > 1;
    const double sent_B = exchanged ? gradient->wire_B_counted / steps / ranks : NAN;
    const double dense_B = coded ? out->comm_total.dense_equivalent_B / steps / ranks : NAN, saved_B = dense_B - sent_B;
    const double spent_s = coded ? codec_s(out, work) : NAN;
    const double alone_s = coded ? run->exchange_alone_s : NAN, dense_s = coded ? run->dense_alone_s : NAN;
    out->compression.name = coded ? codec_name(run->config, out->compression.text) : NULL;
    out->compression.logical_bits_per_element = maybe(over_ranks(r, sent, SENT_CODES + 1) / floats, none);
    out->compression.wire_bits_per_element = maybe(8 * over_ranks(r, sent, SENT_CODES + 2) / floats, none);
    out->compression.codec_s = maybe(spent_s, none);
    out->compression.saved_B = maybe(saved_B, coded ? alone : none);
    out->compression.break_even_B_per_s = maybe(saved_B > 0 ? saved_B / spent_s : NAN, coded ? "nothing is saved" : none);
    out->compression.dense_B_per_s = maybe(dense_B / dense_s, coded ? alone : none);
    out->compression.exchange_alone_s = maybe(alone_s, coded ? alone : none);
    out->compression.dense_alone_s = maybe(dense_s, coded ? alone : none);
    out->compression.verdict = verdict(spent_s + alone_s, dense_s);
}
