/* Files named by the user: where they are looked up, and reading them whole. */
#ifndef DMLBENCH_BENCH_FILES_H
#define DMLBENCH_BENCH_FILES_H

#include <stddef.h>

#include "collectives/status.h"

/* Local. The path under which a file or folder is found: absolute as given; else in `folder` (NULL: skipped), else in the working
 * directory. *found is malloced. STATUS_USAGE with a sentence that starts with `what` ("data.path") if it is in neither. */
status file_find(const char *what, const char *folder, const char *path, char **found);

/* Local. Appends the whole regular file to *bytes (malloced, *n bytes so far). STATUS_USAGE with a sentence if it cannot be read.
 */
status file_append(const char *what, const char *path, unsigned char **bytes, size_t *n);

#endif
