/* Members that keep some of the floats: what goes for all of them, then the random ones by their statistics. The largest floats are
 * in test_compressor.c, thresholds in test_thresholds.c. */
#include "tests/kernels/options.h"

#include "kernels/random.h"

enum { MOST = 4096, GUARD = 64 };

static float x[MOST], y[MOST + GUARD], sum[MOST + GUARD], value[MOST + GUARD];
static uint32_t list[MOST + GUARD];
static unsigned char code[16 * MOST + GUARD + 1];
static _Alignas(64) unsigned char scratch[16 * MOST + GUARD], memory[16 * MOST];

static const struct {
    const struct compressor *kind;
    const char *options;
    double bytes_per_entry, bytes_per_float; /* of the code; most of those of variable size */
} members[] = {
    { &compress_topk, "ratio=0.1 index=list", 8, 0 },
    { &compress_topk, "ratio=0.3 index=bitmap", 4, 1 / 8. },
    { &compress_topk, "ratio=1 index=auto", 4, 1 / 8. },
    { &compress_randk, "ratio=0.1", 4, 0 },
    { &compress_randk, "ratio=0.7 scaled=false shared=true", 4, 0 },
    { &compress_randk, "ratio=0.2 index=list", 8, 0 },
    { &compress_randk, "ratio=1", 4, 0 },
    { &compress_permk, "", 4, 0 },
    { &compress_threshold, "threshold=0.5", 8, 0 },
    { &compress_gaussiank, "ratio=0.1 adjust=true", 8, 0 },
    { &compress_sidco, "ratio=0.1", 8, 0 },
    { &compress_dgc, "ratio=0.1", 8, 0 },
    { &compress_topk, "ratio=0.3 index=enumerative", 4, 0 },
    { &compress_randk, "ratio=0.3 index=enumerative", 4, 0 },
};
enum { ENUMERATIVE = 2, FORMULAS = COUNT(members) - ENUMERATIVE }; /* the last have a formula of their own: test_index_coding.c */
static const size_t sizes[] = { 0, 1, 2, 3, 15, 16, 17, 1000, MOST };

static struct coding coding(size_t member, size_t n)
{
    struct coding c = coding_of(options_of(members[member].kind, members[member].options), n);
    c.workers = 3;
    c.worker = 1;
    return c;
}

static size_t encode(const struct compressor *k, const struct coding *c, unsigned char *to)
{
    compressor_state_begin(k, c, memory);
    return compressor_encode(k, c, memory, x, to, scratch);
}

static void codes_have_the_bytes_that_the_formula_says(void **state)
{
    (void)state;
    random_normal(&(struct random){ .seed = 3 }, 1, 0, x, MOST);
    for (size_t m = 0; m < COUNT(members); m++)
        for (size_t s = 0; s < COUNT(sizes); s++) {
            const struct compressor *k = members[m].kind;
            const struct coding c = coding(m, sizes[s]);
            const size_t most = k->code_bytes(&c), bytes = encode(k, &c, code);
            const double entries = (double)k->most_entries(&c) * members[m].bytes_per_entry;
            if (m < FORMULAS)
                assert_true((double)most == entries + ceil((double)sizes[s] * members[m].bytes_per_float));
            assert_true(compressor_traits(k, c.options) & COMPRESSOR_FIXED_SIZE ? bytes == most : bytes <= most);
        }
}

static void nothing_is_written_beyond_code_and_scratch_at_odd_addresses(void **state)
{
    (void)state;
    unsigned char *odd = code + 1;
    for (size_t m = 0; m < COUNT(members); m++)
        for (size_t s = 0; s < COUNT(sizes); s++) {
            const struct compressor *k = members[m].kind;
            const struct coding c = coding(m, sizes[s]);
            const size_t most = k->code_bytes(&c), room = compressor_scratch_bytes(k, &c);
            memset(odd + most, 0xAB, GUARD);
            memset(scratch + room, 0xCD, GUARD);
            const size_t bytes = encode(k, &c, odd);
            memset(y, 0, sizeof y);
            k->decode(&c, odd, bytes, 1, y, scratch);
            for (size_t i = 0; i < GUARD; i++) {
                assert_true(odd[most + i] == 0xAB && scratch[room + i] == 0xCD);
                assert_true(y[sizes[s] + i] == 0);
            }
        }
}

