/* The first source that knows. */
#include "bench/rates.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/calibration.h"
#include "bench/compute.h"

static void find_rate(struct rates *r, const struct config *c, const struct calibration *k)
{
    const char *source = NULL, *file = "";
    r->flop_per_s = NAN;
    if (compute_find(c->compute.name)->forward_s) {
        r->flop_per_s = INFINITY;
        source = "compute.forward_s and backward_s";
    } else if (c->charge.rate_flop_per_s > 0) {
        r->flop_per_s = c->charge.rate_flop_per_s;
        source = "compute.rate_flop_per_s";
    } else if (k->shapes) {
        r->flop_per_s = k->sgemm_flop_per_s;
        source = "calibration ";
        file = c->calibration;
    } else {
        r->no_compute = "neither compute.rate_flop_per_s nor a calibration says how fast a rank computes";
    }
    snprintf(r->compute_source, RATES_SOURCE_BYTES, "%s%s", source ? source : "", file);
}

/* Where nodes end is not what links are like. */
static bool links_are_stated(const struct config *c)
{
    static const char *const links[] = { "network.inside.", "network.between.", "network.matrix." };
    bool given = strcmp(c->fabric.name, "shaped") == 0;
    for (size_t i = 0; i < c->given.count; i++)
        for (size_t k = 0; k < sizeof links / sizeof *links; k++)
            given |= strncmp(c->given.items[i], links[k], strlen(links[k])) == 0;
    return given;
}

static void find_links(struct rates *r, const struct config *c, const struct calibration *k, bool simulated)
{
    const bool stated = links_are_stated(c), holds = config_network_holds(c);
    r->linked = stated && holds;
    if (r->linked) {
        snprintf(r->network_source, RATES_SOURCE_BYTES, "network keys");
    } else if (simulated || !c->calibration[0]) {
        r->no_network = simulated ? "no network key says what the simulated links are like"
                        : stated  ? "network.* is not in force on real hosts without fabric shaped, and there is no calibration"
                                  : "neither network keys nor a calibration say what the links are like";
    } else if (isnan(r->cluster.nodes > 1 ? k->between.latency_s : k->inside.latency_s)) {
        r->no_network = "the calibration has no such link (fits: one made with two ranks, on two hosts)";
    } else {
        r->linked = true;
        r->cluster.inside = k->inside;
        r->cluster.between = k->between;
        snprintf(r->network_source, RATES_SOURCE_BYTES, "calibration %s", c->calibration);
    }
}

status rates_of(struct rates *r, const struct config *c, int ranks, bool simulated)
{
    struct calibration k;
    TRY(calibration_load(&k, c));
    *r = (struct rates){ .cluster = config_cluster(c, ranks) };
    find_rate(r, c, &k);
    find_links(r, c, &k, simulated);
    return STATUS_OK;
}
