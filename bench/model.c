/* The table of models, and what all of them share: a chain of layers over one array of parameters. */
#include "bench/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct model *const models[] = { &model_gpt, &model_mlp, &model_proxy, NULL };

const struct model *model_find(const char *name)
{
    for (int i = 0; models[i]; i++)
        if (!strcmp(models[i]->member.name, name))
            return models[i];
    return NULL;
}

static const struct shard_limit *first_broken(const struct shard_limit *limits, int count, int tensor)
{
    for (int i = 0; i < count; i++)
        if (limits[i].equally ? limits[i].value % tensor != 0 : limits[i].value < tensor)
            return &limits[i];
    return NULL;
}

const char *shard_refuses(const struct shard_limit *limits, int count, int tensor)
{
    static char why[160];
    const struct shard_limit *broken = first_broken(limits, count, tensor);
    if (!broken)
        return NULL;
    snprintf(why, sizeof why, "%s = %lld cannot be shared%s by parallel.tensor = %d ranks", broken->key, (long long)broken->value,
             broken->equally ? " equally" : "", tensor);
    return why;
}

status network_open(struct network *net, const struct model *kind, const void *options, const struct shard *shard)
{
    *net = (struct network){ .shape = kind->shape(options), .shard = *shard };
    return kind->build(net, options);
}

void network_close(struct network *net)
{
    params_free(&net->params);
    free(net->layers);
    *net = (struct network){ 0 };
}

status network_reserve(struct network *net, int layers, int slices)
{
    net->layers = calloc((size_t)layers, sizeof(struct layer));
    if (!net->layers)
        return status_fail(STATUS_FAILED, "no memory for the table of %d layers", layers);
    const status s = params_reserve(&net->params, slices);
    if (s != STATUS_OK) {
        free(net->layers);
        net->layers = NULL;
    }
    return s;
}

struct layer *network_add(struct network *net, const struct layer_kind *kind, const char *name, const void *options)
{
    struct layer *l = &net->layers[net->count++];
    *l = (struct layer){ .kind = kind, .options = options, .shard = net->shard, .first_slice = net->params.count };
    snprintf(l->name, sizeof l->name, "%s", name);
    return l;
}

void network_slice(struct network *net, const struct slice_form *form)
{
    struct layer *l = &net->layers[net->count - 1];
    l->slices++;
    l->at[l->reads++] = params_add(&net->params, l->name, form, &net->shard);
}

void network_share(struct network *net, size_t at)
{
    struct layer *l = &net->layers[net->count - 1];
    l->at[l->reads++] = at;
}

const float *bias_added_once(const struct layer *l, const float *bias)
{
    return l->shard.rank == 0 ? bias : NULL;
}

double network_flop_forward(const struct network *net)
{
    double sum = 0;
    for (int i = 0; i < net->count; i++)
        sum += net->layers[i].flop_forward;
    return sum;
}

double network_flop_backward(const struct network *net)
{
    double sum = 0;
    for (int i = 0; i < net->count; i++)
        sum += net->layers[i].flop_input_grad + net->layers[i].flop_weight_grad;
    return sum;
}
