/* bench/result*.c: what is written is read back by cJSON and strtod; files appear whole or not at all; mutated results are refused
 * with the exact sentence. This program's own open() takes O_TMPFILE away where a test asks for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "bench/json.h"
#include "bench/result.h"
#include "bench/result_fields.h"

enum { RANKS = 8, STEPS = 12, WARMUP = 2 };

static bool nameless_files = true;

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if ((flags & O_TMPFILE) == O_TMPFILE && !nameless_files) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return openat(AT_FDCWD, path, flags, mode);
}

/* ---- a result ------------------------------------------------------------------------------------------------------------ */

static struct config config;
static struct result result;
static struct rank_row ranks[RANKS];
static const char *warnings[] = { "8 ranks share 2 cores" };
static struct comm_row comm[] = { { .name = "gradient", .group = "data", .op = "allreduce", .algorithm = "ring" } };
static const struct variable variables[] = { { "OMP_NUM_THREADS", "1" } };

static double *numbers(size_t n, double first, double step)
{
    double *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = first + step * (double)(i % STEPS);
    return x;
}

static struct statistic statistic(const double *x, size_t n)
{
    double sorted[STEPS];
    return statistic_of(x, n, sorted);
}

static void fill_samples(size_t steps)
{
    result.samples.steps = steps;
    result.samples.ranks = RANKS;
    result.samples.warmup_steps = WARMUP;
    result.samples.measured_steps = (double)steps - WARMUP;
    result.samples.step_s = numbers(RANKS * steps, 0.05, 0.001);
    result.samples.loss = numbers(steps, 5.5, -0.1);
    result.samples.warmup = calloc(steps, sizeof(bool));
    for (size_t i = 0; i < WARMUP; i++)
        result.samples.warmup[i] = true;
    static const enum phase phases[] = { PHASE_DATA, PHASE_FORWARD, PHASE_BACKWARD, PHASE_WAIT, PHASE_OPTIMIZER };
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
        result.samples.phase_s[phases[i]] = numbers(RANKS * steps, 0.01, 0.0002);
}

static void free_samples(void)
{
    free(result.samples.step_s);
    free(result.samples.loss);
    free(result.samples.warmup);
    for (int p = 0; p < PHASE_COUNT; p++)
        free(result.samples.phase_s[p]);
}

static void fill_numbers(void)
{
    static const double rate[] = { 1210, 1220, 1230, 1240, 1250, 1260, 1270, 1280, 1290, 1300 };
    result.model.loss_floor = NAN;
    result.run.failed_step = NAN;
    result.data.samples = NAN;
    result.platform.ranks_per_core = 4;
    result.model.parameters_count = 834304;
    result.metrics.step_s = statistic(result.samples.step_s + WARMUP, STEPS - WARMUP);
    result.metrics.throughput_samples_per_s = statistic(rate, sizeof rate / sizeof *rate);
    result.metrics.mfu_frac = (struct maybe){ 0.4123, NULL };
    result.metrics.sgemm_flop_per_s = (struct maybe){ 240e9, NULL };
    result.metrics.overlap_frac = (struct maybe){ 0.75, NULL };
    result.metrics.bubble_frac_theory = result.metrics.bubble_frac_measured = (struct maybe){ NAN, "there is no pipeline" };
    result.metrics.peak_rss_B = 52.4e6;
    result.comm_total.wire_B_predicted = (struct maybe){ 26.5e6, NULL };
    result.comm_total.wire_B_measured = (struct maybe){ NAN, "not counted from outside in a timed run" };
    result.comm_total.frames_ratio = (struct maybe){ NAN, "no interface was counted" };
    result.bounds.step_s = (struct maybe){ NAN, "no network is stated" };
    result.comm_total.wire_B_counted = result.comm_total.dense_equivalent_B = 26.5e6;
    result.comm_total.match = true;
    result.correctness.loss_first = 5.5;
    result.correctness.loss_last = 4.4;
    result.correctness.replicas_identical = true;
    result.correctness.gradient_max_rel_err = (struct maybe){ 1.2e-6, NULL };
    result.parallelism.data = RANKS;
    result.parallelism.pipeline = result.parallelism.tensor = 1;
    result.parallelism.micro_batches = 1;
    result.parallelism.global_batch = 64;
    result.parallelism.micro_batch = 8;
}

