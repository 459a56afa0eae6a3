/* The last error sentence of this rank, and the gate at which ranks make one failure everybody's.
 *
 * The sentence is a plain static: errors are decided on the rank's main thread, or when that one will not run again (the last words
 * of an interrupted run); SMPI gives each simulated rank its own copy of it. The gate is two collective calls, and one when all is
 * well; it is no place for the inside of a timed step.
 */
#include "collectives/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char message[STATUS_MESSAGE_BYTES];

status status_fail(status code, const char *format, ...)
{
    char text[STATUS_MESSAGE_BYTES]; /* an argument may be status_message() itself */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(message, text, sizeof text);
    return code;
}

const char *status_message(void)
{
    return message;
}

status status_agree(status local, MPI_Comm comm)
{
    struct {
        int code, rank;
    } worst = { .code = (int)local };
    MPI_Comm_rank(comm, &worst.rank);
    MPI_Allreduce(MPI_IN_PLACE, &worst, 1, MPI_2INT, MPI_MAXLOC, comm); /* equal codes: the lowest rank */
    if (worst.code != STATUS_OK)
        MPI_Bcast(message, sizeof message, MPI_CHAR, worst.rank, comm);
    return (status)worst.code;
}
