/* Whether a file is what this program would write: a result, or a calibration, field by field against the rows of result_fields.c,
 * with its shapes and the hash of its config; a config by the parser itself. The first misfit is the sentence.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/config_tree.h"
#include "bench/result.h"
#include "bench/result_fields.h"

enum { PATH_BYTES = 256 };
static const size_t file_max_B = (size_t)1 << 32;

struct checker {
    const char *file;
    const cJSON *root;
    int steps, ranks; /* shape of the samples */
};

static status check_fields(const struct checker *c, const char *prefix, const struct field *fields, const cJSON *object);

static status misfit(const struct checker *c, const char *path, const cJSON *v, const char *wanted)
{
    char excerpt[TREE_EXCERPT_BYTES];
    return status_fail(STATUS_USAGE, "%s: %s = %s (must be %s)", c->file, path, tree_excerpt(v, excerpt), wanted);
}

static bool is_whole(const cJSON *v)
{
    return cJSON_IsNumber(v) && v->valuedouble == trunc(v->valuedouble);
}
static bool is_real(const cJSON *v)
{
    return cJSON_IsNumber(v) || cJSON_IsNull(v);
}
static bool is_bool(const cJSON *v)
{
    return cJSON_IsBool(v);
}
static bool is_text(const cJSON *v)
{
    return cJSON_IsString(v);
}

static status check_array(const struct checker *c, const char *path, const cJSON *v, int size, bool (*fits)(const cJSON *),
                          const char *wanted)
{
    const cJSON *item;
    if (!cJSON_IsArray(v))
        return misfit(c, path, v, "an array");
    if (size >= 0 && cJSON_GetArraySize(v) != size)
        return status_fail(STATUS_USAGE, "%s: %s has %d entries, not %d", c->file, path, cJSON_GetArraySize(v), size);
    cJSON_ArrayForEach(item, v) if (!fits(item)) return misfit(c, path, item, wanted);
    return STATUS_OK;
}

static status check_matrix(const struct checker *c, const char *path, const cJSON *v)
{
    const cJSON *row;
    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != c->ranks)
        return status_fail(STATUS_USAGE, "%s: %s must be an array with one entry for each of %d ranks", c->file, path, c->ranks);
    cJSON_ArrayForEach(row, v) TRY(check_array(c, path, row, c->steps, is_real, "numbers or null"));
    return STATUS_OK;
}

static status check_objects(const struct checker *c, const char *path, const struct field *fields, const cJSON *v)
{
    char prefix[PATH_BYTES];
    const cJSON *item;
    int i = 0;
    if (!cJSON_IsArray(v))
        return misfit(c, path, v, "an array");
    cJSON_ArrayForEach(item, v)
    {
        snprintf(prefix, sizeof prefix, "%.200s[%d].", path, i++);
        if (!cJSON_IsObject(item))
            return misfit(c, path, item, "objects");
        TRY(check_fields(c, prefix, fields, item));
    }
    return STATUS_OK;
}

/* The config fits the parser, and the two fields beside it are its hash and its seed. */
static status check_config(const struct checker *c, const char *path, const cJSON *v)
{
    struct config config;
    char origin[PATH_BYTES], hash[65];
    const cJSON *sha256 = tree_find(c->root, "config_sha256"), *seed = tree_find(c->root, "seed");
    snprintf(origin, sizeof origin, "%.150s: %.90s", c->file, path);
    TRY(tree_to_config(&config, origin, v, NULL));
    config_hash(&config, hash);
    const double config_seed = (double)config.seed;
    config_free(&config);
    if (is_text(sha256) && strcmp(sha256->valuestring, hash) != 0)
        return misfit(c, "config_sha256", sha256, hash);
    return !seed || seed->valuedouble == config_seed ? STATUS_OK : misfit(c, "seed", seed, "config.seed");
}

static status check_null(const struct checker *c, const char *path, const struct field *f, const cJSON *object, const cJSON *v)
{
    char why[PATH_BYTES];
    snprintf(why, sizeof why, "%s_why", f->path);
    if (!field_may_be_null(f))
        return misfit(c, path, v, "known");
    if (!cJSON_IsString(tree_find(object, why)))
        return status_fail(STATUS_USAGE, "%s: %s is null, but %s_why does not say why", c->file, path, path);
    return STATUS_OK;
}

static status check_text(const struct checker *c, const char *path, const struct field *f, const cJSON *v)
{
    if (!is_text(v))
        return misfit(c, path, v, "text");
    for (const char *const *choice = f->choices; choice; choice++) {
        if (!*choice)
            return misfit(c, path, v, "one of those that the schema lists");
        if (strcmp(v->valuestring, *choice) == 0)
            break;
    }
    return STATUS_OK;
}

static status check_range(const struct checker *c, const char *path, const struct field *f, const cJSON *v)
{
    char median[PATH_BYTES];
    if (f->range == FIELD_ANY)
        return STATUS_OK;
    if (f->kind == FIELD_STATISTIC) {
        snprintf(median, sizeof median, "%.200s.median", path);
        path = median;
        v = tree_find(v, "median");
    }
    if (!cJSON_IsNumber(v) || v->valuedouble > 0 || (v->valuedouble == 0 && f->range == FIELD_NOT_NEGATIVE))
        return STATUS_OK;
    return misfit(c, path, v, f->range == FIELD_POSITIVE ? "above 0" : "0 or more");
}

