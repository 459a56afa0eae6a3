/* Machine, build and allow-listed variables, for whoever wants to repeat or doubt a result.
 *
 * A variable is shown if the first row of the table that fits its name says so; a name that fits no row is never shown, so a
 * password in the environment cannot reach a result. Nothing here is measured.
 */
#include "bench/environment.h"

#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench/blas_kernel.h"
#include "bench/topology.h"
#include "collectives/job.h"
#include "kernels/matmul.h"

enum { TEXT_BYTES = 256 };

struct environment_storage {
    struct topology topology;
    struct utsname system;
    char kernel[2 * sizeof(((struct utsname *)0)->release)], governor[TEXT_BYTES], machine[TEXT_BYTES];
    char mpi_library[MPI_MAX_LIBRARY_VERSION_STRING];
    struct variable *variables;
    char *text; /* "NAME\0VALUE\0" of each, which the variables point into */
};

static const struct {
    const char *start; /* of the name; the whole name where exact */
    bool exact, shown;
} allow_list[] = {
    { "OMPI_MCA_orte_", false, false }, /* addresses and keys of this one launch */
    { "OMPI_MCA_ess", false, false },
    { "OMPI_MCA_initial_wdir", true, false },
    { "OMPI_MCA_", false, true },
    { "OMP_", false, true },
    { "OPENBLAS_", false, true },
    { "GOTO_", false, true },
    { "MALLOC_", false, true },
    { "SMPI_", false, true },
    { "UCX_TLS", true, true },
    { "DMLBENCH_INTERFACE", true, true },
    { "SLURM_JOB_ID", true, true },
    { "SLURM_JOB_NUM_NODES", true, true },
    { "SLURM_NTASKS", true, true },
    { "SLURM_NTASKS_PER_NODE", true, true },
    { "SLURM_CPUS_PER_TASK", true, true },
    { "SLURM_CPU_BIND", true, true },
};

bool environment_shows(const char *name)
{
    for (size_t i = 0; i < sizeof allow_list / sizeof *allow_list; i++) {
        const char *start = allow_list[i].start;
        if (allow_list[i].exact ? strcmp(name, start) == 0 : strncmp(name, start, strlen(start)) == 0)
            return allow_list[i].shown;
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct variable *)a)->name, ((const struct variable *)b)->name);
}

static bool read_variables(struct environment *e)
{
    size_t count = 0, bytes = 0;
    for (char **entry = environ; *entry; entry++, count++)
        bytes += strlen(*entry) + 1;
    struct variable *variables = e->storage->variables = calloc(count + 1, sizeof *variables);
    char *text = e->storage->text = malloc(bytes + 1);
    if (!variables || !text)
        return false;
    for (char **entry = environ; *entry; entry++) {
        char *equals = strchr(strcpy(text, *entry), '=');
        if (!equals)
            continue;
        *equals = '\0';
        if (!environment_shows(text))
            continue;
        variables[e->n_variables++] = (struct variable){ text, equals + 1 };
        text += strlen(*entry) + 1;
    }
    qsort(variables, e->n_variables, sizeof *variables, by_name);
    e->variables = variables;
    return true;
}

static double known(double count)
{
    return count > 0 ? count : (double)NAN;
}

static double one(int number)
{
    return number < 0 ? (double)NAN : number;
}

static void read_topology(struct environment *e, struct topology *t)
{
    if (!topology_read(t, NULL))
        *t = (struct topology){ 0 };
    e->packages = known(t->packages);
    e->numa_nodes = known(t->numa_nodes);
    e->cores = known(t->cores);
    e->pus = known(t->pus);
    e->l1d_B = known((double)t->l1d_B);
    e->l2_B = known((double)t->l2_B);
    e->l3_B = known((double)t->l3_B);
    e->bound_cores = known(t->bound_cores);
    e->cpuset = *t->cpuset ? t->cpuset : NULL;
    e->core = one(t->core);
    e->numa_node = one(t->numa_node);
    e->package = one(t->package);
    e->cpu_model = *t->cpu_model ? t->cpu_model : NULL;
}

