/* The table of datasets. */
#include "bench/dataset.h"

#include <math.h>
#include <string.h>

const struct dataset *const datasets[] = { &dataset_synthetic, &dataset_bytes, &dataset_idx, NULL };

const struct dataset *dataset_find(const char *name)
{
    for (int i = 0; datasets[i]; i++)
        if (!strcmp(datasets[i]->member.name, name))
            return datasets[i];
    return NULL;
}

status data_open(struct data *d, const struct dataset *kind, const void *options, const char *folder, struct sample_shape shape,
                 uint64_t seed)
{
    *d = (struct data){ .kind = kind, .shape = shape, .seed = seed, .floor = NAN };
    const status s = kind->open(d, options, folder);
    if (s != STATUS_OK)
        *d = (struct data){ 0 };
    return s;
}

void data_close(struct data *d)
{
    if (d->kind)
        d->kind->close(d);
    *d = (struct data){ 0 };
}
