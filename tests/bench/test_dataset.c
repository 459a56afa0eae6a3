/* Datasets: samples are pure functions of the index, floors are entropies, and what cannot be used is refused with its name. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/dataset.h"

#define SYMBOLS  ((struct sample_shape){ SAMPLE_SYMBOLS, 8, 256 })
#define FEATURES ((struct sample_shape){ SAMPLE_FEATURES, 6, 4 })

static char folder[] = "/tmp/dmlbench-data-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(path_of(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static struct data open_noise(double noise, struct sample_shape shape, uint64_t seed)
{
    struct data d;
    assert_int_equal(data_open(&d, &dataset_synthetic, &noise, NULL, shape, seed), STATUS_OK); /* the only option is the noise */
    return d;
}

static status open_bytes(struct data *d, const char *const *paths, size_t count, struct sample_shape shape)
{
    const struct texts options = { count, paths };
    return data_open(d, &dataset_bytes, &options, folder, shape, 1);
}

static status open_idx(struct data *d, const char *images, const char *labels, struct sample_shape shape)
{
    const char *const options[] = { images, labels };
    return data_open(d, &dataset_idx, options, folder, shape, 1);
}

static void assert_refused(status s, const char *part)
{
    assert_int_equal(s, STATUS_USAGE);
    if (!strstr(status_message(), part))
        fail_msg("\"%s\" does not say \"%s\"", status_message(), part);
}

static void synthetic_symbols_have_the_entropy_that_the_floor_says(void **state)
{
    (void)state;
    enum { V = 7, T = 50, SAMPLES = 4000 };
    struct data d = open_noise(0.3, (struct sample_shape){ SAMPLE_SYMBOLS, T, V }, 5);
    double count[V][V] = { { 0 } }, entropy = 0;
    int32_t symbols[T], targets[T];
    for (uint64_t i = 0; i < SAMPLES; i++) {
        d.kind->sample(&d, i, &(struct sample){ .symbols = symbols, .targets = targets });
        for (int t = 0; t < T; t++) {
            count[symbols[t]][targets[t]]++;
            assert_true(t == T - 1 || symbols[t + 1] == targets[t]);
        }
    }
    for (int s = 0; s < V; s++) {
        double row = 0;
        for (int t = 0; t < V; t++)
            row += count[s][t];
        assert_true(fabs(row / (SAMPLES * T) - 1.0 / V) < 0.01); /* stationary: uniform */
        for (int t = 0; t < V; t++)
            entropy -= count[s][t] / (SAMPLES * T) * log(count[s][t] / row);
    }
    assert_true(fabs(entropy - d.floor) < 0.005); /* 2e5 draws */
    assert_true(fabs(d.floor - (0.3 * log(6 / 0.3) - 0.7 * log(0.7))) < 1e-12);
    data_close(&d);
}

static void synthetic_labels_are_wrong_as_often_as_the_noise_says(void **state)
{
    (void)state;
    enum { SAMPLES = 40000 };
    struct data clean = open_noise(0, FEATURES, 5), noisy = open_noise(0.25, FEATURES, 5);
    float x[6], y[6];
    int32_t a, b;
    double wrong = 0, sum = 0, squares = 0;
    for (uint64_t i = 0; i < SAMPLES; i++) {
        clean.kind->sample(&clean, i, &(struct sample){ .features = x, .targets = &a });
        noisy.kind->sample(&noisy, i, &(struct sample){ .features = y, .targets = &b });
        assert_memory_equal(x, y, sizeof x);
        wrong += a != b;
        sum += (double)x[3];
        squares += (double)x[3] * (double)x[3];
    }
    assert_true(fabs(wrong / SAMPLES - 0.25) < 4 * sqrt(0.25 * 0.75 / SAMPLES));
    assert_true(fabs(sum / SAMPLES) < 4 / sqrt(SAMPLES) && fabs(squares / SAMPLES - 1) < 0.02);
    assert_true(clean.floor == 0);
    data_close(&clean);
    data_close(&noisy);
}

