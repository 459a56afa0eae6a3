/* bench/config*.c against texts and the exact sentences that they must give, and
 * mutated texts that must never crash it (run under AddressSanitizer).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/config_keys.h"

enum { SETS_MAX = 3, RANKS = 8 };

/* Text and settings of one case; message NULL: it must be accepted. */
struct row {
    const char *text, *sets[SETS_MAX], *message;
};

static status parse(struct config *c, const struct row *row)
{
    int n = 0;
    while (n < SETS_MAX && row->sets[n])
        n++;
    return config_parse(c, "x.json", row->text, ".", row->sets, n);
}

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct config c;
        status s = parse(&c, &rows[i]);
        if (s == STATUS_OK) {
            s = config_settle(&c, RANKS);
            config_free(&c);
        }
        assert_string_equal(s == STATUS_OK ? "" : status_message(), rows[i].message ? rows[i].message : "");
        assert_int_equal(s, rows[i].message ? STATUS_USAGE : STATUS_OK);
    }
}
#define CHECK(rows) check_rows(rows, sizeof(rows) / sizeof *(rows))

static void what_is_json_is_read_and_what_is_not_is_refused_with_line_and_column(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { .text = "{}" },
        { .text = " \t\r\n{ \"why\" : \"\\u00e9\\ud83d\\ude00 \xc3\xa9\" } \n" },
        { "", { 0 }, "x.json: line 1, column 1: the text ends too early" },
        { "{\n  \"seed\": 1,\n}", { 0 }, "x.json: line 3, column 1: expected a key in double quotes" },
        { "{\"seed\": 1 \"why\": \"\"}", { 0 }, "x.json: line 1, column 12: expected ',' or '}'" },
        { "{\"seed\" 1}", { 0 }, "x.json: line 1, column 9: expected ':' after the key" },
        { "{} x", { 0 }, "x.json: line 1, column 4: expected nothing more after the value" },
        { "{\"why\": \"\xc3\xa9\", 'a'}", { 0 }, "x.json: line 1, column 14: expected a key in double quotes" },
        { "{\"seed\": 01}", { 0 }, "x.json: line 1, column 11: a number must not begin with 0" },
        { "{\"seed\": 1.}", { 0 }, "x.json: line 1, column 12: expected a digit" },
        { "{\"seed\": -}", { 0 }, "x.json: line 1, column 11: expected a digit" },
        { "{\"seed\": +1}", { 0 }, "x.json: line 1, column 10: expected a value" },
        { "{\"seed\": 1e999}", { 0 }, "x.json: line 1, column 10: the number is too large for a double" },
        { "{\"seed\": NaN}", { 0 }, "x.json: line 1, column 10: expected a value" },
        { "{\"why\": \"a\nb\"}", { 0 }, "x.json: line 1, column 11: a control character or line end inside a text" },
        { "{\"why\": \"a\x01\"}", { 0 }, "x.json: line 1, column 11: a control character or line end inside a text" },
        { "{\"why\": \"\xff\"}", { 0 }, "x.json: line 1, column 10: not valid UTF-8" },
        { "{\"why\": \"\xc0\x80\"}", { 0 }, "x.json: line 1, column 10: not valid UTF-8" },
        { "{\"why\": \"\xed\xa0\x80\"}", { 0 }, "x.json: line 1, column 10: not valid UTF-8" },
        { "{\"why\": \"\\x\"}", { 0 }, "x.json: line 1, column 11: no such escape in JSON" },
        { "{\"why\": \"\\u0000\"}", { 0 }, "x.json: line 1, column 11: \\u0000 cannot be part of a text" },
        { "{\"why\": \"\\ud83d\"}", { 0 }, "x.json: line 1, column 11: half of a surrogate pair" },
        { "{\"why\": \"abc", { 0 }, "x.json: line 1, column 13: the text is not closed" },
        { "[1, 2", { 0 }, "x.json: line 1, column 6: expected ',' or ']'" },
        { "[]", { 0 }, "x.json: must be one JSON object, {...}" },
        { "\xef\xbb\xbf{}", { 0 }, "x.json: line 1, column 1: expected a value" },
    };
    CHECK(rows);
}

