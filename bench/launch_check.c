/* What dmlrun looks at before it starts anything: the files of the experiment, the hosts, and what starts processes there. mpirun
 * answers mistakes in them with pages, or with nothing. What only dmlbench can tell (whether a config fits) is left to it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/config.h"
#include "bench/launch.h"

/* ---- the experiment ------------------------------------------------------------------------------------------------------ */

static status check_file(const char *path)
{
    char *text, *folder;
    TRY(config_read_file(path, &text, &folder));
    free(text);
    free(folder);
    return STATUS_OK;
}

static status check_experiment(const struct launch *l)
{
    if (l->config)
        TRY(check_file(l->config));
    for (int i = 0; i < l->with.count; i++)
        TRY(check_file(l->with.items[i]));
    return STATUS_OK;
}

/* ---- hosts --------------------------------------------------------------------------------------------------------------- */

#define DIGITS "0123456789"

static bool is_name(const char *word, size_t length)
{
    return length > 0 && strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" DIGITS "._-@") >= length;
}

static bool is_count(const char *word, size_t length)
{
    return length > 0 && length < 8 && strspn(word, DIGITS) >= length && strtol(word, NULL, 10) > 0;
}

static status check_names(const char *hosts)
{
    for (const char *item = hosts;; item++) {
        const size_t length = strcspn(item, ","), name = strcspn(item, ":,");
        if (!is_name(item, name) || (name < length && !is_count(item + name + 1, length - name - 1)))
            return status_fail(STATUS_USAGE,
                               "--hosts '%s': '%.*s' is no host with or without its number of ranks (fits: a hostfile, or names "
                               "such as a:4,b:4)",
                               hosts, (int)length, item);
        item += length;
        if (!*item)
            return STATUS_OK;
    }
}

static bool is_setting(const char *key, const char *value)
{
    static const char *const keys[] = { "slots", "max_slots", "max-slots" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(key, keys[i]))
            return is_count(value, strlen(value));
    return false;
}

/* Counts the host that a line names, if it does. */
static bool is_host_line(const char *line, int *hosts)
{
    char key[16], value[16];
    int taken = 0;
    line += strspn(line, " \t");
    if (!*line)
        return true;
    const size_t name = strcspn(line, " \t");
    if (!is_name(line, name))
        return false;
    ++*hosts;
    for (line += name; sscanf(line, " %15[a-z_-] = %15[^ \t]%n", key, value, &taken) == 2; line += taken)
        if (!is_setting(key, value))
            return false;
    return !line[strspn(line, " \t")];
}

static status check_hostfile(const char *path, FILE *file)
{
    char line[1024];
    int hosts = 0;
    for (int number = 1; fgets(line, sizeof line, file); number++) {
        line[strcspn(line, "#\r\n")] = 0;
        if (!is_host_line(line, &hosts))
            return status_fail(STATUS_USAGE, "--hosts %s: line %d, '%.60s', is not NAME [slots=N] [max_slots=N]", path, number,
                               line);
    }
    return hosts ? STATUS_OK : status_fail(STATUS_USAGE, "--hosts %s: names no host (fits: lines NAME [slots=N])", path);
}

static status check_hosts(const char *hosts)
{
    struct stat about;
    if (stat(hosts, &about) != 0)
        return strchr(hosts, '/') ? status_fail(STATUS_USAGE, "--hosts %s: no such file", hosts) : check_names(hosts);
    FILE *file = S_ISREG(about.st_mode) ? fopen(hosts, "r") : NULL;
    if (!file)
        return status_fail(STATUS_USAGE, "--hosts %s: %s", hosts,
                           S_ISREG(about.st_mode) ? "cannot be read" : "is no file (fits: a hostfile, or names such as a:4,b:4)");
    const status s = check_hostfile(hosts, file);
    fclose(file);
    return s;
}

static status check_agent(const char *agent)
{
    char first[4096];
    if (strpbrk(agent, " :") && command_exists(agent))
        return status_fail(STATUS_USAGE, "--agent '%s': Open MPI takes it apart at blanks and colons (fits: a link to it without)",
                           agent);
    snprintf(first, sizeof first, "%.*s", (int)strcspn(agent, " "), agent);
    if (command_exists(first))
        return STATUS_OK;
    return status_fail(STATUS_USAGE, "--agent '%s': there is no program '%s'", agent, first);
}

status launch_check(const struct launch *l)
{
    TRY(check_experiment(l));
    TRY(l->hosts ? check_hosts(l->hosts) : STATUS_OK);
    return l->agent ? check_agent(l->agent) : STATUS_OK;
}
