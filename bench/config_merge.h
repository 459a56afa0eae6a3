/* The texts of one experiment as one tree, with the checks that need no table of keys. Only config*.c include this. */
#ifndef DMLBENCH_BENCH_CONFIG_MERGE_H
#define DMLBENCH_BENCH_CONFIG_MERGE_H

#include "bench/config_keys.h"
#include "bench/config_tree.h"

/* Local. Parses each text into the array `trees`, and lays all but the first over the first: config_parse_texts says how. */
status tree_lay_over(cJSON *trees, const struct config_text *texts, int n_texts);
/* Local. "key.path=VALUE". */
status tree_set(cJSON *tree, const char *set);

/* Local. Whether a text can be a config at all: an object, and no result. */
status tree_check_config(const char *origin, const cJSON *tree);
/* Local. Whether an item of this object has a name that a key can have, and is the first of that name. */
status tree_check_key(const char *origin, const cJSON *item, const cJSON *object, const char *path);
/* Pure. "prefix.name", cut where it is longer than any key. */
void tree_path_below(char path[2 * CONFIG_PATH_BYTES], const char *prefix, const char *name);

#endif
