/* The config back as text: effective JSON, its hash, and the key table for people. Walks over the key table, nothing else. */
#include <assert.h>
#include <sha256.h>
#include <stdlib.h>
#include <string.h>

#include "bench/config_keys.h"
#include "bench/config_print.h"

static void print_texts(struct json *w, const struct texts *t)
{
    json_begin(w, '[');
    for (size_t i = 0; i < t->count; i++)
        json_text(w, t->items[i]);
    json_end(w);
}

static void print_matrix(struct json *w, const struct matrix *m)
{
    json_begin(w, '[');
    for (size_t i = 0; i < m->rows; i++) {
        json_begin(w, '[');
        for (size_t k = 0; k < m->columns; k++)
            json_number(w, m->values[i * m->columns + k]);
        json_end(w);
    }
    json_end(w);
}

static void print_switch(struct json *w, int64_t setting)
{
    if (setting == SETTING_AUTO)
        json_text(w, "auto");
    else
        json_bool(w, setting == SETTING_ON);
}

static void print_value(struct json *w, const struct config *c, const struct slot *s)
{
    const void *at = (const char *)c + s->offset;
    switch (s->key->kind) {
    case KEY_INT:
        if (s->key->word && *(const int64_t *)at == 0)
            json_text(w, s->key->word);
        else
            json_number(w, (double)*(const int64_t *)at);
        break;
    case KEY_REAL:
        if (s->key->word && *(const double *)at == 0)
            json_text(w, s->key->word);
        else
            json_number(w, *(const double *)at);
        break;
    case KEY_SWITCH:
        print_switch(w, *(const int64_t *)at);
        break;
    case KEY_BOOL:
        json_bool(w, *(const bool *)at);
        break;
    case KEY_CHOICE:
    case KEY_TEXT:
        json_text(w, *(const char *const *)at);
        break;
    case KEY_TEXTS:
        print_texts(w, at);
        break;
    case KEY_MATRIX:
        print_matrix(w, at);
        break;
    }
}

/* Of dmlplan, and of no concern to a run. */
static bool is_plan(const char *path)
{
    return strncmp(path, "plan.", 5) == 0;
}

void config_write(const struct config *c, struct json *w)
{
    json_begin(w, '{');
    for (struct slot s = { 0 }; slot_next(&s, c);) {
        if (is_plan(s.path) && !config_was_given(c, s.path))
            continue;
        json_key(w, s.path);
        print_value(w, c, &s);
    }
    json_end(w);
}

void config_print(const struct config *c, FILE *out)
{
    struct json w;
    json_start(&w, out, false);
    config_write(c, &w);
}

/* ---- hash ---------------------------------------------------------------------------------------------------------------- */

/* The work's keys in the order of their paths, which is the order of nested sorting: '.' is below every letter. */
static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct slot *)a)->path, ((const struct slot *)b)->path);
}

/* Whether a key changes what a run does. */
static bool is_work(const char *path)
{
    return strcmp(path, "why") != 0 && strcmp(path, "name") != 0 && !is_plan(path);
}

static void write_canonical(const struct config *c, FILE *out)
{
    struct slot slots[CONFIG_SLOTS_MAX] = { 0 };
    struct json w;
    size_t n = 0;
    for (struct slot s = { 0 }; slot_next(&s, c);)
        if (is_work(s.path)) {
            assert(n < CONFIG_SLOTS_MAX);
            slots[n++] = s;
        }
    qsort(slots, n, sizeof *slots, by_path);
    json_start(&w, out, true);
    json_begin(&w, '{');
    for (size_t i = 0; i < n; i++) {
        json_key(&w, slots[i].path);
        print_value(&w, c, &slots[i]);
    }
    json_end(&w);
}

void config_hash(const struct config *c, char hex[65])
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        abort();
    write_canonical(c, out);
    fclose(out);
    SHA256_Data((const uint8_t *)text, size, hex);
    free(text);
}

/* ---- for people ---------------------------------------------------------------------------------------------------------- */

/* The member whose row it is; "" for the config's own. */
static const char *slot_owner(const struct slot *s)
{
    return s->member ? s->member->name : "";
}

static const char *slot_default(const struct slot *s, char text[CONFIG_PATH_BYTES])
{
    const char *fallback = slot_fallback(s, text);
    return fallback ? fallback : "(must be given)";
}

void config_print_keys(FILE *out)
{
    char fallback[CONFIG_PATH_BYTES], limit[SLOT_LIMIT_BYTES];
    fprintf(out, "%-31s %-11s %-15s %-44s %s\n", "KEY", "ONLY FOR", "DEFAULT", "VALUES", "MEANING");
    for (struct slot s = { 0 }; slot_next(&s, NULL);)
        fprintf(out, "%-31s %-11s %-15s %-44s %s%s%s%s\n", s.path, slot_owner(&s), slot_default(&s, fallback),
                slot_limit(&s, limit), s.key->help, s.key->unit ? " [" : "", s.key->unit ? s.key->unit : "",
                s.key->unit ? "]" : "");
}

static void print_family(const struct entry *e, FILE *out)
{
    const struct member *m;
    fprintf(out, "\n### %s\n\n%s\n\n", e->key.name, e->key.help);
    for (size_t i = 0; (m = e->member_at(i)) != NULL; i++)
        fprintf(out, "- `%s`: %s%s%s\n", m->name, m->help, m->source ? " — " : "", m->source ? m->source : "");
}

void config_print_markdown(FILE *out)
{
    char fallback[CONFIG_PATH_BYTES], limit[SLOT_LIMIT_BYTES];
    fputs("# Config keys\n\nMade from the program's own table; `dmlbench --keys` and `dmlbench --schema config` print the same.\n\n"
          "| key | only for | default | values | unit | meaning |\n|---|---|---|---|---|---|\n",
          out);
    for (struct slot s = { 0 }; slot_next(&s, NULL);)
        fprintf(out, "| `%s` | %s | `%s` | %s | %s | %s |\n", s.path, slot_owner(&s), slot_default(&s, fallback),
                slot_limit(&s, limit), s.key->unit ? s.key->unit : "", s.key->help);
    fputs("\n## Families\n", out);
    for (const struct entry *e = config_entries; e->key.name; e++)
        if (e->member_at)
            print_family(e, out);
}
