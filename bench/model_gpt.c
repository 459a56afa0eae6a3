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
#include <string.h>

#include "bench/tensor.h"
#include "collectives/allreduce.h"
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

/* The options as the sizes that the kernels take: of t tensor ranks each has H / t heads, C / t of the channels within attention,
 * 4 C / t within the MLP, and a block of the symbols. Of the rows of the residual stream it has all, or the r-th of t blocks. */
struct shape {
    int B, T, C, R;
    int H, width, V, first_symbol; /* of this rank */
    int rows, first_row;           /* of the residual stream, of this rank */
    size_t all, own, own_at;       /* R C, rows C, first_row C */
};

static struct shape shape_for(const struct gpt_options *o, const struct shard *shard, int samples)
{
    const int t = shard->ranks, r = shard->rank;
    const size_t V = (size_t)o->vocabulary;
    struct shape s = { .B = samples, .T = (int)o->sequence, .C = (int)o->hidden, .H = (int)o->heads / t };
    s.R = s.B * s.T;
    s.width = s.C / t;
    s.V = (int)block_length(V, t, r);
    s.first_symbol = (int)block_start(V, t, r);
    s.rows = shard->sequence ? s.R / t : s.R;
    s.first_row = shard->sequence ? s.rows * r : 0;
    s.all = (size_t)s.R * (size_t)s.C;
    s.own = (size_t)s.rows * (size_t)s.C;
    s.own_at = (size_t)s.first_row * (size_t)s.C;
    return s;
}

static struct shape shape_of(const struct layer *l, const struct pass *p)
{
    return shape_for(l->options, &l->shard, p->samples);
}

/* Takes n floats from the front of an arena. */
static float *take(float **arena, size_t n)
{
    float *x = *arena;
    *arena += n;
    return x;
}

/* All rows of dout: itself where the rank has all, else gathered into `room` by gather_dout. */
static const float *whole_dout(const struct shape *s, const struct pass *p, const float *room)
{
    return s->rows == s->R ? p->dout : room;
}

static const float *gather_dout(const struct shape *s, const struct pass *p, float *room)
{
    if (s->rows < s->R) {
        memcpy(room + s->own_at, p->dout, s->own * sizeof *room);
        tensor_gather(p->tensor, room, s->all);
    }
    return whole_dout(s, p, room);
}

/* ---- embedding ----------------------------------------------------------------------------------------------------------- */

enum { TOKEN, POSITION };

static void embedding_layer_forward(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    embedding_forward(p->scratch, p->symbols, p->params + l->at[TOKEN], s.first_symbol, s.V, s.R, s.C);
    tensor_sum(p->tensor, p->scratch, s.all);
    position_forward(p->out, p->scratch + s.own_at, p->params + l->at[POSITION], s.first_row, s.rows, s.T, s.C);
}

/* Symbols have no gradient. kept: the gathered dout, if any. */
static void embedding_layer_input_grad(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    gather_dout(&s, p, p->kept);
}

static void embedding_layer_weight_grad(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    embedding_weight_grad(p->grads + l->at[TOKEN], p->symbols, whole_dout(&s, p, p->kept), s.first_symbol, s.V, s.R, s.C);
    position_weight_grad(p->grads + l->at[POSITION], p->dout, s.first_row, s.rows, s.T, s.C);
}

/* ---- block --------------------------------------------------------------------------------------------------------------- */

enum { NORM1_GAIN, NORM1_BIAS, QKV, QKV_BIAS, PROJ, PROJ_BIAS, NORM2_GAIN, NORM2_BIAS, FC, FC_BIAS, OUT, OUT_BIAS };

/* What a block keeps of its forward pass. The outputs of the norms are gathered here once, for the weight gradients too: t times
 * the memory of a share, against gathering again. */
struct block_saved {
    float *mean1, *rstd1, *mean2, *rstd2; /* [rows] */
    float *norm1, *norm2;                 /* [R,C] */
    float *h;                             /* [rows,C] */
    float *qkv, *attention, *fc, *gelu;   /* [R,3 width], [R,width], [R,4 width] twice */
    float *probabilities;                 /* [B,H,T,T] */
};

static size_t block_saved_floats(const struct shape *s)
{
    const size_t R = (size_t)s->R;
    return 4 * (size_t)s->rows + 2 * s->all + s->own + R * 12 * (size_t)s->width + R * (size_t)s->H * (size_t)s->T;
}

