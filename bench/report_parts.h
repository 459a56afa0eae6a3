/* Between report.c, which gathers, and report_*.c, which compute. */
#ifndef DMLBENCH_BENCH_REPORT_PARTS_H
#define DMLBENCH_BENCH_REPORT_PARTS_H

#include "bench/report.h"

/* What a rank sends beside its samples, in this order. */
enum {
    SENT_COORDINATES,
    SENT_PARAMETERS = SENT_COORDINATES + AXIS_COUNT,
    SENT_USAGE,
    SENT_RSS = SENT_USAGE + 4,
    SENT_FRAMES,
    SENT_CODES,
    SENT_PLACE = SENT_CODES + 3, /* rank of MPI, core, NUMA node, package, enum binder */
    SENT_LEDGER = SENT_PLACE + 5,
    LEDGER_FIELDS = 6,
    SENT_COUNT = SENT_LEDGER + LEDGER_FIELDS * PURPOSE_COUNT
};
enum { LEDGER_CALLS, LEDGER_MESSAGES, LEDGER_LOGICAL, LEDGER_PREDICTED, LEDGER_COUNTED, LEDGER_UNPREDICTABLE };

/* All local, rank 0. sent[r->ranks * SENT_COUNT]: what the ranks sent, in rank order. */

struct maybe maybe(double value, const char *why);
/* Adds a sentence to the result's warnings, while there is room. */
void warn(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* report_comm.c. rows[PURPOSE_COUNT] become the result's. */
void fill_comm(struct report *r, const struct run *run, const double *sent, struct comm_row *rows);
double replicas_of_a_part(const struct run *run);
/* report_places.c. Where bytes go, what the hosts' interfaces saw of it, and whether tensor parallel ranks are together; after
 * fill_comm. */
void fill_places(struct report *r, const struct run *run, const double *sent);
/* report_layout.c. rows[stages x chunks] become the result's. */
status fill_layout(struct result *out, const struct run *run, struct stage_row *rows);
/* report_bubble.c. When samples and ranks are there. work: room for a double a rank. */
status fill_bubble(struct result *out, const struct run *run, double *work);
/* report_parts.c. work: room for four doubles a step. */
void fill_metrics(struct result *out, const struct run *run, double *work);
double mean_over_ranks(const struct result *out, enum phase p, size_t step);
/* report_bounds.c. When metrics are there. */
status fill_bounds(struct result *out, const struct run *run);
/* report_codes.c. After the bytes. work: room for four doubles a step. */
void fill_compression(struct report *r, const struct run *run, const double *sent, double *work);
void no_compression(struct result *out, const char *why);
void warn_of_codes(struct report *r, const struct run *run);

#endif
