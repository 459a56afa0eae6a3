/* Models: one struct, one table, one file per member (model_<name>.c).
 *
 * A model is a chain of layers; a layer is a piece between two activations, so that a pipeline can cut between any two. Each layer
 * exposes forward, input gradient and weight gradient as three calls. The training loop owns all buffers: per layer and micro-batch
 * in flight
 *
 *      in -> [forward] -> out, saved          saved: what the gradients need of the forward pass
 *     din <- [input_grad] <- dout, kept       kept: what the weight gradient needs of the input gradient
 *   grads <- [weight_grad]
 *
 * A layer reads its parameters from the model's one flat array and adds its gradients to one of the same layout.
 *
 * The same layers run whole or as one tensor rank's shard of them, whose slices and activations are then shares; what has to be
 * summed between tensor ranks goes through pass.tensor (bench/tensor.h), in forward and input_grad only.
 */
#ifndef DMLBENCH_BENCH_MODEL_H
#define DMLBENCH_BENCH_MODEL_H

#include "bench/dataset.h"
#include "bench/params.h"

struct tensor;

enum { LAYER_SLICES_MAX = 16 };

/* One micro-batch passing through one layer. Arrays that a layer does not use are NULL. */
struct pass {
    int samples;
    const int32_t *symbols; /* [samples, length] */
    const float *features;  /* [samples, length] */
    const int32_t *targets; /* [samples, length] or [samples] */
    const float *params;    /* the whole model's; slices by offset */
    float *grads;           /* the same layout; added to */
    const float *in;        /* [samples, in_floats] */
    float *out;             /* [samples, out_floats]; still there when the gradients are taken */
    float *saved, *kept;    /* [samples, saved_floats], [samples, kept_floats] */
    const float *dout;      /* [samples, out_floats] */
    float *din;             /* [samples, in_floats] */
    float *scratch;         /* network.scratch_floats for the micro-batch */
    struct tensor *tensor;  /* where the layer is a shard; NULL where it is whole */
    float weight;           /* of one row in the loss: 1 / rows of the global batch */
    double loss;            /* set by the last layer: the SUM of the rows' losses, nats */
};

struct layer;

struct layer_kind {
    void (*forward)(const struct layer *l, struct pass *p);
    void (*input_grad)(const struct layer *l, struct pass *p);
    void (*weight_grad)(const struct layer *l, struct pass *p);
};

struct layer {
    const struct layer_kind *kind;
    char name[32];
    const void *options;         /* the model's own struct */
    struct shard shard;          /* which share of its split matrices it has */
    bool repeated;               /* one of many alike, which stages share equally and compute.name sleep takes time for */
    int in, out, first_out;      /* floats per row, where the kind needs them; the outputs begin at number first_out of the whole */
    bool row_split;              /* a linear layer whose matrix is split by rows, not by columns */
    size_t at[LAYER_SLICES_MAX]; /* offsets of the slices it reads, in the kind's own order */
    int reads;                   /* how many of at[] */
    int first_slice, slices;     /* the slices it owns, contiguous; a tied matrix belongs to the first layer that has it */
    size_t in_floats, out_floats; /* activations, per sample */
    size_t saved_floats, kept_floats;
    double flop_forward, flop_input_grad, flop_weight_grad; /* of its matrix products, per sample; the whole's / tensor ranks */
    /* What tensor ranks exchange, per sample: Megatron's operators f, whose gradient is a sum of the ranks', and g, whose output
     * is, each over so many floats; and rows of a loss whose columns are split. */
    int operators_f, operators_g;
    size_t operator_floats, loss_rows;
};

struct network {
    struct sample_shape shape;
    struct shard shard;
    struct params params;
    struct layer *layers;
    int count;
    int rows_per_sample;   /* terms of the loss in one sample: positions of a sequence, or 1 */
    size_t scratch_floats; /* per sample, the most that any layer needs */
};

struct model {
    struct member member;
    bool hollow; /* its layers have sizes and no functions */
    /* NULL, or why these options do not make a model, a part of a sentence; valid until the next call. What it says would fit can
     * be split over so many tensor ranks. OPTIONAL. */
    const char *(*refuses)(const void *options, int tensor);
    /* NULL, or why its layers cannot be split over so many tensor ranks: likewise, but no other number. */
    const char *(*refuses_shard)(const void *options, int tensor, bool sequence);
    /* What one sample must look like. */
    struct sample_shape (*shape)(const void *options);
    /* Local. Fills params and layers of net->shard (and out-of-memory is the only failure). options outlives the network. */
    status (*build)(struct network *net, const void *options);
};

/* For the members' refuses_shard: what tensor ranks must be able to share, equally or one each at least. NULL, or why so many
 * cannot: a part of a sentence; valid until the next call. */
struct shard_limit {
    const char *key;
    int64_t value;
    bool equally;
};
const char *shard_refuses(const struct shard_limit *limits, int count, int tensor);

extern const struct model model_gpt, model_mlp, model_proxy;
extern const struct model *const models[]; /* NULL-ended; the first is the default */
const struct model *model_find(const char *name);

/* Local. The network of one tensor rank, within what refuses_shard allows; its slices are the rank's shards. */
status network_open(struct network *net, const struct model *kind, const void *options, const struct shard *shard);
void network_close(struct network *net);

/* For the members. Local: room for so many layers and slices, zeroed. */
status network_reserve(struct network *net, int layers, int slices);
/* Appends a layer, within what was reserved; the slices added after it, up to the next layer, are its own. */
struct layer *network_add(struct network *net, const struct layer_kind *kind, const char *name, const void *options);
/* Appends a slice to the last layer: its offset becomes the layer's at[]'s next entry. */
void network_slice(struct network *net, const struct slice_form *form);
/* For layers split by rows, whose outputs are summed over the tensor ranks: the bias on one of them, NULL on the others. */
const float *bias_added_once(const struct layer *l, const float *bias);
/* The last layer also reads the slice at this offset, which an earlier one owns. */
void network_share(struct network *net, size_t at);

/* Sums over the layers: flop of one sample forward, and backward (both gradients). */
double network_flop_forward(const struct network *net);
double network_flop_backward(const struct network *net);

#endif
