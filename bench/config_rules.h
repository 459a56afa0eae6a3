/* Between config_rules.c and config_layout.c: a rule between keys, with its sentence. */
#ifndef DMLBENCH_BENCH_CONFIG_RULES_H
#define DMLBENCH_BENCH_CONFIG_RULES_H

#include "bench/config.h"

/* Local. Refuses with a sentence what cannot mean what it says, for this number of ranks. */
typedef status config_rule(struct config *c, int ranks);

/* The rules about data x pipeline x tensor, in order and NULL-ended; the first makes the degrees known. */
extern config_rule *const layout_rules[];
/* The rules about network.* and compute.slowdown, NULL-ended. */
extern config_rule *const network_rules[];

#endif
