/* From what the ranks measured to the one result on rank 0. */
#ifndef DMLBENCH_BENCH_REPORT_H
#define DMLBENCH_BENCH_REPORT_H

#include "bench/places.h"
#include "bench/result.h"
#include "bench/run.h"
#include "bench/topology.h"

enum { REPORT_WARNINGS_MAX = 16, REPORT_WARNING_BYTES = 256 };

struct report {
    struct result result;
    struct environment environment; /* of this rank */
    char start_utc[32], end_utc[32];
    double start_s;
    struct usage at_start;
    char *command;
    const char *warnings[REPORT_WARNINGS_MAX];
    char warning_text[REPORT_WARNINGS_MAX][REPORT_WARNING_BYTES];
    char **hosts, **cpusets;
    struct seat seat; /* of this rank */
    enum binder bound_by;
    char parameter_hash[17];
    size_t ranks;    /* whose samples are here: all, or one when the run was interrupted */
    double *storage; /* all numbers that came from the ranks */
};

/* Local. At the start of the job, with r zeroed: the clock, the command line, the environment. */
status report_start(struct report *r, int argc, char **argv);
/* Collective, when ranks are numbered and bound. Who is where, to rank 0. */
void report_meet(struct report *r, const struct job *job, struct seat seat, enum binder bound_by);
/* Collective. Gathers everything to rank 0 and fills r->result there; `outcome` is the run's agreed status. */
void report_gather(struct report *r, const struct run *run, status outcome);
/* Local, rank 0. Prepares in `file` the result of a run that may not get to its end, from this rank's samples alone. */
status report_interrupted(const struct report *r, const struct run *run, struct result_file *file);
/* Local, rank 0, of an audited run after MPI has ended: what Open MPI's monitoring counted; NaN and why where it could not.
 * notice_B: what the fabric sent beside each message; it is taken off. */
void report_audit(struct report *r, double measured_B, size_t notice_B, const char *why);
void report_free(struct report *r);

#endif
