/* Packed bits against one bit at a time. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_has_the_bytes_that_a_hand_makes_of_it),
        cmocka_unit_test(every_bit_is_where_the_layout_says_and_no_byte_more),
        cmocka_unit_test(unpacking_gives_the_symbols_from_any_group_on),
        cmocka_unit_test(widths_hold_their_symbols),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
