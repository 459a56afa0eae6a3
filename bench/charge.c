/* One rule, whether time is charged; then the rates, each the first that is known; and what cannot be without floats. */
#include "bench/charge.h"

#include <string.h>

#include "bench/calibration.h"
#include "bench/codec.h"
#include "bench/compute.h"
#include "bench/gradient.h"
#include "collectives/exchange.h"
#include "collectives/job.h"

static status refuse(const struct config *c, const char *key, const char *why)
{
    return status_fail(STATUS_USAGE, "%s: %s, %s", c->origin, key, why);
}

/* What smpirun itself charges must not be charged again. */
static status check_rates(const struct config *c)
{
    static const char *const keys[] = { "compute.rate_flop_per_s", "compute.encode_B_per_s", "compute.decode_B_per_s" };
    const double rates[] = { c->charge.rate_flop_per_s, c->charge.encode_B_per_s, c->charge.decode_B_per_s };
    for (int i = 0; i < 3 && job_is_simulated(); i++)
        if (rates[i] > 0)
            return refuse(c, keys[i],
                          "but this smpirun charges what it measures (fits: dmlrun --simulate, or smpirun "
                          "--cfg=smpi/simulate-computation:no)");
    return STATUS_OK;
}

static status check_hollow(const struct config *c)
{
    const char *compute = "compute.name = \"model\"";
    const struct allreduce *sum = allreduce_find(c->exchange.allreduce);
    struct codec codec;
    codec_of(c, &codec);
    if (!job_is_charged())
        return refuse(
            c, compute,
            "which computes nothing, but this run's time is not virtual time that is charged (fits: dmlrun --simulate, or "
            "compute.name = \"blas\")");
    if (sum && (!sum->rounds || sum->share)) /* auto sums by messages where hosts are simulated */
        return refuse(c, compute, "so there is nothing that exchange.allreduce could sum but by messages (fits: \"ring\")");
    if (!gradient_is_coded(c))
        return STATUS_OK;
    if (!exchange_find(c->exchange.collective.name)->hollow)
        return refuse(c, compute,
                      "but what exchange.collective.name sends depends on the gradients (fits: allreduce, allgather, two-shot, "
                      "ring-requantised, hierarchical, server)");
    if (!(compressor_traits(codec.kind, codec.options) & (COMPRESSOR_FIXED_SIZE | COMPRESSOR_LINEAR)))
        return refuse(
            c, compute,
            "but the sizes of exchange.compressor's codes depend on the gradients (fits: a compressor of a fixed size, such "
            "as \"fp16\" or \"randk\")");
    return STATUS_OK;
}

static double first_known(double stated, double measured, double other)
{
    return stated > 0 ? stated : measured > 0 ? measured : other;
}

/* What codes gradients, or else messages between stages. */
static const char *coder_name(const struct config *c, char text[CODEC_NAME_BYTES])
{
    return gradient_is_coded(c) ? codec_name(c, text) : c->parallel.activation_compressor.name;
}

static status find_rates(struct charge *charge, const struct config *c, int rank)
{
    struct calibration k;
    char text[CODEC_NAME_BYTES];
    const char *coder = coder_name(c, text);
    double encode_B_per_s = 0, decode_B_per_s = 0;
    TRY(calibration_load(&k, c));
    for (int i = 0; i < k.codec_count; i++)
        if (!strcmp(k.codecs[i].name, coder)) {
            encode_B_per_s = k.codecs[i].encode_B_per_s;
            decode_B_per_s = k.codecs[i].decode_B_per_s;
        }
    const double slowdown = compute_slowdown(c, rank);
    charge->flop_per_s = first_known(c->charge.rate_flop_per_s, k.sgemm_flop_per_s, job_host_flop_per_s()) / slowdown;
    charge->encode_B_per_s = first_known(c->charge.encode_B_per_s, encode_B_per_s, 0) / slowdown;
    charge->decode_B_per_s = first_known(c->charge.decode_B_per_s, decode_B_per_s, 0) / slowdown;
    return STATUS_OK;
}

/* Of slower processors than this one, on links that are slower too: what the arithmetic takes here comes on top. */
static void wait_for_codes(struct charge *charge, const struct config *c, int rank)
{
    const double slowdown = compute_slowdown(c, rank);
    charge->encode_B_per_s = c->charge.encode_B_per_s / slowdown;
    charge->decode_B_per_s = c->charge.decode_B_per_s / slowdown;
}

status charge_open(struct charge *charge, const struct config *c, int rank)
{
    *charge = (struct charge){ 0 };
    if (compute_find(c->compute.name)->hollow)
        TRY(check_hollow(c));
    if (job_is_charged())
        return find_rates(charge, c, rank);
    if (!strcmp(c->fabric.name, fabric_shaped.member.name))
        wait_for_codes(charge, c, rank);
    return check_rates(c);
}
