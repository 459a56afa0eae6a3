/* What a result says about who did what: the degrees, the schedule, and the parts of the model, worked out as the ranks did. */
#include <stdio.h>

#include "bench/batch.h"
#include "bench/partition.h"
#include "bench/report_parts.h"

static struct stage_row row_of(const struct config *c, const struct assignment *a, int chunk)
{
    const struct network *net = &a->parts[chunk].net;
    struct stage_row row = {
        .stage = a->at[AXIS_PIPELINE],
        .chunk = chunk,
        .layers_count = net->count,
        .parameters_count = (double)net->params.n,
        .cost_frac = partition_cost(c, net),
    };
    snprintf(row.layers, sizeof row.layers, "%s .. %s", net->layers[0].name, net->layers[net->count - 1].name);
    return row;
}

static status fill_stages(struct result *out, const struct run *run, struct stage_row *rows)
{
    const struct assignment *mine = &run->trainer.plan;
    const struct config *c = run->config;
    double all = 0;
    for (int stage = 0; stage < mine->pipeline.stages; stage++) {
        struct assignment a;
        const int at[AXIS_COUNT] = { [AXIS_PIPELINE] = stage };
        TRY(assignment_open(&a, c, grid_rank(mine->degree, c->parallel.order, at)));
        for (int i = 0; i < a.count; i++)
            rows[out->parallelism.n_stages++] = row_of(c, &a, i);
        assignment_close(&a);
    }
    for (size_t i = 0; i < out->parallelism.n_stages; i++)
        all += rows[i].cost_frac;
    for (size_t i = 0; i < out->parallelism.n_stages; i++)
        rows[i].cost_frac *= pipeline_routes(&mine->pipeline) / all;
    return STATUS_OK;
}

status fill_layout(struct result *out, const struct run *run, struct stage_row *rows)
{
    const struct assignment *a = &run->trainer.plan;
    const struct config *c = run->config;
    out->parallelism.data = (double)c->parallel.data;
    out->parallelism.pipeline = (double)c->parallel.pipeline;
    out->parallelism.tensor = (double)c->parallel.tensor;
    out->parallelism.order = c->parallel.order;
    out->parallelism.schedule = a->pipeline.stages > 1 ? a->pipeline.schedule->member.name : NULL;
    out->parallelism.chunks = a->count;
    out->parallelism.recompute = a->pipeline.recompute;
    out->parallelism.sequence = c->parallel.sequence;
    out->parallelism.zero = (double)c->parallel.zero;
    out->parallelism.global_batch = (double)c->batch.global;
    out->parallelism.micro_batch = (double)c->batch.micro;
    out->parallelism.micro_batches = (double)batch_leaves_of(c, 0);
    out->parallelism.stages = rows;
    return fill_stages(out, run, rows);
}
