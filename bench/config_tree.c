/* Strict JSON: the grammar of RFC 8259 checked character by character before cJSON builds the tree.
 *
 * cJSON accepts more than JSON (01, 1., control characters, any bytes in strings, \u0000, 1e999) and cannot say what it missed;
 * this checker can: every failure has line, column and what was expected. It builds nothing.
 */
#include "bench/config_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/json.h"

enum { DEPTH_MAX = 32, NAME_BYTES = 128 };

struct cursor {
    const char *at;
    const char *problem; /* NULL: none yet; else what is wrong at `at` */
    int depth;
};

static bool fail(struct cursor *c, const char *problem)
{
    if (!c->problem)
        c->problem = problem;
    return false;
}

static void skip_blanks(struct cursor *c)
{
    c->at += strspn(c->at, " \t\r\n");
}

static bool take(struct cursor *c, char wanted)
{
    if (*c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool digits(struct cursor *c)
{
    size_t n = strspn(c->at, "0123456789");
    c->at += n;
    return n > 0 || fail(c, "expected a digit");
}

static bool number(struct cursor *c)
{
    const char *start = c->at;
    take(c, '-');
    if (!take(c, '0') && !digits(c))
        return false;
    if (*c->at >= '0' && *c->at <= '9')
        return fail(c, "a number must not begin with 0");
    if (take(c, '.') && !digits(c))
        return false;
    if (take(c, 'e') || take(c, 'E')) {
        if (!take(c, '+'))
            take(c, '-');
        if (!digits(c))
            return false;
    }
    if (isfinite(strtod(start, NULL)))
        return true;
    c->at = start;
    return fail(c, "the number is too large for a double");
}

/* Code unit of \uXXXX whose u is at `at`; -1: not four hexadecimal digits. */
static long code_unit(const char *at)
{
    char hex[5] = { 0 };
    if (*at != 'u' || strspn(at + 1, "0123456789abcdefABCDEF") < 4)
        return -1;
    memcpy(hex, at + 1, 4);
    return strtol(hex, NULL, 16);
}

static bool escape(struct cursor *c)
{
    if (*c->at && strchr("\"\\/bfnrt", *c->at)) {
        c->at++;
        return true;
    }
    long unit = code_unit(c->at);
    if (unit < 0)
        return fail(c, "no such escape in JSON");
    if (unit == 0)
        return fail(c, "\\u0000 cannot be part of a text");
    bool high = unit >= 0xD800 && unit < 0xDC00;
    long low = high && c->at[5] == '\\' ? code_unit(c->at + 6) : -1;
    if ((unit >= 0xDC00 && unit < 0xE000) || (high && (low < 0xDC00 || low > 0xDFFF)))
        return fail(c, "half of a surrogate pair");
    c->at += high ? 11 : 5;
    return true;
}

static bool string(struct cursor *c)
{
    if (!take(c, '"'))
        return fail(c, "expected a key in double quotes");
    while (!take(c, '"')) {
        int bytes = json_utf8_bytes(c->at);
        if (*c->at == 0)
            return fail(c, "the text is not closed");
        if ((unsigned char)*c->at < 0x20)
            return fail(c, "a control character or line end inside a text");
        if (bytes == 0)
            return fail(c, "not valid UTF-8");
        if (!take(c, '\\'))
            c->at += bytes;
        else if (!escape(c))
            return false;
    }
    return true;
}

static bool value(struct cursor *c);

/* The inside of an object or array up to its closer. */
static bool list(struct cursor *c, char closer, bool keyed)
{
    if (++c->depth > DEPTH_MAX)
        return fail(c, "more than 32 levels of nesting");
    skip_blanks(c);
    if (!take(c, closer)) {
        do {
            skip_blanks(c);
            if (keyed && !string(c))
                return false;
            skip_blanks(c);
            if (keyed && !take(c, ':'))
                return fail(c, "expected ':' after the key");
            if (!value(c))
                return false;
            skip_blanks(c);
        } while (take(c, ','));
        if (!take(c, closer))
            return fail(c, keyed ? "expected ',' or '}'" : "expected ',' or ']'");
    }
    c->depth--;
    return true;
}

static bool value(struct cursor *c)
{
    static const char *const words[] = { "true", "false", "null" };
    skip_blanks(c);
    if (take(c, '{'))
        return list(c, '}', true);
    if (take(c, '['))
        return list(c, ']', false);
    if (*c->at == '"')
        return string(c);
    if (*c->at == '-' || (*c->at >= '0' && *c->at <= '9'))
        return number(c);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(c->at, words[i], strlen(words[i])) == 0) {
            c->at += strlen(words[i]);
            return true;
        }
    return fail(c, *c->at ? "expected a value" : "the text ends too early");
}

static status syntax_error(const char *origin, const char *text, const struct cursor *c)
{
    int line = 1, column = 1;
    for (const char *s = text; s < c->at; s++) {
        column = *s == '\n' ? 1 : column + ((*s & 0xC0) != 0x80);
        line += *s == '\n';
    }
    return status_fail(STATUS_USAGE, "%s: line %d, column %d: %s", origin, line, column, c->problem);
}

status tree_parse(const char *origin, const char *text, cJSON **tree)
{
    struct cursor c = { .at = text };
    if (value(&c)) {
        skip_blanks(&c);
        if (*c.at)
            fail(&c, "expected nothing more after the value");
    }
    if (c.problem)
        return syntax_error(origin, text, &c);
    *tree = cJSON_Parse(text);
    return *tree ? STATUS_OK : status_fail(STATUS_FAILED, "%s: no memory to read it", origin);
}

const cJSON *tree_find(const cJSON *tree, const char *path)
{
    char name[NAME_BYTES];
    for (size_t n; tree && *path; path += n + (path[n] == '.')) {
        n = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)n, path);
        tree = cJSON_GetObjectItemCaseSensitive(tree, name);
    }
    return tree;
}

