/* dmlbench --calibrate: measures once what this machine or cluster can do, for bounds, plans and simulations (calibration.h).
 *
 *   links     ping-pong of 1 B .. 16 MiB between the first two ranks of one host, and of two hosts, all others asleep
 *   sgemm     the three products of linear layers of several sizes, all ranks at once: what each gets of what they share
 *   memory    a copy of more than the caches hold, all ranks at once
 *   codecs    every compressor with its defaults on 1 Mi normal floats, all ranks at once
 *
 * Each number is a statistic over repetitions (and ranks), written with its samples' spread.
 */
#ifndef DMLBENCH_BENCH_CALIBRATE_H
#define DMLBENCH_BENCH_CALIBRATE_H

#include <stdio.h>

#include "bench/environment.h"
#include "bench/statistics.h"
#include "collectives/job.h"

struct measured_product { /* of a linear layer of rows x in -> out */
    const char *what;     /* forward, input gradient, weight gradient */
    double m, n, k;
    struct statistic flop_per_s; /* of one rank */
};

struct measured_message {
    double size_B;
    struct statistic s; /* half of a message there and back */
};

struct measured_link {
    const char *name;    /* inside (a host), between (two hosts) */
    struct line_fit fit; /* s = latency + size_B / bandwidth */
    double bandwidth_B_per_s;
    const struct measured_message *messages;
    size_t n_messages; /* 0: there are no two such ranks */
};

struct measured_codec {
    const char *name;
    struct statistic encode_B_per_s, decode_B_per_s; /* bytes of floats */
};

struct measurements {
    struct environment platform;
    char utc[32];
    double ranks, hosts;
    const struct measured_product *products;
    size_t n_products;
    double copy_B; /* that one copy reads */
    struct statistic memory_B_per_s;
    const struct measured_link *links;
    size_t n_links;
    const struct measured_codec *codecs;
    size_t n_codecs;
};

/* Collective. hosts: of all ranks, on rank 0. Measures, and on rank 0 writes the file (path NULL:
 * results/calibration-<host>-<UTC>.json; never overwrites) and, unless quiet, a summary. Refused on simulated hosts. */
status calibrate(const struct job *job, const struct environment *e, char *const *hosts, const char *path, bool quiet);

/* result_calibration.c: the same as JSON, as a schema, as Markdown. */
void calibration_write_json(const void *measurements, FILE *out);
void calibration_print_schema(FILE *out);

#endif