static void wrong_keys_are_named_with_the_nearest_right_one(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "{\"batch\": {\"mirco\": 8}}", { 0 }, "x.json: batch.mirco: no such key; did you mean batch.micro?" },
        { "{\"micro\": 8}", { 0 }, "x.json: micro: no such key; did you mean batch.micro?" },
        { "{\"modle\": {}}", { 0 }, "x.json: modle: no such key; did you mean model?" },
        { "{\"xyzzy\": 8}", { 0 }, "x.json: xyzzy: no such key (dmlbench --keys lists them all)" },
        { "{\"batch.micro\": 8}",
          { 0 },
          "x.json: \"batch.micro\" cannot be a key: write nested objects, {\"batch\": {\"micro\": 8}}" },
        { "{\"seed\": 1, \"seed\": 2}", { 0 }, "x.json: seed is given twice" },
        { "{\"batch\": {\"micro\": 1, \"micro\": 8}}", { 0 }, "x.json: batch.micro is given twice" },
        { "{\"batch\": 8}", { 0 }, "x.json: batch = 8 (must be an object)" },
        { "{\"model\": \"gpt\"}", { 0 }, "x.json: model = \"gpt\" (must be an object)" },
        { "{\"data\": {\"name\": \"bytes\", \"path\": \"a\", \"noise\": 0.1}}",
          { 0 },
          "x.json: data.noise is a key of data.name \"synthetic\", not of \"bytes\"" },
        { "{\"data\": {\"name\": \"bytes\"}}", { 0 }, "x.json: data.path is missing (text or a list of texts of 1 .. 4096 bytes)" },
    };
    CHECK(rows);
}

static void wrong_values_are_named_with_what_fits(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "{\"batch\": {\"global\": 0}}", { 0 }, "x.json: batch.global = 0 (must be an integer 1 .. 1048576)" },
        { "{\"batch\": {\"global\": 1.5}}", { 0 }, "x.json: batch.global = 1.5 (must be an integer 1 .. 1048576)" },
        { "{\"batch\": {\"global\": \"64\"}}", { 0 }, "x.json: batch.global = \"64\" (must be an integer 1 .. 1048576)" },
        { "{\"batch\": {\"global\": null}}", { 0 }, "x.json: batch.global = null (must be an integer 1 .. 1048576)" },
        { "{\"batch\": {\"global\": {\"a\": 1}}}", { 0 }, "x.json: batch.global = {\"a\":1} (must be an integer 1 .. 1048576)" },
        { .text = "{\"seed\": 9007199254740991}" },
        { "{\"seed\": 9007199254740993}", { 0 }, "x.json: seed = 9007199254740992 (must be an integer 0 .. 9007199254740991)" },
        { .text = "{\"parallel\": {\"data\": \"auto\"}}" },
        { "{\"parallel\": {\"data\": 0}}", { 0 }, "x.json: parallel.data = 0 (must be an integer 1 .. 1048576 or \"auto\")" },
        { "{\"parallel\": {\"data\": \"all\"}}",
          { 0 },
          "x.json: parallel.data = \"all\" (must be an integer 1 .. 1048576 or \"auto\")" },
        { "{\"exchange\": {\"overlap\": 1}}", { 0 }, "x.json: exchange.overlap = 1 (must be true or false)" },
        { "{\"exchange\": {\"allreduce\": \"rign\"}}",
          { 0 },
          "x.json: exchange.allreduce = \"rign\" (one of: ring, doubling, halving, tree, hierarchical, shm, mpi, auto); did you "
          "mean "
          "ring?" },
        { "{\"exchange\": {\"reduction\": 1}}", { 0 }, "x.json: exchange.reduction = 1 (one of: fast, tree)" },
        { "{\"model\": {\"name\": \"zebra\"}}", { 0 }, "x.json: model.name = \"zebra\" (one of: gpt, mlp, proxy)" },
        { "{\"data\": {\"noise\": 0.6}}", { 0 }, "x.json: data.noise = 0.6 (must be a number 0 .. 0.5)" },
        { "{\"data\": {\"name\": \"bytes\", \"path\": []}}",
          { 0 },
          "x.json: data.path = [] (must be text or a list of texts of 1 .. 4096 bytes)" },
        { "{\"data\": {\"name\": \"bytes\", \"path\": [\"a\", 1]}}",
          { 0 },
          "x.json: data.path = 1 (must be text or a list of texts of 1 .. 4096 bytes)" },
        { "{\"name\": 5}", { 0 }, "x.json: name = 5 (must be text of 0 .. 64 bytes)" },
    };
    CHECK(rows);
}

