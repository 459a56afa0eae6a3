/* The config's JSON Schema: the key table as rows, one alternative per family member (the default may leave out its name). */
#include "bench/config_schema.h"

#include <assert.h>
#include <string.h>

#include "bench/config_keys.h"
#include "bench/config_print.h"

/* ---- rows to nested objects ---------------------------------------------------------------------------------------------- */

void schema_text(struct json *w, const char *name, const char *value)
{
    json_key(w, name);
    json_text(w, value);
}

void schema_number(struct json *w, const char *name, double value)
{
    json_key(w, name);
    json_number(w, value);
}

void schema_describe(struct json *w, const char *help, const char *unit)
{
    char text[512];
    snprintf(text, sizeof text, "%s%s%s%s", help, unit ? " [" : "", unit ? unit : "", unit ? "]" : "");
    schema_text(w, "description", text);
}

/* Rows from `first` on that share the part of the path that begins at `skip`. */
static size_t group_size(const struct schema_row *first, size_t n, size_t skip)
{
    size_t length = strcspn(first->path + skip, ".") + 1, size = 1;
    while (size < n && first->path[skip + length - 1] && strncmp(first->path, first[size].path, skip + length) == 0)
        size++;
    return size;
}

static void write_level(struct json *w, const struct schema_row *rows, size_t n, size_t skip);

static void write_group(struct json *w, const struct schema_row *rows, size_t n, size_t skip)
{
    const char *part = rows->path + skip;
    char name[JSON_NAME_BYTES];
    size_t length = strcspn(part, ".");
    snprintf(name, sizeof name, "%.*s", (int)length, part);
    json_key(w, name);
    json_begin(w, '{');
    if (part[length])
        write_level(w, rows, n, skip + length + 1);
    else
        rows->write(w, rows->item);
    json_end(w);
}

static bool any_required(const struct schema_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].required)
            return true;
    return false;
}

static void write_properties(struct json *w, const struct schema_row *rows, size_t n, size_t skip)
{
    json_key(w, "properties");
    json_begin(w, '{');
    for (size_t i = 0, size; i < n; i += size) {
        size = group_size(rows + i, n - i, skip);
        write_group(w, rows + i, size, skip);
    }
    json_end(w);
}

static void write_level(struct json *w, const struct schema_row *rows, size_t n, size_t skip)
{
    char name[JSON_NAME_BYTES];
    schema_text(w, "type", "object");
    json_key(w, "additionalProperties");
    json_bool(w, false);
    write_properties(w, rows, n, skip);
    json_key(w, "required");
    json_begin(w, '[');
    for (size_t i = 0, size; i < n; i += size) {
        size = group_size(rows + i, n - i, skip);
        snprintf(name, sizeof name, "%.*s", (int)strcspn(rows[i].path + skip, "."), rows[i].path + skip);
        if (any_required(rows + i, size))
            json_text(w, name);
    }
    json_end(w);
}

void schema_write_object(struct json *w, const struct schema_row *rows, size_t n)
{
    write_level(w, rows, n, 0);
}

/* ---- the config's rows --------------------------------------------------------------------------------------------------- */

static void write_range(struct json *w, const char *type, const char *low, const char *high, const struct key *k)
{
    schema_text(w, "type", type);
    schema_number(w, low, k->min);
    schema_number(w, high, k->max);
}

static void write_number(struct json *w, const char *type, const struct key *k)
{
    if (!k->word) {
        write_range(w, type, "minimum", "maximum", k);
        return;
    }
    json_key(w, "anyOf");
    json_begin(w, '[');
    json_begin(w, '{');
    write_range(w, type, "minimum", "maximum", k);
    json_end(w);
    json_begin(w, '{');
    schema_text(w, "const", k->word);
    json_end(w);
    json_end(w);
}

static void write_switch(struct json *w)
{
    json_key(w, "enum");
    json_begin(w, '[');
    json_bool(w, true);
    json_bool(w, false);
    json_text(w, "auto");
    json_end(w);
}

static void write_choices(struct json *w, const struct slot *s)
{
    const char *choice;
    json_key(w, "enum");
    json_begin(w, '[');
    for (size_t i = 0; (choice = slot_choice(s, i)) != NULL; i++)
        json_text(w, choice);
    json_end(w);
}

static void write_texts(struct json *w, const struct key *k)
{
    json_key(w, "anyOf");
    json_begin(w, '[');
    json_begin(w, '{');
    write_range(w, "string", "minLength", "maxLength", k);
    json_end(w);
    json_begin(w, '{');
    schema_text(w, "type", "array");
    schema_number(w, "minItems", 1);
    json_key(w, "items");
    json_begin(w, '{');
    write_range(w, "string", "minLength", "maxLength", k);
    json_end(w);
    json_end(w);
    json_end(w);
}

/* That all rows are equally long, a schema cannot say. */
static void write_matrix(struct json *w, const struct key *k)
{
    schema_text(w, "type", "array");
    json_key(w, "items");
    json_begin(w, '{');
    schema_text(w, "type", "array");
    json_key(w, "items");
    json_begin(w, '{');
    write_range(w, "number", "minimum", "maximum", k);
    json_end(w);
    json_end(w);
}