/* Every text that may not be absent. */
static void fill_texts(const struct field *fields, void *base)
{
    for (const struct field *f = fields; f->path; f++)
        if (f->kind == FIELD_TEXT && !f->null_why)
            *(const char **)((char *)base + f->offset) = f->choices ? f->choices[0] : "text";
}

static int set_up(void **state)
{
    (void)state;
    if (config_parse(&config, "demo.json", "{}", ".", NULL, 0) || config_settle(&config, RANKS))
        return 1;
    result = (struct result){
        .config = &config, .ranks = ranks, .n_ranks = RANKS, .warnings = warnings, .n_warnings = 1, .comm = comm, .n_comm = 1
    };
    result.platform.variables = variables;
    result.platform.n_variables = 1;
    comm[0].wire_B_predicted = comm[0].wire_B_measured = (struct maybe){ NAN, "not known" };
    for (int i = 0; i < RANKS; i++)
        ranks[i] = (struct rank_row){ .host = "host", .mpi_rank = i, .bound_by = "launcher" };
    fill_texts(result_fields, &result);
    result.run.status = "ok";
    result.run.why = "";
    config_hash(&config, result.config_sha256);
    result.correctness.parameter_hash = "0123456789abcdef";
    fill_samples(STEPS);
    fill_numbers();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free_samples();
    config_free(&config);
    return 0;
}

/* Not inlined: gcc 12 does not see that fclose changes text, and warns. */
__attribute__((noinline)) static char *as_text(void (*write)(const struct result *, FILE *))
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    write(&result, out);
    fclose(out);
    return text;
}

static const cJSON *at(const cJSON *tree, const char *path)
{
    char name[64];
    for (size_t n; tree && *path; path += n + (path[n] == '.')) {
        n = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)n, path);
        tree = cJSON_GetObjectItemCaseSensitive(tree, name);
    }
    return tree;
}

/* ---- JSON ---------------------------------------------------------------------------------------------------------------- */

static void every_double_reads_back_with_the_same_bits(void **state)
{
    (void)state;
    static const double special[] = {
        0,        -0.0, 0.1, 1.0 / 3, 0.1 + 0.2, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e15, 9007199254740993.0,
        123456789
    };
    uint64_t bits = 88172645463325252u;
    for (size_t i = 0; i < 200000; i++) {
        char text[JSON_NUMBER_BYTES];
        double x;
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        memcpy(&x, &bits, sizeof x);
        x = i < sizeof special / sizeof *special ? special[i] : x;
        if (!isfinite(x))
            continue;
        double back = strtod(json_number_text(x, text), NULL);
        assert_memory_equal(&back, &x, sizeof x);
        assert_true(strlen(text) < JSON_NUMBER_BYTES);
    }
    char text[JSON_NUMBER_BYTES];
    assert_string_equal(json_number_text(0.1, text), "0.1");
}

static void samples_of_every_rank_and_step_are_in_the_file(void **state)
{
    (void)state;
    char *text = as_text(result_write_json);
    cJSON *tree = cJSON_Parse(text);
    const cJSON *step_s = at(tree, "samples.step_s"), *wait = at(tree, "samples.phase_s.wait");
    assert_int_equal(cJSON_GetArraySize(step_s), RANKS);
    for (int r = 0; r < RANKS; r++)
        for (int s = 0; s < STEPS; s++) {
            assert_true(cJSON_GetArrayItem(cJSON_GetArrayItem(step_s, r), s)->valuedouble == result.samples.step_s[r * STEPS + s]);
            assert_true(cJSON_GetArrayItem(cJSON_GetArrayItem(wait, r), s)->valuedouble ==
                        result.samples.phase_s[PHASE_WAIT][r * STEPS + s]);
        }
    assert_true(cJSON_IsTrue(cJSON_GetArrayItem(at(tree, "samples.warmup"), WARMUP - 1)));
    assert_true(cJSON_IsFalse(cJSON_GetArrayItem(at(tree, "samples.warmup"), WARMUP)));
    cJSON_Delete(tree);
    free(text);
}

static void texts_read_back_and_what_is_not_utf8_is_replaced(void **state)
{
    (void)state;
    result.run.command = "a \"b\" \\ \n\t\x01 \xc3\xa9 \xff\xc3";
    char *text = as_text(result_write_json);
    cJSON *tree = cJSON_Parse(text);
    assert_string_equal(cJSON_GetStringValue(at(tree, "run.command")), "a \"b\" \\ \n\t\x01 \xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd");
    cJSON_Delete(tree);
    free(text);
}