static void settings_are_json_or_else_text_and_the_later_one_wins(void **state)
{
    (void)state;
    static const struct row good = { "{\"batch\": {\"global\": 32}}",
                                     { "name=run 5", "batch.global=64", "batch.global=128" },
                                     NULL };
    struct config c;
    assert_int_equal(parse(&c, &good), STATUS_OK);
    assert_string_equal(c.name, "run 5");
    assert_int_equal(c.batch.global, 128);
    assert_true(config_was_given(&c, "batch.global") && config_was_given(&c, "name"));
    assert_false(config_was_given(&c, "batch.micro"));
    config_free(&c);
    static const struct row rows[] = {
        { .text = "{}", .sets = { "data={\"name\": \"bytes\", \"path\": [\"a\", \"b\"]}" } },
        { "{\"seed\": 1}", { "seed" }, "--set seed: must be KEY=VALUE, such as measure.steps=10" },
        { "{}", { "why=a\xff" }, "--set why: not valid UTF-8" },
        { "{\"seed\": 1}", { "=3" }, "--set =3: must be KEY=VALUE, such as measure.steps=10" },
        { "{\"seed\": 1}", { "seed.x=3" }, "--set seed.x=3: a part of the path before the last is not an object" },
        { "{}", { "batch.mirco=3" }, "--set: batch.mirco: no such key; did you mean batch.micro?" },
        { "{}", { "batch.micro=3x" }, "--set: batch.micro = \"3x\" (must be an integer 1 .. 1048576)" },
        { "{}", { "batch.micro=1e999" }, "--set: batch.micro = \"1e999\" (must be an integer 1 .. 1048576)" },
        { "{}", { "batch..micro=3" }, "x.json: \"\" cannot be a key: write nested objects, {\"batch\": {\"micro\": 8}}" },
        { "{}", { "batch={\"micro\": 1, \"micro\": 2}" }, "--set: batch.micro is given twice" },
        { "{\"exchange\": {\"compressor\": {\"name\": \"topk\", \"ratio\": 0.5}}}",
          { "exchange.compressor.name=none" },
          "x.json: exchange.compressor.ratio is a key of exchange.compressor.name \"topk\", not of \"none\"" },
        { .text = "{}", .sets = { "exchange.compressor.name=topk", "exchange.compressor.ratio=0.5" } },
    };
    CHECK(rows);
}

static void rules_between_keys_name_what_would_fit(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "{\"exchange\": {\"bucket_B\": 5}}",
          { 0 },
          "x.json: exchange.bucket_B = 5, exchange.segment_B = 32768 (both must be multiples of 4)" },
        { "{\"model\": {\"name\": \"gpt\", \"hidden\": 130}}",
          { 0 },
          "x.json: model.hidden = 130 is not a multiple of model.heads = 4 (fits: model.hidden = 132 with model.heads = 4)" },
        { "{\"exchange\": {\"error_feedback\": true}}",
          { 0 },
          "x.json: exchange.error_feedback = true, but exchange.compressor.name = \"none\" loses nothing to feed back (fits: "
          "exchange.error_feedback = false, or a compressor that loses, such as \"topk\")" },
        { "{\"exchange\": {\"reduction\": \"tree\", \"compressor\": {\"name\": \"topk\"}}}",
          { 0 },
          "x.json: exchange.reduction = \"tree\" promises the same bits on any number of ranks, but what exchange.compressor "
          "\"topk\" "
          "loses depends on which rank's gradient it compresses (fits: \"none\")" },
        { "{\"name\": \"../x\"}",
          { 0 },
          "x.json: name = \"../x\" (it becomes a file name: no slash, no line end, no dot at the start)" },
        { .text = "{\"exchange\": {\"overlap\": false, \"progress\": \"thread\"}, \"measure\": {\"warmup_steps\": 0}}" },
    };
    CHECK(rows);
}

