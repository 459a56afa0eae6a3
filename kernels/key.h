/* One config key as plain data, so that a member of any layer can bring rows of its own.
 *
 * Defaults, checks, `--keys`, `--schema`, the echo in results and docs/config.md all walk these rows (bench/config.c);
 * nothing here knows JSON. A table of rows ends with a row whose name is NULL.
 */
#ifndef DMLBENCH_KERNELS_KEY_H
#define DMLBENCH_KERNELS_KEY_H

#include <stddef.h>
#include <stdint.h>

enum key_kind {
    KEY_INT,    /* int64_t */
    KEY_REAL,   /* double */
    KEY_BOOL,   /* bool */
    KEY_SWITCH, /* int64_t, an enum setting; JSON: true, false or "auto" */
    KEY_CHOICE, /* const char *, one of the row's choices */
    KEY_TEXT,   /* const char * */
    KEY_TEXTS,  /* struct texts; JSON: one string or an array of strings */
    KEY_MATRIX  /* struct matrix; JSON: an array of rows, each an array of as many numbers */
};

enum setting { SETTING_AUTO, SETTING_OFF, SETTING_ON };

struct texts {
    size_t count;
    const char *const *items;
};

struct matrix {
    size_t rows, columns;
    const double *values; /* [rows, columns] */
};

struct key {
    const char *name; /* in a member's rows relative to its object: "ratio" */
    enum key_kind kind;
    size_t offset;              /* of the value in the struct that the table describes */
    const char *fallback;       /* default as JSON text; NULL: the key must be given */
    double min, max;            /* INT, REAL, MATRIX: inclusive limits of the numbers; TEXT, TEXTS: limits of the length */
    const char *const *choices; /* CHOICE: NULL-ended */
    const char *word;           /* INT, REAL: a word that stands for the value 0 ("auto"); else NULL */
    const char *unit, *help;    /* unit NULL: none; help: one sentence */
};

/* What every member of every family has; the first field of the family's struct. */
struct member {
    const char *name;       /* the same in config, file name, result and tests */
    const char *help;       /* one sentence */
    const char *source;     /* paper or standard text; NULL where the member is its own */
    const struct key *keys; /* its own rows, ended by a NULL name; NULL: none */
    size_t options_bytes;   /* size of the struct that its rows describe */
};

#endif
