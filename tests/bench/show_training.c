/* Prints what goes into some training steps and what comes out, as one JSON object: show_training CONFIG STEPS, on one rank.
 * tests/cli/test_reference.py computes the same from the papers' formulas.
 *
 *     { slices: [[name, rows, columns]], initial: [parameters],
 *       steps: [{ samples: [[inputs, targets]], loss }], final: [parameters] }
 *
 * The samples are asked of the dataset by their global index, step * batch.global + i, and not taken from the trainer: a trainer
 * that learned from others would have other losses.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/json.h"
#include "bench/train.h"
#include "collectives/job.h"

static void show_slices(struct json *w, const struct params *p)
{
    json_begin(w, '[');
    for (int i = 0; i < p->count; i++) {
        json_begin(w, '[');
        json_text(w, p->slices[i].name);
        json_number(w, p->slices[i].rows);
        json_number(w, p->slices[i].columns);
        json_end(w);
    }
    json_end(w);
}

static void show_floats(struct json *w, const float *x, size_t n)
{
    json_begin(w, '[');
    for (size_t i = 0; i < n; i++)
        json_number(w, (double)x[i]);
    json_end(w);
}

static void show_ints(struct json *w, const int32_t *x, size_t n)
{
    json_begin(w, '[');
    for (size_t i = 0; i < n; i++)
        json_number(w, x[i]);
    json_end(w);
}

/* Into the trainer's buffers of a micro-batch, which the next step fills anew. */
static void show_sample(struct json *w, const struct trainer *t, uint64_t index)
{
    const struct network *net = &t->plan.parts[0].net;
    const struct graph *g = &t->parts[0].stash.graphs[0];
    const size_t length = (size_t)net->shape.length;
    t->data.kind->sample(&t->data, index, &(struct sample){ g->symbols, g->features, g->targets });
    json_begin(w, '[');
    if (g->symbols)
        show_ints(w, g->symbols, length);
    else
        show_floats(w, g->features, length);
    show_ints(w, g->targets, (size_t)net->rows_per_sample);
    json_end(w);
}

static void show_step(struct json *w, struct trainer *t, int64_t step)
{
    const int64_t samples = t->config->batch.global;
    struct stopwatch watch;
    stopwatch_start(&watch, t->clock, PHASE_DATA);
    json_begin(w, '{');
    json_key(w, "samples");
    json_begin(w, '[');
    for (int64_t i = 0; i < samples; i++)
        show_sample(w, t, (uint64_t)(step * samples + i));
    json_end(w);
    json_key(w, "loss");
    json_number(w, trainer_step(t, step, &watch));
    json_end(w);
}

static void show_training(struct trainer *t, int64_t steps)
{
    struct json w;
    json_start(&w, stdout, true);
    json_begin(&w, '{');
    json_key(&w, "slices");
    show_slices(&w, &t->plan.parts[0].net.params);
    json_key(&w, "initial");
    show_floats(&w, t->parts[0].params, t->plan.parts[0].net.params.n);
    json_key(&w, "steps");
    json_begin(&w, '[');
    for (int64_t step = 0; step < steps; step++)
        show_step(&w, t, step);
    json_end(&w);
    json_key(&w, "final");
    show_floats(&w, t->parts[0].params, t->plan.parts[0].net.params.n);
    json_end(&w);
}

/* A failure leaves everything to the end of the process. */
static status train(const char *path, int64_t steps)
{
    char *text = NULL, *folder = NULL;
    struct job job;
    struct config c;
    struct trainer t;
    job_open(&job, NULL, NULL);
    TRY(config_read_file(path, &text, &folder));
    TRY(config_parse(&c, path, text, folder, NULL, 0));
    TRY(config_settle(&c, job.ranks));
    TRY(trainer_open(&t, &c, job.world));
    show_training(&t, steps);
    trainer_close(&t);
    config_free(&c);
    free(text);
    free(folder);
    job_close(&job);
    return STATUS_OK;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return STATUS_USAGE;
    const status s = train(argv[1], atoll(argv[2]));
    if (s != STATUS_OK)
        fprintf(stderr, "%s\n", status_message());
    return s;
}
