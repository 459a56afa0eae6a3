/* From texts to one tree: each text's keys over those of the texts before, then --set. What a key may be is not known here. */
#include "bench/config_merge.h"

#include <string.h>

#include "bench/json.h"

/* The object that holds the last part of path, made where missing; NULL: something on the way is not an object. */
static cJSON *make_parent(cJSON *tree, char *path, const char **last)
{
    for (char *dot; (dot = strchr(path, '.')) != NULL; path = dot + 1) {
        *dot = 0;
        cJSON *next = cJSON_GetObjectItemCaseSensitive(tree, path);
        tree = next ? next : cJSON_AddObjectToObject(tree, path);
        *dot = '.';
        if (!cJSON_IsObject(tree))
            return NULL;
    }
    *last = path;
    return tree;
}

static status put(cJSON *object, const char *name, cJSON *value)
{
    const bool there = cJSON_GetObjectItemCaseSensitive(object, name) != NULL;
    if (value && (there ? cJSON_ReplaceItemInObjectCaseSensitive(object, name, value) : cJSON_AddItemToObject(object, name, value)))
        return STATUS_OK;
    cJSON_Delete(value);
    return status_fail(STATUS_FAILED, "no memory for %.80s of the config", name);
}

status tree_set(cJSON *tree, const char *set)
{
    char path[CONFIG_PATH_BYTES];
    const char *equals = strchr(set, '='), *last;
    if (!equals || equals == set)
        return status_fail(STATUS_USAGE, "--set %.80s: must be KEY=VALUE, such as measure.steps=10", set);
    if ((size_t)(equals - set) >= sizeof path)
        return status_fail(STATUS_USAGE, "--set %.80s...: no key is that long", set);
    snprintf(path, sizeof path, "%.*s", (int)(equals - set), set);
    for (const char *c = set; *c; c += json_utf8_bytes(c))
        if (json_utf8_bytes(c) == 0)
            return status_fail(STATUS_USAGE, "--set %s: not valid UTF-8", path);
    cJSON *parent = make_parent(tree, path, &last), *value = NULL;
    if (!parent)
        return status_fail(STATUS_USAGE, "--set %.80s: a part of the path before the last is not an object", set);
    if (tree_parse("--set", equals + 1, &value) != STATUS_OK)
        value = cJSON_CreateString(equals + 1);
    return put(parent, last, value);
}

status tree_check_key(const char *origin, const cJSON *item, const cJSON *object, const char *path)
{
    if (strchr(item->string, '.') || !item->string[0])
        return status_fail(STATUS_USAGE, "%s: \"%s\" cannot be a key: write nested objects, {\"batch\": {\"micro\": 8}}", origin,
                           item->string);
    for (const cJSON *other = object->child; other != item; other = other->next)
        if (strcmp(other->string, item->string) == 0)
            return status_fail(STATUS_USAGE, "%s: %s is given twice", origin, path);
    return STATUS_OK;
}

void tree_path_below(char path[2 * CONFIG_PATH_BYTES], const char *prefix, const char *name)
{
    snprintf(path, 2 * CONFIG_PATH_BYTES, "%s%s%.*s", prefix, *prefix ? "." : "", CONFIG_PATH_BYTES, name);
}

/* Puts the keys of one object in place of those of another. */
static status lay_over(cJSON *below, const cJSON *above, const char *origin, const char *prefix)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, above)
    {
        char path[2 * CONFIG_PATH_BYTES];
        tree_path_below(path, prefix, item->string);
        TRY(tree_check_key(origin, item, above, path));
        cJSON *there = cJSON_GetObjectItemCaseSensitive(below, item->string);
        TRY(cJSON_IsObject(there) && cJSON_IsObject(item) ? lay_over(there, item, origin, path)
                                                          : put(below, item->string, cJSON_Duplicate(item, true)));
    }
    return STATUS_OK;
}

status tree_check_config(const char *origin, const cJSON *tree)
{
    if (!cJSON_IsObject(tree))
        return status_fail(STATUS_USAGE, "%s: must be one JSON object, {...}", origin);
    const cJSON *schema = tree_find(tree, "schema");
    if (cJSON_IsString(schema) && !strcmp(schema->valuestring, "dmlbench.result"))
        return status_fail(STATUS_USAGE,
                           "%s: this is a result; the config of its run is what stands there under the key \"config\"", origin);
    return STATUS_OK;
}

/* What a config says of itself. */
static void forget_identity(cJSON *tree)
{
    static const char *const keys[] = { "why", "name" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        while (tree_find(tree, keys[i]))
            cJSON_DeleteItemFromObjectCaseSensitive(tree, keys[i]);
}

status tree_lay_over(cJSON *trees, const struct config_text *texts, int n_texts)
{
    for (int i = 0; i < n_texts; i++) {
        cJSON *tree;
        TRY(tree_parse(texts[i].origin, texts[i].text, &tree));
        cJSON_AddItemToArray(trees, tree);
        TRY(tree_check_config(texts[i].origin, tree));
        if (i == 0)
            continue;
        forget_identity(tree);
        TRY(lay_over(trees->child, tree, texts[i].origin, ""));
    }
    return STATUS_OK;
}