static void a_sample_depends_on_seed_and_index_alone(void **state)
{
    (void)state;
    struct data d = open_noise(0.1, SYMBOLS, 5), other = open_noise(0.1, SYMBOLS, 6);
    int32_t a[8], b[8], c[8], targets[8];
    const uint64_t far = (uint64_t)1 << 40;
    d.kind->sample(&d, far, &(struct sample){ .symbols = a, .targets = targets });
    d.kind->sample(&d, 0, &(struct sample){ .symbols = b, .targets = targets });
    assert_memory_not_equal(a, b, sizeof a);
    d.kind->sample(&d, far, &(struct sample){ .symbols = b, .targets = targets });
    assert_memory_equal(a, b, sizeof a);
    other.kind->sample(&other, far, &(struct sample){ .symbols = c, .targets = targets });
    assert_memory_not_equal(a, c, sizeof a);
    assert_true(d.hash != other.hash);
    data_close(&d);
    data_close(&other);
}

static void bytes_are_windows_of_the_files_in_the_order_of_their_names(void **state)
{
    (void)state;
    mkdir(path_of("text"), 0700);
    mkdir(path_of("text/b"), 0700);
    write_file("text/a", "0123456789", 10);
    write_file("text/b/x", "abcdefghij", 10);
    write_file("text/c", "ABCDEFGHIJ", 10);
    write_file("text/.hidden", "????????????", 12);
    assert_int_equal(symlink("..", path_of("text/loop")), 0);
    const char all[] = "0123456789abcdefghijABCDEFGHIJ";
    struct data d;
    assert_int_equal(open_bytes(&d, (const char *const[]){ "text" }, 1, SYMBOLS), STATUS_OK);
    assert_true(d.size_B == 30 && d.samples == 22);
    bool seen[22] = { false };
    for (uint64_t i = 0; i < 1000; i++) {
        int32_t symbols[8], targets[8];
        d.kind->sample(&d, i, &(struct sample){ .symbols = symbols, .targets = targets });
        const size_t at = (size_t)(strchr(all, symbols[0]) - all);
        for (size_t t = 0; t < 8; t++)
            assert_true(symbols[t] == all[at + t] && targets[t] == all[at + t + 1]);
        seen[at] = true;
    }
    for (int i = 0; i < 22; i++)
        assert_true(seen[i]);
    const uint64_t hash = d.hash;
    data_close(&d);
    write_file("text/c", "ABCDEFGHIj", 10);
    assert_int_equal(open_bytes(&d, (const char *const[]){ path_of("text/a"), "text/b", "text/c" }, 3, SYMBOLS), STATUS_OK);
    assert_true(d.size_B == 30 && d.hash != hash);
    data_close(&d);
}

static void bytes_refuse_what_cannot_be_read_or_is_too_small(void **state)
{
    (void)state;
    struct data d;
    write_file("empty", "", 0);
    write_file("eight", "12345678", 8);
    assert_refused(open_bytes(&d, (const char *const[]){ "nowhere" }, 1, SYMBOLS), "cannot find nowhere");
    assert_refused(open_bytes(&d, (const char *const[]){ "empty" }, 1, SYMBOLS), "has 0 bytes, too few");
    assert_refused(open_bytes(&d, (const char *const[]){ "eight" }, 1, SYMBOLS), "has 8 bytes, too few");
    assert_refused(open_bytes(&d, (const char *const[]){ "/dev/null" }, 1, SYMBOLS), "not a regular file");
    assert_refused(open_bytes(&d, (const char *const[]){ "eight" }, 1, (struct sample_shape){ SAMPLE_SYMBOLS, 2, 255 }),
                   "model.vocabulary = 255");
    assert_refused(open_bytes(&d, (const char *const[]){ "eight" }, 1, FEATURES), "data.name");
}