static void entries_ascend_and_are_what_decode_adds(void **state)
{
    (void)state;
    for (size_t m = 0; m < COUNT(members); m++)
        for (size_t s = 0; s < COUNT(sizes); s++) {
            const struct compressor *k = members[m].kind;
            const struct coding c = coding(m, sizes[s]);
            const size_t bytes = encode(k, &c, code), count = k->entries(&c, code, bytes, list, value, scratch);
            assert_true(count <= k->most_entries(&c));
            memset(y, 0, sizeof y);
            memset(sum, 0, sizeof sum);
            k->decode(&c, code, bytes, -2, y, scratch);
            for (size_t i = 0; i < count; i++) {
                assert_true(list[i] < sizes[s] && (i == 0 || list[i] > list[i - 1]));
                sum[list[i]] = -2 * value[i];
            }
            assert_memory_equal(y, sum, sizeof y);
        }
}

static void codes_of_random_bytes_stay_within_the_vector(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 100; round++)
        for (size_t m = 0; m < COUNT(members); m++) {
            const size_t n = sizes[round % COUNT(sizes)];
            const struct compressor *k = members[m].kind;
            const struct coding c = coding(m, n);
            const bool fixed = compressor_traits(k, c.options) & COMPRESSOR_FIXED_SIZE;
            const size_t bytes = k->code_bytes(&c) / (fixed ? 1 : 1 + round % 5), most = k->most_entries(&c);
            uint32_t *words = (uint32_t *)(void *)code;
            random_bits(&(struct random){ .seed = round }, 0, words, 4 * MOST);
            for (size_t i = 0; i < 4 * MOST && round % 2; i++) /* indices some of which can be */
                words[i] %= (uint32_t)n + 5;
            memset(y, 0, sizeof y);
            k->decode(&c, code, bytes, 1, y, scratch);
            for (size_t i = 0; i < GUARD; i++)
                assert_true(y[n + i] == 0);
            list[most] = 99;
            const size_t count = k->entries(&c, code, bytes, list, value, scratch);
            assert_true(count <= most && list[most] == 99);
            for (size_t i = 0; i < count; i++)
                assert_true(list[i] < n && (i == 0 || list[i] > list[i - 1]));
        }
}

static void a_code_that_is_cut_short_says_nothing(void **state)
{
    (void)state;
    for (size_t m = 0; m < COUNT(members); m++) {
        const struct compressor *k = members[m].kind;
        const struct coding c = coding(m, 1000);
        if (!(compressor_traits(k, c.options) & COMPRESSOR_FIXED_SIZE))
            continue;
        random_normal(&(struct random){ .seed = 3 }, 1, 0, x, 1000);
        memset(y, 0, sizeof y);
        const size_t bytes = encode(k, &c, code) - sizeof(float) - 1; /* a worker of permk may end with a zero of no use */
        k->decode(&c, code, bytes, 1, y, scratch);
        assert_int_equal(k->entries(&c, code, bytes, list, value, scratch), 0);
        for (size_t i = 0; i < MOST; i++)
            assert_true(y[i] == 0);
    }
}

/* |x - C(x)|^2 <= (1 - delta) |x|^2, on magnitudes that are all equal (where top-k's is an equality) and on others. */
static void deterministic_members_keep_their_delta(void **state)
{
    (void)state;
    for (size_t m = 0; m < COUNT(members); m++)
        for (int kind = 0; kind < 3; kind++) {
            const struct compressor *k = members[m].kind;
            const struct coding c = coding(m, MOST);
            if (!(compressor_traits(k, c.options) & COMPRESSOR_CONTRACTIVE) || k == &compress_randk)
                continue;
            random_normal(&(struct random){ .seed = 5 }, 1, 0, x, MOST);
            for (size_t i = 0; i < MOST; i++)
                x[i] = kind == 0 ? x[i] : kind == 1 ? (x[i] > 0 ? 2 : -2) : (float)(i % 97 == 0) * x[i];
            memcpy(y, x, sizeof x);
            k->decode(&c, code, encode(k, &c, code), -1, y, scratch);
            double before = 0, after = 0;
            for (size_t i = 0; i < MOST; i++)
                before += (double)x[i] * x[i], after += (double)y[i] * y[i];
            const double claimed = (1 - k->delta(&c, x)) * before;
            assert_true(after <= claimed * (1 + 1e-9));
            if (k == &compress_topk && kind == 1)
                assert_true(after >= claimed * (1 - 1e-9));
        }
}

/* ---- random-k ---- */

static size_t draw(const void *options, size_t n, int worker, uint32_t step)
{
    struct coding c = coding_of(options, n);
    c.random.worker = (uint32_t)worker;
    c.random.step = c.shared.step = step;
    return compress_randk.entries(&c, code, encode(&compress_randk, &c, code), list, value, scratch);
}