static void what_does_not_exist_is_null_with_its_reason(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "run.failed_step", "no step failed" },
        { "model.loss_floor", "the data's entropy is not known" },
        { "platform.governor", "the system does not tell" },
        { "metrics.bubble_frac_theory", "there is no pipeline" },
        { "samples.phase_s.encode", "the run ended before this was measured" },
        { "samples.loss", "not a finite number: the training diverged, or nothing was computed (compute.name model)" },
        { "metrics.step_s.ci95_low", "too few samples" },
    };
    result.samples.loss[3] = INFINITY;
    result.metrics.step_s = statistic(result.samples.step_s, 5);
    char *text = as_text(result_write_json), why[96];
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf,"));
    cJSON *tree = cJSON_Parse(text);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const cJSON *v = at(tree, rows[i][0]);
        assert_true(cJSON_IsNull(cJSON_IsArray(v) ? cJSON_GetArrayItem(v, 3) : v));
        snprintf(why, sizeof why, "%s_why", rows[i][0]);
        assert_string_equal(cJSON_GetStringValue(at(tree, why)), rows[i][1]);
    }
    assert_null(at(tree, "metrics.mfu_frac_why"));
    cJSON_Delete(tree);
    free(text);
}

static void every_field_has_a_meaning_and_every_phase_its_row(void **state)
{
    (void)state;
    size_t phases = 0;
    for (const struct field *f = result_fields; f->path; f++) {
        assert_non_null(f->help);
        const char *phase = strstr(f->path, "phase_s.");
        if (!phase)
            continue;
        assert_int_equal(f->offset, offsetof(struct result, samples.phase_s) + phases * sizeof(double *));
        assert_string_equal(phase + strlen("phase_s."), phase_name((enum phase)phases++));
    }
    assert_int_equal(phases, PHASE_COUNT);
}

static void a_hundred_thousand_steps_of_eight_ranks_are_written_whole(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    free_samples();
    fill_samples(MANY);
    char *text = as_text(result_write_json), last[JSON_NUMBER_BYTES], tail[JSON_NUMBER_BYTES + 32];
    const char *found = strstr(text, "\"optimizer\": [\n");
    assert_non_null(found);
    size_t commas = 0;
    for (const char *c = found; *c; c++)
        commas += *c == ',';
    assert_int_equal(commas, RANKS * MANY - 1);
    snprintf(tail, sizeof tail, "%s]\n      ]\n    }\n  }\n}\n",
             json_number_text(0.01 + 0.0002 * ((RANKS * MANY - 1) % STEPS), last));
    assert_string_equal(text + strlen(text) - strlen(tail), tail);
    free(text);
}

/* ---- the file ------------------------------------------------------------------------------------------------------------ */

static char folder[] = "/tmp/test-result-XXXXXX";

static int enter_folder(void **state)
{
    strcpy(folder, "/tmp/test-result-XXXXXX");
    nameless_files = true;
    return set_up(state) || !mkdtemp(folder) || chdir(folder);
}

static int leave_folder(void **state)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return tear_down(state) || chdir("/") || system(command);
}

/* Entries of a folder, hidden ones too. */
static int entries(const char *path)
{
    char command[128];
    int n = -1;
    snprintf(command, sizeof command, "ls -A %s | wc -l", path);
    FILE *in = popen(command, "r");
    assert_int_equal(fscanf(in, "%d", &n), 1);
    pclose(in);
    return n;
}

static void a_result_appears_when_it_is_committed_and_only_then(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct result_file *f;
        nameless_files = i == 0;
        assert_int_equal(result_open(&f, i ? "b.json" : "a.json", &config), STATUS_OK);
        assert_int_equal(access(result_path(f), F_OK), -1);
        assert_int_equal(result_commit(f, &result), STATUS_OK);
        assert_int_equal(result_validate_file(result_path(f)), STATUS_OK);
        result_discard(f);
        assert_int_equal(entries("."), i + 1);
        assert_int_equal(result_open(&f, "c.json", &config), STATUS_OK);
        result_discard(f);
        assert_int_equal(entries("."), i + 1);
    }
    result_discard(NULL);
}

