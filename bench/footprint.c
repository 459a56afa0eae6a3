/* Sums over the parts of a rank. */
#include "bench/footprint.h"

#include <stdlib.h>

#include "bench/gradient.h"
#include "bench/links.h"
#include "bench/stash.h"
#include "kernels/optimizer.h"

void footprint_replica(const struct assignment *a, int part, int *rank, int *ranks)
{
    const int routes = pipeline_routes(&a->pipeline);
    *rank = routes * a->at[AXIS_DATA] + part % routes;
    *ranks = routes * a->degree[AXIS_DATA];
}

status footprint_shape(const struct assignment *a, int part, struct gradient_shape *shape)
{
    const struct network *net = &a->parts[part].net;
    struct gradient_layer *layers = calloc((size_t)net->count, sizeof *layers);
    if (!layers)
        return status_fail(STATUS_FAILED, "no memory to plan %d layers", net->count);
    for (int k = 0; k < net->count; k++)
        part_layer_ranges(net, k, &layers[k].own, &layers[k].shared);
    *shape = (struct gradient_shape){ .n = net->params.n,
                                      .leaves = a->leaves,
                                      .starts = a->starts,
                                      .params = &net->params,
                                      .layers = layers,
                                      .layer_count = net->count };
    for (int k = 0; k < a->micro_batches; k++)
        shape->recomputed += a->parts[part].recomputes[k];
    return STATUS_OK;
}

/* Of the slices that this replica verifies the largest one's values and direction; slices are dealt to the replicas in the model's
 * order (verify.c). */
static double verified_slice_B(const struct assignment *a)
{
    size_t largest = 0;
    for (int i = 0; i < a->count; i++) {
        const struct params *p = &a->parts[i].net.params;
        for (int k = 0; k < p->count; k++) /* a copy of a tied matrix is dealt by its place, not its index */
            if ((p->slices[0].index + k) % a->degree[AXIS_DATA] == a->at[AXIS_DATA] && p->slices[k].n > largest)
                largest = p->slices[k].n;
    }
    return 2 * 4 * (double)largest;
}

/* All parameters (with ZeRO 3 beside the own ones), their gradients, and the activations of a few samples. */
static double verification_B(const struct config *c, const struct assignment *a, const struct part_plan *p,
                             const struct gradient_plan *g)
{
    const double few = a->samples > VERIFIED_SAMPLES ? (double)VERIFIED_SAMPLES / a->samples : 1;
    const double kept = c->parallel.zero == 3 ? (double)g->state_floats : 0;
    return 4 * (2 * (double)p->net.params.n + kept) + few * stash_B(a, p) / p->graphs;
}

double footprint_most_B(const struct footprint *f)
{
    const double training_B = f->parameters_B + f->gradients_B + f->optimizer_B + f->exchange_B + f->activations_B + f->messages_B;
    return training_B > f->verification_B ? training_B : f->verification_B;
}

static status add_part(const struct config *c, const struct assignment *a, int i, struct footprint *f)
{
    struct gradient_shape shape;
    int rank, ranks;
    TRY(footprint_shape(a, i, &shape));
    footprint_replica(a, i, &rank, &ranks);
    const status possible = gradient_check(c, &shape, rank, ranks);
    const struct gradient_plan g = possible == STATUS_OK ? gradient_plan(c, &shape, rank, ranks) : (struct gradient_plan){ 0 };
    free((void *)shape.layers);
    TRY(possible);
    f->parameters_B += g.params_B;
    f->gradients_B += g.sums_B;
    f->optimizer_B += 4.0 * (double)g.state_floats * optimizer_find(c->optimizer.name)->state_arrays;
    f->exchange_B += g.error_B + g.codes_B;
    f->gradients_sent_B += g.sent_B;
    f->parameters_sent_B += g.parameters_sent_B;
    f->activations_B += stash_B(a, &a->parts[i]);
    f->verification_B += c->measure.verify ? verification_B(c, a, &a->parts[i], &g) : 0;
    return STATUS_OK;
}

status footprint_of(const struct config *c, const struct assignment *a, struct footprint *f)
{
    *f = (struct footprint){ .messages_B = links_B(c, a),
                             .exchange_B = 4.0 * (double)assignment_waiting(c, a),
                             .verification_B = c->measure.verify ? verified_slice_B(a) : 0 };
    for (int i = 0; i < a->count; i++)
        TRY(add_part(c, a, i, f));
    return STATUS_OK;
}
