/* A decoder-only transformer as GPT-2 has it: pre-norm blocks, learned positions, tanh gelu, head tied to the token embedding or
 * not.
 *
 *      symbols -> embedding -> block x layers -> norm, head, loss
 *      block:  h = x + proj(attention(qkv(norm1(x))));   out = h + out(gelu(fc(norm2(h))))
 *
 * Letters: T positions, C channels (hidden), H heads, V symbols (vocabulary), R = samples * T rows.
 * Initial values as in GPT-2: deviation 0.02, the two projections into the residual stream divided by sqrt(2 layers). No dropout.
 * Source: Radford et al. 2019.
 */
#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "bench/model.h"
#include "kernels/layers.h"

struct gpt_options {
    int64_t layers, hidden, heads, sequence, vocabulary;
    bool tied;
};

static const struct key gpt_keys[] = {
    { "layers", KEY_INT, offsetof(struct gpt_options, layers), "4", 1, 1024, .help = "Transformer blocks." },
    { "hidden", KEY_INT, offsetof(struct gpt_options, hidden), "128", 1, 1 << 16, .unit = "channels",
      .help = "Width of the residual stream." },
    { "heads", KEY_INT, offsetof(struct gpt_options, heads), "4", 1, 1024, .help = "Attention heads; they divide hidden." },
    { "sequence", KEY_INT, offsetof(struct gpt_options, sequence), "64", 1, 1 << 16, .unit = "positions",
      .help = "Symbols of a sample." },
    { "vocabulary", KEY_INT, offsetof(struct gpt_options, vocabulary), "256", 2, 1 << 20, .unit = "symbols",
      .help = "Different symbols." },
    { "tied", KEY_BOOL, offsetof(struct gpt_options, tied), "true", .help = "Whether the head's matrix is the token embedding." },
    { 0 },
};

/* The one struct's fields as the ints that the kernels take. */
struct shape {
    int B, T, C, H, V, R;
};

static struct shape shape_of(const struct layer *l, const struct pass *p)
{
    const struct gpt_options *o = l->options;
    return (struct shape){ p->samples,    (int)o->sequence,   (int)o->hidden,
                           (int)o->heads, (int)o->vocabulary, p->samples * (int)o->sequence };
}

/* Takes n floats from the front of an arena. */
static float *take(float **arena, size_t n)
{
    float *x = *arena;
    *arena += n;
    return x;
}

/* ---- embedding ----------------------------------------------------------------------------------------------------------- */

enum { TOKEN, POSITION };

static void embedding_layer_forward(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    embedding_forward(p->out, p->symbols, p->params + l->at[TOKEN], p->params + l->at[POSITION], s.B, s.T, s.C);
}

static void embedding_layer_input_grad(const struct layer *l, struct pass *p)
{
    (void)l, (void)p; /* symbols have no gradient */
}

static void embedding_layer_weight_grad(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    embedding_weight_grad(p->grads + l->at[TOKEN], p->grads + l->at[POSITION], p->symbols, p->dout, s.B, s.T, s.C);
}

/* ---- block --------------------------------------------------------------------------------------------------------------- */

enum { NORM1_GAIN, NORM1_BIAS, QKV, QKV_BIAS, PROJ, PROJ_BIAS, NORM2_GAIN, NORM2_BIAS, FC, FC_BIAS, OUT, OUT_BIAS };

/* What a block keeps of its forward pass, all [R, .]. */
struct block_saved {
    float *mean1, *rstd1, *norm1, *qkv, *probabilities, *attention, *h, *mean2, *rstd2, *norm2, *fc, *gelu;
};

static size_t block_saved_floats(size_t T, size_t C, size_t H)
{
    return T * (15 * C + H * T + 4);
}

static struct block_saved block_saved_at(float *arena, struct shape s)
{
    const size_t R = (size_t)s.R, C = (size_t)s.C;
    struct block_saved b = { 0 };
    b.mean1 = take(&arena, R);
    b.rstd1 = take(&arena, R);
    b.norm1 = take(&arena, R * C);
    b.qkv = take(&arena, R * 3 * C);
    b.probabilities = take(&arena, R * (size_t)s.H * (size_t)s.T);
    b.attention = take(&arena, R * C);
    b.h = take(&arena, R * C);
    b.mean2 = take(&arena, R);
    b.rstd2 = take(&arena, R);
    b.norm2 = take(&arena, R * C);
    b.fc = take(&arena, R * 4 * C);
    b.gelu = take(&arena, R * 4 * C);
    return b;
}

