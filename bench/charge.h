/* What work takes in virtual time, where smpirun charges nothing itself (--cfg=smpi/simulate-computation:no, as dmlrun does):
 *
 *     a layer's call    flop / rate x slowdown        rate: compute.rate_flop_per_s, else the calibration's, else the host's
 *     a code            bytes of floats / rate        compute.encode_B_per_s, decode_B_per_s, else the calibration's, else none
 *
 * whether the arithmetic is done (compute.name blas: it takes no virtual time of its own) or not (model). Where smpirun measures
 * what is computed, and outside of simulations, nothing is charged; but on fabric shaped a rank waits, before it codes, for as long
 * as the stated rates say. Element-wise work of layers, the optimizer, error feedback and the summing of messages take no time;
 * verification takes none either.
 */
#ifndef DMLBENCH_BENCH_CHARGE_H
#define DMLBENCH_BENCH_CHARGE_H

#include "bench/config.h"

struct charge {
    double flop_per_s, encode_B_per_s, decode_B_per_s; /* of this rank, its slowdown included; 0: takes no time */
};

/* Local. For a settled config. Refuses with a sentence: compute.name model where time is not charged, or with what cannot go
 * without floats; and rates that would be charged on top of what smpirun measures. */
status charge_open(struct charge *charge, const struct config *c, int rank);

#endif
