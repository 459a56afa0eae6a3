/* JSON Schema (draft 7) from flat rows with dotted paths: shared by the config's and the result's schema. */
#ifndef DMLBENCH_BENCH_CONFIG_SCHEMA_H
#define DMLBENCH_BENCH_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "bench/json.h"

struct schema_row {
    const char *path;                                /* rows of one object follow each other */
    bool required;                                   /* objects that have a required row are required themselves */
    void (*write)(struct json *w, const void *item); /* writes keys into the row's own schema, an open object */
    const void *item;
};

/* The keys of the schema of the object that rows[n] describe, without its braces: type, properties, required; no other keys fit. */
void schema_write_object(struct json *w, const struct schema_row *rows, size_t n);

/* "name": value */
void schema_text(struct json *w, const char *name, const char *value);
void schema_number(struct json *w, const char *name, double value);
/* "description" with its unit; unit may be NULL. */
void schema_describe(struct json *w, const char *help, const char *unit);

#endif
