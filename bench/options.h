/* A program's command line: rows of one table say which options there are, where each goes, and what --help prints. */
#ifndef DMLBENCH_BENCH_OPTIONS_H
#define DMLBENCH_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "collectives/status.h"

/* Of an option that may be repeated. */
struct option_values {
    const char **items;
    int count;
};

struct program_option {
    const char *name, *value, *help; /* value NULL: a flag */
    size_t offset;                   /* in the program's options: of a bool, a const char *, or a struct option_values */
    bool repeats;
};

/* Local. Accepts "--name value" and "--name=value"; table ends with a NULL name; options starts as zeros. options_free also after a
 * failure. */
status options_parse(const char *program, const struct program_option *table, void *options, int argc, char **argv);
void options_free(const struct program_option *table, void *options);
void options_print(const struct program_option *table);
/* Local. Whether everything printed has gone where it should: a full disk is a failure. */
status options_printed(void);

#endif
