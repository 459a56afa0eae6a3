/* From texts to struct config: strict trees laid over each other, --set, names of members, unknown keys, values. Every step is a
 * walk over the key table (config_keys.c); a default is read as if the user had written it. Rules between keys are in
 * config_rules.c, files in config_files.c.
 */
#include "bench/config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/config_keys.h"
#include "bench/config_merge.h"
#include "bench/json.h"

/* A block of c->storage. */
struct block {
    struct block *next;
    max_align_t bytes[];
};

struct reader {
    struct config *c;
    const struct config_text *texts;
    int n_texts;
    const char *const *sets;
    int n_sets;
    const cJSON *trees; /* an array, of each text its own; the first became `tree`; NULL: there is one */
    const cJSON *tree;  /* all in one */
};

/* Room that config_free gives back; NULL: a failure is recorded. */
static void *keep(struct config *c, size_t bytes)
{
    struct block *b = malloc(sizeof *b + bytes);
    if (!b) {
        status_fail(STATUS_FAILED, "%s: no memory for the config", c->origin);
        return NULL;
    }
    b->next = c->storage;
    c->storage = b;
    return b->bytes;
}

static status keep_text(struct config *c, const char *text, const char **kept)
{
    char *copy = keep(c, strlen(text) + 1);
    if (!copy)
        return STATUS_FAILED;
    *kept = strcpy(copy, text);
    return STATUS_OK;
}

void config_free(struct config *c)
{
    for (struct block *b = c->storage, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *c = (struct config){ 0 };
}

/* ---- where a message points ---------------------------------------------------------------------------------------------- */

/* Who had the last word on this path: "--set" or a file. */
static const char *origin_of(const struct reader *r, const char *path)
{
    for (int i = r->n_sets; i-- > 0;) {
        size_t n = strcspn(r->sets[i], "=");
        if (strncmp(r->sets[i], path, n) == 0 && (path[n] == 0 || path[n] == '.'))
            return "--set";
    }
    for (int i = r->n_texts; --i > 0;)
        if (tree_find(cJSON_GetArrayItem(r->trees, i), path))
            return r->texts[i].origin;
    return r->texts[0].origin;
}

static status wrong_value(const struct reader *r, const struct slot *s, const cJSON *v)
{
    char value[TREE_EXCERPT_BYTES], limit[SLOT_LIMIT_BYTES], question[CONFIG_PATH_BYTES + 32];
    const char *choice, *must = s->key->kind == KEY_CHOICE ? "" : "must be ";
    struct nearest near = { .wrong = cJSON_IsString(v) ? v->valuestring : "" };
    if (s->key->kind == KEY_CHOICE)
        for (size_t i = 0; (choice = slot_choice(s, i)) != NULL; i++)
            nearest_offer(&near, choice);
    return status_fail(STATUS_USAGE, "%s: %s = %s (%s%s)%s", origin_of(r, s->path), s->path, tree_excerpt(v, value), must,
                       slot_limit(s, limit), nearest_question(&near, question));
}

/* ---- unknown and doubled keys -------------------------------------------------------------------------------------------- */

enum known { UNKNOWN, OBJECT, KEY };

static enum known classify(const struct config *c, const char *path)
{
    size_t n = strlen(path);
    for (struct slot s = { 0 }; slot_next(&s, c);) {
        if (strcmp(s.path, path) == 0)
            return KEY;
        if (strncmp(s.path, path, n) == 0 && s.path[n] == '.')
            return OBJECT;
    }
    return UNKNOWN;
}

static status unknown_key(const struct reader *r, const char *path)
{
    char question[CONFIG_PATH_BYTES + 32];
    struct nearest near = { .wrong = path };
    for (struct slot s = { 0 }; slot_next(&s, NULL);) {
        if (strcmp(s.path, path) == 0)
            return status_fail(STATUS_USAGE, "%s: %s is a key of %s \"%s\", not of \"%s\"", origin_of(r, path), path,
                               s.entry->key.name, s.member->name, *(const char **)((char *)r->c + s.entry->key.offset));
        nearest_offer(&near, s.path);
        while (strrchr(s.path, '.')) { /* the objects it stands in */
            *strrchr(s.path, '.') = 0;
            nearest_offer(&near, s.path);
        }
    }
    return status_fail(STATUS_USAGE, "%s: %s: no such key%s", origin_of(r, path), path,
                       near.best[0] ? nearest_question(&near, question) : " (dmlbench --keys lists them all)");
}

/* Ends at the first unknown key, so it never goes deeper than the known ones. */
static status check_keys(const struct reader *r, const cJSON *object, const char *prefix)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        char path[2 * CONFIG_PATH_BYTES], value[TREE_EXCERPT_BYTES];
        tree_path_below(path, prefix, item->string);
        TRY(tree_check_key(origin_of(r, path), item, object, path));
        enum known known = classify(r->c, path);
        if (known == UNKNOWN)
            return unknown_key(r, path);
        if (known == OBJECT && !cJSON_IsObject(item))
            return status_fail(STATUS_USAGE, "%s: %s = %s (must be an object)", origin_of(r, path), path,
                               tree_excerpt(item, value));
        if (known == OBJECT)
            TRY(check_keys(r, item, path));
    }
    return STATUS_OK;
}

