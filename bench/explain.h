/* --explain: what a run would do, without running it. */
#ifndef DMLBENCH_BENCH_EXPLAIN_H
#define DMLBENCH_BENCH_EXPLAIN_H

#include <stdio.h>

#include "bench/config.h"

/* Local and pure. The effective config, who sits where, bytes and memory of every rank by formula. c is settled for `ranks`. */
status explain(const struct config *c, int ranks, FILE *out);

#endif
