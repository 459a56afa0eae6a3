/* Writes strict JSON (RFC 8259) to a stream, one value at a time, so that a result of any size needs no tree in memory.
 *
 * The one idea: keys are dotted paths ("run.status"). The writer opens and closes the objects between one path and the next, so
 * that flat tables of rows become nested JSON; rows of one object must follow each other. Nothing is read here.
 */
#ifndef DMLBENCH_BENCH_JSON_H
#define DMLBENCH_BENCH_JSON_H

#include <stdbool.h>
#include <stdio.h>

enum { JSON_DEPTH_MAX = 32, JSON_NAME_BYTES = 64, JSON_NUMBER_BYTES = 32 };

struct json {
    FILE *out;
    bool compact; /* no blanks, no line ends */
    int depth;    /* open levels */
    bool keyed;   /* the next value follows a key */
    struct json_level {
        char closer;                /* } or ] */
        bool filled, lines;         /* something stands in it already; on lines of its own */
        char name[JSON_NAME_BYTES]; /* part of the path that opened it; "": opened by json_begin */
    } level[JSON_DEPTH_MAX];
};

void json_start(struct json *w, FILE *out, bool compact);
/* The key of the next value, as a dotted path below the innermost json_begin. */
void json_key(struct json *w, const char *path);
/* opener is { or [. json_end closes it, with every object that a path opened inside. */
void json_begin(struct json *w, char opener);
void json_end(struct json *w);

void json_text(struct json *w, const char *text); /* NULL gives null; a byte that is not UTF-8 becomes U+FFFD */
void json_number(struct json *w, double x);       /* not finite gives null */
void json_bool(struct json *w, bool x);
void json_raw(struct json *w, const char *json); /* JSON already */

/* Bytes of the UTF-8 character at s; 0: not valid (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF). */
int json_utf8_bytes(const char *s);

/* The shortest decimal of 15 to 17 digits that reads back as the same double; x must be finite. Returns text. */
const char *json_number_text(double x, char text[JSON_NUMBER_BYTES]);

#endif