void environment_rebound(struct environment *e)
{
    read_topology(e, &e->storage->topology);
}

/* First line of a small file without its end; NULL if there is none. */
static const char *read_line(const char *path, char text[TEXT_BYTES])
{
    FILE *file = fopen(path, "r");
    const char *line = file ? fgets(text, TEXT_BYTES, file) : NULL;
    if (file)
        fclose(file);
    if (line)
        text[strcspn(text, "\n")] = '\0';
    return line;
}

static void read_system(struct environment *e, struct environment_storage *s)
{
    if (uname(&s->system) == 0) {
        snprintf(s->kernel, sizeof s->kernel, "%s %s", s->system.sysname, s->system.release);
        e->kernel = s->kernel;
        e->host = s->system.nodename;
    }
    /* not hwloc's sum over NUMA nodes, which misses memory that was plugged into a virtual machine */
    e->memory_B = known((double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE));
    e->machine = read_line("/proc/sys/kernel/random/boot_id", s->machine);
    e->governor = read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", s->governor);
}

static void read_build(struct environment *e, struct environment_storage *s)
{
    e->version = DMLBENCH_VERSION;
    e->git_commit = DMLBENCH_GIT_COMMIT;
    e->git_dirty = DMLBENCH_GIT_DIRTY;
#ifdef __clang__
    e->compiler = __VERSION__;
#else
    e->compiler = "gcc " __VERSION__;
#endif
    e->cflags = DMLBENCH_CFLAGS;
    e->build = job_is_simulated() ? "smpi" : "mpi";

    int length;
    MPI_Get_library_version(s->mpi_library, &length);
    e->mpi_library = s->mpi_library;
    e->blas_library = matmul_library();
    e->blas_kernel = matmul_kernel_name();
    e->blas_kernel_reason = blas_kernel_reason();
    e->hwloc_version = topology_library();
    e->clock = job_is_simulated() ? "MPI_Wtime" : "CLOCK_MONOTONIC";
    e->clock_resolution_s = MPI_Wtick();
}

const char *environment_version(void)
{
    return DMLBENCH_VERSION;
}

status environment_read(struct environment *e)
{
    *e = (struct environment){ .hosts = NAN, .ranks_per_core = NAN, .storage = calloc(1, sizeof *e->storage) };
    if (!e->storage || !read_variables(e)) {
        environment_free(e);
        return status_fail(STATUS_FAILED, "no memory to describe the environment");
    }
    read_build(e, e->storage);
    read_system(e, e->storage);
    read_topology(e, &e->storage->topology);
    return STATUS_OK;
}

void environment_free(struct environment *e)
{
    if (e->storage) {
        free(e->storage->variables);
        free(e->storage->text);
        free(e->storage);
    }
    *e = (struct environment){ 0 };
}

/* Seconds that the hypervisor gave to others, over all processors: the eighth number of the first line. */
static double steal_s(void)
{
    char text[TEXT_BYTES];
    double ticks;
    if (!read_line("/proc/stat", text) || sscanf(text, "cpu %*f %*f %*f %*f %*f %*f %*f %lf", &ticks) != 1)
        return NAN;
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

struct usage usage_now(void)
{
    struct usage u = { NAN, NAN, NAN, NAN, NAN, NAN, steal_s() };
    struct rusage r;
    if (job_is_simulated()) /* one process of this machine holds all ranks */
        return (struct usage){ NAN, NAN, NAN, NAN, NAN, NAN, NAN };
    if (getrusage(RUSAGE_SELF, &r) == 0) {
        u.peak_rss_B = 1024 * (double)r.ru_maxrss;
        u.voluntary = (double)r.ru_nvcsw;
        u.involuntary = (double)r.ru_nivcsw;
        u.minor_faults = (double)r.ru_minflt;
        u.major_faults = (double)r.ru_majflt;
    }
    if (getloadavg(&u.load, 1) != 1)
        u.load = NAN;
    return u;
}