const char *tree_excerpt(const cJSON *value_, char text[TREE_EXCERPT_BYTES])
{
    if (cJSON_IsNumber(value_))
        return json_number_text(value_->valuedouble, text);
    char *whole = cJSON_PrintUnformatted(value_);
    size_t length = whole ? strlen(whole) : 0, room = TREE_EXCERPT_BYTES - sizeof "...";
    bool cut = length > room;
    if (cut)
        for (length = room; length > 0 && (whole[length] & 0xC0) == 0x80;)
            length--;
    snprintf(text, TREE_EXCERPT_BYTES, "%.*s%s", (int)length, whole ? whole : "", cut ? "..." : "");
    cJSON_free(whole);
    return text;
}

/* Reads to the end or limit_B + 1, so that pipes work too. */
static status read_stream(FILE *in, const char *path, size_t limit_B, char **text)
{
    size_t size = 0, room = 4096;
    char *all = malloc(room);
    while (all && (size += fread(all + size, 1, room - size, in)) == room && size <= limit_B) {
        char *grown = realloc(all, room *= 2);
        if (!grown)
            free(all);
        all = grown;
    }
    status s = STATUS_OK;
    if (!all)
        return status_fail(STATUS_FAILED, "%s: no memory to read it", path);
    if (ferror(in))
        s = status_fail(STATUS_USAGE, "%s: cannot be read (%s)", path, strerror(errno));
    else if (size > limit_B)
        s = status_fail(STATUS_USAGE, "%s: larger than %zu bytes", path, limit_B);
    else if (memchr(all, 0, size))
        s = status_fail(STATUS_USAGE, "%s: contains a NUL byte, so it is not JSON", path);
    if (s != STATUS_OK) {
        free(all);
        return s;
    }
    all[size] = 0; /* size < room: the loop grows a full buffer */
    *text = all;
    return STATUS_OK;
}

enum { PATIENCE_MS = 5000 };

status tree_read_file(const char *path, size_t limit_B, char **text)
{
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct pollfd first = { .fd = fd, .events = POLLIN };
    if (fd >= 0 && poll(&first, 1, PATIENCE_MS) == 0) { /* a pipe to which nobody writes */
        close(fd);
        return status_fail(STATUS_USAGE, "%s: nothing came from it within %d s", path, PATIENCE_MS / 1000);
    }
    if (fd >= 0)
        fcntl(fd, F_SETFL, 0);
    FILE *in = fd < 0 ? NULL : fdopen(fd, "r");
    if (!in)
        return status_fail(STATUS_USAGE, "%s: cannot be opened (%s)", path, strerror(errno));
    status s = read_stream(in, path, limit_B, text);
    fclose(in);
    return s;
}
