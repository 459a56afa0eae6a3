/* Index codings: codes worked out by hand, every set of small vectors, lengths against exact binomials, codes of random bytes. */
#include "tests/kernels/check.h"

#include "kernels/sparse.h"

enum { MOST = 1 << 17, GUARD = 16 };

static const struct index_coding *const all[] = { &index_list, &index_bitmap, &index_enumerative };
static uint32_t given[MOST], got[MOST + GUARD];
static unsigned char code[4 * MOST + GUARD + 1], map[MOST / 8];

static void check_code(const struct index_coding *coding, size_t n, size_t k, const uint32_t *index, const unsigned char *want,
                       size_t bytes)
{
    assert_int_equal(coding->bytes(n, k), bytes);
    coding->write(index, n, k, code);
    assert_memory_equal(code, want, bytes);
}

static void lists_and_bitmaps_are_as_laid_down(void **state)
{
    (void)state;
    check_code(&index_list, 10, 3, (uint32_t[]){ 0, 2, 9 }, (const unsigned char *)(uint32_t[]){ 0, 2, 9 }, 12);
    check_code(&index_bitmap, 10, 3, (uint32_t[]){ 0, 2, 9 }, (unsigned char[]){ 0x05, 0x02 }, 2);
    check_code(&index_bitmap, 8, 0, NULL, (unsigned char[]){ 0 }, 1);
    check_code(&index_seed, 10, 3, given, NULL, 0);
}

/* The six pairs of four, in lexicographic order, have a sixth of the range each; a code is the first of 256ths in it. */
static void enumerative_codes_of_pairs_of_four_are_sixths(void **state)
{
    (void)state;
    const unsigned char want[] = { 0, 43, 86, 128, 171, 214 };
    int pair = 0;
    for (uint32_t a = 0; a < 4; a++)
        for (uint32_t b = a + 1; b < 4; b++, pair++)
            check_code(&index_enumerative, 4, 2, (uint32_t[]){ a, b }, want + pair, 1);
}

static void check_round_trip(const struct index_coding *coding, size_t n, size_t k)
{
    const size_t bytes = coding->bytes(n, k);
    unsigned char *odd = code + 1;
    memset(odd + bytes, 0xAB, GUARD);
    memset(got, 0xCD, (k + GUARD) * sizeof *got);
    coding->write(given, n, k, odd);
    for (int i = 0; i < GUARD; i++)
        assert_int_equal(odd[bytes + (size_t)i], 0xAB);
    if (coding->read)
        coding->read(odd, n, k, got);
    else
        memcpy(got, odd, bytes);
    assert_memory_equal(got, given, k * sizeof *got);
    for (size_t i = 0; i < GUARD; i++)
        assert_int_equal(got[k + i], 0xCDCDCDCD);
}

static void every_set_of_up_to_twelve_comes_back(void **state)
{
    (void)state;
    for (uint32_t n = 0; n <= 12; n++)
        for (uint32_t set = 0; set < 1u << n; set++) {
            size_t k = 0;
            for (uint32_t i = 0; i < n; i++)
                if (set >> i & 1)
                    given[k++] = i;
            for (size_t c = 0; c < COUNT(all); c++)
                check_round_trip(all[c], n, k);
        }
}

static void large_sets_come_back_wherever_they_lie(void **state)
{
    (void)state;
    const size_t sizes[] = { 63, 64, 65, 1000, 99991, MOST };
    for (size_t s = 0; s < COUNT(sizes); s++) {
        const size_t n = sizes[s], counts[] = { 1, 2, n / 100 + 1, n / 2, n - 1, n };
        for (size_t j = 0; j < COUNT(counts); j++)
            for (int where = 0; where < 3; where++) {
                const size_t k = counts[j];
                select_random(&(struct random){ .seed = s, .step = (uint32_t)j }, n, k, given, map);
                for (size_t i = 0; i < k && where > 0; i++) /* all at the beginning, all at the end */
                    given[i] = (uint32_t)(where == 1 ? i : n - k + i);
                for (size_t c = 0; c < COUNT(all); c++)
                    check_round_trip(all[c], n, k);
            }
    }
}

static void enumerative_codes_are_the_binomial_s_bits_in_whole_bytes(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 60; n++) {
        uint64_t binomial = 1;
        for (size_t k = 0; k <= n; binomial = binomial * (n - k) / (k + 1), k++) {
            size_t bytes = 0; /* the least b with 256^b >= C(n, k) */
            while (bytes < 8 && (uint64_t)1 << 8 * bytes < binomial)
                bytes++;
            const size_t stated = index_enumerative.bytes(n, k);
            assert_true(stated == bytes || (stated == bytes + 1 && log2((double)binomial) + 0.02 > 8 * (double)bytes));
        }
    }
    double bits = 0; /* of 2^20 over 2^18 */
    for (int i = 0; i < 1 << 18; i++)
        bits += log2((double)((1 << 20) - i) / ((1 << 18) - i));
    assert_true(fabs((double)index_enumerative.bytes(1 << 20, 1 << 18) - bits / 8) < 1.01);
}

static void random_bytes_give_indices_that_are_in_range_and_ascend(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 2000; round++) {
        const size_t n = 1 + round % 300, k = round * 7 % (n + 1);
        random_bits(&(struct random){ .seed = round }, 0, (uint32_t *)(void *)code, 512);
        if (round % 5 == 0)
            memset(code, round % 2 ? 0xff : 0, 2048);
        for (size_t c = 1; c < COUNT(all); c++) {
            got[k] = 99;
            all[c]->read(code, n, k, got);
            for (size_t i = 0; i < k; i++)
                assert_true(got[i] == UINT32_MAX || (got[i] < n && (i == 0 || got[i] > got[i - 1])));
            assert_int_equal(got[k], 99);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_and_bitmaps_are_as_laid_down),
        cmocka_unit_test(enumerative_codes_of_pairs_of_four_are_sixths),
        cmocka_unit_test(every_set_of_up_to_twelve_comes_back),
        cmocka_unit_test(large_sets_come_back_wherever_they_lie),
        cmocka_unit_test(enumerative_codes_are_the_binomial_s_bits_in_whole_bytes),
        cmocka_unit_test(random_bytes_give_indices_that_are_in_range_and_ascend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
