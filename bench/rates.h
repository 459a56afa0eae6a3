/* How fast ranks compute and what their links are like, as far as anybody has said so: for bounds, forecasts and plans.
 *
 *      flop/s     infinite where compute.name states times; else compute.rate_flop_per_s, else the calibration's best product
 *      links      the network's keys where they hold (config_network_holds), for fabric shaped or if any is given; else the
 *                 calibration's, unless hosts are simulated
 *
 * Nothing is measured here, and nothing is guessed: what nobody has said is NaN, with the reason.
 */
#ifndef DMLBENCH_BENCH_RATES_H
#define DMLBENCH_BENCH_RATES_H

#include "bench/config.h"

enum { RATES_SOURCE_BYTES = 256 };

struct rates {
    double flop_per_s;      /* of one rank that no key slows down; NaN: unknown */
    struct cluster cluster; /* points into the config */
    bool linked;            /* whether the cluster's links are known */
    char compute_source[RATES_SOURCE_BYTES], network_source[RATES_SOURCE_BYTES]; /* "compute.rate_flop_per_s", "calibration FILE" */
    const char *no_compute, *no_network;                                         /* why not; NULL: it is known */
};

/* Local. For a settled config, which must outlive it. Reads the calibration; a file that is none: STATUS_USAGE and a sentence. */
status rates_of(struct rates *r, const struct config *c, int ranks, bool simulated);

#endif
