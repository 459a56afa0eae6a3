/* Starting and ending the job, and its control traffic, by MPI's own collectives: these bytes are not what is measured. */
#include "collectives/job.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef SMPI_H
#include <simgrid/host.h>
#include <xbt/config.h>
#endif

/* Open MPI hands a message above its eager limit (4 KiB) to another rank of the host by a kernel call that pins pages. Copied
 * through shared memory instead, messages up to 32 KiB were seen to be 2 to 3 times faster. What the user sets is left alone. */
static void raise_eager_limit(void)
{
    setenv("OMPI_MCA_btl_vader_eager_limit", "33024", 0);
} /* 32 KiB and MPI's header */

void job_open(struct job *j, int *argc, char ***argv)
{
    int provided;
    raise_eager_limit();
    MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &provided);
    j->world = MPI_COMM_WORLD;
    MPI_Comm_set_errhandler(j->world, MPI_ERRORS_ARE_FATAL);
    MPI_Comm_rank(j->world, &j->rank);
    MPI_Comm_size(j->world, &j->ranks);
}

struct job job_of(MPI_Comm comm)
{
    struct job j = { .world = comm };
    MPI_Comm_rank(comm, &j.rank);
    MPI_Comm_size(comm, &j.ranks);
    return j;
}

void job_close(struct job *j)
{
    if (j->world != MPI_COMM_WORLD)
        MPI_Comm_free(&j->world);
    j->world = MPI_COMM_NULL;
    MPI_Finalize();
}

bool job_is_simulated(void)
{
#ifdef SMPI_H
    return true;
#else
    return false;
#endif
}

int job_room(void)
{
    int cores = INT_MAX;
#ifdef SMPI_H
    cores = 0;
    sg_host_t *hosts = sg_host_list();
    for (size_t i = 0; i < sg_host_count(); i++)
        cores += sg_host_core_count(hosts[i]);
    free(hosts);
#endif
    return cores;
}

bool job_is_charged(void)
{
#ifdef SMPI_H
    return !sg_cfg_get_boolean("smpi/simulate-computation");
#else
    return false;
#endif
}

double job_host_flop_per_s(void)
{
#ifdef SMPI_H
    return sg_host_get_speed(sg_host_self());
#else
    return NAN;
#endif
}

void job_barrier(const struct job *j)
{
    MPI_Barrier(j->world);
}

/* Between ranks that wait for each other nobody can just return "no memory". */
void *job_allocate(const struct job *j, size_t bytes)
{
    void *p = malloc(bytes);
    if (!p) {
        fprintf(stderr, "dmlbench: no memory for %zu bytes on rank %d\n", bytes, j->rank);
        MPI_Abort(j->world, 1);
    }
    return p;
}

void job_gather_doubles(const struct job *j, const double *mine, size_t n, double *all)
{
    MPI_Gather(mine, (int)n, MPI_DOUBLE, all, (int)n, MPI_DOUBLE, 0, j->world);
}

char **job_gather_text(const struct job *j, const char *mine)
{
    int length = (int)strlen(mine) + 1, longest;
    MPI_Allreduce(&length, &longest, 1, MPI_INT, MPI_MAX, j->world);
    size_t stride = (size_t)longest, ranks = (size_t)j->ranks;
    char *padded = job_allocate(j, stride);
    memset(padded, 0, stride);
    memcpy(padded, mine, (size_t)length);
    char **texts = j->rank ? NULL : job_allocate(j, ranks * (sizeof *texts + stride));
    char *bytes = (char *)(texts ? texts + ranks : NULL);
    MPI_Gather(padded, longest, MPI_CHAR, bytes, longest, MPI_CHAR, 0, j->world);
    free(padded);
    for (size_t r = 0; texts && r < ranks; r++)
        texts[r] = bytes + r * stride;
    return texts;
}

ssize_t job_broadcast_text(const struct job *j, char **text, ssize_t length)
{
    int64_t n = length;
    MPI_Bcast(&n, 1, MPI_INT64_T, 0, j->world);
    if (n < 0)
        return -1;
    if (j->rank) {
        *text = job_allocate(j, (size_t)n + 1);
        (*text)[n] = '\0';
    }
    MPI_Bcast(*text, (int)n, MPI_CHAR, 0, j->world);
    return (ssize_t)n;
}

double job_max(const struct job *j, double value)
{
    double largest_or_nan[2] = { value == value ? value : 0, value != value };
    MPI_Allreduce(MPI_IN_PLACE, largest_or_nan, 2, MPI_DOUBLE, MPI_MAX, j->world);
    return largest_or_nan[1] > 0 ? NAN : largest_or_nan[0];
}

double job_sum(const struct job *j, double value)
{
    MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_DOUBLE, MPI_SUM, j->world);
    return value;
}

void job_most(const struct job *j, uint64_t *x, size_t n)
{
    MPI_Allreduce(MPI_IN_PLACE, x, (int)n, MPI_UINT64_T, MPI_MAX, j->world);
}

void job_scatter_ints(const struct job *j, const int *rows, int n, int *mine)
{
    MPI_Scatter(rows, n, MPI_INT, mine, n, MPI_INT, 0, j->world);
}

void job_renumber(struct job *j, int rank)
{
    MPI_Comm renumbered;
    MPI_Comm_split(j->world, 0, rank, &renumbered);
    j->world = renumbered;
    j->rank = rank;
}

bool job_same(const struct job *j, uint64_t value)
{
    uint64_t extremes[2] = { value, ~value };
    MPI_Allreduce(MPI_IN_PLACE, extremes, 2, MPI_UINT64_T, MPI_MAX, j->world);
    return extremes[0] == ~extremes[1];
}
