/* A model as a table of sizes and flops, for networks that have no arithmetic here (ResNet, BERT): a chain of layers, each a
 * matrix, a vector beside it, its matrix products and its output. Only where nothing is computed (compute.name "model").
 *
 *      "layers": [[rows, columns, vector, flop, outputs], ...]
 *
 * flop: of a sample's forward pass; its input gradient and its weight gradient take as much each, but for the first layer's input
 * gradient, which nobody needs. outputs: floats of a sample.
 */
#include <stddef.h>
#include <stdio.h>

#include "bench/model.h"

enum { ROWS, COLUMNS, VECTOR, FLOP, OUTPUTS, LAYER_COLUMNS };

struct proxy_options {
    int64_t inputs;
    struct matrix layers;
};

static const struct key proxy_keys[] = {
    { "inputs", KEY_INT, offsetof(struct proxy_options, inputs), "1", 1, 1 << 30, .unit = "floats", .help = "Floats of a sample." },
    { "layers", KEY_MATRIX, offsetof(struct proxy_options, layers), NULL, 0, 1e15,
      .help = "A row for each layer: rows and columns of its matrix, floats of its vector, flop of a sample's forward pass, floats "
              "of its output." },
    { 0 },
};

static const char *proxy_refuses(const void *options, int tensor)
{
    static char why[160];
    const struct matrix *m = &((const struct proxy_options *)options)->layers;
    (void)tensor;
    if (m->rows == 0 || m->columns != LAYER_COLUMNS)
        return "model.layers must be a list of [rows, columns, vector, flop, outputs], one for each layer";
    for (size_t i = 0; i < m->rows; i++)
        for (int k = 0; k < LAYER_COLUMNS; k++) {
            const double x = m->values[i * LAYER_COLUMNS + (size_t)k];
            if (k == FLOP || (x <= INT32_MAX && x == (double)(int32_t)x && (x >= 1 || k == VECTOR)))
                continue;
            snprintf(why, sizeof why, "model.layers has %g in row %zu, column %d (a whole number from %d on fits)", x, i, k,
                     k != VECTOR);
            return why;
        }
    return NULL;
}

static const char *proxy_refuses_shard(const void *options, int tensor, bool sequence)
{
    (void)options;
    return tensor > 1 || sequence ? "model.name = \"proxy\" does not say how its layers would be split (fits: parallel.tensor = 1)"
                                  : NULL;
}

static struct sample_shape proxy_shape(const void *options)
{
    const struct proxy_options *o = options;
    return (struct sample_shape){ SAMPLE_FEATURES, (int)o->inputs, 2 };
}

static const struct layer_kind no_arithmetic = { 0 };

static void add_layer(struct network *net, const double *row, bool last)
{
    char name[32];
    snprintf(name, sizeof name, "layer.%d", net->count);
    const size_t in_floats = net->count ? net->layers[net->count - 1].out_floats : 0;
    struct layer *l = network_add(net, &no_arithmetic, name, NULL);
    network_slice(net, &(struct slice_form){ "weight", (int)row[ROWS], (int)row[COLUMNS], 0, 1, CUT_NONE });
    if (row[VECTOR] > 0)
        network_slice(net, &(struct slice_form){ "vector", 1, (int)row[VECTOR], 0, 0, CUT_NONE });
    l->repeated = true;
    l->in_floats = in_floats;
    l->out_floats = last ? 0 : (size_t)row[OUTPUTS];
    l->saved_floats = last ? (size_t)row[OUTPUTS] : 0;
    l->flop_forward = l->flop_weight_grad = row[FLOP];
    l->flop_input_grad = net->count > 1 ? row[FLOP] : 0;
}

static status proxy_build(struct network *net, const void *options)
{
    const struct matrix *m = &((const struct proxy_options *)options)->layers;
    TRY(network_reserve(net, (int)m->rows, 2 * (int)m->rows));
    for (size_t i = 0; i < m->rows; i++)
        add_layer(net, m->values + i * LAYER_COLUMNS, i + 1 == m->rows);
    net->rows_per_sample = 1;
    return STATUS_OK;
}

const struct model model_proxy = {
    .member = { "proxy", "Sizes and flops alone, given layer by layer; computes nothing (compute.name \"model\").", NULL,
                proxy_keys, sizeof(struct proxy_options) },
    .hollow = true,
    .refuses = proxy_refuses,
    .refuses_shard = proxy_refuses_shard,
    .shape = proxy_shape,
    .build = proxy_build,
};
