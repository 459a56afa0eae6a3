/* Slices of one flat array and their initial values. The normal numbers of slice i come from the generator of worker i, so a layer
 * starts from the same values wherever it is placed. */
#include "bench/params.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernels/random.h"

status params_reserve(struct params *p, int slices)
{
    *p = (struct params){ .slices = calloc((size_t)slices, sizeof(struct slice)) };
    return p->slices ? STATUS_OK : status_fail(STATUS_FAILED, "no memory for the table of %d parameter slices", slices);
}

size_t params_add(struct params *p, const char *name, const char *part, int rows, int columns, float mean, float deviation)
{
    struct slice *s = &p->slices[p->count++];
    snprintf(s->name, sizeof s->name, "%s.%s", name, part);
    s->at = p->n;
    s->rows = rows;
    s->columns = columns;
    s->n = (size_t)rows * (size_t)columns;
    s->mean = mean;
    s->deviation = deviation;
    s->decays = deviation > 0;
    p->n += s->n;
    return s->at;
}

void params_initialise(const struct params *p, uint64_t seed, float *x)
{
    for (int i = 0; i < p->count; i++) {
        const struct slice *s = &p->slices[i];
        const struct random r = { .seed = seed, .stream = RANDOM_PARAMETERS, .worker = (uint32_t)i };
        if (s->deviation > 0)
            random_normal(&r, s->deviation, x + s->at, s->n);
        else
            for (size_t j = 0; j < s->n; j++)
                x[s->at + j] = s->mean;
    }
}

void params_free(struct params *p)
{
    free(p->slices);
    *p = (struct params){ 0 };
}