/* An idx file of `items` items of 6 bytes: pixel j of item i is 10 i + j. */
static void write_images(const char *name, unsigned char items)
{
    unsigned char b[16 + 6 * 32] = { 0, 0, 8, 3, 0, 0, 0, items, 0, 0, 0, 2, 0, 0, 0, 3 };
    for (int i = 0; i < 6 * items; i++)
        b[16 + i] = (unsigned char)(i / 6 * 10 + i % 6);
    write_file(name, b, 16 + 6 * (size_t)items);
}

static void idx_visits_every_image_once_an_epoch_in_another_order_each_time(void **state)
{
    (void)state;
    enum { N = 20 };
    unsigned char labels[8 + N] = { 0, 0, 8, 1, 0, 0, 0, N };
    for (int i = 0; i < N; i++)
        labels[8 + i] = (unsigned char)(i % 4);
    write_images("images", N);
    write_file("labels", labels, sizeof labels);
    struct data d;
    assert_int_equal(open_idx(&d, "images", "labels", FEATURES), STATUS_OK);
    assert_int_equal(d.samples, N);
    int order[2][N], times[2][N] = { { 0 } };
    for (uint64_t i = 0; i < 2 * N; i++) {
        float x[6];
        int32_t label;
        d.kind->sample(&d, i, &(struct sample){ .features = x, .targets = &label });
        const int item = (int)lroundf(x[0] * 25.5F);
        assert_true(fabsf(x[5] - (float)(10 * item + 5) / 255) < 1e-6F && label == item % 4);
        order[i / N][i % N] = item;
        times[i / N][item]++;
    }
    for (int i = 0; i < N; i++)
        assert_true(times[0][i] == 1 && times[1][i] == 1);
    assert_memory_not_equal(order[0], order[1], sizeof order[0]);
    data_close(&d);
}

static void idx_refuses_files_that_do_not_fit(void **state)
{
    (void)state;
    struct data d;
    const unsigned char labels[] = { 0, 0, 8, 1, 0, 0, 0, 2, 1, 4 }, text[] = "P5 28 28 255", gzip[] = { 0x1f, 0x8b, 8, 0 };
    write_images("two", 2);
    write_images("three", 3);
    write_file("labels2", labels, sizeof labels);
    write_file("short", labels, sizeof labels - 1);
    write_file("text.pgm", text, sizeof text);
    write_file("packed.gz", gzip, sizeof gzip);
    assert_refused(open_idx(&d, "packed.gz", "labels2", FEATURES), "gunzip");
    assert_refused(open_idx(&d, "text.pgm", "labels2", FEATURES), "not an idx file");
    assert_refused(open_idx(&d, "two", "short", FEATURES), "has 9 bytes, but its header announces 8 + 2");
    assert_refused(open_idx(&d, "three", "labels2", FEATURES), "2 x 1 labels for 3 images");
    assert_refused(open_idx(&d, "two", "labels2", FEATURES), "label 1 is 4, but model.classes = 4");
    assert_refused(open_idx(&d, "two", "labels2", (struct sample_shape){ SAMPLE_FEATURES, 7, 9 }), "model.inputs = 7");
    assert_refused(open_idx(&d, "two", "labels2", SYMBOLS), "data.name");
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(synthetic_symbols_have_the_entropy_that_the_floor_says),
        cmocka_unit_test(synthetic_labels_are_wrong_as_often_as_the_noise_says),
        cmocka_unit_test(a_sample_depends_on_seed_and_index_alone),
        cmocka_unit_test(bytes_are_windows_of_the_files_in_the_order_of_their_names),
        cmocka_unit_test(bytes_refuse_what_cannot_be_read_or_is_too_small),
        cmocka_unit_test(idx_visits_every_image_once_an_epoch_in_another_order_each_time),
        cmocka_unit_test(idx_refuses_files_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
