/* Elias codes against the lengths and words of the definition; arrays of integers there and back. */
#include "tests/kernels/check.h"

#include <stdlib.h>

#include "kernels/elias.h"

enum { MOST = 200 };

static unsigned char code[2 * MOST];

static void elias_codes_have_the_published_lengths(void **state)
{
    (void)state;
    /* 1 + the sum of the groups' lengths: of 1000 (10 bits), 9 (4 bits), 3 (2 bits): 17 */
    const uint32_t rows[][2] = { { 1, 1 },   { 2, 3 },    { 3, 3 },     { 4, 6 },      { 7, 6 },      { 8, 7 },          { 15, 7 },
                                 { 16, 11 }, { 100, 13 }, { 1000, 17 }, { 65535, 23 }, { 65536, 28 }, { UINT32_MAX, 43 } };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(elias_length(rows[i][0]), rows[i][1]);
}

static void an_elias_code_is_the_word_that_a_hand_makes_of_it(void **state)
{
    (void)state;
    struct bit_writer w = { .code = code, .end = code + sizeof code };
    elias_write(&w, 1);                          /* 0 */
    elias_write(&w, 3);                          /* 1 1, 0 */
    elias_write(&w, 9);                          /* 1 1 (3), 1 100 (9: 1001, lower bits first), 0 */
    assert_ptr_equal(bits_finish(&w), code + 2); /* 0 11 0 11 1 100 0 */
    assert_memory_equal(code, ((const unsigned char[]){ 0xf6, 0x00 }), 2);
}

static void a_stream_gives_back_what_was_written(void **state)
{
    (void)state;
    struct bit_writer w = { .code = code, .end = code + sizeof code };
    size_t bits = 0;
    for (uint32_t k = 0; k < 32; k++) {
        elias_write(&w, (1u << k) + k % 2 * (uint32_t)(((uint64_t)1 << k) - 1)); /* 2^k, or 2^(k + 1) - 1 */
        bits_write(&w, k, 5);
        bits += (size_t)elias_length(1u << k) + 5;
    }
    assert_int_equal(bits_finish(&w) - code, (bits + 7) / 8);
    struct bit_reader r = { .code = code, .bits = bits };
    for (uint32_t k = 0; k < 32; k++) {
        assert_int_equal(elias_read(&r), (1u << k) + k % 2 * (uint32_t)(((uint64_t)1 << k) - 1));
        assert_int_equal(bits_read(&r, 5), k);
    }
    assert_int_equal(r.at, bits);
    assert_int_equal(elias_read(&r), 0);
    assert_int_equal(bits_read(&r, 50), 0);
}

static void a_writer_leaves_out_what_has_no_room(void **state)
{
    (void)state;
    struct bit_writer w = { .code = code, .end = code + 3 };
    memset(code, 0, 16);
    bits_write(&w, 0xabcd, 16);
    for (int i = 0; i < 5; i++)
        bits_write(&w, 0xffffffffffff, 48);
    assert_int_equal(bits_finish(&w) - code, 2);
    assert_memory_equal(code, "\xcd\xab\0\0\0\0\0\0\0", 9);
}

static void a_reader_stays_inside_whatever_the_bits(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 2000; seed++) {
        const size_t bytes = seed % 9;
        unsigned char *const end = code + sizeof code - bytes;
        float x[9];
        fill(x, bytes, seed);
        for (size_t i = 0; i < bytes; i++)
            end[i] = seed % 3 ? (unsigned char)(128 * (x[i] + 1)) : 0xff;
        struct bit_reader r = { .code = end, .bits = 8 * bytes };
        while (elias_read(&r) > 0)
            assert_true(r.at <= r.bits);
    }
}

/* Bit by bit, as the header says. */
static size_t length(uint32_t n)
{
    size_t bits = 1;
    for (; n > 1;) {
        uint32_t below = 0;
        while (n >> below > 1)
            below++;
        bits += 1 + below;
        n = below;
    }
    return bits;
}

static void arrays_come_back_and_are_as_long_as_their_integers(void **state)
{
    (void)state;
    static uint16_t symbols[MOST], back[MOST];
    for (uint32_t seed = 0; seed < 300; seed++) {
        const int most = seed % 3 ? 20 : 32767;
        const size_t n = seed % MOST;
        size_t dense = 0, sparse = 0, count = 0, last = 0;
        float x[MOST];
        fill(x, n, seed);
        for (size_t i = 0; i < n; i++) {
            const int q = seed % 2 && fabsf(x[i]) < 0.9f ? 0 : (int)(x[i] * (float)(most + 1));
            symbols[i] = (uint16_t)(q + most);
            dense += length((uint32_t)abs(q) + 1) + (q != 0);
            if (q == 0)
                continue;
            sparse += length((uint32_t)(i + 1 - last)) + 1 + length((uint32_t)abs(q));
            last = i + 1, count++;
        }
        const size_t bits[] = { [ELIAS_DENSE] = dense, [ELIAS_SPARSE] = sparse + length((uint32_t)count + 1) };
        const struct elias_lengths l = elias_measure(symbols, n, most);
        for (int kind = 0; kind < 2; kind++) {
            unsigned char *exact = malloc((bits[kind] + 7) / 8); /* of just its size: a sanitizer sees a byte more */
            assert_int_equal(l.bits[kind], bits[kind]);
            assert_int_equal(elias_pack((enum elias_kind)kind, symbols, n, most, &l, exact), (bits[kind] + 7) / 8);
            elias_unpack((enum elias_kind)kind, exact, (bits[kind] + 7) / 8, n, most, back);
            assert_memory_equal(back, symbols, n * sizeof *back);
            elias_unpack((enum elias_kind)kind, exact, bits[kind] / 16, n, most, back); /* cut off */
            for (size_t i = 0; i < n; i++)
                assert_true(back[i] == symbols[i] || back[i] == most);
            free(exact);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elias_codes_have_the_published_lengths),
        cmocka_unit_test(an_elias_code_is_the_word_that_a_hand_makes_of_it),
        cmocka_unit_test(a_stream_gives_back_what_was_written),
        cmocka_unit_test(a_writer_leaves_out_what_has_no_room),
        cmocka_unit_test(a_reader_stays_inside_whatever_the_bits),
        cmocka_unit_test(arrays_come_back_and_are_as_long_as_their_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