static status check_value(const struct checker *c, const char *path, const struct field *f, const cJSON *v)
{
    switch (f->kind) {
    case FIELD_CONSTANT:
        return is_text(v) && strcmp(v->valuestring, f->constant) == 0 ? STATUS_OK : misfit(c, path, v, f->constant);
    case FIELD_CONFIG:
        return check_config(c, path, v);
    case FIELD_TEXT:
    case FIELD_CHARS:
        return check_text(c, path, f, v);
    case FIELD_SEED:
    case FIELD_COUNT:
    case FIELD_SIZE:
        return is_whole(v) ? STATUS_OK : misfit(c, path, v, "an integer");
    case FIELD_REAL:
    case FIELD_MAYBE:
        return cJSON_IsNumber(v) ? STATUS_OK : misfit(c, path, v, "a number");
    case FIELD_BOOL:
        return is_bool(v) ? STATUS_OK : misfit(c, path, v, "true or false");
    case FIELD_STATISTIC: {
        char prefix[PATH_BYTES];
        snprintf(prefix, sizeof prefix, "%.200s.", path);
        return cJSON_IsObject(v) ? check_fields(c, prefix, statistic_fields, v) : misfit(c, path, v, "an object");
    }
    case FIELD_TEXTS:
        return check_array(c, path, v, -1, is_text, "texts");
    case FIELD_OBJECTS:
        return check_objects(c, path, f->fields, v);
    case FIELD_SERIES:
        return check_array(c, path, v, c->steps, is_real, "numbers or null");
    case FIELD_FLAGS:
        return check_array(c, path, v, c->steps, is_bool, "true or false");
    case FIELD_MATRIX:
        return check_matrix(c, path, v);
    }
    return STATUS_OK;
}

/* ---- keys that do not belong --------------------------------------------------------------------------------------------- */

enum known { UNKNOWN, OBJECT, FIELD };

static enum known classify(const struct field *fields, const char *path)
{
    const size_t n = strlen(path);
    for (const struct field *f = fields; f->path; f++) {
        const size_t length = strlen(f->path);
        if (strcmp(f->path, path) == 0)
            return FIELD;
        if (field_may_be_null(f) && strncmp(f->path, path, length) == 0 && strcmp(path + length, "_why") == 0)
            return FIELD;
        if (strncmp(f->path, path, n) == 0 && f->path[n] == '.')
            return OBJECT;
    }
    return UNKNOWN;
}

static status check_names(const struct checker *c, const char *prefix, const char *inner, const struct field *fields,
                          const cJSON *object)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "%s%s%.*s", inner, *inner ? "." : "", PATH_BYTES / 2, item->string);
        enum known known = strchr(item->string, '.') ? UNKNOWN : classify(fields, path);
        if (known == UNKNOWN)
            return status_fail(STATUS_USAGE, "%s: %s%s: no such field", c->file, prefix, path);
        for (const cJSON *other = object->child; other != item; other = other->next)
            if (strcmp(other->string, item->string) == 0)
                return status_fail(STATUS_USAGE, "%s: %s%s is given twice", c->file, prefix, path);
        if (known == OBJECT)
            TRY(check_names(c, prefix, path, fields, item));
    }
    return STATUS_OK;
}

static status check_fields(const struct checker *c, const char *prefix, const struct field *fields, const cJSON *object)
{
    char path[PATH_BYTES];
    TRY(check_names(c, prefix, "", fields, object));
    for (const struct field *f = fields; f->path; f++) {
        const cJSON *v = tree_find(object, f->path);
        snprintf(path, sizeof path, "%s%s", prefix, f->path);
        if (!v)
            return status_fail(STATUS_USAGE, "%s: %s is missing", c->file, path);
        TRY(cJSON_IsNull(v) ? check_null(c, path, f, object, v) : check_value(c, path, f, v));
        TRY(check_range(c, path, f, v));
    }
    return STATUS_OK;
}

status fields_check(const struct field *fields, const char *file, const void *tree)
{
    return check_fields(&(struct checker){ .file = file, .root = tree }, "", fields, tree);
}

static status check_tree(const char *path, const cJSON *tree)
{
    struct config config;
    const cJSON *schema = tree_find(tree, "schema");
    if (is_text(schema) && strcmp(schema->valuestring, calibration_fields[0].constant) == 0)
        return fields_check(calibration_fields, path, tree);
    if (schema) {
        struct checker c = { path, tree, cJSON_GetArraySize(tree_find(tree, "samples.warmup")),
                             cJSON_GetArraySize(tree_find(tree, "platform.ranks")) };
        return check_fields(&c, "", result_fields, tree);
    }
    TRY(tree_to_config(&config, path, tree, NULL));
    config_free(&config);
    return STATUS_OK;
}

status result_validate_file(const char *path)
{
    char *text;
    cJSON *tree;
    TRY(tree_read_file(path, file_max_B, &text));
    status s = tree_parse(path, text, &tree);
    free(text);
    TRY(s);
    s = check_tree(path, tree);
    cJSON_Delete(tree);
    return s;
}
