/* Packed bits against one bit at a time; Elias codes against the lengths and words of the definition. */
#include "tests/kernels/check.h"

#include "kernels/bits.h"

enum { MOST = 200, GUARD = 16 };

static uint16_t symbols[MOST + BITS_GROUP], back[MOST + BITS_GROUP];
static unsigned char code[2 * MOST + 2 * GUARD];

static void draw(size_t n, int width, uint32_t seed)
{
    float x[MOST];
    fill(x, n, seed);
    for (size_t i = 0; i < n; i++)
        symbols[i] = (uint16_t)((x[i] + 1) / 2 * (float)(1 << width));
}

static void a_group_has_the_bytes_that_a_hand_makes_of_it(void **state)
{
    (void)state;
    const uint16_t five[] = { 1, 2, 3, 4, 5, 6, 7, 0, 1 };
    bits_pack(five, 9, 3, code); /* 001 010 011 100 101 110 111 000 001, the first at the lowest bits */
    assert_memory_equal(code, ((const unsigned char[]){ 0xd1, 0x58, 0x1f, 0x01 }), 4);
    bits_pack((const uint16_t[]){ 0x1ff, 0x0aa }, 2, 9, code);
    assert_memory_equal(code, ((const unsigned char[]){ 0xff, 0x55, 0x01 }), 3);
}

static void every_bit_is_where_the_layout_says_and_no_byte_more(void **state)
{
    (void)state;
    for (int width = 1; width <= BITS_WIDTH_MAX; width++)
        for (size_t n = 0; n <= MOST; n += n < 70 ? 1 : 13) {
            const size_t bytes = (n * (size_t)width + 7) / 8;
            draw(n, width, (uint32_t)n);
            assert_int_equal(bits_bytes(n, width), bytes);
            memset(code, 0xa5, sizeof code);
            bits_pack(symbols, n, width, code + GUARD + 1);
            for (size_t bit = 0; bit < 8 * bytes; bit++) {
                const size_t i = bit / (size_t)width;
                assert_int_equal(code[GUARD + 1 + bit / 8] >> bit % 8 & 1, i < n ? symbols[i] >> bit % (size_t)width & 1 : 0);
            }
            for (size_t i = 0; i < sizeof code; i++)
                assert_true(code[i] == 0xa5 || (i > GUARD && i < GUARD + 1 + bytes));
        }
}

static void unpacking_gives_the_symbols_from_any_group_on(void **state)
{
    (void)state;
    for (int width = 1; width <= BITS_WIDTH_MAX; width++)
        for (size_t n = 1; n <= MOST; n += 11) {
            const size_t bytes = bits_bytes(n, width);
            unsigned char *const end = code + sizeof code - bytes; /* a byte more would be outside */
            draw(n, width, (uint32_t)n);
            bits_pack(symbols, n, width, end);
            for (size_t first = 0; first < n; first += BITS_GROUP) {
                bits_unpack(end, bytes, first, n - first, width, back);
                assert_memory_equal(back, symbols + first, (n - first) * sizeof *back);
            }
        }
}

static void widths_hold_their_symbols(void **state)
{
    (void)state;
    const uint32_t rows[][2] = { { 1, 0 }, { 2, 1 }, { 3, 2 }, { 4, 2 }, { 5, 3 }, { 33, 6 }, { 65535, 16 }, { 65536, 16 } };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(bits_width(rows[i][0]), rows[i][1]);
}

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
    struct bit_writer w = { .code = code };
    elias_write(&w, 1);                          /* 0 */
    elias_write(&w, 3);                          /* 1 1, 0 */
    elias_write(&w, 9);                          /* 1 1 (3), 1 100 (9: 1001, lower bits first), 0 */
    assert_ptr_equal(bits_finish(&w), code + 2); /* 0 11 0 11 1 100 0 */
    assert_memory_equal(code, ((const unsigned char[]){ 0xf6, 0x00 }), 2);
}

static void a_stream_gives_back_what_was_written(void **state)
{
    (void)state;
    struct bit_writer w = { .code = code };
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

static void a_reader_stays_inside_whatever_the_bits(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 2000; seed++) {
        const size_t bytes = seed % 9;
        unsigned char *const end = code + sizeof code - bytes;
        draw(MOST, 8, seed);
        for (size_t i = 0; i < bytes; i++)
            end[i] = seed % 3 ? (unsigned char)symbols[i] : 0xff;
        struct bit_reader r = { .code = end, .bits = 8 * bytes };
        while (elias_read(&r) > 0)
            assert_true(r.at <= r.bits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_has_the_bytes_that_a_hand_makes_of_it),
        cmocka_unit_test(every_bit_is_where_the_layout_says_and_no_byte_more),
        cmocka_unit_test(unpacking_gives_the_symbols_from_any_group_on),
        cmocka_unit_test(widths_hold_their_symbols),
        cmocka_unit_test(elias_codes_have_the_published_lengths),
        cmocka_unit_test(an_elias_code_is_the_word_that_a_hand_makes_of_it),
        cmocka_unit_test(a_stream_gives_back_what_was_written),
        cmocka_unit_test(a_reader_stays_inside_whatever_the_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
