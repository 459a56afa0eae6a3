/* The bytes of a result, by purpose: what the ranks counted, beside what their algorithms' formulas predicted. */
#include <math.h>
#include <string.h>

#include "bench/footprint.h"
#include "bench/report_parts.h"
#include "bench/traffic.h"

static double over_ranks(const struct report *r, const double *sent, enum purpose p, int field)
{
    double sum = 0;
    for (size_t i = 0; i < r->ranks; i++)
        sum += sent[i * SENT_COUNT + SENT_LEDGER + (size_t)p * LEDGER_FIELDS + (size_t)field];
    return sum;
}

double replicas_of_a_part(const struct run *run)
{
    int rank, replicas;
    footprint_replica(&run->trainer.plan, 0, &rank, &replicas);
    return replicas;
}

/* How many ranks take part in one operation: each counts it. */
static double members(const struct run *run, enum purpose p)
{
    const int *degree = run->trainer.plan.degree;
    switch (p) {
    case PURPOSE_GRADIENT:
    case PURPOSE_PARAMETERS:
    case PURPOSE_CHECK:
        return replicas_of_a_part(run);
    case PURPOSE_TENSOR:
        return degree[AXIS_TENSOR];
    case PURPOSE_TIED:
        return assignment_tied(run->config, &run->trainer.plan).members;
    case PURPOSE_LOSS:
        return run->job->ranks;
    default: /* messages */
        return 1;
    }
}

static void describe(const struct run *run, enum purpose p, struct comm_row *row)
{
    const struct config *c = run->config;
    const struct gradient_shape shape = { .n = run->trainer.plan.parts[0].net.params.n, .leaves = run->trainer.plan.leaves };
    const struct gradient_plan plan = gradient_plan(c, &shape, 0, (int)replicas_of_a_part(run));
    const struct {
        const char *op, *algorithm;
    } how[PURPOSE_COUNT] = {
        [PURPOSE_GRADIENT] = { plan.op, plan.algorithm },
        [PURPOSE_PARAMETERS] = { "allgather", plan.algorithm },
        [PURPOSE_ACTIVATION] = { "send", "point-to-point" },
        [PURPOSE_ACTIVATION_GRADIENT] = { "send", "point-to-point" },
        [PURPOSE_STAMP] = { "send", "point-to-point" },
        [PURPOSE_TIED] = { "allreduce", allreduce_ring.member.name },
        [PURPOSE_TENSOR] = { c->parallel.sequence ? "reduce-scatter, allgather" : "allreduce", allreduce_ring.member.name },
        [PURPOSE_LOSS] = { "allreduce", allreduce_doubling.member.name },
        [PURPOSE_CHECK] = { "allgather", plan.algorithm },
    };
    row->name = purpose_name(p);
    row->group = traffic_group(p);
    row->op = how[p].op;
    row->algorithm = how[p].algorithm;
}

void fill_comm(struct report *r, const struct run *run, const double *sent, struct comm_row *rows)
{
    struct result *out = &r->result;
    const char *unaudited = run->audited              ? "filled when MPI has ended"
                            : isfinite(run->frames_B) ? "interfaces count all frames together: see comm_total"
                                                      : "not counted from outside in a timed run; dmlbench --audit does";
    double predicted = 0;
    for (int i = 0; i < PURPOSE_COUNT; i++) {
        const enum purpose p = (enum purpose)i;
        struct comm_row *row = &rows[out->n_comm];
        const double calls = over_ranks(r, sent, p, LEDGER_CALLS);
        const bool unknown = over_ranks(r, sent, p, LEDGER_UNPREDICTABLE) != 0;
        if (calls == 0)
            continue;
        *row = (struct comm_row){
            .calls = calls / members(run, p),
            .logical_B = over_ranks(r, sent, p, LEDGER_LOGICAL) / members(run, p),
            .messages = unknown ? NAN : over_ranks(r, sent, p, LEDGER_MESSAGES),
            .wire_B_counted = unknown ? NAN : over_ranks(r, sent, p, LEDGER_COUNTED),
            .wire_B_predicted = maybe(unknown ? NAN : over_ranks(r, sent, p, LEDGER_PREDICTED),
                                      "the MPI library does not say what its own allreduce sends"),
            .wire_B_measured = maybe(NAN, unaudited),
        };
        describe(run, p, row);
        out->comm_total.wire_B_counted += row->wire_B_counted;
        predicted += row->wire_B_predicted.value;
        out->n_comm++;
    }
    out->comm = rows;
    out->comm_total.wire_B_predicted = maybe(predicted, "a part is not predictable: see comm");
    out->comm_total.wire_B_measured = maybe(NAN, unaudited);
    out->comm_total.match = isnan(predicted) || predicted == out->comm_total.wire_B_counted;
}