static void deep_nesting_is_refused_and_not_followed(void **state)
{
    (void)state;
    enum { DEPTH = 1000000 };
    char *text = malloc(DEPTH + 1);
    struct config c;
    memset(text, '[', DEPTH);
    text[DEPTH] = 0;
    assert_int_equal(config_parse(&c, "x.json", text, ".", NULL, 0), STATUS_USAGE);
    assert_string_equal(status_message(), "x.json: line 1, column 34: more than 32 levels of nesting");
    free(text);
}

static void every_default_fits_its_own_row(void **state)
{
    (void)state;
    for (struct slot s = { 0 }; slot_next(&s, NULL);) {
        char set[256], fallback[CONFIG_PATH_BYTES], name[256];
        if (!slot_fallback(&s, fallback))
            continue;
        snprintf(set, sizeof set, "%s=%s", s.path, slot_fallback(&s, fallback));
        snprintf(name, sizeof name, "%s=%s", s.entry->key.name, s.member ? s.member->name : set + strlen(s.path) + 1);
        const struct row row = { "{}", { name, set }, NULL };
        struct config c;
        status parsed = parse(&c, &row);
        if (parsed == STATUS_OK)
            config_free(&c);
        else /* another key of that member has no default */
            assert_non_null(strstr(status_message(), "is missing"));
    }
}

static void every_member_fits_the_room_for_its_options_and_names_no_key_twice(void **state)
{
    (void)state;
    for (const struct entry *e = config_entries; e->key.name; e++)
        for (size_t i = 0; e->member_at && e->member_at(i); i++) {
            const struct member *m = e->member_at(i);
            assert_true(m->options_bytes <= MEMBER_OPTIONS_BYTES);
            for (const struct key *a = m->keys; a && a->name; a++)
                for (const struct key *b = m->keys; b != a; b++)
                    assert_string_not_equal(a->name, b->name);
        }
}

static void the_name_is_the_files_if_the_config_has_none(void **state)
{
    (void)state;
    struct config c;
    assert_int_equal(config_parse(&c, "some/folder/my.run.json", "{}", "some/folder", NULL, 0), STATUS_OK);
    assert_string_equal(c.name, "my.run");
    assert_string_equal(c.folder, "some/folder");
    config_free(&c);
}

/* That it is SHA-256 of the sorted text, tests/cli/test_config.py knows. */
static void the_hash_depends_on_the_work_alone_and_not_on_why_name_plan_or_order(void **state)
{
    (void)state;
    char first[65] = "";
    static const struct row rows[] = {
        { "{\"model\": {\"name\": \"mlp\"}, \"seed\": 7}", { 0 }, NULL },
        { "{\"seed\": 7, \"why\": \"w\", \"name\": \"n\", \"model\": {\"layers\": 2, \"name\": \"mlp\"}}",
          { "plan.stages=4" },
          NULL },
        { "{\"seed\": 8}", { "seed=7.0", "model.name=mlp", "parallel.data=8" }, NULL },
        { "{\"seed\": 8, \"model\": {\"name\": \"mlp\"}}", { 0 }, "differs" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config c;
        char hex[65];
        assert_int_equal(parse(&c, &rows[i]), STATUS_OK);
        assert_int_equal(config_settle(&c, RANKS), STATUS_OK);
        config_hash(&c, hex);
        config_free(&c);
        if (i == 0)
            memcpy(first, hex, sizeof first);
        assert_int_equal(strcmp(hex, first) == 0, rows[i].message == NULL);
    }
}

static char *printed(const struct config *c)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    config_print(c, out);
    fclose(out);
    return text;
}