static struct block_saved block_saved_at(float *arena, const struct shape *s)
{
    const size_t R = (size_t)s->R, rows = (size_t)s->rows, width = (size_t)s->width;
    struct block_saved b = { 0 };
    b.mean1 = take(&arena, rows);
    b.rstd1 = take(&arena, rows);
    b.norm1 = take(&arena, s->all);
    b.qkv = take(&arena, R * 3 * width);
    b.probabilities = take(&arena, R * (size_t)s->H * (size_t)s->T);
    b.attention = take(&arena, R * width);
    b.h = take(&arena, s->own);
    b.mean2 = take(&arena, rows);
    b.rstd2 = take(&arena, rows);
    b.norm2 = take(&arena, s->all);
    b.fc = take(&arena, R * 4 * width);
    b.gelu = take(&arena, R * 4 * width);
    return b;
}

/* What it keeps of its input gradient: the gradients with respect to the outputs of its linear and norm layers. Those of the
 * residual stream are [R,C], with the rank's own rows in place. */
struct block_kept {
    float *dfc, *dnorm2, *dh, *dqkv, *dnorm1, *dout;
};

static size_t block_kept_floats(const struct shape *s)
{
    return 3 * s->all + (size_t)s->R * 7 * (size_t)s->width + (s->rows < s->R ? s->all : 0);
}

static struct block_kept block_kept_at(float *arena, const struct shape *s)
{
    const size_t R = (size_t)s->R, width = (size_t)s->width;
    struct block_kept k = { 0 };
    k.dfc = take(&arena, R * 4 * width);
    k.dnorm2 = take(&arena, s->all);
    k.dh = take(&arena, s->all);
    k.dqkv = take(&arena, R * 3 * width);
    k.dnorm1 = take(&arena, s->all);
    k.dout = arena; /* only where the rank has not all rows */
    return k;
}

static void block_forward(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    const struct block_saved b = block_saved_at(p->saved, &s);
    const float *w = p->params;
    float *sum = p->scratch;

    layernorm_forward(b.norm1 + s.own_at, b.mean1, b.rstd1, p->in, w + l->at[NORM1_GAIN], w + l->at[NORM1_BIAS], s.rows, s.C);
    tensor_gather(p->tensor, b.norm1, s.all);
    linear_forward(b.qkv, b.norm1, w + l->at[QKV], w + l->at[QKV_BIAS], s.R, s.C, 3 * s.width);
    attention_forward(b.attention, b.probabilities, b.qkv, s.B, s.T, s.width, s.H);
    linear_forward(sum, b.attention, w + l->at[PROJ], bias_added_once(l, w + l->at[PROJ_BIAS]), s.R, s.width, s.C);
    tensor_sum(p->tensor, sum, s.all);
    residual_forward(b.h, sum + s.own_at, p->in, s.own);
    layernorm_forward(b.norm2 + s.own_at, b.mean2, b.rstd2, b.h, w + l->at[NORM2_GAIN], w + l->at[NORM2_BIAS], s.rows, s.C);
    tensor_gather(p->tensor, b.norm2, s.all);
    linear_forward(b.fc, b.norm2, w + l->at[FC], w + l->at[FC_BIAS], s.R, s.C, 4 * s.width);
    gelu_forward(b.gelu, b.fc, (size_t)s.R * 4 * (size_t)s.width);
    linear_forward(sum, b.gelu, w + l->at[OUT], bias_added_once(l, w + l->at[OUT_BIAS]), s.R, 4 * s.width, s.C);
    tensor_sum(p->tensor, sum, s.all);
    residual_forward(p->out, sum + s.own_at, b.h, s.own);
}

