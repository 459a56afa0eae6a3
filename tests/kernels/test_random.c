/* Random numbers: Random123's known answers, purity, moments, and permutations counted out. */
#include "tests/kernels/check.h"

#include "kernels/random.h"

enum { MANY = 1 << 20 };
static float x[MANY], y[MANY];
static const struct random some = { .seed = 0x123456789abcdef, .stream = RANDOM_SAMPLES, .worker = 3, .step = 4 };

/* Lines "philox4x32 10" of kat_vectors, distributed with Random123: counter, key, result. */
static void words_are_the_known_answers_of_random123(void **state)
{
    (void)state;
    static const uint32_t known[][10] = {
        { 0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 },
        { ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd },
        { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 },
    };
    for (size_t i = 0; i < COUNT(known); i++) {
        const uint32_t *k = known[i];
        const struct random r = { .seed = k[4] | (uint64_t)k[5] << 32, .step = k[1], .worker = k[2], .stream = k[3] };
        uint32_t words[4];
        random_words(&r, k[0], words);
        assert_memory_equal(words, k + 6, sizeof words);
    }
}

static void uniform_numbers_are_the_words_of_sixteen_blocks_at_a_time(void **state)
{
    (void)state;
    random_uniform(&some, x, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t words[4];
        random_words(&some, i / 64 * 16 + i % 16, words);
        assert_true(x[i] == (float)(words[i / 16 % 4] / 256) / 16777216);
    }
}

static void bits_are_the_words_that_uniform_numbers_are_made_of(void **state)
{
    (void)state;
    static uint32_t words[301];
    random_uniform(&some, x, 64 + 300);
    words[300] = 99;
    random_bits(&some, 64, words, 300);
    for (size_t i = 0; i < 300; i++)
        assert_true(x[64 + i] == (float)(words[i] >> 8) / 16777216);
    assert_int_equal(words[300], 99);
}

static void an_element_depends_on_its_index_alone(void **state)
{
    (void)state;
    static float all[2][300];
    random_uniform(&some, all[0], 300);
    random_normal(&some, 2, 0, all[1], 300);
    for (size_t n = 0; n < 200; n++)
        for (int normal = 0; normal < 2; normal++) {
            x[n] = 99;
            if (normal)
                random_normal(&some, 2, 0, x, n);
            else
                random_uniform(&some, x, n);
            assert_memory_equal(x, all[normal], n * sizeof *x);
            assert_true(x[n] == 99);
        }
    for (size_t first = 0; first < 140; first++)
        for (size_t n = 0; n < 140; n += 1 + first % 7) {
            x[n] = 99;
            random_normal(&some, 2, first, x, n);
            assert_memory_equal(x, all[1] + first, n * sizeof *x);
            assert_true(x[n] == 99);
        }
}

static void every_part_of_the_key_changes_the_numbers(void **state)
{
    (void)state;
    struct random others[] = { some, some, some, some, some };
    others[0].seed ^= 1;
    others[1].seed ^= (uint64_t)1 << 63;
    others[2].stream++;
    others[3].worker++;
    others[4].step++;
    random_uniform(&some, x, 64);
    for (size_t o = 0; o < COUNT(others); o++) {
        random_uniform(&others[o], y, 64);
        int equal = 0;
        for (int i = 0; i < 64; i++)
            equal += x[i] == y[i];
        assert_int_equal(equal, 0); /* by chance: 64 in 2^24 */
    }
}

static double moment(const float *v, double centre, int power)
{
    double sum = 0;
    for (int i = 0; i < MANY; i++)
        sum += pow(v[i] - centre, power);
    return sum / MANY;
}

/* Limits: five standard errors, sqrt(variance of the term / 2^20). */
static void moments_are_those_of_the_distribution(void **state)
{
    (void)state;
    random_uniform(&some, x, MANY);
    for (int i = 0; i < MANY; i++)
        assert_true(x[i] >= 0 && x[i] < 1);
    assert_true(fabs(moment(x, 0, 1) - 0.5) < 5 * 0.289 / 1024);
    assert_true(fabs(moment(x, 0.5, 2) - 1. / 12) < 5 * 0.075 / 1024);
    random_normal(&some, 2, 0, x, MANY);
    assert_true(fabs(moment(x, 0, 1)) < 5 * 2. / 1024);
    assert_true(fabs(moment(x, 0, 2) - 4) < 5 * 4 * 1.42 / 1024);
    assert_true(fabs(moment(x, 0, 3)) < 5 * 8 * 3.9 / 1024);
    assert_true(fabs(moment(x, 0, 4) - 48) < 5 * 16 * 9.8 / 1024);
}

