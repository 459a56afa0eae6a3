/* dmlbench --conformance: from names and options to rows, and rows as a table and as JSON. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/codec.h"
#include "bench/conformance.h"
#include "bench/environment.h"
#include "bench/json.h"

enum { PARTS_MAX = 3, SET_BYTES = 128, CELL_BYTES = 48 };

static const struct {
    unsigned trait;
    char letter;
    const char *name;
} traits[] = { { COMPRESSOR_LOSSLESS, '=', "lossless" },     { COMPRESSOR_UNBIASED, 'u', "unbiased" },
               { COMPRESSOR_TIGHT, 't', "tight" },           { COMPRESSOR_CONTRACTIVE, 'c', "contractive" },
               { COMPRESSOR_FIXED_SIZE, 'f', "fixed-size" }, { COMPRESSOR_LINEAR, '+', "linear" },
               { COMPRESSOR_SPARSE, 's', "sparse" },         { COMPRESSOR_FEEDBACK, 'e', "feedback" },
               { COMPRESSOR_MATRIX, 'm', "matrix" } };
enum { TRAITS = sizeof traits / sizeof *traits };

static const char *verdict(const struct cell *c)
{
    return !c->checked ? "-" : c->of_allowed_ratio > 1 ? "FAIL" : "ok";
}

/* ---- table ---------------------------------------------------------------------------------------------------------------- */

/* The columns: checks whose numbers are of interest, then those that hold or not. */
static const struct {
    enum conformance_check check;
    int width;
    bool numbers;
} columns[] = { { CHECK_BIAS, 8, true },     { CHECK_BIAS_ALONG, 8, true }, { CHECK_OMEGA, 19, true }, { CHECK_DELTA, 17, true },
                { CHECK_BITS, 16, true },    { CHECK_LOSSLESS, 5, false },  { CHECK_BYTES, 6, false }, { CHECK_BOUNDS, 7, false },
                { CHECK_REPEATS, 8, false }, { CHECK_FEEDBACK, 9, false },  { CHECK_MASKS, 17, true }, { CHECK_WORKERS, 8, false },
                { CHECK_STATE, 6, false },   { CHECK_SUM, 4, false } };
enum { COLUMNS = sizeof columns / sizeof *columns };

static void print_cell(const struct cell *c, int width, bool numbers, FILE *out)
{
    char text[CELL_BYTES], stated[CELL_BYTES] = "";
    if (!isnan(c->stated))
        snprintf(stated, sizeof stated, "/%.3g", c->stated);
    if (numbers && c->checked)
        snprintf(text, sizeof text, "%.3g%.20s %s", c->measured, stated, verdict(c));
    else
        snprintf(text, sizeof text, "%s", verdict(c));
    fprintf(out, " %-*s", width, text);
}

static void print_head(FILE *out)
{
    fprintf(out, "%-19s%-8s", "compressor", "traits");
    for (int i = 0; i < COLUMNS; i++)
        fprintf(out, " %-*s", columns[i].width, conformance_checks[columns[i].check].head);
    fputc('\n', out);
}

static void print_row(const struct conformance_row *row, FILE *out)
{
    char letters[TRAITS + 1];
    int count = 0;
    for (int i = 0; i < TRAITS; i++)
        if (row->traits & traits[i].trait)
            letters[count++] = traits[i].letter;
    letters[count] = 0;
    fprintf(out, "%-19s%-8s", row->name, letters);
    for (int i = 0; i < COLUMNS; i++)
        print_cell(&row->cells[columns[i].check], columns[i].width, columns[i].numbers, out);
    fputc('\n', out);
    fflush(out);
}

