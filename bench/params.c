/* Slices of one flat array and their initial values. The normal numbers of slice i come from the generator of worker i, and element
 * j of the whole slice is its number j; so a layer starts from the same values wherever it is placed and however it is split. */
#include "bench/params.h"

#include <stdio.h>
#include <stdlib.h>

#include "collectives/allreduce.h"
#include "kernels/random.h"

const struct shard shard_whole = { .ranks = 1 };

status params_reserve(struct params *p, int slices)
{
    *p = (struct params){ .slices = calloc((size_t)slices, sizeof(struct slice)) };
    return p->slices ? STATUS_OK : status_fail(STATUS_FAILED, "no memory for the table of %d parameter slices", slices);
}

/* The shard's block of n rows or columns; returns the largest block of any rank. */
static size_t take_block(int n, const struct shard *shard, int *first, int *count)
{
    *first = (int)block_start((size_t)n, shard->ranks, shard->rank);
    *count = (int)block_length((size_t)n, shard->ranks, shard->rank);
    return ((size_t)n + (size_t)shard->ranks - 1) / (size_t)shard->ranks;
}

size_t params_add(struct params *p, const char *name, const struct slice_form *form, const struct shard *shard)
{
    struct slice *s = &p->slices[p->count];
    const int groups = form->cut == CUT_THREE_COLUMNS ? 3 : 1;
    *s = (struct slice){
        .index = p->count++,
        .at = p->n,
        .rows = form->rows,
        .columns = form->columns,
        .mean = form->mean,
        .deviation = form->deviation,
        .decays = form->deviation > 0,
        .partial = form->cut == CUT_NONE && shard->sequence && shard->ranks > 1,
        .whole_rows = form->rows,
        .whole_columns = form->columns,
        .groups = groups,
    };
    snprintf(s->name, sizeof s->name, "%s.%s", name, form->part);
    size_t rows = (size_t)form->rows, columns = (size_t)form->columns;
    if (form->cut == CUT_ROWS)
        rows = take_block(form->rows, shard, &s->first_row, &s->rows);
    else if (form->cut != CUT_NONE)
        columns = (size_t)groups * take_block(form->columns / groups, shard, &s->first_column, &s->columns);
    if (groups > 1)
        s->columns *= groups;
    s->n = rows * columns;
    p->n += s->n;
    return s->at;
}

size_t slice_place(const struct slice *s, int row, int group)
{
    return (size_t)(s->first_row + row) * (size_t)s->whole_columns +
           (size_t)(group * (s->whole_columns / s->groups) + s->first_column);
}

bool slice_is_whole(const struct slice *s)
{
    return s->rows == s->whole_rows && s->columns == s->whole_columns;
}

static void initialise(const struct slice *s, uint64_t seed, float *x)
{
    const struct random r = { .seed = seed, .stream = RANDOM_PARAMETERS, .worker = (uint32_t)s->index };
    const size_t run = (size_t)(s->columns / s->groups);
    for (int row = 0; row < s->rows; row++)
        for (int group = 0; group < s->groups; group++, x += run)
            random_normal(&r, s->deviation, slice_place(s, row, group), x, run);
}

void params_initialise(const struct params *p, uint64_t seed, float *x)
{
    for (int i = 0; i < p->count; i++) {
        const struct slice *s = &p->slices[i];
        if (s->deviation > 0)
            initialise(s, seed, x + s->at);
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