static void the_two_halves_of_a_normal_pair_are_not_correlated(void **state)
{
    (void)state;
    random_normal(&some, 1, 0, x, MANY);
    for (int lag = 1; lag <= 64; lag++) {
        double sum = 0;
        for (int i = lag; i < MANY; i++)
            sum += (double)x[i] * x[i - lag];
        assert_true(fabs(sum / MANY) < 5. / 1024);
    }
}

static void numbers_below_a_limit_are_below_it_and_equally_frequent(void **state)
{
    (void)state;
    int counts[7] = { 0 };
    for (uint32_t block = 0; block < 70000; block++) {
        counts[random_below(&some, block, 7)]++;
        assert_true(random_below(&some, block, 1) == 0);
        assert_true(random_below(&some, block, UINT64_MAX) < UINT64_MAX);
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(counts[i], 10000 - 5 * 93, 10000 + 5 * 93); /* sqrt(70000 1/7 6/7) = 93 */
}

static void a_permutation_meets_every_index_once(void **state)
{
    (void)state;
    const uint64_t sizes[] = { 1, 2, 3, 7, 100, 4096, 4097, 100000 };
    static unsigned char met[100000];
    for (size_t s = 0; s < COUNT(sizes); s++) {
        memset(met, 0, sizeof met);
        for (uint64_t i = 0; i < sizes[s]; i++) {
            const uint64_t to = random_permute(&some, i, sizes[s]);
            assert_true(to < sizes[s] && !met[to]);
            met[to] = 1;
        }
    }
}

static void a_permutation_of_very_many_stays_in_range_and_does_not_collide(void **state)
{
    (void)state;
    const uint64_t sizes[] = { ((uint64_t)1 << 40) - 1, ((uint64_t)1 << 40) + 1, UINT64_MAX };
    for (size_t s = 0; s < COUNT(sizes); s++) {
        double mean = 0;
        uint64_t last = sizes[s];
        for (uint64_t i = 0; i < 10000; i++) {
            const uint64_t to = random_permute(&some, sizes[s] - 1 - i, sizes[s]);
            assert_true(to < sizes[s] && to != last);
            last = to;
            mean += (double)to / (double)sizes[s] / 10000;
        }
        assert_true(fabs(mean - 0.5) < 5 * 0.289 / 100);
    }
}

/* Over many keys index 0 goes everywhere equally often, and neighbours do not stay neighbours. */
static void permutations_differ_by_key_and_do_not_keep_neighbours(void **state)
{
    (void)state;
    enum { N = 10, KEYS = 20000 };
    int goes[N] = { 0 }, next = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        const struct random r = { .seed = 5, .stream = RANDOM_SHUFFLE, .step = key };
        const uint64_t to = random_permute(&r, 0, N);
        goes[to]++;
        next += random_permute(&r, 1, N) == (to + 1) % N;
    }
    for (int i = 0; i < N; i++)
        assert_in_range(goes[i], KEYS / N - 5 * 43, KEYS / N + 5 * 43); /* sqrt(20000 0.1 0.9) = 42.4 */
    assert_in_range(next, KEYS / 9 - 5 * 45, KEYS / 9 + 5 * 45);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_the_known_answers_of_random123),
        cmocka_unit_test(uniform_numbers_are_the_words_of_sixteen_blocks_at_a_time),
        cmocka_unit_test(bits_are_the_words_that_uniform_numbers_are_made_of),
        cmocka_unit_test(an_element_depends_on_its_index_alone),
        cmocka_unit_test(every_part_of_the_key_changes_the_numbers),
        cmocka_unit_test(moments_are_those_of_the_distribution),
        cmocka_unit_test(the_two_halves_of_a_normal_pair_are_not_correlated),
        cmocka_unit_test(numbers_below_a_limit_are_below_it_and_equally_frequent),
        cmocka_unit_test(a_permutation_meets_every_index_once),
        cmocka_unit_test(a_permutation_of_very_many_stays_in_range_and_does_not_collide),
        cmocka_unit_test(permutations_differ_by_key_and_do_not_keep_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
