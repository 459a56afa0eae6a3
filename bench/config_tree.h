/* From text to a checked tree: what the config and the result's checker share. Only config*.c and result*.c include this. */
#ifndef DMLBENCH_BENCH_CONFIG_TREE_H
#define DMLBENCH_BENCH_CONFIG_TREE_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "bench/config.h"

/* Local. The whole file as NUL-ended text, malloced. A folder, an unreadable file, more than limit_B, a NUL byte: STATUS_USAGE. */
status tree_read_file(const char *path, size_t limit_B, char **text);

/* Local and pure. Strict RFC 8259: beyond cJSON's own checks no garbage at the end, control characters, invalid UTF-8, \u0000, half
 * surrogate pairs, numbers such as 01, 1. or 1e999, more than 32 levels. STATUS_USAGE names line and column. Duplicate keys
 * are left to the caller, who knows the keys. cJSON_Delete frees *tree. */
status tree_parse(const char *origin, const char *text, cJSON **tree);

/* Like config_parse, from a tree. */
status tree_to_config(struct config *c, const char *origin, const cJSON *tree, const char *folder);

/* The value at a dotted path below tree; NULL: not there. */
const cJSON *tree_find(const cJSON *tree, const char *path);

/* A value as JSON, cut to fit a sentence. Returns text. */
enum { TREE_EXCERPT_BYTES = 64 };
const char *tree_excerpt(const cJSON *value, char text[TREE_EXCERPT_BYTES]);

#endif
