/* What a run still says when it is told to end: SIGINT and SIGTERM, which mpirun also sends to all ranks when one of them has died.
 *
 * A thread waits for the signal, so that what follows is ordinary code while the rank hangs in a message that will never come. Open
 * MPI 4.1 gives 3 ms between SIGTERM and SIGKILL, but sends SIGCONT a second before: then the last words are prepared, and shown at
 * SIGTERM. Should no SIGTERM follow (somebody had stopped the job and lets it go on), the run goes on and the last words are
 * forgotten.
 */
#ifndef DMLBENCH_BENCH_INTERRUPT_H
#define DMLBENCH_BENCH_INTERRUPT_H

#include <stdbool.h>

#include "collectives/status.h"

/* Local. First of all, before MPI starts threads: they must not take the signals. */
void interrupt_block(void);
/* Local. Lets the signals end this rank at once, as usual. */
void interrupt_unblock(void);
/* Local, once. From now on the signals call prepare(context), then if that returned true speak(context), both on a thread of its
 * own; after SIGINT and SIGTERM the process ends with exit code 1. */
status interrupt_watch(bool (*prepare)(void *context), void (*speak)(void *context), void *context);
/* Local, once. The run speaks for itself from now on; does not return if the last words are being spoken. */
void interrupt_end(void);

#endif
