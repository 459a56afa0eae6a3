/* Files as byte symbols: one file, a list, or folders (every regular file below, in the order of the names, dot files left out),
 * put one after the other. A sample is a window at a random place: places are drawn with replacement, so there is no epoch.
 */
#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "bench/dataset.h"
#include "bench/files.h"
#include "kernels/random.h"

struct bytes_options {
    struct texts path;
};

struct bytes {
    unsigned char *text;
    size_t n;
};

static const struct key bytes_keys[] = {
    { "path", KEY_TEXTS, offsetof(struct bytes_options, path), NULL, 1, 4096,
      .help = "File, folder, or list of them; looked up beside the config file, then in the working directory." },
    { 0 },
};

static status append_path(struct bytes *b, const char *path);

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static status append_entry(struct bytes *b, const char *folder, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return status_fail(STATUS_FAILED, "data.path: no memory for the path of %s", name);
    const status s = append_path(b, path);
    free(path);
    return s;
}

static status append_folder(struct bytes *b, const char *folder)
{
    struct dirent **entries = NULL;
    const int count = scandir(folder, &entries, not_hidden, by_name);
    if (count < 0)
        return status_fail(STATUS_USAGE, "data.path: cannot list the folder %s", folder);
    status s = STATUS_OK;
    for (int i = 0; i < count; i++) {
        if (s == STATUS_OK)
            s = append_entry(b, folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return s;
}

/* A link into its own parent would never end: links are followed only where the user names them. */
static status append_path(struct bytes *b, const char *path)
{
    struct stat info = { 0 };
    if (lstat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return append_folder(b, path);
    return S_ISLNK(info.st_mode) ? STATUS_OK : file_append("data.path", path, &b->text, &b->n);
}

static status append_named(struct bytes *b, const char *folder, const char *path)
{
    char *found = NULL, *real = NULL;
    TRY(file_find("data.path", folder, path, &found));
    real = realpath(found, NULL);
    const status s = real ? append_path(b, real) : status_fail(STATUS_USAGE, "data.path: cannot read %s", found);
    free(real);
    free(found);
    return s;
}

static void bytes_close(struct data *d)
{
    struct bytes *b = d->state;
    free(b->text);
    free(b);
}

static status bytes_read(struct data *d, struct bytes *b, const struct bytes_options *o, const char *folder)
{
    if (d->shape.kind != SAMPLE_SYMBOLS)
        return status_fail(STATUS_USAGE,
                           "data.name bytes gives symbols, but the model takes features (data.name synthetic or idx would fit)");
    if (d->shape.classes < 256)
        return status_fail(STATUS_USAGE, "model.vocabulary = %d is too small for bytes (must be at least 256)", d->shape.classes);
    for (size_t i = 0; i < o->path.count; i++)
        TRY(append_named(b, folder, o->path.items[i]));
    if (b->n <= (size_t)d->shape.length)
        return status_fail(STATUS_USAGE, "data.path: %s%s has %zu bytes, too few for a sample of model.sequence + 1 = %d",
                           o->path.items[0], o->path.count > 1 ? " and the rest" : "", b->n, d->shape.length + 1);
    return STATUS_OK;
}

static status bytes_open(struct data *d, const void *options, const char *folder)
{
    struct bytes *b = calloc(1, sizeof *b);
    if (!b)
        return status_fail(STATUS_FAILED, "no memory for the dataset");
    d->state = b;
    const status s = bytes_read(d, b, options, folder);
    if (s != STATUS_OK) {
        bytes_close(d);
        return s;
    }
    d->size_B = (double)b->n;
    d->samples = b->n - (size_t)d->shape.length;
    d->hash = XXH3_64bits(b->text, b->n);
    return STATUS_OK;
}

static void bytes_sample(const struct data *d, uint64_t index, const struct sample *out)
{
    const struct bytes *b = d->state;
    const struct random r = { d->seed, RANDOM_SAMPLES, (uint32_t)(index >> 32), (uint32_t)index };
    const unsigned char *window = b->text + random_below(&r, 0, d->samples);
    for (int t = 0; t < d->shape.length; t++) {
        out->symbols[t] = window[t];
        out->targets[t] = window[t + 1];
    }
}

const struct dataset dataset_bytes = {
    .member = { "bytes", "Any files as byte symbols.", NULL, bytes_keys, sizeof(struct bytes_options) },
    .open = bytes_open,
    .sample = bytes_sample,
    .close = bytes_close,
};
