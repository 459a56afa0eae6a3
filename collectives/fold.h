/* Folding: any number of ranks p, for algorithms that want a power of two.
 *
 *   q = largest power of two <= p.   Rank q + j first gives its whole vector to rank j, and last gets the sum from it.
 *
 * Costs the ranks q .. p-1 and their partners n floats each, and two rounds. Ranks below q play the algorithm's own rounds.
 * Source: Rabenseifner & Traeff 2004, "More efficient reduction algorithms for non-power-of-two number of processors".
 */
#ifndef DMLBENCH_COLLECTIVES_FOLD_H
#define DMLBENCH_COLLECTIVES_FOLD_H

#include "collectives/allreduce.h"

int fold_ranks(int p);  /* q */
int fold_levels(int p); /* log2 q */

/* Rounds in all, when the algorithm's own are `inner`. */
int fold_rounds(int p, int inner);

/* Fills round i where it is a folding round, or one in which the rank idles, and returns -1; else returns which of the inner
 * rounds it is. */
int fold_round(int p, int rank, size_t n, int i, int inner, struct round *out);

/* Floats that `rank` sends because of folding. */
uint64_t fold_sent_floats(int p, int rank, size_t n);

#endif
