/* smpirun, as SimGrid 3.32 has it, with what makes a message of n bytes take latency + n / bandwidth and computation what is
 * charged.
 *
 * A generated platform is a file in memory that smpirun opens as /proc/self/fd/N: there is nothing to remove, whatever happens.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/config.h"
#include "bench/launch.h"
#include "bench/platform.h"

enum { FD_FIRST = 20 /* smpirun is a script and uses the small ones */ };

static const double flop_per_s_otherwise = 1e10;

static const char *const exact[] = {
    "--cfg=network/model:CM02",           /* latency + n / bandwidth, and links that are shared evenly: no factors fitted to TCP */
    "--cfg=network/TCP-gamma:0",          /* no window that bounds a long link's bandwidth */
    "--cfg=network/crosstraffic:0",       /* what is received does not slow what is sent */
    "--cfg=smpi/simulate-computation:no", /* the host's own speed does not count; dmlbench charges its flop */
    "--cfg=smpi/wtime:0",                 /* asking costs nothing: for the time, or for a message */
    "--cfg=smpi/test:0",
    "--cfg=smpi/iprobe:0",
    "--cfg=smpi/send-is-detached-thresh:0", /* a send is done when its message has come, however small it is */
};

/* ---- the platform -------------------------------------------------------------------------------------------------------- */

void platform_close(struct platform_file *platform)
{
    if (platform->fd >= 0)
        close(platform->fd);
    platform->fd = -1;
}

static FILE *open_kept(const char *path, struct platform_file *platform)
{
    snprintf(platform->path, sizeof platform->path, "%s", path);
    return fopen(path, "wx");
}

/* The descriptor that stays open is inherited by smpirun. */
static FILE *open_nameless(struct platform_file *platform)
{
    const int fd = memfd_create("platform", MFD_CLOEXEC);
    platform->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD, FD_FIRST);
    snprintf(platform->path, sizeof platform->path, "/proc/self/fd/%d", platform->fd);
    return platform->fd < 0 ? NULL : fdopen(fd, "w");
}

static status write_platform(const struct launch *l, const struct config *c, struct platform_file *platform)
{
    const double given = c->charge.rate_flop_per_s;
    const struct cluster cluster = config_cluster(c, l->ranks);
    const char *name = l->platform ? l->platform : "the platform";
    FILE *out = l->platform ? open_kept(l->platform, platform) : open_nameless(platform);
    if (!out)
        return status_fail(l->platform ? STATUS_USAGE : STATUS_FAILED, "%s: cannot be written (%m)", name);
    if (given == 0 && !*c->calibration && !l->quiet)
        fprintf(stderr, "dmlrun: compute.rate_flop_per_s is not given: simulated hosts make %g flop/s\n", flop_per_s_otherwise);
    platform_write(out, &cluster, l->ranks, given > 0 ? given : flop_per_s_otherwise);
    const bool failed = ferror(out) != 0;
    if (fclose(out) || failed)
        return status_fail(STATUS_FAILED, "%s: could not be written whole", name);
    return STATUS_OK;
}

/* ---- from a config ------------------------------------------------------------------------------------------------------- */

static status check_states_a_network(const char *path)
{
    struct config c;
    bool states = false;
    TRY(config_load(&c, path, NULL, 0, NULL, 0));
    for (size_t i = 0; i < c.given.count; i++)
        states |= !strncmp(c.given.items[i], "network.", 8);
    config_free(&c);
    if (states)
        return STATUS_OK;
    return status_fail(STATUS_USAGE,
                       "--simulate %s: states no network (a config with network.node_ranks, network.between.latency_s, "
                       "..., or a SimGrid platform in XML)",
                       path);
}

/* The whole config: the network may be changed by --with and --set. */
static status platform_from_config(const struct launch *l, struct platform_file *platform)
{
    struct config c;
    const char **with = calloc((size_t)l->with.count + 1, sizeof *with);
    if (!with)
        return status_fail(STATUS_FAILED, "no memory for the config");
    with[0] = l->simulate;
    for (int i = 0; i < l->with.count; i++)
        with[1 + i] = l->with.items[i];
    status s = config_load(&c, l->config, with, 1 + l->with.count, l->sets.items, l->sets.count);
    free(with);
    TRY(s);
    s = config_settle_network(&c, l->ranks);
    if (s == STATUS_OK && c.network.jitter_s > 0)
        s = status_fail(STATUS_USAGE, "%s: network.jitter_s = %g, but simulated links have none (fits: 0)", c.origin,
                        c.network.jitter_s);
    if (s == STATUS_OK)
        s = write_platform(l, &c, platform);
    config_free(&c);
    return s;
}