static void results_of_one_second_get_names_of_their_own(void **state)
{
    (void)state;
    char first[256];
    for (int i = 0; i < 3; i++) {
        struct result_file *f;
        assert_int_equal(result_open(&f, NULL, &config), STATUS_OK);
        if (i == 0)
            snprintf(first, sizeof first, "%s", result_path(f));
        assert_int_equal(strncmp(result_path(f), "results/demo-20", 15), 0);
        assert_int_equal(result_commit(f, &result), STATUS_OK);
        assert_int_equal(access(result_path(f), R_OK), 0);
        result_discard(f);
    }
    assert_int_equal(access(first, R_OK), 0);
    assert_int_equal(entries("results"), 3);
}

static void an_existing_file_is_never_overwritten(void **state)
{
    (void)state;
    struct result_file *f;
    assert_int_equal(result_open(&f, "a.json", &config), STATUS_OK);
    FILE *other = fopen("a.json", "w"); /* made by somebody else meanwhile */
    fclose(other);
    assert_int_equal(result_commit(f, &result), STATUS_FAILED);
    assert_string_equal(status_message(), "a.json: the result cannot be given its name (File exists)");
    result_discard(f);
    assert_int_equal(result_open(&f, "a.json", &config), STATUS_FAILED);
    assert_string_equal(status_message(), "a.json: exists already, and results are never overwritten");
    assert_int_equal(entries("."), 1);
}

static void a_place_that_cannot_be_is_refused_before_the_run(void **state)
{
    (void)state;
    struct result_file *f;
    assert_int_equal(result_open(&f, "no/a.json", &config), STATUS_FAILED);
    assert_string_equal(status_message(), "no/a.json: no such folder for the result (No such file or directory)");
    assert_int_equal(result_open(&f, "/proc/a.json", &config), STATUS_FAILED);
    assert_non_null(strstr(status_message(), "/proc/a.json: the result cannot be created in its folder ("));
    fclose(fopen("results", "w"));
    assert_int_equal(result_open(&f, NULL, &config), STATUS_FAILED);
    assert_non_null(strstr(status_message(), "no such folder for the result (Not a directory)"));
}

static void no_space_is_a_sentence_and_leaves_nothing(void **state)
{
    (void)state;
    struct rlimit before, little;
    for (int i = 0; i < 2; i++) {
        struct result_file *f;
        nameless_files = i == 0;
        assert_int_equal(result_open(&f, "a.json", &config), STATUS_OK);
        getrlimit(RLIMIT_FSIZE, &before);
        little = before;
        little.rlim_cur = 1000;
        setrlimit(RLIMIT_FSIZE, &little);
        status s = result_commit(f, &result);
        setrlimit(RLIMIT_FSIZE, &before);
        assert_int_equal(s, STATUS_FAILED);
        assert_string_equal(status_message(), "a.json: the result cannot be written (File too large)");
        result_discard(f);
        assert_int_equal(entries("."), 0);
    }
}

/* ---- validation ---------------------------------------------------------------------------------------------------------- */

static void write_file(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    fputs(text, out);
    fclose(out);
}

/* text with its first `from` replaced. */
static char *replaced(const char *text, const char *from, const char *to)
{
    char *copy = NULL;
    const char *found = strstr(text, from);
    assert_non_null(found);
    assert_true(asprintf(&copy, "%.*s%s%s", (int)(found - text), text, to, found + strlen(from)) > 0);
    return copy;
}

