/* The place of a result on disk: opened before the training, made visible in one step after it, never over an existing file.
 *
 * The text goes into a file without a name in the target folder (O_TMPFILE) and linkat gives it one; where the file system has no
 * nameless files, a hidden one is linked and unlinked. linkat refuses an existing name, which rename would replace.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/result.h"

struct result_file {
    int fd;
    char *path;      /* where it shall stand */
    char *temporary; /* hidden file; NULL: it has no name */
    bool own_name;   /* the program chose the path and may choose the next free one */
};

static status refuse(const char *path, const char *what, int error)
{
    return status_fail(STATUS_FAILED, "%s: %s (%s)", path, what, strerror(error));
}

/* results/<name>-<UTC>-<hash>.json; malloced. */
static char *default_path(const struct config *c)
{
    char utc[32], hash[65], *path;
    time_t now = time(NULL);
    strftime(utc, sizeof utc, "%Y%m%dT%H%M%SZ", gmtime(&now));
    config_hash(c, hash);
    return asprintf(&path, "results/%s-%s-%.8s.json", c->name, utc, hash) < 0 ? NULL : path;
}

static bool has_no_nameless_files(int error)
{
    return error == EOPNOTSUPP || error == EISDIR || error == EINVAL;
}

/* Opens the nameless or hidden file in f->path's folder. */
static status open_in_folder(struct result_file *f)
{
    const char *slash = strrchr(f->path, '/');
    char *folder = slash ? strndup(f->path, (size_t)(slash - f->path) + 1) : strdup("./");
    struct stat about;
    status s = STATUS_OK;
    if (!folder)
        return refuse(f->path, "no place for the result", ENOMEM);
    if (stat(folder, &about) != 0)
        s = refuse(f->path, "no such folder for the result", errno);
    else if ((f->fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666)) < 0 && has_no_nameless_files(errno) &&
             asprintf(&f->temporary, "%s.dmlbench-XXXXXX", folder) > 0 && (f->fd = mkostemp(f->temporary, O_CLOEXEC)) >= 0) {
        mode_t mask = umask(0);
        umask(mask);
        fchmod(f->fd, 0666 & ~mask); /* mkostemp gives nobody else a right */
    }
    if (s == STATUS_OK && f->fd < 0)
        s = refuse(f->path, "the result cannot be created in its folder", errno);
    free(folder);
    return s;
}

static status open_place(struct result_file *f, const char *path, char *own)
{
    struct stat about;
    f->own_name = !path;
    f->path = path ? strdup(path) : own;
    if (path && !*path)
        return status_fail(STATUS_USAGE, "--out \"\": the name of the result is empty");
    if (!f->path)
        return status_fail(STATUS_FAILED, "no memory for the name of the result");
    if (f->own_name && mkdir("results", 0777) != 0 && errno != EEXIST)
        return refuse("results", "the folder for results cannot be made", errno);
    if (!f->own_name && lstat(f->path, &about) == 0)
        return status_fail(STATUS_FAILED, "%s: exists already, and results are never overwritten", f->path);
    return open_in_folder(f);
}

status result_open(struct result_file **opened, const char *path, const struct config *c)
{
    return result_open_at(opened, path, path ? NULL : default_path(c));
}

status result_open_at(struct result_file **opened, const char *path, char *own)
{
    struct result_file *f = malloc(sizeof *f);
    if (!f) {
        free(own);
        return status_fail(STATUS_FAILED, "no memory for the result's file");
    }
    *f = (struct result_file){ .fd = -1 };
    status s = open_place(f, path, own);
    if (s == STATUS_OK)
        *opened = f;
    else
        result_discard(f);
    return s;
}

void result_discard(struct result_file *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    if (f->temporary && f->fd >= 0)
        unlink(f->temporary);
    free(f->temporary);
    free(f->path);
    free(f);
}

const char *result_path(const struct result_file *f)
{
    return f->path;
}

/* ---- commit -------------------------------------------------------------------------------------------------------------- */

static status write_text(struct result_file *f, document_writer *writer, const void *document)
{
    if (lseek(f->fd, 0, SEEK_SET) != 0 || ftruncate(f->fd, 0) != 0) /* it may hold what an earlier call prepared */
        return refuse(f->path, "the result cannot be written", errno);
    int fd = dup(f->fd);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out)
        return refuse(f->path, "the result cannot be written", errno);
    writer(document, out);
    bool written = fflush(out) == 0 && !ferror(out) && fsync(fd) == 0;
    int error = errno;
    fclose(out);
    return written ? STATUS_OK : refuse(f->path, "the result cannot be written", error);
}

/* 0 or errno. */
static int give_name(const struct result_file *f, const char *path)
{
    char nameless[64];
    snprintf(nameless, sizeof nameless, "/proc/self/fd/%d", f->fd);
    return linkat(AT_FDCWD, f->temporary ? f->temporary : nameless, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

/* Replaces f->path by its n-th variant, "x.json" -> "x-2.json". */
static status next_name(struct result_file *f, int n)
{
    char *path;
    int stem = (int)(strlen(f->path) - strlen(n == 2 ? ".json" : "-2.json"));
    if (n > 9)
        return status_fail(STATUS_FAILED, "%s: nine results of this name exist already", f->path);
    if (asprintf(&path, "%.*s-%d.json", stem, f->path, n) < 0)
        return status_fail(STATUS_FAILED, "%s: no memory for another name", f->path);
    free(f->path);
    f->path = path;
    return STATUS_OK;
}

status result_show(struct result_file *f)
{
    int error = give_name(f, f->path);
    for (int n = 2; error == EEXIST && f->own_name; n++) {
        TRY(next_name(f, n));
        error = give_name(f, f->path);
    }
    return error == 0 ? STATUS_OK : refuse(f->path, "the result cannot be given its name", error);
}

status result_retract(struct result_file *f)
{
    if (unlink(f->path) != 0)
        return refuse(f->path, "the result cannot be taken back", errno);
    if (f->temporary)
        return STATUS_OK;
    close(f->fd); /* a nameless file gets a name once */
    f->fd = -1;
    return open_in_folder(f);
}

/* A limit on file sizes shall be an error of write, not the end of the process. */
status result_write(struct result_file *f, document_writer *writer, const void *document)
{
    struct sigaction before, ignore = { .sa_handler = SIG_IGN };
    sigaction(SIGXFSZ, &ignore, &before);
    status s = write_text(f, writer, document);
    sigaction(SIGXFSZ, &before, NULL);
    return s;
}

static void write_result(const void *result, FILE *out)
{
    result_write_json(result, out);
}

status result_prepare(struct result_file *f, const struct result *r)
{
    return result_write(f, write_result, r);
}

status result_commit(struct result_file *f, const struct result *r)
{
    TRY(result_prepare(f, r));
    return result_show(f);
}
