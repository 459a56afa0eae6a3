/* The ranks that were started together, and their control traffic: small, untimed, and not in the byte ledger.
 *
 * All functions are collective over the job, and none can fail for a reason of one rank alone (out of memory aborts the job).
 * They are not for use while a threaded engine (engine.h) has operations in flight.
 */
#ifndef DMLBENCH_COLLECTIVES_JOB_H
#define DMLBENCH_COLLECTIVES_JOB_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct job {
    MPI_Comm world; /* errors on it abort the job */
    int rank, ranks;
};

/* Local. The ranks of a communicator as a job of their own, for the calls below; nothing to close. */
struct job job_of(MPI_Comm comm);

/* Once per process; asks MPI for MPI_THREAD_SERIALIZED (what was got: MPI_Query_thread). Sets OMPI_MCA_btl_vader_eager_limit for
 * Open MPI, unless it is set, so that messages up to 32 KiB are fast between ranks of one host. */
void job_open(struct job *j, int *argc, char ***argv);
void job_close(struct job *j);

/* True in the build for simulated hosts, where time is virtual. Local. */
bool job_is_simulated(void);
/* Local. Whether virtual time passes for nothing but messages and what the program says (smpi/simulate-computation:no): then a run
 * gives the same times again, to the last digit, and what is computed must be charged. Otherwise SMPI charges what it measures. */
bool job_is_charged(void);
/* Local. Speed of the simulated host that this rank is on; NaN: it is not simulated. */
double job_host_flop_per_s(void);

/* Local. How many ranks the simulated hosts' cores take, one each; INT_MAX on real hosts, where the launcher decides. */
int job_room(void);

/* Returns on every rank when all ranks have called. */
void job_barrier(const struct job *j);

/* mine[n] of every rank into all[ranks * n] of rank 0, in rank order; all is not used elsewhere. */
void job_gather_doubles(const struct job *j, const double *mine, size_t n, double *all);

/* Rank 0: the strings of all ranks, in rank order, one allocation for the caller to free. Elsewhere NULL. */
char **job_gather_text(const struct job *j, const char *mine);

/* Rank 0's `length` bytes at *text to everybody; elsewhere *text is malloced, with a NUL after the last byte.
 * length -1 on rank 0 says that there is nothing to send (it could not be read); *text is then left alone.
 * Returns rank 0's length. */
ssize_t job_broadcast_text(const struct job *j, char **text, ssize_t length);

/* The largest of the ranks' values; NaN if any is NaN. */
double job_max(const struct job *j, double value);

/* Local. malloc between collectives, where a rank cannot leave: no memory ends the job with a sentence. */
void *job_allocate(const struct job *j, size_t bytes);

/* The sum of the ranks' values. */
double job_sum(const struct job *j, double value);

/* x[n], n <= INT_MAX, becomes the largest of the ranks' values, element by element. */
void job_most(const struct job *j, uint64_t *x, size_t n);

/* rows[ranks * n] of rank 0, n to each: mine[n]. */
void job_scatter_ints(const struct job *j, const int *rows, int n, int *mine);

/* From now on this rank has another number; the numbers are a permutation that keeps rank 0. */
void job_renumber(struct job *j, int rank);

/* Whether all ranks passed the same value. */
bool job_same(const struct job *j, uint64_t value);

#endif
