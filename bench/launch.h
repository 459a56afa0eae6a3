/* One start of dmlbench, and the command that it becomes: by mpirun on processors, by smpirun on simulated hosts.
 *
 *      struct launch  ->  struct command  ->  process  ->  its exit code
 *
 * No MPI is started here.
 */
#ifndef DMLBENCH_BENCH_LAUNCH_H
#define DMLBENCH_BENCH_LAUNCH_H

#include "bench/command.h"
#include "bench/options.h"

struct launch {
    int ranks;
    const char *hosts, *agent; /* a hostfile or "a:4,b:4", NULL: this host; what starts a process on another host, NULL: ssh */
    const char *simulate, *platform; /* a network as config or as SimGrid's XML, NULL: no simulation; where to keep its XML */
    struct option_values mca;        /* "NAME=VALUE", for mpirun */
    char *const *extra;              /* further words for mpirun or smpirun, NULL-ended */
    const char *config, *out;        /* from here on dmlbench's own options */
    struct option_values with, sets;
    bool calibrate, explain, audit, quiet;
};

/* Local. Adds the program and its options; `network` (NULL: none) is a config under those of --with. */
void launch_add_program(struct command *c, const char *program, const struct launch *l, const char *network);

/* Local. Whether the configs, hosts and agent that are named could be meant: else STATUS_USAGE and a sentence. */
status launch_check(const struct launch *l);

/* Local, after launch_check. The command by mpirun. What is missing: STATUS_USAGE and a sentence. */
status launch_real(struct command *c, const struct launch *l);

/* What simulated hosts are read from. Starts as { .fd = -1 }. */
struct platform_file {
    int fd; /* of a file without a name, which ends with its last user; -1: it has a name */
    char path[4096];
};

/* Local. The command by smpirun. A config's network becomes a platform in SimGrid's XML (platform.h), in the named file l->platform
 * or in one without a name; what SimGrid refuses is refused here with its reason. platform_close when the command has ended, also
 * after a failure. */
status launch_simulated(struct command *c, const struct launch *l, struct platform_file *platform);
void platform_close(struct platform_file *platform);

#endif
