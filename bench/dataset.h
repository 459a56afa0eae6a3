/* Datasets: one struct, one table, one file per member (dataset_<name>.c).
 *
 * A sample is a pure function of (seed, global sample index), so that every layout of ranks sees the same samples. A sample is
 * either a sequence of symbols with the symbol that follows each of them as its target, or a vector of features with one class.
 */
#ifndef DMLBENCH_BENCH_DATASET_H
#define DMLBENCH_BENCH_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "collectives/status.h"
#include "kernels/key.h"

enum sample_kind { SAMPLE_SYMBOLS, SAMPLE_FEATURES };

/* What a model asks of a dataset. */
struct sample_shape {
    enum sample_kind kind;
    int length;  /* positions of a sequence, or features of a vector */
    int classes; /* symbols of the vocabulary, or classes */
};

/* Where one sample goes. */
struct sample {
    int32_t *symbols; /* [length]; SAMPLE_SYMBOLS only */
    float *features;  /* [length]; SAMPLE_FEATURES only */
    int32_t *targets; /* [length] for symbols, [1] for features; each below `classes` */
};

struct data {
    const struct dataset *kind;
    struct sample_shape shape;
    uint64_t seed;
    uint64_t samples; /* different samples; 0: without end */
    double size_B;    /* of the files; 0 for generated data */
    uint64_t hash;    /* XXH3-64 of everything the samples depend on: the files' bytes, or the options */
    double floor;     /* the least possible expected loss, nats; NaN: unknown */
    void *state;      /* the member's own */
};

struct dataset {
    struct member member;
    /* Local. Fills samples, size_B, hash, floor, state; d's other fields are set. Refuses a shape that it cannot serve, and empty,
     * unreadable or malformed files, with a sentence. `folder`: where relative paths are looked up first (then in the working
     * directory). */
    status (*open)(struct data *d, const void *options, const char *folder);
    void (*sample)(const struct data *d, uint64_t index, const struct sample *out);
    void (*close)(struct data *d);
};

extern const struct dataset dataset_synthetic, dataset_bytes, dataset_idx;
extern const struct dataset *const datasets[]; /* NULL-ended; the first is the default */
const struct dataset *dataset_find(const char *name);

/* Local. If it failed there is nothing to close. */
status data_open(struct data *d, const struct dataset *kind, const void *options, const char *folder, struct sample_shape shape,
                 uint64_t seed);
void data_close(struct data *d);

#endif
