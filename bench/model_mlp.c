/* The smallest model that learns: linear layers with relu between them and a softmax cross-entropy at the end.
 *
 *      features -> (linear -> relu) x layers -> linear -> loss
 *
 * Letters: B samples, I inputs and O outputs of a layer. He initialisation (He et al. 2015): deviation sqrt(2 / I).
 */
#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "bench/model.h"
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

static void hidden_forward(const struct layer *l, struct pass *p)
{
    linear_forward(p->out, p->in, p->params + l->at[WEIGHT], p->params + l->at[BIAS], p->samples, l->in, l->out);
    relu_forward(p->out, p->out, (size_t)p->samples * (size_t)l->out);
}

/* relu(x) > 0 where x > 0, so the output tells the gradient as well as the input would. */
static void hidden_input_grad(const struct layer *l, struct pass *p)
{
    relu_input_grad(p->kept, p->dout, p->out, (size_t)p->samples * (size_t)l->out);
    if (p->din)
        linear_input_grad(p->din, p->kept, p->params + l->at[WEIGHT], p->samples, l->in, l->out);
}

static void hidden_weight_grad(const struct layer *l, struct pass *p)
{
    linear_weight_grad(p->grads + l->at[WEIGHT], p->grads + l->at[BIAS], p->in, p->kept, p->samples, l->in, l->out);
}

static void last_forward(const struct layer *l, struct pass *p)
{
    linear_forward(p->saved, p->in, p->params + l->at[WEIGHT], p->params + l->at[BIAS], p->samples, l->in, l->out);
    p->loss = cross_entropy_forward(p->saved, p->targets, p->samples, l->out);
}

static void last_input_grad(const struct layer *l, struct pass *p)
{
    cross_entropy_input_grad(p->kept, p->saved, p->targets, p->weight, p->samples, l->out);
    if (p->din)
        linear_input_grad(p->din, p->kept, p->params + l->at[WEIGHT], p->samples, l->in, l->out);
}

static const struct layer_kind hidden_layer = { hidden_forward, hidden_input_grad, hidden_weight_grad };
static const struct layer_kind last_layer = { last_forward, last_input_grad, hidden_weight_grad };

static struct sample_shape mlp_shape(const void *options)
{
    const struct mlp_options *o = options;
    return (struct sample_shape){ SAMPLE_FEATURES, (int)o->inputs, (int)o->classes };
}

static void add_linear(struct network *net, const struct layer_kind *kind, const char *name, int in, int out)
{
    struct layer *l = network_add(net, kind, name, NULL);
    network_slice(net, &(struct slice_form){ "weight", in, out, 0, sqrtf(2.0F / (float)in), CUT_NONE });
    network_slice(net, &(struct slice_form){ "bias", 1, out, 0, 0, CUT_NONE });
    l->repeated = true;
    l->in = in;
    l->out = out;
    l->in_floats = (size_t)in;
    l->kept_floats = (size_t)out;
    l->saved_floats = kind == &last_layer ? (size_t)out : 0;
    l->out_floats = kind == &last_layer ? 0 : (size_t)out;
    l->flop_forward = l->flop_weight_grad = 2.0 * in * out;
    l->flop_input_grad = net->count == 1 ? 0 : 2.0 * in * out;
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
    return STATUS_OK;
}

const struct model model_mlp = {
    .member = { "mlp", "Linear layers with relu, for classification.", "He et al. 2015 (initial values)", mlp_keys,
                sizeof(struct mlp_options) },
    .shape = mlp_shape,
    .build = mlp_build,
};
