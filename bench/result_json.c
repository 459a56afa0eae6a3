/* A result as JSON: one walk over the rows of result_fields.c. What does not exist is null, with the reason beside it. */
#include <math.h>

#include "bench/config_print.h"
#include "bench/json.h"
#include "bench/result.h"
#include "bench/result_fields.h"

enum { PATH_BYTES = 96 };

struct writer {
    struct json json;
    const struct result *result; /* for the shape of the samples */
};

static void write_fields(struct writer *w, const struct field *fields, const void *base);

static void write_why(struct writer *w, const char *path, const char *why)
{
    char key[PATH_BYTES];
    snprintf(key, sizeof key, "%s_why", path);
    json_key(&w->json, key);
    json_text(&w->json, why);
}

static void write_null(struct writer *w, const char *path, const char *why)
{
    json_text(&w->json, NULL);
    write_why(w, path, why);
}

static void write_real(struct writer *w, const char *path, double x, const char *why)
{
    if (isfinite(x))
        json_number(&w->json, x);
    else
        write_null(w, path, why);
}

/* Returns whether all are finite. */
static bool write_array(struct json *w, const double *x, size_t n)
{
    bool finite = true;
    json_begin(w, '[');
    for (size_t i = 0; i < n; i++) {
        json_number(w, x[i]);
        finite = finite && isfinite(x[i]);
    }
    json_end(w);
    return finite;
}

static void write_samples(struct writer *w, const struct field *f, const double *x)
{
    const size_t steps = w->result->samples.steps;
    bool finite = true;
    if (!x) {
        write_null(w, f->path, f->null_why);
        return;
    }
    if (f->kind == FIELD_SERIES)
        finite = write_array(&w->json, x, steps);
    else {
        json_begin(&w->json, '[');
        for (size_t rank = 0; rank < w->result->samples.ranks; rank++)
            finite = write_array(&w->json, x + rank * steps, steps) && finite;
        json_end(&w->json);
    }
    if (!finite)
        write_why(w, f->path, f->null_why);
}

static void write_flags(struct writer *w, const struct field *f, const bool *x)
{
    if (!x) {
        write_null(w, f->path, f->null_why);
        return;
    }
    json_begin(&w->json, '[');
    for (size_t i = 0; i < w->result->samples.steps; i++)
        json_bool(&w->json, x[i]);
    json_end(&w->json);
}

static void write_texts(struct json *w, const char *const *texts, size_t n)
{
    json_begin(w, '[');
    for (size_t i = 0; i < n; i++)
        json_text(w, texts[i]);
    json_end(w);
}

static void write_objects(struct writer *w, const struct field *fields, const char *first, size_t n, size_t stride)
{
    json_begin(&w->json, '[');
    for (size_t i = 0; i < n; i++) {
        json_begin(&w->json, '{');
        write_fields(w, fields, first + i * stride);
        json_end(&w->json);
    }
    json_end(&w->json);
}

static void write_text(struct writer *w, const struct field *f, const char *text)
{
    if (text)
        json_text(&w->json, text);
    else
        write_null(w, f->path, f->null_why);
}

static void write_field(struct writer *w, const struct field *f, const void *at)
{
    const struct maybe *maybe = at;
    const void *const *pointer = at;
    const size_t *count = (const size_t *)(pointer + 1);
    json_key(&w->json, f->path);
    switch (f->kind) {
    case FIELD_CONSTANT:
        json_text(&w->json, f->constant);
        break;
    case FIELD_CONFIG:
        config_write(*pointer, &w->json);
        break;
    case FIELD_SEED:
        json_number(&w->json, (double)((const struct config *)*pointer)->seed);
        break;
    case FIELD_TEXT:
        write_text(w, f, *pointer);
        break;
    case FIELD_CHARS:
        json_text(&w->json, at);
        break;
    case FIELD_COUNT:
    case FIELD_REAL:
        write_real(w, f->path, *(const double *)at, f->null_why);
        break;
    case FIELD_SIZE:
        json_number(&w->json, (double)*(const size_t *)at);
        break;
    case FIELD_MAYBE:
        write_real(w, f->path, maybe->value, maybe->why);
        break;
    case FIELD_BOOL:
        json_bool(&w->json, *(const bool *)at);
        break;
    case FIELD_STATISTIC:
        json_begin(&w->json, '{');
        write_fields(w, statistic_fields, at);
        json_end(&w->json);
        break;
    case FIELD_TEXTS:
        write_texts(&w->json, *pointer, *count);
        break;
    case FIELD_OBJECTS:
        write_objects(w, f->fields, *pointer, *count, f->stride);
        break;
    case FIELD_SERIES:
    case FIELD_MATRIX:
        write_samples(w, f, *pointer);
        break;
    case FIELD_FLAGS:
        write_flags(w, f, *pointer);
        break;
    }
}

static void write_fields(struct writer *w, const struct field *fields, const void *base)
{
    for (const struct field *f = fields; f->path; f++)
        write_field(w, f, (const char *)base + f->offset);
}

static void write_document(struct writer *w, const struct field *fields, const void *base, FILE *out)
{
    json_start(&w->json, out, false);
    json_begin(&w->json, '{');
    write_fields(w, fields, base);
    json_end(&w->json);
}

void fields_write_json(const struct field *fields, const void *base, FILE *out)
{
    write_document(&(struct writer){ 0 }, fields, base, out);
}

void result_write_json(const struct result *r, FILE *out)
{
    write_document(&(struct writer){ .result = r }, result_fields, r, out);
}