static void block_input_grad(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    const struct block_saved b = block_saved_at(p->saved, &s);
    const struct block_kept k = block_kept_at(p->kept, &s);
    const float *w = p->params, *dout = gather_dout(&s, p, k.dout);
    float *dattention = p->scratch, *square = p->scratch + (size_t)s.R * (size_t)s.width, *dh = k.dh + s.own_at;

    linear_input_grad(k.dfc, dout, w + l->at[OUT], s.R, 4 * s.width, s.C);
    gelu_input_grad(k.dfc, k.dfc, b.fc, (size_t)s.R * 4 * (size_t)s.width);
    linear_input_grad(k.dnorm2, k.dfc, w + l->at[FC], s.R, s.C, 4 * s.width);
    tensor_sum(p->tensor, k.dnorm2, s.all);
    layernorm_input_grad(dh, k.dnorm2 + s.own_at, b.h, w + l->at[NORM2_GAIN], b.mean2, b.rstd2, s.rows, s.C);
    add(dh, p->dout, s.own);
    tensor_gather(p->tensor, k.dh, s.all);
    linear_input_grad(dattention, k.dh, w + l->at[PROJ], s.R, s.width, s.C);
    attention_input_grad(k.dqkv, dattention, b.qkv, b.probabilities, square, s.B, s.T, s.width, s.H);
    linear_input_grad(k.dnorm1, k.dqkv, w + l->at[QKV], s.R, s.C, 3 * s.width);
    tensor_sum(p->tensor, k.dnorm1, s.all);
    layernorm_input_grad(p->din, k.dnorm1 + s.own_at, p->in, w + l->at[NORM1_GAIN], b.mean1, b.rstd1, s.rows, s.C);
    add(p->din, dh, s.own);
}

static void block_weight_grad(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    const struct block_saved b = block_saved_at(p->saved, &s);
    const struct block_kept k = block_kept_at(p->kept, &s);
    const float *dnorm1 = k.dnorm1 + s.own_at, *dnorm2 = k.dnorm2 + s.own_at, *dout = whole_dout(&s, p, k.dout);
    float *g = p->grads;

    linear_weight_grad(g + l->at[OUT], NULL, b.gelu, dout, s.R, 4 * s.width, s.C);
    bias_weight_grad(g + l->at[OUT_BIAS], p->dout, s.rows, s.C);
    linear_weight_grad(g + l->at[FC], g + l->at[FC_BIAS], b.norm2, k.dfc, s.R, s.C, 4 * s.width);
    layernorm_weight_grad(g + l->at[NORM2_GAIN], g + l->at[NORM2_BIAS], dnorm2, b.h, b.mean2, b.rstd2, s.rows, s.C);
    linear_weight_grad(g + l->at[PROJ], NULL, b.attention, k.dh, s.R, s.width, s.C);
    bias_weight_grad(g + l->at[PROJ_BIAS], k.dh + s.own_at, s.rows, s.C);
    linear_weight_grad(g + l->at[QKV], g + l->at[QKV_BIAS], b.norm1, k.dqkv, s.R, s.C, 3 * s.width);
    layernorm_weight_grad(g + l->at[NORM1_GAIN], g + l->at[NORM1_BIAS], dnorm1, p->in, b.mean1, b.rstd1, s.rows, s.C);
}

/* ---- head ---------------------------------------------------------------------------------------------------------------- */

enum { NORM_GAIN, NORM_BIAS, HEAD };

struct head_saved {
    float *mean, *rstd;          /* [rows] */
    float *norm, *probabilities; /* [R,C], [R,V] */
};

static struct head_saved head_saved_at(float *arena, const struct shape *s)
{
    struct head_saved h = { 0 };
    h.mean = take(&arena, (size_t)s->rows);
    h.rstd = take(&arena, (size_t)s->rows);
    h.norm = take(&arena, s->all);
    h.probabilities = take(&arena, (size_t)s->R * (size_t)s->V);
    return h;
}

static void head_forward(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    const struct head_saved h = head_saved_at(p->saved, &s);
    const float *w = p->params;

    layernorm_forward(h.norm + s.own_at, h.mean, h.rstd, p->in, w + l->at[NORM_GAIN], w + l->at[NORM_BIAS], s.rows, s.C);
    tensor_gather(p->tensor, h.norm, s.all);
    linear_transposed_forward(h.probabilities, h.norm, w + l->at[HEAD], s.R, s.C, s.V);
    p->loss = tensor_cross_entropy(p->tensor, h.probabilities, p->targets, s.first_symbol, s.R, s.V, p->scratch);
}

/* kept: the gradient with respect to the logits [R,V], then the one with respect to the norm's output [R,C]. */
static void head_input_grad(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    const struct head_saved h = head_saved_at(p->saved, &s);
    const float *w = p->params;
    float *dlogits = p->kept, *dnorm = p->kept + (size_t)s.R * (size_t)s.V;

    cross_entropy_input_grad(dlogits, h.probabilities, p->targets, p->weight, s.first_symbol, s.R, s.V);
    linear_transposed_input_grad(dnorm, dlogits, w + l->at[HEAD], s.R, s.C, s.V);
    tensor_sum(p->tensor, dnorm, s.all);
    layernorm_input_grad(p->din, dnorm + s.own_at, p->in, w + l->at[NORM_GAIN], h.mean, h.rstd, s.rows, s.C);
}

