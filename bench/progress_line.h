/* One live line for the person who waits: step, loss, samples per second, time to go; rewritten in place, gone at the end. */
#ifndef DMLBENCH_BENCH_PROGRESS_LINE_H
#define DMLBENCH_BENCH_PROGRESS_LINE_H

#include <stdbool.h>
#include <stdint.h>

struct progress_line {
    bool live; /* there is a terminal, and somebody wants the line */
    int64_t steps;
    double start_s, shown_s;
};

/* Local. Shows nothing unless wanted and the standard error ends at a terminal, directly or through mpirun. */
void progress_line_start(struct progress_line *p, int64_t steps, bool wanted);
/* Local. `done` steps of all are done. Writes at most ten times a second. */
void progress_line_update(struct progress_line *p, int64_t done, double loss, double samples_per_s);
void progress_line_end(struct progress_line *p);

#endif
