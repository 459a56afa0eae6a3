/* The effective config and its schema as parts of a larger JSON text. */
#ifndef DMLBENCH_BENCH_CONFIG_PRINT_H
#define DMLBENCH_BENCH_CONFIG_PRINT_H

#include "bench/config.h"
#include "bench/json.h"

/* One JSON object. */
void config_write(const struct config *c, struct json *w);
/* The keys of its JSON Schema, into an open object. */
void config_write_schema(struct json *w);

#endif
