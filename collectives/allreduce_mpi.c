/* The MPI library's own allreduce (MPI_Iallreduce, in place), for comparison. What it sends is its own business: the ledger says
 * so instead of guessing. */
#include <limits.h>

#include "collectives/allreduce.h"

static const char *refuses(struct team t, size_t n)
{
    (void)t;
    return n > INT_MAX ? "MPI counts at most 2147483647 floats" : NULL;
}

const struct allreduce allreduce_mpi = {
    .member = { .name = "mpi", .help = "the MPI library's own algorithm; its bytes are not counted", .source = NULL },
    .refuses = refuses,
};