/* Of many sets of k of n: how often each float, and each pair, is in. Expected are k / n and k (k - 1) / (n (n - 1)). */
static void check_uniform(const char *options, size_t n, size_t k)
{
    enum { DRAWS = 20000, N = 20 };
    static int pairs[N][N];
    memset(pairs, 0, sizeof pairs);
    for (uint32_t step = 0; step < DRAWS; step++) {
        assert_int_equal(draw(options_of(&compress_randk, options), n, 0, step), k);
        for (size_t i = 0; i < k; i++)
            for (size_t j = i; j < k; j++)
                pairs[list[i]][list[j]]++;
    }
    const double single = (double)k / (double)n, pair = single * (double)(k - 1) / (double)(n - 1);
    double chi2[2] = { 0, 0 };
    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n; j++) {
            const double p = i == j ? single : pair, off = pairs[i][j] - DRAWS * p;
            chi2[i != j] += off * off / (DRAWS * p * (1 - p));
        }
    const double singles =
        (double)n - 1; /* degrees of freedom: n - 1, since the counts add up to k; of pairs about n (n - 1) / 2 */
    assert_true(fabs(chi2[0] * singles / (double)n - singles) < 5 * sqrt(2 * singles));
    assert_true(fabs(chi2[1] / ((double)n * singles / 2) - 1) < 0.5);
}

static void randk_keeps_every_float_and_every_pair_equally_often(void **state)
{
    (void)state;
    check_uniform("k=5", 20, 5);
    check_uniform("k=15", 20, 15); /* drawn by what is left out */
    check_uniform("k=3", 13, 3);
}

static void randk_s_workers_overlap_by_k_over_n_unless_they_share(void **state)
{
    (void)state;
    enum { N = 4000, K = 400, STEPS = 100 };
    static bool in[N];
    for (int shared = 0; shared < 2; shared++) {
        const void *options = options_of(&compress_randk, shared ? "k=400 shared=true" : "k=400");
        int overlap = 0;
        for (uint32_t step = 0; step < STEPS; step++) {
            memset(in, 0, sizeof in);
            draw(options, N, 0, step);
            for (int i = 0; i < K; i++)
                in[list[i]] = true;
            draw(options, N, 1, step);
            for (int i = 0; i < K; i++)
                overlap += in[list[i]];
        }
        const double expected = (double)STEPS * K * K / N, deviation = sqrt(expected * 0.9 * 0.9); /* hypergeometric */
        if (shared)
            assert_int_equal(overlap, STEPS * K);
        else
            assert_true(fabs(overlap - expected) < 5 * deviation);
    }
}

static void randk_is_right_on_the_average_and_as_far_off_as_it_says(void **state)
{
    (void)state;
    enum { N = 30, DRAWS = 40000 };
    double mean[N] = { 0 }, error = 0, norm = 0;
    random_normal(&(struct random){ .seed = 9 }, 1, 0, x, N);
    for (uint32_t step = 0; step < DRAWS; step++) {
        const size_t k = draw(options_of(&compress_randk, "ratio=0.2"), N, 0, step);
        memset(y, 0, N * sizeof *y);
        for (size_t i = 0; i < k; i++)
            y[list[i]] = value[i];
        for (int i = 0; i < N; i++) {
            mean[i] += (double)y[i] / DRAWS;
            error += ((double)y[i] - x[i]) * ((double)y[i] - x[i]) / DRAWS;
        }
    }
    const struct coding c = coding_of(options_of(&compress_randk, "ratio=0.2"), N);
    const double omega = compress_randk.omega(&c, NULL);
    assert_true(omega == 4);
    for (int i = 0; i < N; i++) {
        norm += (double)x[i] * x[i];
        assert_true(fabs(mean[i] - x[i]) < 5 * fabs((double)x[i]) * sqrt(omega / DRAWS));
    }
    assert_true(fabs(error / (omega * norm) - 1) < 0.02);
}

static void randk_s_shared_codes_add_up_like_its_vectors(void **state)
{
    (void)state;
    enum { N = 1000, K = 100 };
    const struct coding c = coding_of(options_of(&compress_randk, "ratio=0.1 shared=true"), N);
    assert_true(compressor_traits(&compress_randk, c.options) & COMPRESSOR_LINEAR);
    assert_int_equal(compress_randk.linear->part_elements(&c, 0), K);
    float total[K] = { 0 };
    memset(y, 0, sizeof y);
    for (uint32_t worker = 0; worker < 4; worker++) {
        for (uint32_t i = 0; i < N; i++)
            x[i] = (float)(i * 7 % 64 + worker); /* sums are exact */
        compress_randk.linear->encode_part(&c, NULL, x, 0, code, scratch);
        compress_randk.decode(&c, code, 4 * K, 1, y, scratch);
        for (int i = 0; i < K; i++)
            total[i] += ((const float *)(const void *)code)[i];
    }
    memset(sum, 0, sizeof sum);
    compress_randk.decode(&c, (const unsigned char *)total, 4 * K, 1, sum, scratch);
    assert_memory_equal(sum, y, N * sizeof *y);
    const void *alone = options_of(&compress_randk, "ratio=0.1"), *told = options_of(&compress_randk, "shared=true index=list");
    assert_false((compressor_traits(&compress_randk, alone) | compressor_traits(&compress_randk, told)) & COMPRESSOR_LINEAR);
}

