/* What a compressor claims, checked by experiment: its mean, its variance, its contraction, its bytes, and what an exchange relies
 * on.
 *
 * One row of checks for each compressor, on vectors of four kinds and three sizes, by one process with random numbers of fixed
 * seed: the same program says the same again. docs/conformance.md has the formulas and their sources. Codes that are made to
 * mislead a decoder are not here: that is the compressors' own tests' business.
 */
#ifndef DMLBENCH_BENCH_CONFORMANCE_H
#define DMLBENCH_BENCH_CONFORMANCE_H

#include <stdio.h>

#include "bench/options.h"
#include "kernels/compressor.h"

enum conformance_check {
    CHECK_BIAS,
    CHECK_BIAS_ALONG,
    CHECK_OMEGA,
    CHECK_DELTA,
    CHECK_BITS,
    CHECK_LOSSLESS,
    CHECK_BYTES,
    CHECK_BOUNDS,
    CHECK_REPEATS,
    CHECK_FEEDBACK,
    CHECK_MASKS,
    CHECK_WORKERS,
    CHECK_STATE,
    CHECK_SUM,
    CHECKS
};

/* What a check is called, in the table and in JSON, and what its `measured` and `stated` are. */
struct check_name {
    const char *name, *head, *measured, *stated; /* stated NULL: nothing is stated */
    const char *fails;                           /* what it means if it fails: a part of a sentence */
};
extern const struct check_name conformance_checks[CHECKS];

/* The case of a check that came nearest to failing. */
struct cell {
    bool checked;            /* false: nothing is claimed */
    double measured, stated; /* NaN: no number */
    double of_allowed_ratio; /* deviation over what is allowed: above 1 the claim fails */
    const char *input;       /* the kind of vector */
    size_t n;
    int draws;
};

struct conformance_row {
    const char *name;
    unsigned traits;
    struct cell cells[CHECKS];
    size_t refused_n; /* the largest size that was refused, and why; 0: none */
    char refused[160];
    double cpu_s;
};

/* Local. Fills all of *row but its name. Options: the member's own struct. Fails for lack of memory only. */
status conformance_check(const struct compressor *k, const void *options, struct conformance_row *row);
bool conformance_passes(const struct conformance_row *row);

/* Local. Checks the compressor of this name ("topk"), a chain ("topk+qsgd") or all members, with the options that `sets` gives
 * ("exchange.compressor.ratio=0.1"), prints a table, and writes JSON to the new file `path` (NULL: none).
 * STATUS_CHECK: a claim failed. STATUS_USAGE: no such compressor, option or place. */
status conformance_run(const char *names, const struct option_values *sets, const char *path, FILE *table);

#endif
