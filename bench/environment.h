/* What machine and build this is: read once per rank, by an allow-list; nothing of the environment is copied wholesale. */
#ifndef DMLBENCH_BENCH_ENVIRONMENT_H
#define DMLBENCH_BENCH_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "collectives/status.h"

struct variable {
    const char *name, *value;
};

/* Texts that nobody knows are NULL, and numbers NaN; both are written as null. */
struct environment {
    const char *version, *git_commit;
    bool git_dirty;                        /* of the source that was built */
    const char *compiler, *cflags, *build; /* build: "mpi" or "smpi" */
    const char *mpi_library, *blas_library, *blas_kernel, *blas_kernel_reason, *hwloc_version, *cjson_version;
    const char *host, *kernel, *cpu_model, *governor; /* of this rank's host */
    const char *machine;                              /* tells kernels apart; hosts may share one */
    double packages, cores, pus, memory_B, l1d_B, l2_B, l3_B, numa_nodes;
    double clock_offset_max_s, clock_uncertainty_s; /* between hosts */
    double hosts;                                   /* different host names among the ranks */
    bool oversubscribed;
    double ranks_per_core;
    const char *clock;
    double clock_resolution_s;
    const char *synchronisation;     /* how the steps' start is synchronised */
    const char *cpuset;              /* hardware threads that this rank may run on: "0-1" */
    double bound_cores;              /* cores of it */
    double core, numa_node, package; /* the one that these are in; NaN: several */
    const struct variable *variables;
    size_t n_variables; /* allow-listed: OMPI_MCA_*, OMP_*, OPENBLAS_*, SLURM_JOB_ID ...; sorted by name */
    struct environment_storage *storage;
};

/* Local: fills what one rank can know by itself, after job_open; strings live until environment_free. Not known here, and left
 * NULL, NaN or false: hosts, oversubscribed, ranks_per_core, synchronisation, cjson_version. Fails only for lack of memory. */
status environment_read(struct environment *e);
/* Local: reads anew where the calling thread may run, after it has been bound. */
void environment_rebound(struct environment *e);
void environment_free(struct environment *e);

/* Of this program: "0.1.0". */
const char *environment_version(void);

/* Whether a variable of this name may be shown. Pure. */
bool environment_shows(const char *name);

/* Usage of this process so far and load of the machine (getrusage, /proc): NaN where the system does not tell, and where hosts are
 * simulated: what the machine that simulates does says nothing about them. */
struct usage {
    double peak_rss_B, voluntary, involuntary, minor_faults, major_faults, load, steal_s;
};
struct usage usage_now(void);

#endif