static void mutated_results_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        { "\"dmlbench.result\"", "\"dmlbench\"", "m.json: schema = \"dmlbench\" (must be dmlbench.result)" },
        { "\"seed\": 1,\n    \"model\"", "\"seed\": 2,\n    \"model\"", "m.json: config_sha256 = " },
        { "\"micro\": 8", "\"mirco\": 8", "m.json: config: batch.mirco: no such key; did you mean batch.micro?" },
        { "\"status\": \"ok\"", "\"status\": \"bogus\"", "m.json: run.status = \"bogus\" (must be one of" },
        { "\"exit_code\": 0", "\"exit_code\": 0.5", "m.json: run.exit_code = 0.5 (must be an integer)" },
        { "\"exit_code\": 0", "\"exit_code\": null", "m.json: run.exit_code = null (must be known)" },
        { "\"exit_code\": 0", "\"exit_cod\": 0", "m.json: run.exit_cod: no such field" },
        { "\"exit_code\": 0,", "", "m.json: run.exit_code is missing" },
        { "\"exit_code\": 0,", "\"exit_code\": 0, \"exit_code\": 0,", "m.json: run.exit_code is given twice" },
        { "\"failed_step_why\": \"no step failed\",", "",
          "m.json: run.failed_step is null, but run.failed_step_why does not say why" },
        { "\"host\": \"host\",", "\"host\": 1,", "m.json: platform.ranks[0].host = 1 (must be text)" },
        { "\"oversubscribed\": false", "\"oversubscribed\": 0", "m.json: platform.oversubscribed = 0 (must be true or false)" },
        { "\"n\": 10", "\"n\": \"10\"", "m.json: metrics.throughput_samples_per_s.n = \"10\" (must be an integer)" },
        { "\"loss\": [5.5", "\"loss\": [5.5, 1", "m.json: samples.loss has 13 entries, not 12" },
        { "[0.05,", "[\"0.05\",", "m.json: samples.step_s = \"0.05\" (must be numbers or null)" },
        { "[0.05,", "[], [0.05,", "m.json: samples.step_s must be an array with one entry for each of 8 ranks" },
        { "\"warnings\": [", "\"warnings\": [1, ", "m.json: warnings = 1 (must be texts)" },
        { "0.05,", "NaN,", "m.json: line " },
    };
    char *text = as_text(result_write_json);
    write_file("m.json", text);
    assert_int_equal(result_validate_file("m.json"), STATUS_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *mutant = replaced(text, rows[i][0], rows[i][1]);
        write_file("m.json", mutant);
        free(mutant);
        assert_int_equal(result_validate_file("m.json"), STATUS_USAGE);
        char got[STATUS_MESSAGE_BYTES];
        snprintf(got, sizeof got, "%.*s", (int)strlen(rows[i][2]), status_message());
        assert_string_equal(got, rows[i][2]);
    }
    free(text);
}

/* ---- the summary --------------------------------------------------------------------------------------------------------- */

static void print_summary(const struct result *r, FILE *out)
{
    result_print_summary(r, "results/demo.json", out);
}

static void the_summary_is_what_a_person_needs(void **state)
{
    (void)state;
    static const char expected[] = "demo: gpt on synthetic, 834 k parameters, adamw, 8 ranks\n"
                                   "  batch        64 samples a step: 8 replicas x 1 micro-batches x 8\n"
                                   "  exchange     allreduce by ring, compressor none\n"
                                   "  loss         5.5000 -> 4.4000 nats (floor unknown)\n"
                                   "  throughput   1255 samples/s (median of 10; 95 % interval 1220 samples/s .. 1290 samples/s)\n"
                                   "  step         56.5 ms (median of 10; 95 % interval 53.0 ms .. 60.0 ms)\n"
                                   "  time         data 20 % forward 20 % backward 20 % wait 20 % optimizer 20 %\n"
                                   "  MFU          41.2 % of sgemm's 240 Gflop/s here\n"
                                   "  overlap      75.0 % of the exchange hidden by computation\n"
                                   "  bytes sent   26.5 MB counted ✓\n"
                                   "    predicted  26.5 MB\n"
                                   "    measured   - (not counted from outside in a timed run)\n"
                                   "  gradients    largest relative error 1.2e-06\n"
                                   "  replicas     identical ✓, parameters 0123456789abcdef\n"
                                   "  binding      the launcher's\n"
                                   "  memory       52.4 MB at most in a rank\n"
                                   "  warning      8 ranks share 2 cores\n"
                                   "  result       results/demo.json\n";
    char *text = as_text(print_summary);
    assert_string_equal(text, expected);
    free(text);
}

static void the_summary_of_a_pipeline_shows_its_layout_and_its_bubble(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "  layout       data 2 x pipeline 4 x tensor 1 (tp-pp-dp), ZeRO 1\n",
        "  schedule     interleaved, 4 micro-batches through 4 stages of 2 chunks, recomputed\n",
        "  batch        61 samples a step: 2 replicas x 4 micro-batches x 8 at most\n",
        "  bubble       27.3 % by the schedule\n",
        "    planned    28.5 % by this run's own times of each stage\n",
        "    measured   30.0 % idle\n",
        "    idle       2.00 ms for activations, 4.00 ms for gradients, 0.00 s for messages on their way: a step's mean over "
        "ranks\n",
    };
    result.parallelism.data = 2;
    result.parallelism.pipeline = 4;
    result.parallelism.micro_batches = 4;
    result.parallelism.global_batch = 61;
    result.parallelism.order = "tp-pp-dp";
    result.parallelism.schedule = "interleaved";
    result.parallelism.chunks = 2;
    result.parallelism.recompute = true;
    result.parallelism.zero = 1;
    result.metrics.bubble_frac_theory = (struct maybe){ 3.0 / 11, NULL };
    result.metrics.bubble_frac_planned = (struct maybe){ 0.285, NULL };
    result.metrics.bubble_frac_measured = (struct maybe){ 0.3, NULL };
    for (int i = 0; i < RANKS; i++) {
        ranks[i].idle_activation_s = i % 2 ? 0.004 : 0;
        ranks[i].idle_gradient_s = 0.004;
    }
    char *text = as_text(print_summary);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(text, lines[i]))
            fail_msg("no line %s in %s", lines[i], text);
    free(text);
}

