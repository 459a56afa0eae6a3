/* Each rank's sparse stream goes to all, in ceil(log2 p) rounds for any p; only a message itself knows its length.
 *
 *   round t: a rank sends the first min(2^t, p - 2^t) messages that it has to rank - 2^t, and appends those of rank + 2^t
 *
 * So they lie in the order rank, rank + 1, ... Every rank sends p - 1 messages, its own ceil(log2 p) times.
 * Source: Bruck, Ho, Kipnis, Upfal, Weathersby, "Efficient algorithms for all-to-all communications", IEEE TPDS 1997.
 */
#ifndef DMLBENCH_COLLECTIVES_STREAM_GATHER_H
#define DMLBENCH_COLLECTIVES_STREAM_GATHER_H

#include "collectives/stream.h"

struct gathering {
    unsigned char *at;
    size_t room_B, end_B;
    int ranks, rank;
    int messages; /* that are here */
};

int gathering_rounds(int p);
int gathering_blocks(int p, int t); /* messages that are sent in round t */
/* Begins with this rank's message, which already lies there. */
void gathering_begin(struct gathering *g);
struct step gathering_step(const struct gathering *g, int t);
void gathering_landed(struct gathering *g, int t);
/* The message of rank r; NULL where a hostile length left it no room. */
const struct stream *gathering_message(const struct gathering *g, int r);
/* When all rounds have been played: bytes that this rank sent, the sum of all those beginnings. */
uint64_t gathering_sent_B(const struct gathering *g);

#endif
