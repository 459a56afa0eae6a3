/* A played pipeline as a table, as JSON, and as a drawing. */
#include <stdlib.h>
#include <string.h>

#include "bench/json.h"
#include "bench/plan.h"

/* What is said of each stage. */
static const struct {
    const char *key, *heading;
    size_t offset; /* of a double in struct played_stage */
} columns_of_stage[] = {
    { "peak_activations", "peak", offsetof(struct played_stage, peak_activations) },
    { "busy_s", "busy", offsetof(struct played_stage, busy_s) },
    { "idle_s", "idle", offsetof(struct played_stage, idle_s) },
    { "idle_fill_s", "fill", offsetof(struct played_stage, fill_s) },
    { "idle_drain_s", "drain", offsetof(struct played_stage, drain_s) },
    { "idle_activation_s", "activation", offsetof(struct played_stage, wait_activation_s) },
    { "idle_gradient_s", "gradient", offsetof(struct played_stage, wait_gradient_s) },
};
enum { COLUMNS = sizeof columns_of_stage / sizeof columns_of_stage[0] };

static double value(const struct played_stage *stage, int column)
{
    const void *field = (const char *)stage + columns_of_stage[column].offset;
    return *(const double *)field;
}

/* ---- a table ------------------------------------------------------------------------------------------------------------- */

static void print_heading(const struct plan *plan, FILE *out)
{
    const struct pipeline *p = &plan->input.pipeline;
    fprintf(out, "%s: %d stage%s", p->schedule->member.name, p->stages, p->stages == 1 ? "" : "s");
    if (pipeline_chunks(p) > 1)
        fprintf(out, " x %d chunks", pipeline_chunks(p));
    fprintf(out, " x %d micro-batch%s", p->micro_batches, p->micro_batches == 1 ? "" : "es");
    if (p->recompute)
        fprintf(out, ", recompute%s", p->recompute_last ? "" : " but not on the last stage");
    fprintf(out, plan->uneven ? " (of the largest replica; some have one less)\n" : "\n");
    if (plan->rates.compute_source[0])
        fprintf(out, "  times     by %s; messages by %s\n", plan->rates.compute_source,
                plan->rates.linked ? plan->rates.network_source : "plan keys");
}

void plan_print(const struct plan *plan, FILE *out)
{
    const struct playback *b = &plan->playback;
    print_heading(plan, out);
    fprintf(out, "  makespan  %.6g s, the longest stage from its first to its last task %.6g s\n", b->makespan_s, b->span_s);
    fprintf(out, "  bubble    %.4f of the time, %.4f of the work\n\n", b->bubble_frac, b->bubble_ratio);
    fprintf(out, "  %38s%s\n  stage", "", "idle seconds by cause");
    for (int i = 0; i < COLUMNS; i++)
        fprintf(out, " %10s", columns_of_stage[i].heading);
    for (int s = 0; s < b->stage_count; s++) {
        fprintf(out, "\n  %5d", s);
        for (int i = 0; i < COLUMNS; i++)
            fprintf(out, " %10.6g", value(&b->stages[s], i));
    }
    fprintf(out, "\n");
}

/* ---- JSON ---------------------------------------------------------------------------------------------------------------- */

static void write_sources(struct json *w, const struct rates *r)
{
    json_key(w, "times_source");
    json_text(w, r->compute_source[0] ? r->compute_source : "plan keys");
    json_key(w, "messages_source");
    json_text(w, r->linked ? r->network_source : "plan keys");
}

static void write_pipeline(struct json *w, const struct pipeline *p)
{
    json_key(w, "schedule");
    json_text(w, p->schedule->member.name);
    json_key(w, "stages");
    json_number(w, p->stages);
    json_key(w, "chunks");
    json_number(w, pipeline_chunks(p));
    json_key(w, "micro_batches");
    json_number(w, p->micro_batches);
    json_key(w, "recompute");
    json_bool(w, p->recompute);
    json_key(w, "recompute_last_stage");
    json_bool(w, p->recompute_last);
}

