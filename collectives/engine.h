/* Plays collective operations in the background of the computation: several at once, in the order in which they were started.
 *
 * An operation is cut into segments; a few segments are in flight at a time, so that one is summed while the next travels.
 * Open MPI 4.1 has no asynchronous progress of its own, so somebody has to call: nobody (progress none: all work happens in
 * engine_wait), the computing rank between layers (poll), or a thread of the engine (thread).
 * Everything is allocated by engine_open and engine_plan_*; starting, polling and waiting allocate nothing.
 */
#ifndef DMLBENCH_COLLECTIVES_ENGINE_H
#define DMLBENCH_COLLECTIVES_ENGINE_H

#include "collectives/cost.h"
#include "collectives/fabric.h"
#include "kernels/compressor.h"

enum { ENGINE_SEGMENTS = 4 /* in flight at a time */ };
enum progress { PROGRESS_NONE, PROGRESS_POLL, PROGRESS_THREAD };

struct engine;    /* one per fabric */
struct operation; /* planned once, started every step */

/* Local. segment_B: bytes of the algorithms' messages; a vector is cut into segments whose messages have about this size, which
 * bounds the scratch (4 such messages) and lets one segment be summed while the next travels. 4 .. 2^30; 32768 was fastest between
 * ranks of one host.
 * One engine per fabric. With progress thread, a rank makes no MPI calls beside the engine's while an operation is in flight. */
status engine_open(struct engine **e, struct fabric *f, enum progress progress, size_t segment_B);
void engine_close(struct engine *e); /* also frees the operations planned on it; none may be in flight */
const struct fabric *engine_fabric(const struct engine *e);
double engine_now_s(const struct engine *e);   /* the fabric's clock */
struct fabric *engine_clock(struct engine *e); /* the fabric, for time to pass on it */

/* A sum over ranks, or one of the two parts that some algorithms have; the two, one after the other, give the bits of the whole.
 *   reduce-scatter  leaves the sum in this rank's own pieces of x; the rest of x is undefined
 *   allgather       own pieces of x -> all of x, on every rank */
enum sum_part { SUM_ALLREDUCE, SUM_REDUCE_SCATTER, SUM_ALLGATHER };

/* Local; plan an operation over the fabric's ranks, while none is in flight.
 * sum:      x[n] summed over all ranks in place by `algorithm`.
 * part:     a part of that sum, the vector cut in the same way.
 * max:      x[n] becomes the largest over all ranks, element by element; an algorithm with rounds.
 * gather:   every rank's code, `bytes` each: codes[ranks * bytes] in rank order, the own code already in its place. Ring.
 * scatter:  x[ranks * n], a block for each rank in rank order; the own block becomes its sum over all ranks, the others are
 *           undefined. Ring.
 * ordered:  x[n] summed in a fixed tree over leaves, whatever the number of ranks (see ordered.h). */
status engine_plan_sum(struct engine *e, const struct allreduce *algorithm, enum purpose purpose, float *x, size_t n,
                       struct operation **op);
status engine_plan_part(struct engine *e, enum sum_part part, const struct allreduce *algorithm, enum purpose purpose, float *x,
                        size_t n, struct operation **op);
/* sum_of:   the same for n elements of another kind, each addition rounded to it; an algorithm with rounds. Cut as a vector of
 *           floats is by an engine of segments 4 / element_bytes times as large. */
status engine_plan_sum_of(struct engine *e, const struct allreduce *algorithm, enum purpose purpose, enum element element, void *x,
                          size_t n, struct operation **op);
status engine_plan_max(struct engine *e, const struct allreduce *algorithm, enum purpose purpose, float *x, size_t n,
                       struct operation **op);
status engine_plan_gather(struct engine *e, enum purpose purpose, unsigned char *codes, size_t bytes, struct operation **op);
status engine_plan_scatter(struct engine *e, enum purpose purpose, float *x, size_t n, struct operation **op);

/* Pure. The window with which the fabric's p ranks can be summed through shared memory, by an engine of this segment_B. */
struct window_size engine_window(size_t segment_B, int p);

/* Pure. Floats that `rank` of a team sends in one (part of a) sum of n floats cut as by an engine of this segment_B; 0 where the
 * algorithm has no formula. And floats of its own pieces, where the algorithm has two parts. */
uint64_t engine_sent_floats(const struct allreduce *a, enum sum_part part, size_t segment_B, struct team t, int rank, size_t n);
size_t engine_owned_floats(const struct allreduce *a, size_t segment_B, struct team t, int rank, size_t n);
/* Local. Seconds of one (part of a) sum of n floats cut like that, played by every group alone on its cluster; NaN where the
 * algorithm has no rounds, or without memory. */
double engine_sum_s(const struct allreduce *a, enum sum_part part, size_t segment_B, const struct cost_groups *g, size_t n);
/* Pure. Adds to floats_to[t.p] what `rank` sends to each in it, by playing the rounds; nothing for the library's own algorithm. */
void engine_sent_to(const struct allreduce *a, enum sum_part part, size_t segment_B, struct team t, int rank, size_t n,
                    uint64_t *floats_to);

/* Pure. This rank's own pieces of an operation's vector, one for each segment, in order; all but the last are equally long. */
size_t operation_pieces(const struct operation *op);
struct range operation_piece(const struct operation *op, size_t i);
size_t operation_owned_elements(const struct operation *op); /* in all of them */

/* Local; begin an operation. Every rank starts the same operations in the same order. */
void engine_start(struct engine *e, struct operation *op);
/* Local; advance what is in flight as far as it goes without waiting. Does nothing for progress none and thread. */
void engine_poll(struct engine *e);
/* Collective; returns when op is done. */
void engine_wait(struct engine *e, struct operation *op);
/* Of the last time that it was played: when its first message came, so that the ranks that it needs had begun (0 where nothing
 * comes). */
double operation_heard_s(const struct operation *op);
/* Seconds that this rank has spent so far on what came (decoding it, coding it anew), of any operation, while it started, polled or
 * waited: whoever calls these takes the difference for work. What a progress thread did beside the rank does not count. */
double engine_work_s(const struct engine *e);

#endif
