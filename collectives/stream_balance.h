/* Ranks with more entries give to those with fewer, so that all have as many (but one), in the same order over all ranks.
 *
 *     counts to all, in ceil(log2 p) rounds; then p - 1 rounds, in most of which a rank sends and receives nothing:
 *     rank 0  a b c d e  ->  a b c        who gives what to whom follows from the counts, so entries travel without heads
 *     rank 1  f          ->  d e f
 *
 * Sent: 4 (p-1) bytes, and 8 for each entry that moves.
 */
#ifndef DMLBENCH_COLLECTIVES_STREAM_BALANCE_H
#define DMLBENCH_COLLECTIVES_STREAM_BALANCE_H

#include "collectives/stream.h"

struct balancing {
    uint32_t *counts; /* [p] of rank, rank + 1, ... */
    size_t *first;    /* [p + 1] entries before those of each rank */
    size_t most;      /* entries of all ranks */
    const struct stream *from;
    struct stream *to;
};

int balancing_rounds(int p);
/* In lay_out. */
void balancing_lay_out(struct compressed *x, struct balancing *b, size_t most);
/* `from` is of entries; `to` has room for as many as there are, and is whole after the last round. */
void balancing_begin(struct balancing *b, const struct stream *from, struct stream *to);
struct step balancing_step(const struct compressed *x, const struct balancing *b, int i);
void balancing_landed(const struct compressed *x, struct balancing *b, int i);
uint64_t balancing_sent_B(const struct compressed *x, const struct balancing *b);

#endif
