/* The plan of a run as text, from the same functions that the run itself allocates and predicts by. */
#include "bench/explain.h"

#include <math.h>

#include "bench/train.h"

enum { RANKS_SHOWN = 16 };

static void explain_bytes(double B, FILE *out)
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
    int u = 0;
    while (B >= 1000 && u < 4) {
        B /= 1000;
        u++;
    }
    fprintf(out, "%.*f %s", u ? 2 : 0, B, units[u]);
}

static void explain_model(const struct config *c, const struct network *net, FILE *out)
{
    const double batch = (double)c->batch.global;
    fprintf(out, "\nmodel       %s: %zu parameters in %d slices, %d layers, %.4g + %.4g Gflop a step forward + backward\n",
            c->model.name, net->params.n, net->params.count, net->count, 1e-9 * batch * network_flop_forward(net),
            1e-9 * batch * network_flop_backward(net));
    fprintf(out, "batch       %lld samples a step in %lld micro-batches of %lld\n", (long long)c->batch.global,
            (long long)(c->batch.global / c->batch.micro), (long long)c->batch.micro);
}

static void explain_exchange(const struct config *c, const struct network *net, int ranks, FILE *out)
{
    const int64_t leaves = c->batch.global / c->batch.micro;
    double total_B = 0;
    for (int r = 0; r < ranks; r++)
        total_B += gradient_plan(c, net->params.n, leaves, r, ranks).sent_B;
    const struct gradient_plan first = gradient_plan(c, net->params.n, leaves, 0, ranks);
    fprintf(out, "exchange    gradients: %s by %s in %d bucket%s", first.op, first.algorithm, first.buckets,
            first.buckets == 1 ? "" : "s");
    if (isnan(total_B)) {
        fprintf(out, "; the MPI library does not say what its own allreduce sends\n");
        return;
    }
    fprintf(out, ", ");
    explain_bytes(total_B, out);
    fprintf(out, " a step over all ranks (%.0f B), ", total_B);
    explain_bytes(first.sent_B, out);
    fprintf(out, " from rank 0\n");
}

static void explain_memory(const struct config *c, const struct network *net, int ranks, FILE *out)
{
    const struct footprint f = trainer_footprint(c, net, 0, ranks);
    const struct {
        const char *what;
        double B;
    } rows[] = { { "parameters", f.parameters_B },    { "gradients", f.gradients_B },     { "optimizer", f.optimizer_B },
                 { "exchange", f.exchange_B },        { "activations", f.activations_B }, { "batch", f.batch_B },
                 { "verification", f.verification_B } };
    double sum_B = 0;
    fprintf(out, "memory      of rank 0: ");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fprintf(out, "%s%s ", i ? ", " : "", rows[i].what);
        explain_bytes(rows[i].B, out);
        sum_B += rows[i].B;
    }
    fprintf(out, "; together ");
    explain_bytes(sum_B, out);
    fprintf(out, ", beside the program and the data\n");
}

static void explain_layout(const struct config *c, int ranks, FILE *out)
{
    const int degree[AXIS_COUNT] = { [AXIS_TENSOR] = 1, [AXIS_PIPELINE] = 1, [AXIS_DATA] = (int)c->parallel.data };
    const size_t leaves = (size_t)(c->batch.global / c->batch.micro);
    fprintf(out, "\n%6s %6s   micro-batches of a step\n", "rank", "data");
    for (int r = 0; r < ranks && r < RANKS_SHOWN; r++) {
        int at[AXIS_COUNT];
        grid_coordinates(degree, c->parallel.order, r, at);
        const size_t first = block_start(leaves, ranks, at[AXIS_DATA]), count = block_length(leaves, ranks, at[AXIS_DATA]);
        fprintf(out, "%6d %6d   %zu .. %zu\n", r, at[AXIS_DATA], first, first + count - 1);
    }
    if (ranks > RANKS_SHOWN)
        fprintf(out, "   ... and so on up to rank %d\n", ranks - 1);
}

status explain(const struct config *c, int ranks, FILE *out)
{
    struct network net;
    TRY(network_open(&net, model_find(c->model.name), c->model.options, &shard_whole));
    config_print(c, out);
    explain_model(c, &net, out);
    fprintf(out, "ranks       %d = data %lld\n", ranks, (long long)c->parallel.data);
    explain_exchange(c, &net, ranks, out);
    explain_memory(c, &net, ranks, out);
    fprintf(out, "bubble      none: there is no pipeline\n");
    explain_layout(c, ranks, out);
    network_close(&net);
    return STATUS_OK;
}