static void what_is_printed_reads_back_to_the_same_bits(void **state)
{
    (void)state;
    struct config c, again;
    const struct row row = {
        .text = "{\"why\": \"a \\\"b\\\" \\n\\u0001 \xc3\xa9\", \"optimizer\": {\"learning_rate\": 0.30000000000000004}}"
    };
    assert_int_equal(parse(&c, &row), STATUS_OK);
    char *text = printed(&c);
    assert_non_null(strstr(text, "\"learning_rate\": 0.30000000000000004"));
    assert_int_equal(config_parse(&again, "x.json", text, ".", NULL, 0), STATUS_OK);
    char *text_again = printed(&again);
    assert_string_equal(text, text_again);
    free(text);
    free(text_again);
    config_free(&c);
    config_free(&again);
}

/* A small generator of its own: xorshift. */
static unsigned next_random(unsigned *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    return *x ^= *x << 5;
}

static void mutated_texts_never_crash(void **state)
{
    (void)state;
    static const char text[] =
        "{\"why\": \"\\u00e9 \xc3\xa9\", \"seed\": 12, \"model\": {\"name\": \"mlp\", \"hidden\": 64},\n"
        "\"data\": {\"name\": \"bytes\", \"path\": [\"a\", \"b\"]}, \"batch\": {\"global\": 64, \"micro\": 8},\n"
        "\"optimizer\": {\"name\": \"adamw\", \"learning_rate\": 1e-3}, \"exchange\": {\"overlap\": true}}";
    static const char letters[] = "{}[]\":,\\u0e9-+.x \n\x01\xff";
    unsigned x = 1;
    int refused = 0;
    for (int i = 0; i < 2000; i++) {
        char mutant[sizeof text];
        struct config c;
        memcpy(mutant, text, sizeof text);
        for (unsigned n = next_random(&x) % 4; n > 0; n--)
            mutant[next_random(&x) % sizeof text] = letters[next_random(&x) % sizeof letters];
        mutant[sizeof text - 1] = 0;
        if (config_parse(&c, "x.json", mutant, ".", NULL, 0) == STATUS_OK) {
            config_settle(&c, RANKS);
            config_free(&c);
        } else
            refused++;
    }
    assert_in_range(refused, 1000, 1999);
}

static void keys_of_later_texts_go_over_those_of_earlier_ones_and_settings_over_all(void **state)
{
    (void)state;
    const struct config_text texts[] = {
        { "a.json", "{\"why\": \"a\", \"batch\": {\"global\": 66, \"micro\": 3}, \"data\": {\"name\": \"synthetic\"}}", "of/a" },
        { "b.json", "{\"why\": \"b\", \"name\": \"b\", \"batch\": {\"micro\": 2}, \"network\": {\"nodes\": 4}}", "of/b" },
        { "c.json", "{\"network\": {\"nodes\": 5, \"node_ranks\": 2}, \"seed\": 7}", NULL },
    };
    const char *const sets[] = { "seed=8" };
    struct config c;
    assert_int_equal(config_parse_texts(&c, texts, 3, sets, 1), STATUS_OK);
    assert_string_equal(c.why, "a");
    assert_string_equal(c.name, "a");
    assert_string_equal(c.folder, "of/a");
    assert_int_equal(c.batch.global, 66);
    assert_int_equal(c.batch.micro, 2);
    assert_int_equal(c.network.nodes, 5);
    assert_int_equal(c.network.node_ranks, 2);
    assert_int_equal(c.seed, 8);
    assert_true(config_was_given(&c, "network.node_ranks"));
    assert_int_equal(config_settle(&c, 11), STATUS_USAGE);
    assert_string_equal(status_message(),
                        "a.json with b.json with c.json: a network of 5 nodes of 2 ranks is too small for 11 ranks "
                        "(fits: 6 nodes, or network.node_ranks = 3)");
    config_free(&c);
}

