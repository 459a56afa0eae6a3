/* Looking up and reading the user's files, with one sentence for each thing that can be wrong. */
#include "bench/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

status file_find(const char *what, const char *folder, const char *path, char **found)
{
    char *beside = NULL;
    if (path[0] != '/' && folder && asprintf(&beside, "%s/%s", folder, path) < 0)
        return status_fail(STATUS_FAILED, "%s: no memory for the path %s", what, path);
    if (beside && access(beside, F_OK) == 0) {
        *found = beside;
        return STATUS_OK;
    }
    free(beside);
    if (access(path, F_OK) != 0) {
        const int error = errno;
        if (path[0] == '/' || !folder)
            return status_fail(STATUS_USAGE, "%s: cannot find %s (%s)", what, path, strerror(error));
        return status_fail(STATUS_USAGE, "%s: cannot find %s, neither in %s nor in the working directory (%s)", what, path, folder,
                           strerror(error));
    }
    *found = strdup(path);
    return *found ? STATUS_OK : status_fail(STATUS_FAILED, "%s: no memory for the path %s", what, path);
}

static status append_open(const char *what, const char *path, FILE *file, unsigned char **bytes, size_t *n)
{
    struct stat info;
    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode))
        return status_fail(STATUS_USAGE, "%s: %s is not a regular file", what, path);
    const size_t size = (size_t)info.st_size;
    unsigned char *larger = realloc(*bytes, *n + size + 1);
    if (!larger)
        return status_fail(STATUS_FAILED, "%s: no memory for the %zu bytes of %s", what, size, path);
    *bytes = larger;
    if (fread(larger + *n, 1, size, file) != size)
        return status_fail(STATUS_USAGE, "%s: cannot read all %zu bytes of %s (%s)", what, size, path,
                           ferror(file) ? strerror(errno) : "it became shorter");
    *n += size;
    return STATUS_OK;
}

status file_append(const char *what, const char *path, unsigned char **bytes, size_t *n)
{
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe without a writer shall not hang us */
    FILE *file = fd < 0 ? NULL : fdopen(fd, "rb");
    if (!file)
        return status_fail(STATUS_USAGE, "%s: cannot read %s (%s)", what, path, strerror(errno));
    const status s = append_open(what, path, file, bytes, n);
    fclose(file);
    return s;
}
