/* The operators as calls of the blocking collectives, and what they send. Letters: t ranks, n floats. */
#include "bench/tensor.h"

#include "kernels/layers.h"

status tensor_open(struct tensor *t, struct engine *e, const struct shard *shard)
{
    *t = (struct tensor){ .shard = *shard };
    return e ? blocking_open(&t->group, e, PURPOSE_TENSOR) : STATUS_OK;
}

static bool alone(const struct tensor *t)
{
    return !t || t->shard.ranks == 1;
}

/* One collective, with its time charged to the phase. */
static void play(struct tensor *t, void (*collective)(const struct blocking *, float *, size_t), float *x, size_t n)
{
    const enum phase was = t->watch ? stopwatch_switch(t->watch, PHASE_TENSOR) : PHASE_TENSOR;
    collective(&t->group, x, n);
    if (t->watch)
        stopwatch_switch(t->watch, was);
}

void tensor_gather(struct tensor *t, float *x, size_t n)
{
    if (!alone(t) && t->shard.sequence)
        play(t, blocking_gather, x, n);
}

void tensor_sum(struct tensor *t, float *x, size_t n)
{
    if (!alone(t))
        play(t, t->shard.sequence ? blocking_scatter : blocking_sum, x, n);
}

double tensor_cross_entropy(struct tensor *t, float *logits, const int32_t *targets, int first, int rows, int V, float *scratch)
{
    if (alone(t))
        return cross_entropy_forward(logits, targets, rows, V);
    const size_t n = (size_t)rows;
    float *max = scratch, *sum = max + n, *target = sum + n;
    cross_entropy_max(max, logits, rows, V);
    play(t, blocking_max, max, n);
    cross_entropy_exponentials(logits, sum, target, max, targets, first, rows, V);
    play(t, blocking_sum, sum, n);
    play(t, blocking_sum, target, n);
    return cross_entropy_divide(logits, max, sum, target, rows, V);
}

void tensor_sum_partial(struct tensor *t, float *x, size_t n)
{
    if (!alone(t))
        play(t, blocking_sum, x, n);
}

/* f gathers and g sums in turn, forward; backward they change roles, and the last operator comes first. */
void tensor_play(struct tensor *t, const struct layer *l, enum tensor_work work, int samples, float *x)
{
    const int gathers = work == TENSOR_FORWARD ? l->operators_f : l->operators_g;
    const int sums = work == TENSOR_FORWARD ? l->operators_g : l->operators_f;
    const size_t n = (size_t)samples * l->operator_floats, rows = (size_t)samples * l->loss_rows;
    for (int i = 0; i < gathers || i < sums; i++) {
        if (i < gathers)
            tensor_gather(t, x, n);
        if (i < sums)
            tensor_sum(t, x, n);
    }
    if (work == TENSOR_BACKWARD || alone(t) || rows == 0)
        return;
    play(t, blocking_max, x, rows);
    play(t, blocking_sum, x, rows);
    play(t, blocking_sum, x, rows);
}

uint64_t tensor_sent_B(const struct network *net, enum tensor_work work, int samples, size_t segment_B)
{
    uint64_t floats = 0;
    for (int i = 0; i < net->count; i++) {
        const struct layer *l = &net->layers[i];
        const int t = l->shard.ranks, r = l->shard.rank, f = l->operators_f, g = l->operators_g;
        const size_t n = (size_t)samples * l->operator_floats, rows = (size_t)samples * l->loss_rows;
        if (l->shard.sequence)
            floats += (uint64_t)(f + g) * blocking_gather_sent_floats(t, n);
        else
            floats += (uint64_t)(work == TENSOR_FORWARD ? g : f) * blocking_sum_sent_floats(segment_B, t, r, n);
        if (work == TENSOR_FORWARD)
            floats += 3 * blocking_sum_sent_floats(segment_B, t, r, rows);
    }
    return floats * sizeof(float);
}
