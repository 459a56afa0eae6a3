/* Shared by the tests of split layers: example models, and a network as a whole and as this rank's shard of it, each with all that
 * a forward and a backward pass need. Every rank has the whole network too: it is what the shards are compared with. */
#ifndef DMLBENCH_TESTS_BENCH_SHARDS_H
#define DMLBENCH_TESTS_BENCH_SHARDS_H

#include <math.h>
#include <string.h>

#include "bench/config.h"
#include "bench/tensor.h"
#include "kernels/random.h"
#include "tests/collectives/mpi_test.h"

enum { SAMPLES = 3, LAYERS_MOST = 8, SEGMENT_B = 2048, ANY_SEED = 5 };

#define GPT   "{\"model\":{\"name\":\"gpt\",\"layers\":2,\"hidden\":32,\"heads\":8,\"sequence\":8,\"vocabulary\":19,\"tied\":"
#define MLP   "{\"model\":{\"name\":\"mlp\",\"inputs\":20,\"hidden\":32,\"classes\":9,\"layers\":"
#define CLOSE "}}"

static const struct example {
    const char *text;
    bool sequence;
} examples[] = {
    { GPT "true" CLOSE, false }, { GPT "true" CLOSE, true }, { GPT "false" CLOSE, false }, { GPT "false" CLOSE, true },
    { MLP "0" CLOSE, false },    { MLP "1" CLOSE, false },   { MLP "2" CLOSE, false },     { MLP "3" CLOSE, false },
};
enum { EXAMPLES = sizeof examples / sizeof *examples };

/* A network with all that a forward and a backward pass need. */
struct rig {
    struct network net;
    struct tensor *tensor;
    float *params, *grads, *scratch, *out[LAYERS_MOST], *saved[LAYERS_MOST], *kept[LAYERS_MOST], *dout[LAYERS_MOST + 1];
    double loss;
};

static struct config config;
static struct fabric fabric;
static struct engine *engine;
static struct tensor tensor;
static struct rig whole, part;
static int32_t symbols[SAMPLES * 8], targets[SAMPLES * 8];
static float features[SAMPLES * 20];

static inline float *floats(size_t n)
{
    float *x = calloc(n + 1, sizeof *x);
    assert_on_all_ranks(x != NULL);
    return x;
}

static inline void rig_open(struct rig *r, const struct shard *shard, struct tensor *t)
{
    *r = (struct rig){ .tensor = t };
    const status s = network_open(&r->net, model_find(config.model.name), config.model.options, shard);
    assert_on_all_ranks(s == STATUS_OK && r->net.count <= LAYERS_MOST);
    r->params = floats(r->net.params.n);
    r->grads = floats(r->net.params.n);
    r->scratch = floats(SAMPLES * r->net.scratch_floats);
    for (int i = 0; i < r->net.count; i++) {
        const struct layer *l = &r->net.layers[i];
        r->out[i] = floats(SAMPLES * l->out_floats);
        r->saved[i] = floats(SAMPLES * l->saved_floats);
        r->kept[i] = floats(SAMPLES * l->kept_floats);
        r->dout[i + 1] = floats(SAMPLES * l->out_floats);
    }
    params_initialise(&r->net.params, ANY_SEED, r->params);
}

static inline void rig_close(struct rig *r)
{
    for (int i = 0; i < r->net.count; i++)
        free(r->out[i]), free(r->saved[i]), free(r->kept[i]), free(r->dout[i + 1]);
    free(r->params), free(r->grads), free(r->scratch);
    network_close(&r->net);
}

static inline struct pass pass_of(struct rig *r, int i)
{
    return (struct pass){
        .samples = SAMPLES,
        .symbols = symbols,
        .features = features,
        .targets = targets,
        .params = r->params,
        .grads = r->grads,
        .in = i ? r->out[i - 1] : features,
        .out = r->out[i],
        .saved = r->saved[i],
        .kept = r->kept[i],
        .dout = r->dout[i + 1],
        .din = i ? r->dout[i] : NULL,
        .scratch = r->scratch,
        .tensor = r->tensor,
        .weight = 1.0F / (float)(SAMPLES * r->net.rows_per_sample),
    };
}

static inline void forward(struct rig *r, int layers)
{
    for (int i = 0; i < layers; i++) {
        struct pass p = pass_of(r, i);
        r->net.layers[i].kind->forward(&r->net.layers[i], &p);
        r->loss = p.loss;
    }
}

static inline void backward(struct rig *r, int layers)
{
    memset(r->grads, 0, r->net.params.n * sizeof *r->grads);
    for (int i = layers - 1; i >= 0; i--) {
        struct pass p = pass_of(r, i);
        r->net.layers[i].kind->input_grad(&r->net.layers[i], &p);
        r->net.layers[i].kind->weight_grad(&r->net.layers[i], &p);
    }
    for (int i = 0; i < r->net.params.count; i++)
        if (r->net.params.slices[i].partial)
            tensor_sum_partial(r->tensor, r->grads + r->net.params.slices[i].at, r->net.params.slices[i].n);
}

static inline void set_up(const struct example *example)
{
    status s = config_parse(&config, "test", example->text, ".", NULL, 0);
    const struct shard shard = { job.ranks, job.rank, example->sequence };
    assert_on_all_ranks(s == STATUS_OK);
    assert_on_all_ranks(fabric_open(&fabric, &fabric_mpi, NULL, job.world) == STATUS_OK);
    assert_on_all_ranks(engine_open(&engine, &fabric, PROGRESS_NONE, SEGMENT_B) == STATUS_OK);
    assert_on_all_ranks(tensor_open(&tensor, engine, &shard) == STATUS_OK);
    rig_open(&whole, &shard_whole, NULL);
    rig_open(&part, &shard, &tensor);
    const int most = whole.net.shape.classes;
    for (int i = 0; i < SAMPLES * 8; i++) {
        symbols[i] = i * 7 % most;
        targets[i] = (i * 5 + 3) % most;
    }
    random_normal(&(struct random){ .seed = ANY_SEED, .stream = RANDOM_SAMPLES }, 1, 0, features, SAMPLES * 20);
}

static inline void tear_down(void)
{
    rig_close(&part);
    rig_close(&whole);
    engine_close(engine);
    fabric_close(&fabric);
    config_free(&config);
}

#endif