/* ---- values -------------------------------------------------------------------------------------------------------------- */

static bool length_fits(const struct key *k, const cJSON *v)
{
    return cJSON_IsString(v) && (double)strlen(v->valuestring) >= k->min && (double)strlen(v->valuestring) <= k->max;
}

static bool number_fits(const struct key *k, const cJSON *v)
{
    return cJSON_IsNumber(v) && v->valuedouble >= k->min && v->valuedouble <= k->max;
}

static bool is_word(const struct key *k, const cJSON *v)
{
    return k->word && cJSON_IsString(v) && strcmp(v->valuestring, k->word) == 0;
}

static status store_int(const struct reader *r, const struct slot *s, const cJSON *v, int64_t *to)
{
    if (is_word(s->key, v))
        *to = 0;
    else if (number_fits(s->key, v) && v->valuedouble == trunc(v->valuedouble) && fabs(v->valuedouble) < 0x1p53)
        *to = (int64_t)v->valuedouble;
    else
        return wrong_value(r, s, v);
    return STATUS_OK;
}

static status store_real(const struct reader *r, const struct slot *s, const cJSON *v, double *to)
{
    if (is_word(s->key, v))
        *to = 0;
    else if (number_fits(s->key, v))
        *to = v->valuedouble;
    else
        return wrong_value(r, s, v);
    return STATUS_OK;
}

static status store_switch(const struct reader *r, const struct slot *s, const cJSON *v, int64_t *to)
{
    if (cJSON_IsBool(v))
        *to = cJSON_IsTrue(v) ? SETTING_ON : SETTING_OFF;
    else if (cJSON_IsString(v) && strcmp(v->valuestring, "auto") == 0)
        *to = SETTING_AUTO;
    else
        return wrong_value(r, s, v);
    return STATUS_OK;
}

static status store_choice(const struct reader *r, const struct slot *s, const cJSON *v, const char **to)
{
    const char *choice;
    for (size_t i = 0; cJSON_IsString(v) && (choice = slot_choice(s, i)) != NULL; i++)
        if (strcmp(v->valuestring, choice) == 0) {
            *to = choice;
            return STATUS_OK;
        }
    return wrong_value(r, s, v);
}

static status store_texts(const struct reader *r, const struct slot *s, const cJSON *v, struct texts *to)
{
    const cJSON *item = cJSON_IsArray(v) ? v->child : v;
    size_t count = cJSON_IsArray(v) ? (size_t)cJSON_GetArraySize(v) : 1;
    if (count == 0)
        return wrong_value(r, s, v);
    const char **items = keep(r->c, count * sizeof *items);
    if (!items)
        return STATUS_FAILED;
    for (size_t i = 0; i < count; i++, item = item->next) {
        if (!length_fits(s->key, item))
            return wrong_value(r, s, item);
        TRY(keep_text(r->c, item->valuestring, &items[i]));
    }
    *to = (struct texts){ count, items };
    return STATUS_OK;
}

/* A row of `columns` numbers. */
static status store_row(const struct reader *r, const struct slot *s, const cJSON *row, size_t columns, double *to)
{
    const cJSON *item;
    if (!cJSON_IsArray(row) || (size_t)cJSON_GetArraySize(row) != columns)
        return wrong_value(r, s, row);
    cJSON_ArrayForEach(item, row)
    {
        if (!number_fits(s->key, item))
            return wrong_value(r, s, item);
        *to++ = item->valuedouble;
    }
    return STATUS_OK;
}

static status store_matrix(const struct reader *r, const struct slot *s, const cJSON *v, struct matrix *to)
{
    const cJSON *row;
    if (!cJSON_IsArray(v))
        return wrong_value(r, s, v);
    const size_t rows = (size_t)cJSON_GetArraySize(v), columns = (size_t)cJSON_GetArraySize(v->child);
    double *values = keep(r->c, rows * columns * sizeof *values), *at = values;
    if (!values)
        return STATUS_FAILED;
    for (row = v->child; row; row = row->next, at += columns)
        TRY(store_row(r, s, row, columns, at));
    *to = (struct matrix){ rows, columns, values };
    return STATUS_OK;
}

static status store(const struct reader *r, const struct slot *s, const cJSON *v)
{
    void *to = (char *)r->c + s->offset;
    switch (s->key->kind) {
    case KEY_INT:
        return store_int(r, s, v, to);
    case KEY_REAL:
        return store_real(r, s, v, to);
    case KEY_SWITCH:
        return store_switch(r, s, v, to);
    case KEY_BOOL:
        if (!cJSON_IsBool(v))
            return wrong_value(r, s, v);
        *(bool *)to = cJSON_IsTrue(v);
        return STATUS_OK;
    case KEY_CHOICE:
        return store_choice(r, s, v, to);
    case KEY_TEXT:
        return length_fits(s->key, v) ? keep_text(r->c, v->valuestring, to) : wrong_value(r, s, v);
    case KEY_TEXTS:
        return store_texts(r, s, v, to);
    case KEY_MATRIX:
        return store_matrix(r, s, v, to);
    }
    return STATUS_OK;
}

