/* Images and labels in the idx format of MNIST: big-endian magic (0, 0, type, dimensions), the sizes, then the bytes.
 *
 * Only unsigned bytes (type 8) are read; a pixel becomes pixel / 255. Every epoch visits each image once, in an order of its own:
 * the sample index's place in a keyed permutation. Format: LeCun, Cortes, Burges, "The MNIST database".
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bench/dataset.h"
#include "bench/files.h"
#include "kernels/random.h"

struct idx_options {
    const char *images, *labels;
};

struct idx_file {
    unsigned char *bytes;
    size_t n;
    const unsigned char *values; /* behind the header */
    uint64_t items, item_values; /* first size; product of the others */
};

struct idx {
    struct idx_file images, labels;
};

static const struct key idx_keys[] = {
    { "images", KEY_TEXT, offsetof(struct idx_options, images), NULL, 1, 4096,
      .help = "File of images, e.g. train-images-idx3-ubyte." },
    { "labels", KEY_TEXT, offsetof(struct idx_options, labels), NULL, 1, 4096,
      .help = "File of labels, e.g. train-labels-idx1-ubyte." },
    { 0 },
};

static uint64_t big_endian(const unsigned char *b)
{
    return (uint64_t)b[0] << 24 | (uint64_t)b[1] << 16 | (uint64_t)b[2] << 8 | b[3];
}

/* Sets values, items, item_values of a file whose bytes are read. */
static status parse_header(struct idx_file *f, const char *what, const char *path)
{
    if (f->n >= 2 && f->bytes[0] == 0x1f && f->bytes[1] == 0x8b)
        return status_fail(STATUS_USAGE, "%s: %s is compressed by gzip; unpack it with gunzip", what, path);
    if (f->n < 8 || f->bytes[0] || f->bytes[1] || f->bytes[2] != 8 || f->bytes[3] < 1)
        return status_fail(STATUS_USAGE,
                           "%s: %s is not an idx file of unsigned bytes (it must begin with 0 0 8 and the number of dimensions)",
                           what, path);
    const size_t dimensions = f->bytes[3], header = 4 + 4 * dimensions;
    uint64_t values = 1;
    for (size_t i = 0; i < dimensions && 4 * i + 8 <= f->n; i++) {
        const uint64_t size = big_endian(f->bytes + 4 + 4 * i);
        if (size && values > UINT64_MAX / size)
            return status_fail(STATUS_USAGE, "%s: the sizes in the header of %s are too large", what, path);
        values *= size;
    }
    if (f->n < header || f->n - header != values)
        return status_fail(STATUS_USAGE, "%s: %s has %zu bytes, but its header announces %zu + %llu", what, path, f->n, header,
                           (unsigned long long)values);
    if (!values)
        return status_fail(STATUS_USAGE, "%s: %s is empty", what, path);
    f->values = f->bytes + header;
    f->items = big_endian(f->bytes + 4);
    f->item_values = values / f->items;
    return STATUS_OK;
}

static status read_file(struct idx_file *f, const char *what, const char *folder, const char *path)
{
    char *found = NULL;
    TRY(file_find(what, folder, path, &found));
    status s = file_append(what, found, &f->bytes, &f->n);
    if (s == STATUS_OK)
        s = parse_header(f, what, found);
    free(found);
    return s;
}

static status check_shape(const struct data *d, const struct idx *x)
{
    if (d->shape.kind != SAMPLE_FEATURES)
        return status_fail(STATUS_USAGE,
                           "data.name idx gives features, but the model takes symbols (data.name bytes or synthetic would fit)");
    if (x->images.item_values != (uint64_t)d->shape.length)
        return status_fail(STATUS_USAGE, "data.images: an image has %llu values, but model.inputs = %d",
                           (unsigned long long)x->images.item_values, d->shape.length);
    if (x->labels.item_values != 1 || x->labels.items != x->images.items)
        return status_fail(STATUS_USAGE, "data.labels: %llu x %llu labels for %llu images (must be one for each)",
                           (unsigned long long)x->labels.items, (unsigned long long)x->labels.item_values,
                           (unsigned long long)x->images.items);
    for (uint64_t i = 0; i < x->labels.items; i++)
        if (x->labels.values[i] >= d->shape.classes)
            return status_fail(STATUS_USAGE, "data.labels: label %llu is %d, but model.classes = %d", (unsigned long long)i,
                               x->labels.values[i], d->shape.classes);
    return STATUS_OK;
}

static void idx_close(struct data *d)
{
    struct idx *x = d->state;
    free(x->images.bytes);
    free(x->labels.bytes);
    free(x);
}

static status idx_read(struct data *d, struct idx *x, const struct idx_options *o, const char *folder)
{
    TRY(read_file(&x->images, "data.images", folder, o->images));
    TRY(read_file(&x->labels, "data.labels", folder, o->labels));
    return check_shape(d, x);
}

static status idx_open(struct data *d, const void *options, const char *folder)
{
    struct idx *x = calloc(1, sizeof *x);
    if (!x)
        return status_fail(STATUS_FAILED, "no memory for the dataset");
    d->state = x;
    const status s = idx_read(d, x, options, folder);
    if (s != STATUS_OK) {
        idx_close(d);
        return s;
    }
    d->samples = x->images.items;
    d->size_B = (double)(x->images.n + x->labels.n);
    d->hash = XXH3_64bits(x->images.bytes, x->images.n) ^ XXH3_64bits_withSeed(x->labels.bytes, x->labels.n, 1);
    return STATUS_OK;
}

static void idx_sample(const struct data *d, uint64_t index, const struct sample *out)
{
    const struct idx *x = d->state;
    const struct random r = { .seed = d->seed, .stream = RANDOM_SHUFFLE, .step = (uint32_t)(index / d->samples) };
    const uint64_t item = random_permute(&r, index % d->samples, d->samples);
    const unsigned char *pixels = x->images.values + item * x->images.item_values;
    for (int j = 0; j < d->shape.length; j++)
        out->features[j] = (float)pixels[j] * (1.0F / 255);
    out->targets[0] = x->labels.values[item];
}

const struct dataset dataset_idx = {
    .member = { "idx", "Images and labels in MNIST's format.", "LeCun, Cortes, Burges: The MNIST database", idx_keys,
                sizeof(struct idx_options) },
    .open = idx_open,
    .sample = idx_sample,
    .close = idx_close,
};