static void write_slot(struct json *w, const void *item)
{
    const struct slot *s = item;
    char text[CONFIG_PATH_BYTES];
    const char *fallback = slot_fallback(s, text);
    switch (s->key->kind) {
    case KEY_INT:
        write_number(w, "integer", s->key);
        break;
    case KEY_REAL:
        write_number(w, "number", s->key);
        break;
    case KEY_BOOL:
        schema_text(w, "type", "boolean");
        break;
    case KEY_SWITCH:
        write_switch(w);
        break;
    case KEY_CHOICE:
        write_choices(w, s);
        break;
    case KEY_TEXT:
        write_range(w, "string", "minLength", "maxLength", s->key);
        break;
    case KEY_TEXTS:
        write_texts(w, s->key);
        break;
    case KEY_MATRIX:
        write_matrix(w, s->key);
        break;
    }
    schema_describe(w, s->key->help, s->key->unit);
    if (fallback) {
        json_key(w, "default");
        json_raw(w, fallback);
    }
}

/* ---- families ------------------------------------------------------------------------------------------------------------ */

static void write_member_name(struct json *w, const void *item)
{
    const struct member *m = item;
    schema_text(w, "const", m->name);
    schema_describe(w, m->help, NULL);
}

/* A family that has an object of its own: its row describes the object, not the name in it. */
static bool is_object(const struct entry *e)
{
    return e->member_at && e->options;
}

static bool lies_in(const char *path, const char *object)
{
    const size_t length = strlen(object);
    return length == 0 || (strncmp(path, object, length) == 0 && path[length] == '.');
}

static void write_family(struct json *w, const void *item);

/* The rows in an object ("": of the whole config) that no family in it has in its own. Returns how many. */
static size_t rows_in(const char *object, struct slot slots[CONFIG_SLOTS_MAX], struct schema_row rows[CONFIG_SLOTS_MAX])
{
    const char *family = NULL; /* the last one: what lies in it follows it */
    size_t n = 0;
    for (struct slot s = { 0 }; slot_next(&s, NULL);) {
        if (s.member)
            continue;
        assert(n < CONFIG_SLOTS_MAX);
        char *path = slots[n].path;
        slots[n] = s;
        if (is_object(s.entry))
            *strrchr(path, '.') = 0;
        if (!lies_in(path, object) || (family && lies_in(path, family)))
            continue;
        family = is_object(s.entry) ? path : family;
        rows[n] = (struct schema_row){ path + strlen(object) + (*object != 0), false,
                                       is_object(s.entry) ? write_family : write_slot, &slots[n] };
        n++;
    }
    return n;
}

static void write_anything(struct json *w, const void *item)
{
    (void)w, (void)item;
}

/* others: rows in the family's object that are no member's, and are described elsewhere. */
static void write_member(struct json *w, const struct entry *e, size_t i, const struct schema_row *others, size_t n_others)
{
    const struct member *m = e->member_at(i);
    struct schema_row rows[CONFIG_SLOTS_MAX] = { { "name", i > 0, write_member_name, m } };
    struct slot slots[CONFIG_SLOTS_MAX];
    size_t n = 1;
    for (const struct key *k = m->keys; k && k->name; k++, n++) {
        assert(n < CONFIG_SLOTS_MAX);
        slots[n] = (struct slot){ .entry = e, .member = m, .key = k };
        rows[n] = (struct schema_row){ k->name, !k->fallback, write_slot, &slots[n] };
    }
    for (size_t k = 0; k < n_others; k++, n++) {
        assert(n < CONFIG_SLOTS_MAX);
        rows[n] = (struct schema_row){ others[k].path, false, write_anything, NULL };
    }
    json_begin(w, '{');
    schema_write_object(w, rows, n);
    json_end(w);
}

/* What else lies in its object (the next part of a chain) is described once, beside the members. */
static void write_family(struct json *w, const void *item)
{
    const struct slot *s = item;
    struct slot slots[CONFIG_SLOTS_MAX];
    struct schema_row others[CONFIG_SLOTS_MAX];
    const size_t n = rows_in(s->path, slots, others);
    schema_describe(w, s->key->help, NULL);
    if (n > 0)
        write_properties(w, others, n, 0);
    json_key(w, "oneOf");
    json_begin(w, '[');
    for (size_t i = 0; s->entry->member_at(i); i++)
        write_member(w, s->entry, i, others, n);
    json_end(w);
}

void config_write_schema(struct json *w)
{
    struct slot slots[CONFIG_SLOTS_MAX];
    struct schema_row rows[CONFIG_SLOTS_MAX];
    schema_write_object(w, rows, rows_in("", slots, rows));
}

void config_print_schema(FILE *out)
{
    struct json w;
    json_start(&w, out, false);
    json_begin(&w, '{');
    schema_text(&w, "$schema", "http://json-schema.org/draft-07/schema#");
    schema_text(&w, "title", "dmlbench config");
    config_write_schema(&w);
    json_end(&w);
}