static void head_weight_grad(const struct layer *l, struct pass *p)
{
    const struct shape s = shape_of(l, p);
    const struct head_saved h = head_saved_at(p->saved, &s);
    const float *dlogits = p->kept, *dnorm = p->kept + (size_t)s.R * (size_t)s.V + s.own_at;
    float *g = p->grads;

    linear_transposed_weight_grad(g + l->at[HEAD], h.norm, dlogits, s.R, s.C, s.V);
    layernorm_weight_grad(g + l->at[NORM_GAIN], g + l->at[NORM_BIAS], dnorm, p->in, h.mean, h.rstd, s.rows, s.C);
}

/* ---- the model ----------------------------------------------------------------------------------------------------------- */

static const struct layer_kind embedding_kind = { embedding_layer_forward, embedding_layer_input_grad,
                                                  embedding_layer_weight_grad };
static const struct layer_kind block_kind = { block_forward, block_input_grad, block_weight_grad };
static const struct layer_kind head_kind = { head_forward, head_input_grad, head_weight_grad };

static int64_t next_multiple(int64_t x, int64_t of)
{
    return (x + of - 1) / of * of;
}

static const char *gpt_refuses(const void *options, int tensor)
{
    static char why[160];
    const struct gpt_options *o = options;
    const int64_t heads = next_multiple(o->heads, tensor);
    if (o->hidden % o->heads == 0)
        return NULL;
    snprintf(why, sizeof why,
             "model.hidden = %lld is not a multiple of model.heads = %lld (fits: model.hidden = %lld with model.heads = %lld)",
             (long long)o->hidden, (long long)o->heads, (long long)next_multiple(o->hidden, heads), (long long)heads);
    return why;
}

static const char *gpt_refuses_shard(const void *options, int tensor, bool sequence)
{
    const struct gpt_options *o = options;
    const struct shard_limit limits[] = {
        { "model.heads", o->heads, .equally = true },
        { "model.vocabulary", o->vocabulary, .equally = false },
        { "model.sequence", o->sequence, .equally = true },
    };
    return shard_refuses(limits, sequence ? 3 : 2, tensor);
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
    const struct shape s = shape_for(o, &net->shard, 1);
    l->out_floats = s.own;
    l->kept_floats = s.rows < s.R ? s.all : 0;
    l->operators_g = 1;
    l->operator_floats = s.all;
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

    const struct shape s = shape_for(o, &net->shard, 1);
    l->in_floats = l->out_floats = s.own;
    l->saved_floats = block_saved_floats(&s);
    l->kept_floats = block_kept_floats(&s);
    l->operators_f = l->operators_g = 2;
    l->operator_floats = s.all;
    const double weights = 12.0 * C * C, attention = 2.0 * C * ((double)s.T + 1) / 2, rows = (double)s.T / net->shard.ranks;
    l->flop_forward = rows * (2 * weights + 2 * attention);
    l->flop_input_grad = rows * (2 * weights + 4 * attention);
    l->flop_weight_grad = rows * 2 * weights;
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
    const struct shape s = shape_for(o, &net->shard, 1);
    const size_t logits = (size_t)s.T * (size_t)s.V;
    l->in_floats = s.own;
    l->saved_floats = 2 * (size_t)s.rows + s.all + logits;
    l->kept_floats = logits + s.all;
    l->operators_f = 1;
    l->operator_floats = s.all;
    l->loss_rows = (size_t)s.T;
    l->flop_forward = l->flop_input_grad = l->flop_weight_grad = 2.0 * (double)s.all * (double)o->vocabulary / net->shard.ranks;
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
    net->scratch_floats = (size_t)o->sequence * (size_t)(o->hidden + o->sequence + 3); /* 3: rows of the loss */
    return STATUS_OK;
}

const struct model model_gpt = {
    .member = { "gpt", "Decoder-only transformer, as GPT-2.", "Radford et al. 2019", gpt_keys, sizeof(struct gpt_options) },
    .refuses = gpt_refuses,
    .refuses_shard = gpt_refuses_shard,
    .shape = gpt_shape,
    .build = gpt_build,
};
