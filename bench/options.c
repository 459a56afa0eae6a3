/* One walk over the words of the command line. */
#include "bench/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct program_option *find_option(const struct program_option *table, const char *word, size_t length)
{
    for (; table->name; table++)
        if (strlen(table->name) == length && !strncmp(table->name, word, length))
            return table;
    return NULL;
}

static void store(void *options, const struct program_option *option, const char *value)
{
    void *field = (char *)options + option->offset;
    struct option_values *values = field;
    if (!option->value)
        *(bool *)field = true;
    else if (option->repeats)
        values->items[values->count++] = value;
    else
        *(const char **)field = value;
}

status options_parse(const char *program, const struct program_option *table, void *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        const size_t length = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        const struct program_option *option = find_option(table, argv[i], length);
        if (!option)
            return status_fail(STATUS_USAGE, "%s: no such option; %s --help lists them", argv[i], program);
        if (!option->value && equals)
            return status_fail(STATUS_USAGE, "%s takes no value", option->name);
        if (option->value && !equals && i + 1 == argc)
            return status_fail(STATUS_USAGE, "%s needs a value: %s %s", option->name, option->name, option->value);
        store(options, option, !option->value ? NULL : equals ? equals + 1 : argv[++i]);
    }
    return STATUS_OK;
}

void options_print(const struct program_option *table)
{
    for (; table->name; table++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", table->name, table->value ? table->value : "");
        printf("  %-26s %s\n", left, table->help);
    }
}

status options_printed(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return STATUS_OK;
    return status_fail(STATUS_FAILED, "what was to be printed could not be written (%s)",
                       errno ? strerror(errno) : "an earlier error");
}
