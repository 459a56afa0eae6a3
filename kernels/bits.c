/* Eight symbols of w bits are w bytes, whatever w is, so that groups of eight begin at bytes. Four symbols of 16 bits lie in a
 * 64-bit word; two shifts and masks move them together:
 *
 *     ...d...c...b...a  ->  ......dc......ba  ->  ............dcba
 *
 * The two words of a group then overlap in a byte at most, and so may the 8-byte stores; the last ones of a code go through a copy.
 */
#include "kernels/bits.h"

#include <string.h>

#include "kernels/vector.h"

typedef uint64_t vec_wide __attribute__((vector_size(64)));
typedef uint16_t group_vec __attribute__((vector_size(2 * BITS_GROUP)));

enum { GROUPS = LANES / 4, SPAN = 2 * sizeof(uint64_t) }; /* groups in a vector; bytes that a group's stores and loads may touch */

size_t bits_bytes(size_t n, int width)
{
    return n / BITS_GROUP * (size_t)width + (n % BITS_GROUP * (size_t)width + 7) / 8;
}

int bits_width(uint32_t symbols_count)
{
    return symbols_count < 2 ? 0 : 32 - __builtin_clz(symbols_count - 1);
}

static uint64_t ones(int count)
{
    return count == 64 ? UINT64_MAX : ((uint64_t)1 << count) - 1;
}

/* Where in a group the second four symbols begin: bytes, and bits after those. */
static size_t second_byte(int width)
{
    return (size_t)width / 2;
}

static int second_shift(int width)
{
    return width % 2 * 4;
}

static void put_group(uint64_t first, uint64_t second, int width, unsigned char *code)
{
    const size_t at = second_byte(width);
    memcpy(code, &first, sizeof first);
    if (at < sizeof first)
        second = second << second_shift(width) | first >> 8 * at;
    memcpy(code + at, &second, sizeof second);
}

/* GROUPS groups from 64 bytes of symbols. */
VEC_INLINE void pack_groups(const void *symbols, int width, uint64_t words[2 * GROUPS])
{
    const uint64_t one = ones(width) << 32 | ones(width), two = ones(2 * width);
    vec_wide w;
    memcpy(&w, symbols, sizeof w);
    w = (w & one) | (w >> (16 - width) & one << width);
    w = (w & two) | (w >> (32 - 2 * width) & two << 2 * width);
    memcpy(words, &w, sizeof w);
}

void bits_pack(const uint16_t *symbols, size_t n, int width, unsigned char *code)
{
    const size_t bytes = bits_bytes(n, width), vector_bytes = GROUPS * (size_t)width;
    size_t i = 0, at = 0;
    uint64_t words[2 * GROUPS];
    for (; i + 2 * LANES <= n && at + vector_bytes + SPAN <= bytes; i += 2 * LANES) {
        pack_groups(symbols + i, width, words);
        for (int g = 0; g < GROUPS; g++, at += (size_t)width)
            put_group(words[2 * g], words[2 * g + 1], width, code + at);
    }
    for (; i < n; i += 2 * LANES) {
        uint16_t some[2 * LANES] = { 0 };
        unsigned char packed[GROUPS * BITS_WIDTH_MAX + SPAN];
        memcpy(some, symbols + i, (n - i < 2 * LANES ? n - i : 2 * LANES) * sizeof *some);
        pack_groups(some, width, words);
        for (size_t g = 0; g < GROUPS; g++)
            put_group(words[2 * g], words[2 * g + 1], width, packed + g * (size_t)width);
        const size_t m = bytes - at < vector_bytes ? bytes - at : vector_bytes;
        memcpy(code + at, packed, m);
        at += m;
    }
}

VEC_INLINE group_vec unpack_group(const unsigned char *code, int width)
{
    uint64_t first, second;
    memcpy(&first, code, sizeof first);
    memcpy(&second, code + second_byte(width), sizeof second);
    second >>= second_shift(width);
    const vec_wide lane = { 0, 1, 2, 3, 0, 1, 2, 3 };
    const vec_wide words = { first, first, first, first, second, second, second, second };
    return __builtin_convertvector(words >> lane * (uint64_t)width & ones(width), group_vec);
}

void bits_unpack(const unsigned char *code, size_t bytes, size_t first, size_t n, int width, uint16_t *symbols)
{
    size_t at = first / BITS_GROUP * (size_t)width;
    for (size_t i = 0; i < n; i += BITS_GROUP, at += (size_t)width) {
        unsigned char last[SPAN] = { 0 };
        const unsigned char *from = code + at;
        if (at + SPAN > bytes)
            from = memcpy(last, from, bytes - at);
        const group_vec group = unpack_group(from, width);
        memcpy(symbols + i, &group, sizeof group);
    }
}
