/* Collectives that a rank has to wait for anyway, over buffers that differ from call to call: planned once, for any length.
 * By rings, the least possible volume; nothing is allocated after opening. For what can go on in the background: engine.h.
 */
#ifndef DMLBENCH_COLLECTIVES_BLOCKING_H
#define DMLBENCH_COLLECTIVES_BLOCKING_H

#include "collectives/engine.h"

struct blocking {
    struct engine *engine;
    struct operation *sum, *max, *gather, *scatter;
};

/* Local. The operations are the engine's: there is nothing to close. */
status blocking_open(struct blocking *b, struct engine *e, enum purpose purpose);

/* Collective over the engine's ranks p; all pass the same n.
 * sum, max  x[n] becomes the sum, or the largest, over all ranks, the same bits on every rank; sends about 2 (p-1)/p n floats.
 * gather    x[n] is one block for each rank, n a multiple of p; the own block is in place, the others come. (p-1)/p n floats.
 * scatter   x[n] likewise; the own block becomes its sum over all ranks, the others are undefined. (p-1)/p n floats. */
void blocking_sum(const struct blocking *b, float *x, size_t n);
void blocking_max(const struct blocking *b, float *x, size_t n);
void blocking_gather(const struct blocking *b, float *x, size_t n);
void blocking_scatter(const struct blocking *b, float *x, size_t n);

/* Pure. Floats that `rank` of p sends in one sum or max, and in one gather or scatter, by formula. */
uint64_t blocking_sum_sent_floats(size_t segment_B, int p, int rank, size_t n);
uint64_t blocking_gather_sent_floats(int p, size_t n);

#endif
