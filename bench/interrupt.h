/* What a run still says when it is told to end: SIGINT and SIGTERM, which mpirun also sends to all ranks when one of them has died.
 *
 * A thread waits for the signal, so that what follows is ordinary code while the rank hangs in a message that will never come. Open
 * MPI 4.1 gives 3 ms between SIGTERM and SIGKILL, too little on a busy machine, but sends SIGCONT a second before: the last words
 * are spoken then, and taken back should no SIGTERM follow (somebody had stopped the job and lets it go on).
 */
#ifndef DMLBENCH_BENCH_INTERRUPT_H
#define DMLBENCH_BENCH_INTERRUPT_H

#include <stdbool.h>

#include "collectives/status.h"

struct last_words {
    void (*speak)(void *context);
    void (*take_back)(void *context);
    void *context;
};

/* Local. First of all, before MPI starts threads: they must not take the signals. */
void interrupt_block(void);
/* Local. Lets the signals end this rank at once, as usual. */
void interrupt_unblock(void);
/* Local, once. From now on the signals call the functions, on a thread of their own; after SIGINT and SIGTERM the process ends with
 * exit code 1. */
status interrupt_watch(struct last_words words);
/* Local, once. The run speaks for itself from now on; does not return if the last words are being spoken. */
void interrupt_end(void);

#endif
