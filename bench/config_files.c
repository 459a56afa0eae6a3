/* Config files: where they are looked up, and reading those of one experiment: the config, and what is laid over it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/config.h"
#include "bench/config_tree.h"

enum { CONFIG_FILE_MAX_B = 1 << 20 };

/* Candidate i for path; false: no more. Configs stand in the working directory, beside the build, or in PREFIX/share. */
static bool candidate(const char *path, size_t i, char *found, size_t room)
{
    static const char *const beside_program[] = { "../../configs", "../share/dmlbench/configs" };
    char program[4096];
    if (i == 0)
        snprintf(found, room, "%s", path);
    else if (path[0] == '/')
        return false;
    else if (i == 1)
        snprintf(found, room, "configs/%s", path);
    else if (i - 2 < sizeof beside_program / sizeof *beside_program) {
        ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
        program[n > 0 ? n : 0] = 0;
        char *slash = strrchr(program, '/');
        snprintf(found, room, "%.*s/%s/%s", slash ? (int)(slash - program) : 0, program, beside_program[i - 2], path);
    } else
        return false;
    return true;
}

status config_find_file(const char *path, char found[CONFIG_FOUND_BYTES])
{
    struct stat about;
    size_t i = 0;
    while (candidate(path, i, found, CONFIG_FOUND_BYTES) && stat(found, &about) != 0 && errno == ENOENT)
        i++;
    if (candidate(path, i, found, CONFIG_FOUND_BYTES))
        return STATUS_OK;
    return status_fail(STATUS_USAGE, "%s: no such file, neither here nor in configs/", path);
}

status config_read_file(const char *path, char **text, char **folder)
{
    char found[CONFIG_FOUND_BYTES];
    TRY(config_find_file(path, found));
    TRY(tree_read_file(found, CONFIG_FILE_MAX_B, text));
    char *slash = strrchr(found, '/');
    *folder = slash ? strndup(found, (size_t)(slash - found) + (slash == found)) : strdup(".");
    if (*folder)
        return STATUS_OK;
    free(*text);
    return status_fail(STATUS_FAILED, "%s: no memory for its folder's name", path);
}

void config_free_texts(struct config_text *texts, int n_texts)
{
    for (int i = 0; i < n_texts; i++) {
        free((char *)texts[i].text);
        free((char *)texts[i].folder);
    }
}

/* malloced, as those from files are */
static status read_nothing(struct config_text *t)
{
    *t = (struct config_text){ "command line", strdup("{}"), strdup(".") };
    if (t->text && t->folder)
        return STATUS_OK;
    config_free_texts(t, 1);
    return status_fail(STATUS_FAILED, "no memory for the config");
}

static status read_text(struct config_text *t, const char *path)
{
    char *text, *folder;
    TRY(config_read_file(path, &text, &folder));
    *t = (struct config_text){ path, text, folder };
    return STATUS_OK;
}

status config_read_texts(struct config_text *texts, const char *config, const char *const *with, int n_with)
{
    status s = config ? read_text(&texts[0], config) : read_nothing(&texts[0]);
    for (int i = 0; i < n_with && s == STATUS_OK; i++) {
        s = read_text(&texts[1 + i], with[i]);
        if (s != STATUS_OK)
            config_free_texts(texts, 1 + i);
    }
    return s;
}

status config_load(struct config *c, const char *config, const char *const *with, int n_with, const char *const *sets, int n_sets)
{
    struct config_text *texts = calloc((size_t)n_with + 1, sizeof *texts);
    if (!texts)
        return status_fail(STATUS_FAILED, "no memory for the config");
    status s = config_read_texts(texts, config, with, n_with);
    if (s == STATUS_OK) {
        s = config_parse_texts(c, texts, 1 + n_with, sets, n_sets);
        config_free_texts(texts, 1 + n_with);
    }
    free(texts);
    return s;
}
