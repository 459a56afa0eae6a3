/* For tests of schedules: every member with every option that it has, and rows of tests/oracles/. */
#ifndef DMLBENCH_TESTS_BENCH_PIPELINES_H
#define DMLBENCH_TESTS_BENCH_PIPELINES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/playback.h"

enum { TEST_STAGES_MAX = 64 };

/* A schedule with its option as a number: chunks of interleaved, 1 for an opportunistic varuna, else 0. */
struct variant {
    const char *name;
    int option;
};

static const struct variant variants[] = { { "1f1b", 0 },        { "gpipe", 0 },       { "varuna", 0 },      { "varuna", 1 },
                                           { "zb-h1", 0 },       { "zb-h2", 0 },       { "interleaved", 1 }, { "interleaved", 2 },
                                           { "interleaved", 3 }, { "interleaved", 4 }, { "chimera", 0 } };
enum { VARIANTS = sizeof variants / sizeof variants[0] };

/* Valid until two further calls. */
static inline struct pipeline pipeline_of(struct variant v, int stages, int micro_batches, enum setting recompute,
                                          enum setting recompute_last)
{
    static _Alignas(16) unsigned char options[3][64];
    static int turn;
    unsigned char *o = options[turn = (turn + 1) % 3];
    memset(o, 0, sizeof options[0]);
    if (strcmp(v.name, "interleaved") == 0)
        *(int64_t *)o = v.option;
    else
        *(bool *)o = v.option != 0;
    return pipeline_make(v.name, o, stages, micro_batches, recompute, recompute_last);
}

/* Calls f with every pipeline of at most 8 stages and 16 micro-batches that its schedule does not refuse; returns their number. */
static inline int each_pipeline(void (*f)(const struct pipeline *p))
{
    static const enum setting settings[][2] = { { SETTING_OFF, SETTING_OFF },
                                                { SETTING_ON, SETTING_OFF },
                                                { SETTING_ON, SETTING_ON } };
    int count = 0;
    for (int i = 0; i < VARIANTS * 3; i++)
        for (int stages = 1; stages <= 8; stages++)
            for (int m = 1; m <= 16; m++) {
                const enum setting *recompute = settings[i % 3];
                const struct pipeline p = pipeline_of(variants[i / 3], stages, m, recompute[0], recompute[1]);
                if (pipeline_refuses(&p))
                    continue;
                f(&p);
                count++;
            }
    return count;
}

/* The next row of a table of numbers and words, without comments and heading; its cells, which stay valid until the next call. */
static inline int read_row(FILE *table, char *cells[], int most)
{
    static char line[1024];
    int count = 0;
    do {
        if (!fgets(line, sizeof line, table))
            return 0;
    } while (line[0] == '#' || strchr("0123456789", line[0]) == NULL);
    for (char *rest = line, *cell; count < most && (cell = strsep(&rest, ",\n")) != NULL && rest;)
        cells[count++] = cell;
    return count;
}

#endif
