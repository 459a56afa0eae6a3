/* How early a stage can post its receives, so that messages travel while it computes, in the memory that it has planned anyway. */
#ifndef DMLBENCH_BENCH_LINKS_EARLY_H
#define DMLBENCH_BENCH_LINKS_EARLY_H

#include "bench/assignment.h"

/* Local. early[i], of the i-th activation that the list receives: the task from which on there is room for it beside what is kept
 * then, `ahead` messages more than a->boundaries; early has room for a->tasks.count. Fails for lack of memory only. */
status links_early(const struct assignment *a, int ahead, int *early);

#endif