static status fill(const struct reader *r, const struct slot *s)
{
    char text[CONFIG_PATH_BYTES], limit[SLOT_LIMIT_BYTES];
    const cJSON *given = tree_find(r->tree, s->path);
    if (given)
        return store(r, s, given);
    const char *fallback = slot_fallback(s, text);
    if (!fallback)
        return status_fail(STATUS_USAGE, "%s: %s is missing (%s)", r->c->origin, s->path, slot_limit(s, limit));
    cJSON *v;
    TRY(tree_parse(s->path, fallback, &v));
    status result = store(r, s, v);
    cJSON_Delete(v);
    return result;
}

/* Members first: which keys exist depends on them. */
static status fill_all(const struct reader *r)
{
    for (struct slot s = { .entry = NULL }; slot_next(&s, NULL);)
        if (!s.member && s.entry->member_at)
            TRY(fill(r, &s));
    TRY(check_keys(r, r->tree, ""));
    for (struct slot s = { 0 }; slot_next(&s, r->c);)
        TRY(fill(r, &s));
    return STATUS_OK;
}

static status note_given(const struct reader *r)
{
    size_t count = 0;
    for (struct slot s = { 0 }; slot_next(&s, r->c);)
        count += tree_find(r->tree, s.path) != NULL;
    const char **items = keep(r->c, count * sizeof *items);
    if (!items)
        return STATUS_FAILED;
    r->c->given = (struct texts){ count, items };
    for (struct slot s = { 0 }; slot_next(&s, r->c);)
        if (tree_find(r->tree, s.path))
            TRY(keep_text(r->c, s.path, items++));
    return STATUS_OK;
}

const char *config_json_library(void)
{
    return cJSON_Version();
}

bool config_was_given(const struct config *c, const char *path)
{
    for (size_t i = 0; i < c->given.count; i++)
        if (strcmp(c->given.items[i], path) == 0)
            return true;
    return false;
}

/* A config without a name has its file's: "configs/data.json" -> "data". */
static status default_name(struct config *c, const char *file)
{
    const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
    size_t n = strlen(base), end = n > 5 && strcmp(base + n - 5, ".json") == 0 ? n - 5 : n;
    char name[CONFIG_PATH_BYTES];
    snprintf(name, sizeof name, "%.*s", (int)(end < 64 ? end : 64), base);
    return c->name[0] ? STATUS_OK : keep_text(c, name, &c->name);
}

/* "data.json with slow.json" */
static status name_origin(const struct reader *r)
{
    size_t bytes = 1, at = 0;
    for (int i = 0; i < r->n_texts; i++)
        bytes += strlen(r->texts[i].origin) + sizeof " with ";
    char *origin = keep(r->c, bytes);
    if (!origin)
        return STATUS_FAILED;
    for (int i = 0; i < r->n_texts; i++)
        at += (size_t)snprintf(origin + at, bytes - at, "%s%s", i ? " with " : "", r->texts[i].origin);
    r->c->origin = origin;
    return STATUS_OK;
}

static status fill_config(const struct reader *r)
{
    TRY(name_origin(r));
    TRY(keep_text(r->c, r->texts[0].folder ? r->texts[0].folder : ".", &r->c->folder));
    TRY(fill_all(r));
    TRY(note_given(r));
    return default_name(r->c, r->texts[0].origin);
}

static status read_tree(const struct reader *r)
{
    *r->c = (struct config){ .origin = r->texts[0].origin };
    status s = fill_config(r);
    if (s != STATUS_OK)
        config_free(r->c);
    return s;
}

status tree_to_config(struct config *c, const char *origin, const cJSON *tree, const char *folder)
{
    const struct config_text text = { .origin = origin, .folder = folder };
    TRY(tree_check_config(origin, tree));
    return read_tree(&(struct reader){ .c = c, .texts = &text, .n_texts = 1, .tree = tree });
}

status config_parse_texts(struct config *c, const struct config_text *texts, int n_texts, const char *const *sets, int n_sets)
{
    cJSON *trees = cJSON_CreateArray();
    status s = trees ? tree_lay_over(trees, texts, n_texts) : status_fail(STATUS_FAILED, "no memory for the config");
    for (int i = 0; i < n_sets && s == STATUS_OK; i++)
        s = tree_set(trees->child, sets[i]);
    if (s == STATUS_OK)
        s = read_tree(&(struct reader){ c, texts, n_texts, sets, n_sets, trees, trees->child });
    cJSON_Delete(trees);
    return s;
}

status config_parse(struct config *c, const char *origin, const char *text, const char *folder, const char *const *sets, int n_sets)
{
    return config_parse_texts(c, &(struct config_text){ origin, text, folder }, 1, sets, n_sets);
}
