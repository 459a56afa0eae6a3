/* What this machine or cluster was measured to do, once, by dmlbench --calibrate, and read again from the file that `calibration`
 * names: rates that bounds in results, simulated time and the choice of an allreduce are made of.
 *
 * A number that was not measured (links between nodes on one host, say) is NaN.
 */
#ifndef DMLBENCH_BENCH_CALIBRATION_H
#define DMLBENCH_BENCH_CALIBRATION_H

#include "bench/config.h"

enum { CALIBRATION_SHAPES_MAX = 64, CALIBRATION_CODECS_MAX = 64, CALIBRATION_NAME_BYTES = 32 };

struct calibration {
    struct {
        int64_t m, n, k;
        double flop_per_s; /* of one rank, as many at once as there were ranks on its host */
    } sgemm[CALIBRATION_SHAPES_MAX];
    int shapes;
    double sgemm_flop_per_s;             /* the best of these */
    double ranks, hosts;                 /* that were at it */
    double memory_B_per_s;               /* bytes read and written by a copy of more than the caches hold; of one rank */
    struct cluster_link inside, between; /* fitted to messages of many sizes between two ranks of a host, and of two hosts */
    struct {
        char name[CALIBRATION_NAME_BYTES];
        double encode_B_per_s, decode_B_per_s; /* bytes of floats in a second */
    } codecs[CALIBRATION_CODECS_MAX];
    int codec_count;
};

/* Local. Reads the config's calibration; without one all is NaN and 0. A file that is none: STATUS_USAGE and a sentence. */
status calibration_load(struct calibration *out, const struct config *c);

/* Local. Whether the text of a file is a calibration; likewise. */
status calibration_parse(struct calibration *out, const char *file, const char *text);

/* Pure. Rate of a product of this shape, from the nearest measured one (by the sum over its sides of |log(a / b)|); NaN: none. */
double calibration_sgemm(const struct calibration *k, int64_t m, int64_t n, int64_t p);

#endif
