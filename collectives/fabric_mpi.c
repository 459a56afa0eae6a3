/* Messages as MPI carries them: shared memory, TCP, a cluster's network, or simulated hosts, whatever MPI was started on.
 *
 * MPI counts are int; a message above INT_MAX bytes travels as one item of a datatype of its exact length. Waiting is
 * MPI_Waitany: it gives up the core where Open MPI knows that there are more ranks than cores, and under SMPI it is what lets
 * virtual time pass and a deadlock be reported instead of spun on.
 */
#include <limits.h>
#include <time.h>
#include <unistd.h>

#include "collectives/fabric.h"
#include "collectives/job.h"
#ifdef SMPI_H
#include <simgrid/actor.h>
#include <simgrid/engine.h>
#endif

enum { CHUNK_B = 1 << 30 };

/* A datatype of exactly `bytes` bytes, to be freed by the caller. */
static MPI_Datatype long_type(size_t bytes)
{
    MPI_Datatype chunk, parts[2], type;
    MPI_Type_contiguous(CHUNK_B, MPI_BYTE, &chunk);
    int counts[2] = { (int)(bytes / CHUNK_B), (int)(bytes % CHUNK_B) };
    MPI_Aint at[2] = { 0, (MPI_Aint)(bytes - bytes % CHUNK_B) };
    parts[0] = chunk;
    parts[1] = MPI_BYTE;
    MPI_Type_create_struct(2, counts, at, parts, &type);
    MPI_Type_commit(&type);
    MPI_Type_free(&chunk);
    return type;
}

/* SMPI copies nothing from or to no address, but takes the message's time. */
static void start_send(struct fabric *f, const void *data, size_t bytes, int to, int tag, fabric_request *r)
{
    if (f->setup.hollow)
        data = MPI_BOTTOM;
    if (bytes <= INT_MAX) {
        MPI_Isend(data, (int)bytes, MPI_BYTE, to, tag, f->comm, &r->mpi);
        return;
    }
    MPI_Datatype type = long_type(bytes);
    MPI_Isend(data, 1, type, to, tag, f->comm, &r->mpi);
    MPI_Type_free(&type);
}

static void start_recv(struct fabric *f, void *data, size_t bytes, int from, int tag, fabric_request *r)
{
    if (f->setup.hollow)
        data = MPI_BOTTOM;
    if (bytes <= INT_MAX) {
        MPI_Irecv(data, (int)bytes, MPI_BYTE, from, tag, f->comm, &r->mpi);
        return;
    }
    MPI_Datatype type = long_type(bytes);
    MPI_Irecv(data, 1, type, from, tag, f->comm, &r->mpi);
    MPI_Type_free(&type);
}

static void start_sum(struct fabric *f, float *x, size_t n, fabric_request *r)
{
#ifdef SMPI_H /* mixes up several MPI_Iallreduce in flight, and sends all to all in each: not what a library does */
    MPI_Allreduce(MPI_IN_PLACE, x, (int)n, MPI_FLOAT, MPI_SUM, f->comm);
    r->mpi = MPI_REQUEST_NULL;
#else
    MPI_Iallreduce(MPI_IN_PLACE, x, (int)n, MPI_FLOAT, MPI_SUM, f->comm, &r->mpi);
#endif
}

static bool test(struct fabric *f, fabric_request *r)
{
    (void)f;
    int done;
    MPI_Test(&r->mpi, &done, MPI_STATUS_IGNORE);
    return done;
}

static void wait_any(struct fabric *f, fabric_request *const *r, int n)
{
    (void)f;
    MPI_Request requests[FABRIC_WAIT_MAX];
    int done;
    if (n == 1) {
        MPI_Wait(&r[0]->mpi, MPI_STATUS_IGNORE);
        return;
    }
    for (int i = 0; i < n; i++)
        requests[i] = r[i]->mpi;
    MPI_Waitany(n, requests, &done, MPI_STATUS_IGNORE);
    r[done]->mpi = MPI_REQUEST_NULL;
}

static status open_mpi(struct fabric *f)
{
    f->charged = job_is_charged();
    return STATUS_OK;
}

/* MPI_Wtime counts from another moment in every process; messages carry times from one to the other. In SMPI it charges what was
 * computed until now, and something for itself. */
static double now_s(struct fabric *f)
{
#ifdef SMPI_H
    return f->charged ? simgrid_get_clock() : MPI_Wtime();
#else
    struct timespec now;
    (void)f;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
#endif
}

/* SMPI's usleep charges what was computed until now, and knows whole microseconds only. */
static void pause_s(struct fabric *f, double s)
{
#ifdef SMPI_H
    if (f->charged) {
        sg_actor_sleep_for(s);
        return;
    }
#else
    (void)f;
#endif
    usleep((useconds_t)(1e6 * s));
}

const struct fabric_ops fabric_mpi = {
    .member = { .name = "mpi", .help = "messages as MPI carries them on the hosts it was started on" },
    .shares_memory = true,
    .open = open_mpi,
    .start_send = start_send,
    .start_recv = start_recv,
    .start_sum = start_sum,
    .test = test,
    .wait_any = wait_any,
    .now_s = now_s,
    .pause = pause_s,
};
