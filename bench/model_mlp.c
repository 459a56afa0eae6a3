/* The smallest model that learns: linear layers with relu between them and a softmax cross-entropy at the end.
 *
 *      features -> (linear -> relu) x layers -> linear -> loss
 *
 * Letters: B samples, I inputs and O outputs of a layer. He initialisation (He et al. 2015): deviation sqrt(2 / I).
 */
#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "bench/tensor.h"
#include "kernels/layers.h"

struct mlp_options {
    int64_t inputs, hidden, layers, classes;
};

static const struct key mlp_keys[] = {
    { "inputs", KEY_INT, offsetof(struct mlp_options, inputs), "784", 1, 1 << 20, .unit = "features",
      .help = "Features of a sample." },
    { "hidden", KEY_INT, offsetof(struct mlp_options, hidden), "1024", 1, 1 << 16, .unit = "units",
      .help = "Width of the hidden layers." },
    { "layers", KEY_INT, offsetof(struct mlp_options, layers), "2", 0, 1024, .help = "Hidden layers." },
    { "classes", KEY_INT, offsetof(struct mlp_options, classes), "10", 2, 1 << 16, .help = "Classes to tell apart." },
    { 0 },
};

enum { WEIGHT, BIAS }; /* entries of layer.at */

/* Tensor ranks split the matrices by columns and by rows in turn: a share of one layer's outputs is the next one's share of inputs,
 * and the outputs of every second layer are summed. */
static void linear_layer_forward(const struct layer *l, const struct pass *p, float *out)
{
    const float *bias = p->params + l->at[BIAS];
    linear_forward(out, p->in, p->params + l->at[WEIGHT], l->row_split ? bias_added_once(l, bias) : bias, p->samples, l->in,
                   l->out);
    if (l->row_split)
        tensor_sum(p->tensor, out, (size_t)p->samples * (size_t)l->out);
}

static void linear_layer_input_grad(const struct layer *l, const struct pass *p)
{
    if (!p->din)
        return;
    linear_input_grad(p->din, p->kept, p->params + l->at[WEIGHT], p->samples, l->in, l->out);
    if (!l->row_split)
        tensor_sum(p->tensor, p->din, (size_t)p->samples * (size_t)l->in);
}

static void hidden_forward(const struct layer *l, struct pass *p)
{
    linear_layer_forward(l, p, p->out);
    relu_forward(p->out, p->out, (size_t)p->samples * (size_t)l->out);
}

/* relu(x) > 0 where x > 0, so the output tells the gradient as well as the input would. */
static void hidden_input_grad(const struct layer *l, struct pass *p)
{
    relu_input_grad(p->kept, p->dout, p->out, (size_t)p->samples * (size_t)l->out);
    linear_layer_input_grad(l, p);
}

static void hidden_weight_grad(const struct layer *l, struct pass *p)
{
    linear_weight_grad(p->grads + l->at[WEIGHT], p->grads + l->at[BIAS], p->in, p->kept, p->samples, l->in, l->out);
}

/* Split by rows, the last layer's summed logits are whole on every rank; split by columns, each rank has those of some classes. */
static void last_forward(const struct layer *l, struct pass *p)
{
    linear_layer_forward(l, p, p->saved);
    p->loss =
        tensor_cross_entropy(l->row_split ? NULL : p->tensor, p->saved, p->targets, l->first_out, p->samples, l->out, p->scratch);
}

static void last_input_grad(const struct layer *l, struct pass *p)
{
    cross_entropy_input_grad(p->kept, p->saved, p->targets, p->weight, l->first_out, p->samples, l->out);
    linear_layer_input_grad(l, p);
}

static const struct layer_kind hidden_layer = { hidden_forward, hidden_input_grad, hidden_weight_grad };
static const struct layer_kind last_layer = { last_forward, last_input_grad, hidden_weight_grad };

static const char *mlp_refuses_shard(const void *options, int tensor, bool sequence)
{
    const struct mlp_options *o = options;
    if (sequence)
        return "model.name = \"mlp\" has no sequence that tensor ranks could share (fits: parallel.sequence = false)";
    const struct shard_limit classes = { "model.classes", o->classes, .equally = false };
    const struct shard_limit hidden = { "model.hidden", o->hidden, .equally = true };
    const struct shard_limit limits[] = { o->layers > 0 ? hidden : classes, o->layers % 2 == 0 ? classes : hidden };
    return shard_refuses(limits, 2, tensor);
}

static struct sample_shape mlp_shape(const void *options)
{
    const struct mlp_options *o = options;
    return (struct sample_shape){ SAMPLE_FEATURES, (int)o->inputs, (int)o->classes };
}

static void add_linear(struct network *net, const struct layer_kind *kind, const char *name, int in, int out)
{
    const bool first = net->count == 0, last = kind == &last_layer, row_split = net->count % 2 == 1;
    struct layer *l = network_add(net, kind, name, NULL);
    network_slice(net, &(struct slice_form){ "weight", in, out, 0, sqrtf(2.0F / (float)in), row_split ? CUT_ROWS : CUT_COLUMNS });
    network_slice(net, &(struct slice_form){ "bias", 1, out, 0, 0, row_split ? CUT_NONE : CUT_COLUMNS });
    const struct slice *weight = &net->params.slices[l->first_slice];
    l->repeated = true;
    l->row_split = row_split;
    l->in = weight->rows;
    l->out = weight->columns;
    l->first_out = weight->first_column;
    l->in_floats = (size_t)l->in;
    l->kept_floats = (size_t)l->out;
    l->saved_floats = last ? (size_t)l->out : 0;
    l->out_floats = last ? 0 : (size_t)l->out;
    l->flop_forward = l->flop_weight_grad = 2.0 * in * out / net->shard.ranks;
    l->flop_input_grad = first ? 0 : l->flop_forward;
    l->operators_f = !row_split && !first;
    l->operators_g = row_split;
    l->operator_floats = (size_t)(row_split ? out : in);
    l->loss_rows = last && !row_split;
}

static status mlp_build(struct network *net, const void *options)
{
    const struct mlp_options *o = options;
    TRY(network_reserve(net, (int)o->layers + 1, 2 * ((int)o->layers + 1)));
    int in = (int)o->inputs;
    for (int i = 0; i < (int)o->layers; i++) {
        char name[32];
        snprintf(name, sizeof name, "hidden.%d", i);
        add_linear(net, &hidden_layer, name, in, (int)o->hidden);
        in = (int)o->hidden;
    }
    add_linear(net, &last_layer, "last", in, (int)o->classes);
    net->rows_per_sample = 1;
    net->scratch_floats = 3; /* rows of the loss */
    return STATUS_OK;
}

const struct model model_mlp = {
    .member = { "mlp", "Linear layers with relu, for classification.", "He et al. 2015 (initial values)", mlp_keys,
                sizeof(struct mlp_options) },
    .refuses_shard = mlp_refuses_shard,
    .shape = mlp_shape,
    .build = mlp_build,
};
