/* mpirun, as Open MPI 4.1 has it, and what it must be told: that root is meant, that more ranks than cores are, which variables
 * other hosts need. Ranks are bound by dmlbench itself, who knows the layout.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/config.h"
#include "bench/launch.h"
#include "bench/topology.h"

static void add(struct command *c, const char *name, const char *value)
{
    if (!value)
        return;
    command_add(c, "%s", name);
    command_add(c, "%s", value);
}

/* Found here: smpirun's program is SimGrid's, and looks for configs beside that. What is nowhere dmlbench complains about. */
static void add_config(struct command *c, const char *name, const char *path)
{
    char found[CONFIG_FOUND_BYTES];
    add(c, name, path && config_find_file(path, found) == STATUS_OK ? found : path);
}

static void add_flag(struct command *c, const char *name, bool is_given)
{
    if (is_given)
        command_add(c, "%s", name);
}

void launch_add_program(struct command *c, const char *program, const struct launch *l, const char *network)
{
    command_add(c, "%s", program);
    add_config(c, "--config", l->config);
    add_config(c, "--with", network);
    for (int i = 0; i < l->with.count; i++)
        add_config(c, "--with", l->with.items[i]);
    for (int i = 0; i < l->sets.count; i++)
        add(c, "--set", l->sets.items[i]);
    add(c, "--out", l->out);
    add_flag(c, "--calibrate", l->calibrate);
    add_flag(c, "--explain", l->explain);
    add_flag(c, "--audit", l->audit);
    add_flag(c, "--quiet", l->quiet);
}

static void add_mca(struct command *c, const char *name, const char *value)
{
    command_add(c, "--mca");
    add(c, name, value);
}

/* Where the ranks go. Of other hosts only their list knows how many they take. */
static void add_hosts(struct command *c, const struct launch *l)
{
    static const char *const variables[] = { "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE", "OMP_NUM_THREADS", "LD_LIBRARY_PATH" };
    add(c, access(l->hosts, F_OK) == 0 ? "--hostfile" : "--host", l->hosts);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (getenv(variables[i]))
            add(c, "-x", variables[i]);
}

/* Then mpirun knows the hosts from the batch system. */
static bool in_allocation(void)
{
    static const char *const variables[] = { "SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID" };
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (getenv(variables[i]))
            return true;
    return false;
}

static void add_here(struct command *c, const struct launch *l)
{
    struct topology t;
    if (in_allocation())
        return;
    if (!l->mca.count && !*l->extra)
        command_add(c, "-q"); /* dmlbench says what is wrong; with settings of Open MPI's it may never get so far */
    if (topology_read(&t, NULL) && l->ranks <= t.cores)
        return;
    command_add(c, "--oversubscribe");
    add_mca(c, "mpi_yield_when_idle", "1");
}

static status add_settings(struct command *c, const struct option_values *mca)
{
    for (int i = 0; i < mca->count; i++) {
        const char *equals = strchr(mca->items[i], '=');
        if (!equals || equals == mca->items[i])
            return status_fail(STATUS_USAGE, "--mca %s: must be NAME=VALUE, such as btl=tcp,self", mca->items[i]);
        command_add(c, "--mca");
        command_add(c, "%.*s", (int)(equals - mca->items[i]), mca->items[i]);
        command_add(c, "%s", equals + 1);
    }
    return STATUS_OK;
}

status launch_real(struct command *c, const struct launch *l)
{
    static const char *const places[] = { "dmlbench", NULL };
    char *program;
    command_add(c, "mpirun");
    if (geteuid() == 0)
        command_add(c, "--allow-run-as-root");
    command_add(c, "-np");
    command_add(c, "%d", l->ranks);
    if (l->hosts)
        add_hosts(c, l);
    else
        add_here(c, l);
    add_mca(c, "hwloc_base_binding_policy", "none");
    if (l->agent)
        add_mca(c, "plm_rsh_agent", l->agent);
    TRY(add_settings(c, &l->mca));
    for (char *const *word = l->extra; *word; word++)
        command_add(c, "%s", *word);
    TRY(command_find("dmlbench", places, "make builds it", &program));
    launch_add_program(c, program, l, NULL);
    free(program);
    return STATUS_OK;
}
