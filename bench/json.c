/* See json.h. A number is tried with 15, 16 and 17 digits and the first that reads back as the same bits is written; cJSON's own
 * printer is content with a relative error of 2^-52, so it cannot be used for samples. */
#include "bench/json.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void json_start(struct json *w, FILE *out, bool compact)
{
    *w = (struct json){ .out = out, .compact = compact };
}

static void new_line(const struct json *w)
{
    if (!w->compact)
        fprintf(w->out, "\n%*s", 2 * w->depth, "");
}

/* What stands between the last value and this one. Scalars of an array share a line. */
static void separate(struct json *w, bool own_line)
{
    if (w->keyed || w->depth == 0) {
        w->keyed = false;
        return;
    }
    struct json_level *level = &w->level[w->depth - 1];
    if (level->filled)
        fputs(w->compact || own_line ? "," : ", ", w->out);
    level->filled = true;
    level->lines = own_line;
    if (own_line)
        new_line(w);
}

static void open_level(struct json *w, char opener, const char *name, size_t name_length)
{
    assert(w->depth < JSON_DEPTH_MAX && name_length < JSON_NAME_BYTES);
    separate(w, true);
    fputc(opener, w->out);
    struct json_level *level = &w->level[w->depth++];
    *level = (struct json_level){ .closer = opener == '{' ? '}' : ']' };
    memcpy(level->name, name, name_length);
}

static void close_level(struct json *w)
{
    const struct json_level *level = &w->level[--w->depth];
    if (level->lines)
        new_line(w);
    fputc(level->closer, w->out);
}

int json_utf8_bytes(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    int bytes = s[0] < 0x80 ? 1 : s[0] >= 0xC2 && s[0] < 0xE0 ? 2 : (s[0] & 0xF0) == 0xE0 ? 3 : s[0] >= 0xF0 && s[0] < 0xF5 ? 4 : 0;
    for (int i = 1; i < bytes; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    bool wrong = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
                 (s[0] == 0xF4 && s[1] > 0x8F);
    return wrong ? 0 : bytes;
}

static void write_string(FILE *out, const char *text, size_t length)
{
    static const char shorts[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
    fputc('"', out);
    for (const char *c = text, *end = text + length; c < end;) {
        const int bytes = json_utf8_bytes(c);
        const char *at = strchr(shorts, *c);
        if (at)
            fprintf(out, "\\%c", letters[at - shorts]);
        else if (bytes == 0)
            fputs("\\ufffd", out);
        else if ((unsigned char)*c < 0x20)
            fprintf(out, "\\u%04x", (unsigned)*c);
        else
            fprintf(out, "%.*s", bytes, c);
        c += bytes > 0 ? bytes : 1;
    }
    fputc('"', out);
}

static void write_key(struct json *w, const char *name, size_t length)
{
    separate(w, true);
    write_string(w->out, name, length);
    fputs(w->compact ? ":" : ": ", w->out);
    w->keyed = true;
}

static bool opened_by_path(const struct json *w, int level)
{
    return level < w->depth && w->level[level].name[0];
}

void json_key(struct json *w, const char *path)
{
    int level = w->depth;
    while (level > 0 && opened_by_path(w, level - 1))
        level--;
    const char *dot;
    for (; (dot = strchr(path, '.')) != NULL && opened_by_path(w, level); level++, path = dot + 1) {
        const char *name = w->level[level].name;
        if (strlen(name) != (size_t)(dot - path) || memcmp(name, path, (size_t)(dot - path)) != 0)
            break;
    }
    while (w->depth > level)
        close_level(w);
    for (; (dot = strchr(path, '.')) != NULL; path = dot + 1) {
        write_key(w, path, (size_t)(dot - path));
        open_level(w, '{', path, (size_t)(dot - path));
    }
    write_key(w, path, strlen(path));
}

void json_begin(struct json *w, char opener)
{
    open_level(w, opener, "", 0);
}

void json_end(struct json *w)
{
    while (opened_by_path(w, w->depth - 1))
        close_level(w);
    close_level(w);
    if (w->depth == 0 && !w->compact)
        fputc('\n', w->out);
}

void json_text(struct json *w, const char *text)
{
    separate(w, false);
    if (text)
        write_string(w->out, text, strlen(text));
    else
        fputs("null", w->out);
}

void json_raw(struct json *w, const char *json)
{
    separate(w, false);
    fputs(json, w->out);
}

void json_bool(struct json *w, bool x)
{
    json_raw(w, x ? "true" : "false");
}

void json_number(struct json *w, double x)
{
    char text[JSON_NUMBER_BYTES];
    json_raw(w, isfinite(x) ? json_number_text(x, text) : "null");
}

const char *json_number_text(double x, char text[JSON_NUMBER_BYTES])
{
    static const char *const formats[] = { "%.15g", "%.16g", "%.17g" };
    for (size_t i = 0; i < 3; i++) {
        strfromd(text, JSON_NUMBER_BYTES, formats[i], x);
        if (strtod(text, NULL) == x)
            break;
    }
    return text;
}