/* What it keeps of its input gradient: the gradients with respect to the outputs of its linear and norm layers. */
struct block_kept {
    float *dfc, *dnorm2, *dh, *dqkv, *dnorm1;
};

static size_t block_kept_floats(size_t T, size_t C)
{
    return T * 10 * C;
}

static struct block_kept block_kept_at(float *arena, struct shape s)
{
    const size_t RC = (size_t)s.R * (size_t)s.C;
    struct block_kept k = { 0 };
    k.dfc = take(&arena, 4 * RC);
    k.dnorm2 = take(&arena, RC);
    k.dh = take(&arena, RC);
    k.dqkv = take(&arena, 3 * RC);
    k.dnorm1 = take(&arena, RC);
    return k;
}

static void block_forward(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    const struct block_saved b = block_saved_at(p->saved, s);
    const float *w = p->params;
    const size_t RC = (size_t)s.R * (size_t)s.C;

    layernorm_forward(b.norm1, b.mean1, b.rstd1, p->in, w + l->at[NORM1_GAIN], w + l->at[NORM1_BIAS], s.R, s.C);
    linear_forward(b.qkv, b.norm1, w + l->at[QKV], w + l->at[QKV_BIAS], s.R, s.C, 3 * s.C);
    attention_forward(b.attention, b.probabilities, b.qkv, s.B, s.T, s.C, s.H);
    linear_forward(b.h, b.attention, w + l->at[PROJ], w + l->at[PROJ_BIAS], s.R, s.C, s.C);
    add(b.h, p->in, RC);
    layernorm_forward(b.norm2, b.mean2, b.rstd2, b.h, w + l->at[NORM2_GAIN], w + l->at[NORM2_BIAS], s.R, s.C);
    linear_forward(b.fc, b.norm2, w + l->at[FC], w + l->at[FC_BIAS], s.R, s.C, 4 * s.C);
    gelu_forward(b.gelu, b.fc, 4 * RC);
    linear_forward(p->out, b.gelu, w + l->at[OUT], w + l->at[OUT_BIAS], s.R, 4 * s.C, s.C);
    add(p->out, b.h, RC);
}

static void block_input_grad(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    const struct block_saved b = block_saved_at(p->saved, s);
    const struct block_kept k = block_kept_at(p->kept, s);
    const float *w = p->params;
    const size_t RC = (size_t)s.R * (size_t)s.C;
    float *dattention = p->scratch, *square = p->scratch + RC;

    linear_input_grad(k.dfc, p->dout, w + l->at[OUT], s.R, 4 * s.C, s.C);
    gelu_input_grad(k.dfc, k.dfc, b.fc, 4 * RC);
    linear_input_grad(k.dnorm2, k.dfc, w + l->at[FC], s.R, s.C, 4 * s.C);
    layernorm_input_grad(k.dh, k.dnorm2, b.h, w + l->at[NORM2_GAIN], b.mean2, b.rstd2, s.R, s.C);
    add(k.dh, p->dout, RC);
    linear_input_grad(dattention, k.dh, w + l->at[PROJ], s.R, s.C, s.C);
    attention_input_grad(k.dqkv, dattention, b.qkv, b.probabilities, square, s.B, s.T, s.C, s.H);
    linear_input_grad(k.dnorm1, k.dqkv, w + l->at[QKV], s.R, s.C, 3 * s.C);
    layernorm_input_grad(p->din, k.dnorm1, p->in, w + l->at[NORM1_GAIN], b.mean1, b.rstd1, s.R, s.C);
    add(p->din, k.dh, RC);
}

static void block_weight_grad(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    const struct block_saved b = block_saved_at(p->saved, s);
    const struct block_kept k = block_kept_at(p->kept, s);
    float *g = p->grads;

    linear_weight_grad(g + l->at[OUT], g + l->at[OUT_BIAS], b.gelu, p->dout, s.R, 4 * s.C, s.C);
    linear_weight_grad(g + l->at[FC], g + l->at[FC_BIAS], b.norm2, k.dfc, s.R, s.C, 4 * s.C);
    layernorm_weight_grad(g + l->at[NORM2_GAIN], g + l->at[NORM2_BIAS], k.dnorm2, b.h, b.mean2, b.rstd2, s.R, s.C);
    linear_weight_grad(g + l->at[PROJ], g + l->at[PROJ_BIAS], b.attention, k.dh, s.R, s.C, s.C);
    linear_weight_grad(g + l->at[QKV], g + l->at[QKV_BIAS], b.norm1, k.dqkv, s.R, s.C, 3 * s.C);
    layernorm_weight_grad(g + l->at[NORM1_GAIN], g + l->at[NORM1_BIAS], k.dnorm1, p->in, b.mean1, b.rstd1, s.R, s.C);
}

