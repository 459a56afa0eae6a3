/* Another program, started without a shell: its words, and waiting for it while signals are handed on. */
#ifndef DMLBENCH_BENCH_COMMAND_H
#define DMLBENCH_BENCH_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

#include "collectives/status.h"

/* Starts as { 0 }; words[count] is NULL. */
struct command {
    char **words;
    int count;
    bool out_of_memory;   /* looked at by command_run, so that adding words needs no checks */
    bool signals_leader;  /* signals are handed on to the process, which tells its children, and not to its group */
    const char *unwanted; /* lines on stdout that begin so are left out; NULL: none */
};

__attribute__((format(printf, 2, 3))) void command_add(struct command *c, const char *format, ...);
void command_free(struct command *c);

/* As a line for a shell. */
void command_print(const struct command *c, FILE *out);

/* Local. The program of this name: an executable in one of the NULL-ended folders, which are relative to this program's own, else
 * on the PATH; *found is malloced. Not there: STATUS_USAGE, and a sentence that ends with `remedy`. */
status command_find(const char *name, const char *const *places, const char *remedy, char **found);

/* Local. Whether there is such a program: at a path, or on the PATH. */
bool command_exists(const char *name);

/* Local. Runs it to its end, in a process group of its own and without input; SIGINT, SIGTERM and SIGHUP are handed on to the
 * group (or signals_leader). *code: what it returned, or 128 + the signal that ended it. output: a file that gets what it prints,
 * -1: this program's own. STATUS_USAGE if there is no such program, with a sentence that names `package`, which has it on Debian.
 */
status command_run(const struct command *c, const char *package, int output, int *code);

#endif