/* A sentence for each claim that failed, and for a size that was refused. */
static void print_notes(const struct conformance_row *row, FILE *out)
{
    if (row->refused_n)
        fprintf(out, "%s: does not code %zu floats: %s\n", row->name, row->refused_n, row->refused);
    for (int i = 0; i < CHECKS; i++) {
        const struct cell *c = &row->cells[i];
        if (!c->checked || c->of_allowed_ratio <= 1)
            continue;
        fprintf(out, "%s: %s: %s: %s %.4g", row->name, conformance_checks[i].name, conformance_checks[i].fails,
                conformance_checks[i].measured, c->measured);
        if (!isnan(c->stated))
            fprintf(out, ", %s %.4g", conformance_checks[i].stated, c->stated);
        fprintf(out, " (%s, %zu floats, %d draws)\n", c->input, c->n, c->draws);
    }
}

static void print_legend(FILE *out)
{
    fputs("\ntraits:", out);
    for (int i = 0; i < TRAITS; i++)
        fprintf(out, " %c %s", traits[i].letter, traits[i].name);
    fputs("\nnumbers are measured/stated, of the case that came nearest to failing; - nothing is claimed; docs/conformance.md says "
          "what "
          "is checked\n",
          out);
}

/* ---- JSON ----------------------------------------------------------------------------------------------------------------- */

static void write_number(struct json *w, const char *key, double value)
{
    json_key(w, key);
    json_number(w, value);
}

static void write_text(struct json *w, const char *key, const char *value)
{
    json_key(w, key);
    json_text(w, value);
}

static void write_check(struct json *w, enum conformance_check check, const struct cell *c)
{
    const struct check_name *name = &conformance_checks[check];
    json_key(w, name->name);
    json_begin(w, '{');
    write_text(w, "verdict", c->checked ? verdict(c) : "not claimed");
    if (c->checked) {
        write_number(w, "measured", c->measured);
        write_text(w, "measured_is", name->measured);
        write_number(w, "stated", c->stated);
        write_text(w, "stated_is", isnan(c->stated) ? NULL : name->stated);
        write_number(w, "of_allowed_ratio", c->of_allowed_ratio);
        write_text(w, "input", c->input);
        write_number(w, "floats_count", (double)c->n);
        write_number(w, "draws_count", c->draws);
    }
    json_end(w);
}

static void write_row(struct json *w, const struct conformance_row *row)
{
    json_begin(w, '{');
    write_text(w, "name", row->name);
    json_key(w, "traits");
    json_begin(w, '[');
    for (int i = 0; i < TRAITS; i++)
        if (row->traits & traits[i].trait)
            json_text(w, traits[i].name);
    json_end(w);
    json_key(w, "passes");
    json_bool(w, conformance_passes(row));
    write_number(w, "cpu_s", row->cpu_s);
    write_text(w, "refused", row->refused_n ? row->refused : NULL);
    write_number(w, "refused_floats_count", row->refused_n ? (double)row->refused_n : NAN);
    json_key(w, "checks");
    json_begin(w, '{');
    for (int i = 0; i < CHECKS; i++)
        write_check(w, (enum conformance_check)i, &row->cells[i]);
    json_end(w);
    json_end(w);
}

static void write_document(FILE *out, const struct conformance_row *rows, int count, const struct option_values *sets)
{
    struct json w;
    json_start(&w, out, false);
    json_begin(&w, '{');
    write_text(&w, "schema", "dmlbench.conformance");
    write_text(&w, "schema_version", "1.0.0");
    write_text(&w, "dmlbench_version", environment_version());
    json_key(&w, "set");
    json_begin(&w, '[');
    for (int i = 0; i < sets->count; i++)
        json_text(&w, sets->items[i]);
    json_end(&w);
    json_key(&w, "compressors");
    json_begin(&w, '[');
    for (int i = 0; i < count; i++)
        write_row(&w, &rows[i]);
    json_end(&w);
    json_end(&w);
    fputc('\n', out);
}

/* A new file; what could not be written whole is removed. */
static status write_file(const char *path, const struct conformance_row *rows, int count, const struct option_values *sets)
{
    FILE *out = fopen(path, "wx");
    if (!out)
        return status_fail(errno == EEXIST ? STATUS_FAILED : STATUS_USAGE, "--out %s: the file cannot be made (%s)", path,
                           strerror(errno));
    write_document(out, rows, count, sets);
    const bool written = !ferror(out);
    if (fclose(out) == 0 && written)
        return STATUS_OK;
    remove(path);
    return status_fail(STATUS_FAILED, "--out %s: the file could not be written", path);
}