void plan_print_json(const struct plan *plan, FILE *out)
{
    const struct playback *b = &plan->playback;
    const struct {
        const char *key;
        double value;
    } totals[] = { { "makespan_s", b->makespan_s },
                   { "span_s", b->span_s },
                   { "bubble_frac", b->bubble_frac },
                   { "bubble_ratio", b->bubble_ratio } };
    struct json w;
    json_start(&w, out, false);
    json_begin(&w, '{');
    write_pipeline(&w, &plan->input.pipeline);
    write_sources(&w, &plan->rates);
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        json_key(&w, totals[i].key);
        json_number(&w, totals[i].value);
    }
    for (int i = 0; i < COLUMNS; i++) {
        json_key(&w, columns_of_stage[i].key);
        json_begin(&w, '[');
        for (int s = 0; s < b->stage_count; s++)
            json_number(&w, value(&b->stages[s], i));
        json_end(&w);
    }
    json_end(&w);
}

/* ---- a drawing ----------------------------------------------------------------------------------------------------------- */

enum { LABEL_BYTES = 16, BESIDE = 6 /* columns of the stage's number */ };

struct drawing {
    double columns_per_s;
    int width;
    bool numbered, crowded; /* every label has room; some task has not even a column */
};

/* Chunks after the first in small letters. */
static int make_label(const struct task *t, bool numbered, char label[LABEL_BYTES])
{
    static const char letters[2][6] = { "FRBBW", "frbbw" };
    const char letter = letters[t->chunk > 0][t->kind];
    return numbered ? snprintf(label, LABEL_BYTES, "%c%d", letter, t->micro) : snprintf(label, LABEL_BYTES, "%c", letter);
}

static int column_at(const struct drawing *d, double time_s)
{
    return (int)(time_s * d->columns_per_s + 0.5);
}

static int columns_of(const struct drawing *d, const struct played_task *t)
{
    return column_at(d, t->end_s) - column_at(d, t->start_s);
}

static struct drawing plan_drawing(const struct playback *b, int width)
{
    struct drawing d = { width / b->makespan_s, width, true, false };
    char label[LABEL_BYTES];
    for (int s = 0; s < b->stage_count; s++)
        for (int i = 0; i < b->stages[s].count; i++) {
            const struct played_task *t = &b->stages[s].tasks[i];
            if (t->end_s > t->start_s) {
                d.numbered = d.numbered && columns_of(&d, t) >= make_label(&t->task, true, label);
                d.crowded = d.crowded || columns_of(&d, t) == 0;
            }
        }
    return d;
}

/* "F3-" into the columns of a task, and a blank behind it where there is room; "+" where it has no column of its own. */
static void draw_task(const struct drawing *d, const struct played_task *t, char *row)
{
    char label[LABEL_BYTES];
    const int from = column_at(d, t->start_s), columns = columns_of(d, t), length = make_label(&t->task, d->numbered, label);
    for (int i = 0; i < columns; i++)
        if (row[from + i] != '+')
            row[from + i] = i < length ? label[i] : i < columns - 1 ? '-' : ' ';
    if (columns == 0 && t->end_s > t->start_s)
        row[from < d->width ? from : from - 1] = '+';
}

static void print_legend(const struct drawing *d, const struct plan *plan, FILE *out)
{
    fprintf(out, "      F forward, R recompute, B backward, W weight gradient%s, . idle; %.6g s, bubble %.4f\n",
            pipeline_chunks(&plan->input.pipeline) > 1 ? ", small letters: further chunks" : "", plan->playback.makespan_s,
            plan->playback.bubble_frac);
    if (d->crowded)
        fprintf(out, "      + several tasks: a wider terminal, or fewer micro-batches, would show them\n");
    else if (!d->numbered)
        fprintf(out, "      no room for the micro-batches' numbers: a wider terminal, or fewer of them, would show them\n");
}

void plan_draw(const struct plan *plan, int columns, FILE *out)
{
    const struct playback *b = &plan->playback;
    print_heading(plan, out);
    if (!(b->makespan_s > 0)) {
        fprintf(out, "      all times are 0: there is nothing to draw (plan.forward_s, plan.backward_s)\n");
        return;
    }
    const struct drawing d = plan_drawing(b, columns - BESIDE);
    char *row = malloc((size_t)d.width + 1);
    if (!row)
        return;
    row[d.width] = 0;
    for (int s = 0; s < b->stage_count; s++) {
        memset(row, '.', (size_t)d.width);
        for (int i = 0; i < b->stages[s].count; i++)
            draw_task(&d, &b->stages[s].tasks[i], row);
        fprintf(out, "%5d %s\n", s, row);
    }
    print_legend(&d, plan, out);
    free(row);
}
