/* The schema of a result as JSON Schema and as Markdown, from the rows that also write it. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "bench/calibrate.h"
#include "bench/config_print.h"
#include "bench/config_schema.h"
#include "bench/result.h"
#include "bench/result_fields.h"

enum { ROWS_MAX = 256, WHY_BYTES = 96 };

static void write_fields(struct json *w, const struct field *fields);

/* "type": type, or [type, "null"]. */
static void write_type(struct json *w, const char *type, bool nullable)
{
    json_key(w, "type");
    if (!nullable) {
        json_text(w, type);
        return;
    }
    json_begin(w, '[');
    json_text(w, type);
    json_text(w, "null");
    json_end(w);
}

static void write_choices(struct json *w, const char *const *choices, bool nullable)
{
    if (!choices)
        return;
    json_key(w, "enum");
    json_begin(w, '[');
    for (; *choices; choices++)
        json_text(w, *choices);
    if (nullable)
        json_text(w, NULL);
    json_end(w);
}

static void write_items(struct json *w, const char *type, bool nullable)
{
    json_key(w, "items");
    json_begin(w, '{');
    write_type(w, type, nullable);
    json_end(w);
}

static void write_matrix(struct json *w)
{
    write_type(w, "array", true);
    json_key(w, "items");
    json_begin(w, '{');
    write_type(w, "array", false);
    write_items(w, "number", true);
    json_end(w);
}

static void write_objects(struct json *w, const struct field *f)
{
    write_type(w, "array", false);
    json_key(w, "items");
    json_begin(w, '{');
    write_fields(w, f->fields);
    json_end(w);
}

static void write_field(struct json *w, const void *item)
{
    const struct field *f = item;
    const bool nullable = field_may_be_null(f);
    schema_describe(w, f->help, f->unit);
    if (f->range != FIELD_ANY && f->kind != FIELD_STATISTIC) {
        json_key(w, f->range == FIELD_POSITIVE ? "exclusiveMinimum" : "minimum");
        json_number(w, 0);
    }
    switch (f->kind) {
    case FIELD_CONSTANT:
        schema_text(w, "const", f->constant);
        break;
    case FIELD_CONFIG:
        config_write_schema(w);
        break;
    case FIELD_TEXT:
    case FIELD_CHARS:
        write_type(w, "string", nullable);
        write_choices(w, f->choices, field_may_be_null(f));
        break;
    case FIELD_SEED:
    case FIELD_COUNT:
    case FIELD_SIZE:
        write_type(w, "integer", nullable);
        break;
    case FIELD_REAL:
    case FIELD_MAYBE:
        write_type(w, "number", nullable);
        break;
    case FIELD_BOOL:
        write_type(w, "boolean", nullable);
        break;
    case FIELD_STATISTIC:
        write_fields(w, statistic_fields);
        break;
    case FIELD_TEXTS:
        write_type(w, "array", nullable);
        write_items(w, "string", false);
        break;
    case FIELD_OBJECTS:
        write_objects(w, f);
        break;
    case FIELD_SERIES:
        write_type(w, "array", nullable);
        write_items(w, "number", true);
        break;
    case FIELD_FLAGS:
        write_type(w, "array", nullable);
        write_items(w, "boolean", false);
        break;
    case FIELD_MATRIX:
        write_matrix(w);
        break;
    }
}

static void write_why(struct json *w, const void *item)
{
    (void)item;
    schema_text(w, "type", "string");
    schema_describe(w, "Why null stands there.", NULL);
}

/* Keys of the schema of an object with these fields; every field is required, every reason may be absent. */
static void write_fields(struct json *w, const struct field *fields)
{
    struct schema_row rows[ROWS_MAX];
    char why[ROWS_MAX][WHY_BYTES];
    size_t n = 0;
    for (const struct field *f = fields; f->path; f++) {
        assert(n + 1 < ROWS_MAX);
        rows[n++] = (struct schema_row){ f->path, true, write_field, f };
        if (!field_may_be_null(f))
            continue;
        snprintf(why[n], WHY_BYTES, "%s_why", f->path);
        rows[n] = (struct schema_row){ why[n], false, write_why, NULL };
        n++;
    }
    schema_write_object(w, rows, n);
}

static void print_schema(const char *title, const struct field *fields, FILE *out)
{
    struct json w;
    json_start(&w, out, false);
    json_begin(&w, '{');
    schema_text(&w, "$schema", "http://json-schema.org/draft-07/schema#");
    schema_text(&w, "title", title);
    write_fields(&w, fields);
    json_end(&w);
}

void result_print_schema(FILE *out)
{
    print_schema("dmlbench result", result_fields, out);
}

void calibration_print_schema(FILE *out)
{
    print_schema("dmlbench calibration", calibration_fields, out);
}

/* ---- Markdown ------------------------------------------------------------------------------------------------------------ */

static const char *kind_text(enum field_kind kind)
{
    static const char *const names[] = {
        [FIELD_CONFIG] = "object",
        [FIELD_SEED] = "integer",
        [FIELD_TEXT] = "text",
        [FIELD_CHARS] = "text",
        [FIELD_COUNT] = "integer",
        [FIELD_SIZE] = "integer",
        [FIELD_REAL] = "number",
        [FIELD_MAYBE] = "number",
        [FIELD_BOOL] = "true or false",
        [FIELD_STATISTIC] = "statistic",
        [FIELD_TEXTS] = "list of texts",
        [FIELD_OBJECTS] = "list of objects",
        [FIELD_SERIES] = "list of numbers",
        [FIELD_FLAGS] = "list of true or false",
        [FIELD_MATRIX] = "list of lists of numbers",
    };
    return names[kind];
}

static void print_rows(const char *prefix, const struct field *fields, FILE *out)
{
    char inner[2 * WHY_BYTES];
    for (const struct field *f = fields; f->path; f++) {
        fprintf(out, "| `%s%s` | %s%s | %s | %s |\n", prefix, f->path, f->constant ? f->constant : kind_text(f->kind),
                field_may_be_null(f) ? " or null" : "", f->unit ? f->unit : "", f->help);
        snprintf(inner, sizeof inner, "%s%s[].", prefix, f->path);
        if (f->kind == FIELD_OBJECTS)
            print_rows(inner, f->fields, out);
    }
}

void result_print_markdown(FILE *out)
{
    static const char head[] = "| field | kind | unit | meaning |\n|---|---|---|---|\n";
    fputs("# Fields of a result\n\nMade from the program's own table; `dmlbench --schema result` prints it as JSON Schema.\n"
          "Where null stands, the key with `_why` beside it says the reason.\n\n",
          out);
    fputs(head, out);
    print_rows("", result_fields, out);
    fprintf(
        out,
        "\n## A calibration\n\nWhat `dmlbench --calibrate` writes; `dmlbench --schema calibration` prints it as JSON Schema.\n\n%s",
        head);
    print_rows("", calibration_fields, out);
    fprintf(out, "\n## A statistic\n\n%s", head);
    print_rows("", statistic_fields, out);
}