/* ---- the command --------------------------------------------------------------------------------------------------------- */

/* log: the least that SimGrid says. */
static void add_smpirun(struct command *c, int ranks, const char *platform, const char *log)
{
    c->signals_leader = true;
    c->unwanted = "Execution failed with code ";
    command_add(c, "smpirun");
    command_add(c, "-quiet");
    command_add(c, "-np");
    command_add(c, "%d", ranks);
    command_add(c, "-platform");
    command_add(c, "%s", platform);
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
        command_add(c, "%s", exact[i]);
    command_add(c, "--log=root.thres:%s", log);
}

static bool has_blanks(const char *word)
{
    return word[strcspn(word, " \t\n")] != 0;
}

/* A file in a folder whose name has blanks: by this process, which has the folder open as long as smpirun needs it. */
static void name_without_blanks(char **word)
{
    char *slash = strrchr(*word, '/'), *other = NULL;
    if (!slash || !has_blanks(*word) || access(*word, R_OK) != 0)
        return;
    *slash = 0;
    const int folder = open(*word, O_PATH | O_DIRECTORY);
    *slash = '/';
    if (folder < 0 || asprintf(&other, "/proc/%ld/fd/%d%s", (long)getpid(), folder, slash) < 0)
        return;
    free(*word);
    *word = other;
}

/* The script puts its words together with blanks, and takes them apart again. */
static status do_without_blanks(const struct command *c, int first)
{
    for (int i = first; i < c->count; i++)
        name_without_blanks(&c->words[i]);
    for (int i = first; i < c->count; i++)
        if (!*c->words[i] || has_blanks(c->words[i]))
            return status_fail(STATUS_USAGE,
                               "'%s': smpirun hands on no word that is empty or has blanks (JSON needs none; a path may be "
                               "relative)",
                               c->words[i]);
    return STATUS_OK;
}

/* ---- SimGrid's own XML --------------------------------------------------------------------------------------------------- */

static bool is_xml(const char *path)
{
    FILE *file = fopen(path, "r");
    int first = EOF;
    while (file && isspace(first = getc(file)))
        ;
    if (file)
        fclose(file);
    return first == '<';
}

/* "[0.0] ./src/x.cpp:95: [xbt_exception/ERROR] What is wrong" -> "What is wrong" */
static status refused(const char *path, FILE *said)
{
    char line[1024] = "";
    const char *reason = NULL;
    rewind(said);
    while (!reason && fgets(line, sizeof line, said))
        reason = strstr(line, "xbt_exception/");
    reason = reason ? strchr(reason, ' ') : NULL;
    line[strcspn(line, "\n")] = 0;
    return status_fail(STATUS_USAGE, "--simulate %s: SimGrid refuses it: %s", path, reason ? reason + 1 : "it does not say why");
}

/* Before the run, for the reason alone: a run would print SimGrid's stack. */
static status check_platform(const char *path, const char *program)
{
    struct command c = { 0 };
    int code = 0;
    FILE *said = tmpfile();
    if (!said)
        return status_fail(STATUS_FAILED, "no temporary file (%m)");
    add_smpirun(&c, 1, path, "error");
    command_add(&c, "%s", program);
    command_add(&c, "--keys"); /* an answer that needs no experiment */
    status s = command_run(&c, "libsimgrid-dev", fileno(said), &code);
    command_free(&c);
    if (s == STATUS_OK && code != 0)
        s = refused(path, said);
    fclose(said);
    return s;
}

static status find_platform(const struct launch *l, const char *program, struct platform_file *platform)
{
    if (!is_xml(l->simulate)) {
        TRY(check_states_a_network(l->simulate));
        return platform_from_config(l, platform);
    }
    if (l->platform)
        return status_fail(STATUS_USAGE, "--platform %s: nothing is generated; %s is a platform", l->platform, l->simulate);
    snprintf(platform->path, sizeof platform->path, "%s", l->simulate);
    return check_platform(l->simulate, program);
}

status launch_simulated(struct command *c, const struct launch *l, struct platform_file *platform)
{
    static const char *const places[] = { "dmlbench-sim", "../sim/dmlbench", NULL };
    char *program;
    TRY(command_find("dmlbench-sim", places, "make sim builds it", &program));
    status s = find_platform(l, program, platform);
    if (s == STATUS_OK) {
        add_smpirun(c, l->ranks, platform->path, "critical");
        for (char *const *word = l->extra; *word; word++)
            command_add(c, "%s", *word);
        const int first = c->count + 1;
        launch_add_program(c, program, l, is_xml(l->simulate) ? NULL : l->simulate);
        s = do_without_blanks(c, first);
    }
    free(program);
    return s;
}