/* ---- head ---------------------------------------------------------------------------------------------------------------- */

enum { NORM_GAIN, NORM_BIAS, HEAD };

struct head_saved {
    float *mean, *rstd, *norm, *probabilities;
};

static struct head_saved head_saved_at(float *arena, struct shape s)
{
    struct head_saved h = { 0 };
    h.mean = take(&arena, (size_t)s.R);
    h.rstd = take(&arena, (size_t)s.R);
    h.norm = take(&arena, (size_t)s.R * (size_t)s.C);
    h.probabilities = take(&arena, (size_t)s.R * (size_t)s.V);
    return h;
}

static void head_forward(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    const struct head_saved h = head_saved_at(p->saved, s);
    const float *w = p->params;

    layernorm_forward(h.norm, h.mean, h.rstd, p->in, w + l->at[NORM_GAIN], w + l->at[NORM_BIAS], s.R, s.C);
    linear_transposed_forward(h.probabilities, h.norm, w + l->at[HEAD], s.R, s.C, s.V);
    p->loss = cross_entropy_forward(h.probabilities, p->targets, s.R, s.V);
}

/* kept: the gradient with respect to the logits [R,V], then the one with respect to the norm's output [R,C]. */
static void head_input_grad(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    const struct head_saved h = head_saved_at(p->saved, s);
    float *dlogits = p->kept, *dnorm = p->kept + (size_t)s.R * (size_t)s.V;

    cross_entropy_input_grad(dlogits, h.probabilities, p->targets, p->weight, s.R, s.V);
    linear_transposed_input_grad(dnorm, dlogits, p->params + l->at[HEAD], s.R, s.C, s.V);
    layernorm_input_grad(p->din, dnorm, p->in, p->params + l->at[NORM_GAIN], h.mean, h.rstd, s.R, s.C);
}

static void head_weight_grad(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    const struct head_saved h = head_saved_at(p->saved, s);
    const float *dlogits = p->kept, *dnorm = p->kept + (size_t)s.R * (size_t)s.V;

    linear_transposed_weight_grad(p->grads + l->at[HEAD], h.norm, dlogits, s.R, s.C, s.V);
    layernorm_weight_grad(p->grads + l->at[NORM_GAIN], p->grads + l->at[NORM_BIAS], dnorm, p->in, h.mean, h.rstd, s.R, s.C);
}

/* ---- the model ----------------------------------------------------------------------------------------------------------- */

static const struct layer_kind embedding_kind = { embedding_layer_forward, embedding_layer_input_grad,
                                                  embedding_layer_weight_grad };
static const struct layer_kind block_kind = { block_forward, block_input_grad, block_weight_grad };
static const struct layer_kind head_kind = { head_forward, head_input_grad, head_weight_grad };

static const char *gpt_refuses(const void *options)
{
    static char why[128];
    const struct gpt_options *o = options;
    if (o->hidden % o->heads == 0)
        return NULL;
    snprintf(why, sizeof why, "model.hidden = %lld is not a multiple of model.heads = %lld (fits: model.hidden = %lld)",
             (long long)o->hidden, (long long)o->heads, (long long)((o->hidden / o->heads + 1) * o->heads));
    return why;
}

static struct sample_shape gpt_shape(const void *options)
{
    const struct gpt_options *o = options;
    return (struct sample_shape){ SAMPLE_SYMBOLS, (int)o->sequence, (int)o->vocabulary };
}

static void add_embedding(struct network *net, const struct gpt_options *o)
{
    struct layer *l = network_add(net, &embedding_kind, "embedding", o);
    const int V = (int)o->vocabulary, T = (int)o->sequence, C = (int)o->hidden;
    network_slice(net, &(struct slice_form){ "token", V, C, 0, 0.02F, CUT_ROWS });
    network_slice(net, &(struct slice_form){ "position", T, C, 0, 0.01F, CUT_NONE });
    l->out_floats = (size_t)(o->sequence * o->hidden);
}

