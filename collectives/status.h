/* Failure that all ranks agree on.
 *
 * A function is either local (it may fail and returns a status) or collective (it cannot fail for a reason of one rank alone).
 * Ranks meet at a few gates, status_agree, after parsing, set-up, loading, verification and writing; between two gates no rank
 * leaves. So one rank's bad luck ends all ranks within moments, with that rank's sentence, printed once.
 */
#ifndef DMLBENCH_COLLECTIVES_STATUS_H
#define DMLBENCH_COLLECTIVES_STATUS_H

#include <mpi.h>

/* The value is the program's exit code. */
typedef enum status { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_USAGE = 2, STATUS_CHECK = 3 } status;

enum { STATUS_MESSAGE_BYTES = 1024 };

/* Records one sentence (printf form, cut at STATUS_MESSAGE_BYTES) and returns code. Local. Call it where the failure is decided;
 * callers only pass the status up. */
status status_fail(status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The sentence last recorded on this rank, or after status_agree the failing rank's. "" if none. */
const char *status_message(void);

/* Collective over comm: the worst local status becomes everybody's, with the sentence of the lowest failing rank. */
status status_agree(status local, MPI_Comm comm);

/* Passes a failure up. Never across a collective call. */
#define TRY(call)                                                                                                                  \
    do {                                                                                                                           \
        status try_status_ = (call);                                                                                               \
        if (try_status_ != STATUS_OK)                                                                                              \
            return try_status_;                                                                                                    \
    } while (0)

#endif