static void options_that_do_not_fit_are_refused_by_name(void **state)
{
    (void)state;
    const struct {
        const char *options, *part;
        size_t n;
    } rows[] = { { "k=2000", "k = 2000 of a vector of 1000 floats", 1000 },
                 { "k=20 ratio=0.5", "k = 20 and ratio = 0.5", 1000 },
                 { "ratio=0.5", "4294967295", (size_t)1 << 32 },
                 { "k=1000", NULL, 1000 } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct coding top = coding_of(options_of(&compress_topk, rows[i].options), rows[i].n);
        const struct coding rand = coding_of(options_of(&compress_randk, rows[i].options), rows[i].n);
        const char *why[] = { compress_topk.refuses(&top), compress_randk.refuses(&rand) };
        for (int j = 0; j < 2; j++)
            assert_true(rows[i].part ? why[j] && strstr(why[j], rows[i].part) : !why[j]);
    }
}

/* ---- perm-k ---- */

static void permk_gives_every_float_to_one_worker_and_adds_up_exactly(void **state)
{
    (void)state;
    random_normal(&(struct random){ .seed = 4 }, 1, 0, x, MOST);
    const int workers[] = { 1, 2, 3, 7, 64 };
    for (size_t w = 0; w < COUNT(workers); w++)
        for (size_t s = 0; s < COUNT(sizes); s++) {
            const size_t n = sizes[s], most = (n + (size_t)workers[w] - 1) / (size_t)workers[w];
            struct coding c = coding_of(NULL, n);
            c.workers = workers[w];
            memset(y, 0, sizeof y);
            for (c.worker = 0; c.worker < c.workers; c.worker++) {
                memset(code, 0xAB, 4 * most);
                assert_int_equal(encode(&compress_permk, &c, code), 4 * most);
                const size_t count = compress_permk.entries(&c, code, 4 * most, list, value, scratch);
                assert_true(count == most || count + 1 == most);
                assert_true(count == most || memcmp(code + 4 * count, &(float){ 0 }, 4) == 0);
                compress_permk.decode(&c, code, 4 * most, 1, y, scratch);
            }
            for (size_t i = 0; i < n; i++)
                assert_true(y[i] == (float)workers[w] * x[i]);
        }
}

static void permk_gives_a_float_to_each_worker_equally_often(void **state)
{
    (void)state;
    enum { N = 23, WORKERS = 5, DRAWS = 20000 };
    int owned[N] = { 0 };
    struct coding c = coding_of(NULL, N);
    c.workers = WORKERS;
    c.worker = 2;
    for (c.shared.step = 0; c.shared.step < DRAWS; c.shared.step++) {
        const size_t count = compress_permk.entries(&c, code, encode(&compress_permk, &c, code), list, value, scratch);
        for (size_t i = 0; i < count; i++)
            owned[list[i]]++;
    }
    for (int i = 0; i < N; i++)
        assert_true(fabs(owned[i] - 0.2 * DRAWS) < 5 * sqrt(DRAWS * 0.2 * 0.8));
    assert_true(compress_permk.omega(&c, NULL) == WORKERS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_the_bytes_that_the_formula_says),
        cmocka_unit_test(nothing_is_written_beyond_code_and_scratch_at_odd_addresses),
        cmocka_unit_test(entries_ascend_and_are_what_decode_adds),
        cmocka_unit_test(codes_of_random_bytes_stay_within_the_vector),
        cmocka_unit_test(a_code_that_is_cut_short_says_nothing),
        cmocka_unit_test(deterministic_members_keep_their_delta),
        cmocka_unit_test(randk_keeps_every_float_and_every_pair_equally_often),
        cmocka_unit_test(randk_s_workers_overlap_by_k_over_n_unless_they_share),
        cmocka_unit_test(randk_is_right_on_the_average_and_as_far_off_as_it_says),
        cmocka_unit_test(randk_s_shared_codes_add_up_like_its_vectors),
        cmocka_unit_test(options_that_do_not_fit_are_refused_by_name),
        cmocka_unit_test(permk_gives_every_float_to_one_worker_and_adds_up_exactly),
        cmocka_unit_test(permk_gives_a_float_to_each_worker_equally_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