static void a_message_about_a_key_names_the_text_that_had_the_last_word(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second, *set, *message;
    } rows[] = {
        { "{}", "{\"network\": {\"node\": 4}}", NULL, "b.json: network.node: no such key; did you mean network.nodes?" },
        { "{}", "{\"network\": {\"nodes\": 0}}", NULL, "b.json: network.nodes = 0 (must be an integer 1 .. 1048576 or \"auto\")" },
        { "{\"seed\": \"x\"}", "{\"network\": {}}", NULL, "a.json: seed = \"x\" (must be an integer 0 .. 9007199254740991)" },
        { "{}", "{\"seed\": \"x\"}", "seed=-1", "--set: seed = -1 (must be an integer 0 .. 9007199254740991)" },
        { "{}", "{\"batch\": {\"micro\": 1, \"micro\": 2}}", NULL, "b.json: batch.micro is given twice" },
        { "{\"batch\": {\"micro\": 1}}", "{\"batch\": {\"micro\": 1, \"micro\": 2}}", NULL, "b.json: batch.micro is given twice" },
        { "{}", "[]", NULL, "b.json: must be one JSON object, {...}" },
        { "{}", "{\"schema\": \"dmlbench.result\"}", NULL,
          "b.json: this is a result; the config of its run is what stands there under the key \"config\"" },
        { "{}", "{", NULL, "b.json: line 1, column 2: expected a key in double quotes" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct config_text texts[] = { { "a.json", rows[i].first, NULL }, { "b.json", rows[i].second, NULL } };
        struct config c;
        assert_int_equal(config_parse_texts(&c, texts, 2, &rows[i].set, rows[i].set != NULL), STATUS_USAGE);
        assert_string_equal(status_message(), rows[i].message);
    }
}

static void files_that_are_no_configs_are_refused_with_a_sentence(void **state)
{
    (void)state;
    char name[] = "/tmp/test-config-XXXXXX", message[128], *text, *folder;
    assert_int_equal(config_read_file("/no/such.json", &text, &folder), STATUS_USAGE);
    assert_string_equal(status_message(), "/no/such.json: no such file, neither here nor in configs/");
    assert_int_equal(config_read_file("/tmp", &text, &folder), STATUS_USAGE);
    assert_string_equal(status_message(), "/tmp: cannot be read (Is a directory)");
    assert_int_equal(config_read_file("/dev/zero", &text, &folder), STATUS_USAGE);
    assert_string_equal(status_message(), "/dev/zero: larger than 1048576 bytes");
    int fd = mkstemp(name);
    assert_int_equal(write(fd, "{}\0", 3), 3);
    assert_int_equal(config_read_file(name, &text, &folder), STATUS_USAGE);
    snprintf(message, sizeof message, "%s: contains a NUL byte, so it is not JSON", name);
    assert_string_equal(status_message(), message);
    assert_int_equal(ftruncate(fd, 2), 0);
    assert_int_equal(config_read_file(name, &text, &folder), STATUS_OK);
    assert_string_equal(text, "{}");
    assert_string_equal(folder, "/tmp");
    free(text);
    free(folder);
    close(fd);
    unlink(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_json_is_read_and_what_is_not_is_refused_with_line_and_column),
        cmocka_unit_test(wrong_keys_are_named_with_the_nearest_right_one),
        cmocka_unit_test(wrong_values_are_named_with_what_fits),
        cmocka_unit_test(settings_are_json_or_else_text_and_the_later_one_wins),
        cmocka_unit_test(rules_between_keys_name_what_would_fit),
        cmocka_unit_test(deep_nesting_is_refused_and_not_followed),
        cmocka_unit_test(every_default_fits_its_own_row),
        cmocka_unit_test(every_member_fits_the_room_for_its_options_and_names_no_key_twice),
        cmocka_unit_test(the_name_is_the_files_if_the_config_has_none),
        cmocka_unit_test(the_hash_depends_on_the_work_alone_and_not_on_why_name_plan_or_order),
        cmocka_unit_test(what_is_printed_reads_back_to_the_same_bits),
        cmocka_unit_test(mutated_texts_never_crash),
        cmocka_unit_test(keys_of_later_texts_go_over_those_of_earlier_ones_and_settings_over_all),
        cmocka_unit_test(a_message_about_a_key_names_the_text_that_had_the_last_word),
        cmocka_unit_test(files_that_are_no_configs_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