/* ---- from names to rows --------------------------------------------------------------------------------------------------- */

/* "topk+qsgd" as settings of the config; returns how many, 0 where the names are too many or too long. */
static int name_sets(const char *names, char set[PARTS_MAX][SET_BYTES])
{
    static const char *const paths[PARTS_MAX] = { "exchange.compressor.name", "exchange.compressor.then.name",
                                                  "exchange.compressor.then.then.name" };
    for (int i = 0; i < PARTS_MAX; i++) {
        const int length = (int)strcspn(names, "+");
        if (snprintf(set[i], SET_BYTES, "%s=\"%.*s\"", paths[i], length, names) >= SET_BYTES)
            return 0;
        if (names[length] == 0)
            return i + 1;
        names += length + 1;
    }
    return 0;
}

/* The config with this compressor and these options; config_free frees it. */
static status configure(const char *names, const struct option_values *sets, struct config *c)
{
    char own[PARTS_MAX][SET_BYTES];
    const int count = name_sets(names, own);
    if (count == 0)
        return status_fail(STATUS_USAGE, "--conformance %s: fits: all, a compressor, or up to %d in a chain (\"topk+qsgd\")", names,
                           PARTS_MAX);
    const char **items = malloc((size_t)(sets->count + count) * sizeof *items);
    if (!items)
        return status_fail(STATUS_FAILED, "no memory for the options of %s", names);
    for (int i = 0; i < sets->count; i++)
        items[i] = sets->items[i];
    for (int i = 0; i < count; i++)
        items[sets->count + i] = own[i];
    const status s = config_parse(c, "--conformance", "{}", NULL, items, sets->count + count);
    free(items);
    return s;
}

static status check_codec(const char *names, const struct config *c, struct conformance_row *row)
{
    struct codec codec;
    const char *why = codec_refuses(c);
    if (why)
        return status_fail(STATUS_USAGE, "--conformance %s: %s", names, why);
    codec_of(c, &codec);
    TRY(conformance_check(codec.kind, codec.options, row));
    if (row->refused_n && !row->cells[CHECK_BYTES].checked)
        return status_fail(STATUS_USAGE, "--conformance %s: codes none of the vectors: %s", names, row->refused);
    return STATUS_OK;
}

static status check_one(const char *names, const struct option_values *sets, struct conformance_row *row)
{
    struct config c;
    TRY(configure(names, sets, &c));
    row->name = names;
    const status s = check_codec(names, &c, row);
    config_free(&c);
    return s;
}

static int members(void)
{
    int count = 0;
    while (compressors[count])
        count++;
    return count;
}

static status check_all(const char *names, const struct option_values *sets, struct conformance_row *rows, int count, FILE *table)
{
    for (int i = 0; i < count; i++) {
        TRY(check_one(names ? names : compressors[i]->member.name, sets, &rows[i]));
        if (i == 0)
            print_head(table);
        print_row(&rows[i], table);
    }
    print_legend(table);
    for (int i = 0; i < count; i++)
        print_notes(&rows[i], table);
    return STATUS_OK;
}

status conformance_run(const char *names, const struct option_values *sets, const char *path, FILE *table)
{
    const bool all = strcmp(names, "all") == 0;
    const int count = all ? members() : 1;
    struct conformance_row *rows = calloc((size_t)count, sizeof *rows);
    if (!rows)
        return status_fail(STATUS_FAILED, "no memory for %d compressors", count);
    int failed = 0;
    status s = check_all(all ? NULL : names, sets, rows, count, table);
    if (s == STATUS_OK && path)
        s = write_file(path, rows, count, sets);
    for (int i = 0; i < count; i++)
        failed += !conformance_passes(&rows[i]);
    free(rows);
    TRY(s);
    return failed
               ? status_fail(STATUS_CHECK, "--conformance %s: %d of %d compressors do not do what they claim", names, failed, count)
               : STATUS_OK;
}