/* Products of a block per position: 12 C^2 weights, and 2 C (T+1)/2 for queries by keys and the same for probabilities by values
 * (what the causal mask leaves). */
static void add_block(struct network *net, const struct gpt_options *o, int i)
{
    char name[32];
    snprintf(name, sizeof name, "block.%d", i);
    struct layer *l = network_add(net, &block_kind, name, o);
    l->repeated = true;
    const int C = (int)o->hidden;
    const float residual = 0.02F / sqrtf(2.0F * (float)o->layers);
    const struct slice_form slices[] = {
        [NORM1_GAIN] = { "norm1.gain", 1, C, 1, 0, CUT_NONE },
        [NORM1_BIAS] = { "norm1.bias", 1, C, 0, 0, CUT_NONE },
        [QKV] = { "qkv.weight", C, 3 * C, 0, 0.02F, CUT_THREE_COLUMNS },
        [QKV_BIAS] = { "qkv.bias", 1, 3 * C, 0, 0, CUT_THREE_COLUMNS },
        [PROJ] = { "proj.weight", C, C, 0, residual, CUT_ROWS },
        [PROJ_BIAS] = { "proj.bias", 1, C, 0, 0, CUT_NONE },
        [NORM2_GAIN] = { "norm2.gain", 1, C, 1, 0, CUT_NONE },
        [NORM2_BIAS] = { "norm2.bias", 1, C, 0, 0, CUT_NONE },
        [FC] = { "fc.weight", C, 4 * C, 0, 0.02F, CUT_COLUMNS },
        [FC_BIAS] = { "fc.bias", 1, 4 * C, 0, 0, CUT_COLUMNS },
        [OUT] = { "out.weight", 4 * C, C, 0, residual, CUT_ROWS },
        [OUT_BIAS] = { "out.bias", 1, C, 0, 0, CUT_NONE },
    };
    for (size_t k = 0; k < sizeof slices / sizeof slices[0]; k++)
        network_slice(net, &slices[k]);

    const size_t T = (size_t)o->sequence;
    l->in_floats = l->out_floats = T * (size_t)C;
    l->saved_floats = block_saved_floats(T, (size_t)C, (size_t)o->heads);
    l->kept_floats = block_kept_floats(T, (size_t)C);
    const double weights = 12.0 * C * C, attention = 2.0 * C * ((double)T + 1) / 2;
    l->flop_forward = (double)T * (2 * weights + 2 * attention);
    l->flop_input_grad = (double)T * (2 * weights + 4 * attention);
    l->flop_weight_grad = (double)T * 2 * weights;
}

static void add_head(struct network *net, const struct gpt_options *o)
{
    struct layer *l = network_add(net, &head_kind, "head", o);
    const size_t token = net->layers[0].at[TOKEN];
    network_slice(net, &(struct slice_form){ "norm.gain", 1, (int)o->hidden, 1, 0, CUT_NONE });
    network_slice(net, &(struct slice_form){ "norm.bias", 1, (int)o->hidden, 0, 0, CUT_NONE });
    if (o->tied)
        network_share(net, token);
    else
        network_slice(net, &(struct slice_form){ "weight", (int)o->vocabulary, (int)o->hidden, 0, 0.02F, CUT_ROWS });
    const size_t T = (size_t)o->sequence, C = (size_t)o->hidden, V = (size_t)o->vocabulary;
    l->in_floats = T * C;
    l->saved_floats = T * (2 + C + V);
    l->kept_floats = T * (V + C);
    l->flop_forward = l->flop_input_grad = l->flop_weight_grad = 2.0 * (double)(T * C * V);
}

static status gpt_build(struct network *net, const void *options)
{
    const struct gpt_options *o = options;
    TRY(network_reserve(net, (int)o->layers + 2, 12 * (int)o->layers + 5));
    add_embedding(net, o);
    for (int i = 0; i < (int)o->layers; i++)
        add_block(net, o, i);
    add_head(net, o);
    net->rows_per_sample = (int)o->sequence;
    net->scratch_floats = (size_t)o->sequence * (size_t)(o->hidden + o->sequence);
    return STATUS_OK;
}

const struct model model_gpt = {
    .member = { "gpt", "Decoder-only transformer, as GPT-2.", "Radford et al. 2019", gpt_keys, sizeof(struct gpt_options) },
    .refuses = gpt_refuses,
    .shape = gpt_shape,
    .build = gpt_build,
};
