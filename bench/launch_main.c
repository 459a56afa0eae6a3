/* dmlrun: options, then one command by mpirun or smpirun, then its exit code. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/blas_kernel.h"
#include "bench/environment.h"
#include "bench/launch.h"

struct options {
    struct launch launch;
    const char *ranks;
    bool print, version, help;
};

#define IN_LAUNCH(field) offsetof(struct options, launch.field)

static const struct program_option table[] = {
    { "-np", "RANKS", "how many ranks", .offset = offsetof(struct options, ranks) },
    { "--config", "FILE", "the experiment, as for dmlbench; so are the next seven", .offset = IN_LAUNCH(config) },
    { "--with", "FILE", "a config whose keys go over those of --config; repeatable", .offset = IN_LAUNCH(with), .repeats = true },
    { "--set", "KEY=VALUE", "set one key, after the files; repeatable", .offset = IN_LAUNCH(sets), .repeats = true },
    { "--out", "FILE", "write the result there", .offset = IN_LAUNCH(out) },
    { "--calibrate", NULL, "measure the machine instead", .offset = IN_LAUNCH(calibrate) },
    { "--explain", NULL, "print what would run; run nothing", .offset = IN_LAUNCH(explain) },
    { "--audit", NULL, "let Open MPI's monitoring count the bytes too", .offset = IN_LAUNCH(audit) },
    { "--quiet", NULL, "print no command, no progress line and no summary", .offset = IN_LAUNCH(quiet) },
    { "--hosts", "FILE|a:4,b:4", "real hosts, as mpirun's hostfile or as names with their ranks", .offset = IN_LAUNCH(hosts) },
    { "--agent", "COMMAND", "what starts a process on another host, instead of ssh", .offset = IN_LAUNCH(agent) },
    { "--mca", "NAME=VALUE", "set a parameter of Open MPI; repeatable", .offset = IN_LAUNCH(mca), .repeats = true },
    { "--simulate", "FILE", "simulated hosts: a config with network.* keys, or a SimGrid platform in XML",
      .offset = IN_LAUNCH(simulate) },
    { "--platform", "FILE", "keep the platform that --simulate generates from a config", .offset = IN_LAUNCH(platform) },
    { "--print", NULL, "print the command; run nothing", .offset = offsetof(struct options, print) },
    { "--version", NULL, "print the version", .offset = offsetof(struct options, version) },
    { "--help", NULL, "print this", .offset = offsetof(struct options, help) },
    { 0 },
};

static void print_help(void)
{
    printf("usage: dmlrun -np RANKS --config FILE [options] [-- further options for mpirun or smpirun]\n\n");
    options_print(table);
    printf("\nexit codes: dmlbench's; 2 also if there is something wrong with the options or with what is to be started\n");
}

static status read_ranks(struct options *o)
{
    enum { RANKS_MAX = 1 << 20 };
    char *end = NULL;
    const long ranks = o->ranks ? strtol(o->ranks, &end, 10) : 0;
    if (!o->ranks)
        return status_fail(STATUS_USAGE, "-np RANKS is missing; dmlrun --help lists the options");
    if (end == o->ranks || *end || ranks < 1 || ranks > RANKS_MAX)
        return status_fail(STATUS_USAGE, "-np %s: must be a number of ranks, 1 .. %d", o->ranks, RANKS_MAX);
    o->launch.ranks = (int)ranks;
    return STATUS_OK;
}

/* What is missing, and what one of the two launchers cannot use. */
static status check_together(const struct options *o)
{
    const struct launch *l = &o->launch;
    if (!l->config && !l->calibrate && !o->print)
        return status_fail(STATUS_USAGE, "--config FILE is missing; dmlrun --help lists the options");
    if (l->simulate && (l->hosts || l->agent || l->mca.count))
        return status_fail(STATUS_USAGE, "--simulate and %s: simulated hosts are no real ones",
                           l->hosts   ? "--hosts"
                           : l->agent ? "--agent"
                                      : "--mca");
    if (l->simulate && l->audit)
        return status_fail(STATUS_USAGE, "--simulate and --audit: Open MPI's monitoring counts messages of Open MPI alone");
    if (l->platform && !l->simulate)
        return status_fail(STATUS_USAGE, "--platform %s: a platform is made for --simulate FILE alone", l->platform);
    return STATUS_OK;
}

static status show_or_run(const struct options *o, const struct command *c, const struct platform_file *platform, int *code)
{
    if (o->print && platform->fd >= 0)
        return status_fail(STATUS_USAGE,
                           "--print: the platform would be gone before the command is run (--platform FILE keeps it)");
    if (o->print)
        command_print(c, stdout);
    else if (!o->launch.quiet)
        command_print(c, stderr);
    if (o->print)
        return STATUS_OK;
    TRY(command_run(c, o->launch.simulate ? "libsimgrid-dev" : "openmpi-bin", -1, code));
    if (o->launch.simulate && *code > 128)
        fprintf(stderr, "dmlrun: the simulation was interrupted (%s): there is no result\n", strsignal(*code - 128));
    return STATUS_OK;
}

static status launch(struct options *o, int *code)
{
    struct command c = { 0 };
    struct platform_file platform = { .fd = -1 };
    TRY(read_ranks(o));
    TRY(check_together(o));
    TRY(launch_check(&o->launch));
    status s = o->launch.simulate ? launch_simulated(&c, &o->launch, &platform) : launch_real(&c, &o->launch);
    if (s == STATUS_OK)
        s = show_or_run(o, &c, &platform, code);
    platform_close(&platform);
    command_free(&c);
    return s;
}

static status run(struct options *o, int argc, char **argv, int *code)
{
    TRY(options_parse("dmlrun", table, o, argc, argv));
    if (o->help)
        print_help();
    else if (o->version)
        printf("dmlrun %s\n", environment_version());
    else {
        if (o->launch.simulate)
            blas_kernel_choose(argv); /* what real ranks do for themselves and simulated ones cannot: they inherit it */
        TRY(launch(o, code));
    }
    return options_printed();
}

int main(int argc, char **argv)
{
    struct options options = { 0 };
    int own = 1, code = 0;
    while (own < argc && strcmp(argv[own], "--"))
        own++;
    options.launch.extra = argv + own + (own < argc);
    const status outcome = run(&options, own, argv, &code);
    if (outcome != STATUS_OK)
        fprintf(stderr, "dmlrun: %s\n", status_message());
    options_free(table, &options);
    return outcome != STATUS_OK ? (int)outcome : code;
}