static void the_summary_names_what_a_compressor_saved_and_what_is_not_exchanged(void **state)
{
    (void)state;
    comm[0].wire_B_counted = 2.65e6;
    result.compression.name = "topk, qsgd";
    result.compression.wire_bits_per_element.value = 0.64;
    result.compression.logical_bits_per_element.value = 0.6;
    result.compression.codec_s.value = 1e-3;
    result.compression.exchange_alone_s.value = 2e-3;
    result.compression.dense_alone_s.value = 5e-3;
    result.compression.verdict = "saves time";
    result.compression.break_even_B_per_s.value = 4e9;
    result.compression.dense_B_per_s.value = 1e9;
    static const char *const lines[] = {
        "  dense      26.5 MB without the compressor, by ring: 10.0 times what was sent for gradients\n",
        "  codes        0.64 bits for each float of 32 (0.6 counted as in the literature)\n",
        "    time       1.00 ms a step and 2.00 ms on the way, against 5.00 ms dense: it saves time\n",
        "    even at    4.00 GB/s a rank; dense, this network gave 1.00 GB/s\n",
    };
    char *text = as_text(print_summary);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(text, lines[i]))
            fail_msg("no line %s in %s", lines[i], text);
    free(text);
    result.compression.name = NULL;
    comm[0].wire_B_predicted.value = 0;
    text = as_text(print_summary);
    assert_null(strstr(text, "  dense"));
    assert_non_null(strstr(text, "  exchange     nothing: there is one replica\n"));
    free(text);
}

static void the_summary_of_a_failed_run_says_what_it_did_not_get_to(void **state)
{
    (void)state;
    static const char *const lines[] = { "  status       failed: no luck\n", "  step         - (no step was measured)\n",
                                         "  MFU          - (no step was measured)\n",
                                         "  replicas     - (not compared: the run did not get to its end)\n" };
    result.run.status = "failed";
    result.run.why = "no luck";
    result.run.exit_code = STATUS_FAILED;
    result.metrics.step_s = statistic(NULL, 0);
    result.metrics.mfu_frac = (struct maybe){ NAN, "no step was measured" };
    result.correctness.parameter_hash = NULL;
    char *text = as_text(print_summary);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_non_null(strstr(text, lines[i]));
    free(text);
}

#define WITH_RESULT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define IN_FOLDER(test)   cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_double_reads_back_with_the_same_bits),
        cmocka_unit_test(every_field_has_a_meaning_and_every_phase_its_row),
        WITH_RESULT(samples_of_every_rank_and_step_are_in_the_file),
        WITH_RESULT(texts_read_back_and_what_is_not_utf8_is_replaced),
        WITH_RESULT(what_does_not_exist_is_null_with_its_reason),
        WITH_RESULT(a_hundred_thousand_steps_of_eight_ranks_are_written_whole),
        IN_FOLDER(a_result_appears_when_it_is_committed_and_only_then),
        IN_FOLDER(results_of_one_second_get_names_of_their_own),
        IN_FOLDER(an_existing_file_is_never_overwritten),
        IN_FOLDER(a_place_that_cannot_be_is_refused_before_the_run),
        IN_FOLDER(no_space_is_a_sentence_and_leaves_nothing),
        IN_FOLDER(mutated_results_are_refused_by_name),
        WITH_RESULT(the_summary_is_what_a_person_needs),
        WITH_RESULT(the_summary_of_a_pipeline_shows_its_layout_and_its_bubble),
        WITH_RESULT(the_summary_names_what_a_compressor_saved_and_what_is_not_exchanged),
        WITH_RESULT(the_summary_of_a_failed_run_says_what_it_did_not_get_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
