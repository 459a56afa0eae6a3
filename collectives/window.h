/* Memory that ranks of one host share: every rank has a piece, which it writes and all read, and counts its phases for all to see.
 *
 *      a piece        | count | slot 0 | count | slot 1 | ...         a slot belongs to one segment at a time
 *      a phase        write to the own slot, signal; when everybody has signalled as often, read from the others' slots
 *
 * An MPI-3 shared window (MPI_Win_allocate_shared) and atomic counts: no message, no lock, nobody sleeps.
 * Source: Hoefler et al. 2013, MPI + MPI: a new hybrid approach to parallel programming with MPI plus shared memory.
 */
#ifndef DMLBENCH_COLLECTIVES_WINDOW_H
#define DMLBENCH_COLLECTIVES_WINDOW_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct window_size {
    int slots; /* 0: no window is wanted */
    size_t slot_B;
};

struct window;

/* Collective over comm. NULL, and a reason, where the ranks cannot share as much. */
struct window *window_open(MPI_Comm comm, struct window_size size, const char **why_not);
void window_close(struct window *w); /* collective; NULL: nothing to do */

size_t window_slot_B(const struct window *w);
/* Local. Copies to `at` of the own slot what so many others will read; counted once for each of them. */
void window_write(struct window *w, int slot, size_t at, const void *from, size_t bytes, int readers);
/* Local. `at` of another rank's slot, to be read. */
const void *window_read(const struct window *w, int rank, int slot, size_t at);
/* Local. What was written to the own slot is there for all. And whether everybody has signalled in this slot as often as this rank.
 */
void window_signal(struct window *w, int slot);
bool window_is_met(struct window *w, int slot);
/* How often to ask in vain before the core is offered to others: not at all where the ranks have to share cores. */
int window_patience(const struct window *w);
/* Local. Bytes written for others since the last call. */
uint64_t window_take_count(struct window *w);

#endif
