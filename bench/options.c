/* One walk over the words of the command line. */
#include "bench/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct program_option *find_option(const struct program_option *table, const char *word, size_t length)
{
    for (; table->name; table++)
        if (strlen(table->name) == length && !strncmp(table->name, word, length))
            return table;
    return NULL;
}

static status append(struct option_values *values, const char *value, int argc)
{
    if (!values->items)
        values->items = calloc((size_t)argc, sizeof *values->items);
    if (!values->items)
        return status_fail(STATUS_FAILED, "no memory for the command line");
    values->items[values->count++] = value;
    return STATUS_OK;
}

static status store(void *options, const struct program_option *option, const char *value, int argc)
{
    void *field = (char *)options + option->offset;
    if (option->repeats)
        return append(field, value, argc);
    if (option->value && *(const char **)field)
        return status_fail(STATUS_USAGE, "%s is given twice: %s and %s", option->name, *(const char **)field, value);
    if (option->value)
        *(const char **)field = value;
    else
        *(bool *)field = true;
    return STATUS_OK;
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
        TRY(store(options, option, !option->value ? NULL : equals ? equals + 1 : argv[++i], argc));
    }
    return STATUS_OK;
}

void options_free(const struct program_option *table, void *options)
{
    for (; table->name; table++)
        if (table->repeats)
            free(((struct option_values *)((char *)options + table->offset))->items);
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
