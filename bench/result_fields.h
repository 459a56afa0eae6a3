/* The rows that describe struct result: written, published as a schema, documented and checked by walking them. */
#ifndef DMLBENCH_BENCH_RESULT_FIELDS_H
#define DMLBENCH_BENCH_RESULT_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "collectives/status.h"

enum field_kind {                  /* what stands at the offset           as JSON */
                  FIELD_CONSTANT,  /* nothing                             the row's `constant` */
                  FIELD_CONFIG,    /* const struct config *               object */
                  FIELD_SEED,      /* const struct config *               its seed */
                  FIELD_TEXT,      /* const char *; NULL: unknown         text */
                  FIELD_CHARS,     /* char []                             text */
                  FIELD_COUNT,     /* double, whole                       integer */
                  FIELD_SIZE,      /* size_t                              integer */
                  FIELD_REAL,      /* double; NaN: does not exist         number */
                  FIELD_MAYBE,     /* struct maybe                        number */
                  FIELD_BOOL,      /* bool                                true, false */
                  FIELD_STATISTIC, /* struct statistic                    object of the rows statistic_fields */
                  FIELD_TEXTS,     /* const char **, then size_t          array of texts */
                  FIELD_OBJECTS,   /* pointer to structs, then size_t     array of objects of the rows `fields` */
                  FIELD_SERIES,    /* double *[steps]                     array of numbers */
                  FIELD_FLAGS,     /* bool *[steps]                       array of true, false */
                  FIELD_MATRIX     /* double *[ranks][steps]              array of arrays of numbers */
};

struct field {
    const char *path; /* dotted, below the object that the table describes; NULL ends a table */
    enum field_kind kind;
    size_t offset;
    /* TEXT, COUNT, REAL, SERIES, MATRIX: why null stands there where it does, written as <path>_why; NULL: it never does.
     * MAYBE brings its own reason. */
    const char *null_why;
    const char *unit, *help; /* unit NULL: none */
    const char *constant;
    const char *const *choices;                                   /* TEXT: the only ones, NULL-ended; NULL: any */
    enum { FIELD_ANY, FIELD_NOT_NEGATIVE, FIELD_POSITIVE } range; /* COUNT, REAL, and the median of a STATISTIC */
    const struct field *fields;                                   /* OBJECTS */
    size_t stride;                                                /* OBJECTS: size of one struct */
};

extern const struct field result_fields[], calibration_fields[], statistic_fields[];

bool field_may_be_null(const struct field *f);

/* What these tables give, for one without samples (SERIES, FLAGS, MATRIX): the struct at `base` as JSON; whether a file's tree
 * (a cJSON *) fits, else a sentence. */
void fields_write_json(const struct field *fields, const void *base, FILE *out);
status fields_check(const struct field *fields, const char *file, const void *tree);

#endif
