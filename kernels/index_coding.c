/* How a code tells which k of n floats it has, when it has to tell.
 *
 * enumerative: every set of k has the same length, the least there is. Float after float, a range is split in proportion to
 *
 *     P(float i is in the set) = (k left) / (n left)
 *
 * whose product over all floats is 1 / C(n, k) for every set; the code is a number in the last range (arithmetic coding, 64 bits of
 * range with carry). The range never falls below 2^56, so that a split is wrong by n 2^-54 of itself at most.
 * Source: Cover, "Enumerative source coding", IEEE IT 1973; the range coder after Martin 1979.
 */
#include <endian.h>
#include <math.h>
#include <string.h>

#include "kernels/sparse.h"

static size_t seed_bytes(size_t n, size_t k)
{
    (void)n, (void)k;
    return 0;
}

static void seed_write(const uint32_t *index, size_t n, size_t k, unsigned char *code)
{
    (void)index, (void)n, (void)k, (void)code;
}

static void seed_read(const unsigned char *code, size_t n, size_t k, uint32_t *index)
{
    (void)code, (void)n, (void)k, (void)index;
}

const struct index_coding index_seed = { .name = "seed", .bytes = seed_bytes, .write = seed_write, .read = seed_read };

static size_t list_bytes(size_t n, size_t k)
{
    (void)n;
    return k * sizeof(uint32_t);
}

static void list_write(const uint32_t *index, size_t n, size_t k, unsigned char *code)
{
    memcpy(code, index, list_bytes(n, k));
}

const struct index_coding index_list = { .name = "list", .bytes = list_bytes, .write = list_write };

static size_t bitmap_bytes(size_t n, size_t k)
{
    (void)k;
    return (n + 7) / 8;
}

static void bitmap_write(const uint32_t *index, size_t n, size_t k, unsigned char *code)
{
    memset(code, 0, bitmap_bytes(n, k));
    for (size_t i = 0; i < k; i++)
        code[index[i] / 8] = (unsigned char)(code[index[i] / 8] | 1 << index[i] % 8);
}

static void bitmap_read(const unsigned char *code, size_t n, size_t k, uint32_t *index)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i += 64) {
        const uint64_t inside = n - i < 64 ? ((uint64_t)1 << (n - i)) - 1 : UINT64_MAX;
        uint64_t word = 0;
        memcpy(&word, code + i / 8, n - i < 64 ? bitmap_bytes(n - i, k) : sizeof word);
        count = append_bits(index, count, k, (uint32_t)i, le64toh(word) & inside);
    }
    for (; count < k; count++)
        index[count] = UINT32_MAX;
}

const struct index_coding index_bitmap = { .name = "bitmap", .bytes = bitmap_bytes, .write = bitmap_write, .read = bitmap_read };

/* ---- enumerative ---- */

static const uint64_t range_least = (uint64_t)1 << 56;
enum { TOP = 56 };

static double log2_factorial(size_t n)
{
    int sign;
    return lgamma_r((double)n + 1, &sign) / M_LN2;
}

static size_t enumerative_bytes(size_t n, size_t k)
{
    if (k == 0 || k >= n)
        return 0;
    const double bits = log2_factorial(n) - log2_factorial(k) - log2_factorial(n - k);
    return (size_t)ceil((bits + 0.01 + (double)k * (double)n * 0x1p-53) / 8);
}

/* Where a range is split: below it lies the part of a float that is in the set. 0 < split < range for 0 < k < n. The division does
 * not wait for the range, as range / n_left would, and its product misses that by 2 at most. */
static uint64_t split_of(uint64_t range, size_t n_left, size_t k_left)
{
    const uint64_t inverse = UINT64_MAX / n_left;
    return (uint64_t)((unsigned __int128)range * inverse >> 64) * k_left;
}

static void carry(unsigned char *last)
{
    while (++*last == 0)
        last--;
}

static void enumerative_write(const uint32_t *index, size_t n, size_t k, unsigned char *code)
{
    const size_t bytes = enumerative_bytes(n, k);
    uint64_t low = 0, range = UINT64_MAX;
    unsigned char *at = code;
    for (size_t i = 0, done = 0; done < k && k - done < n - i; i++) {
        const uint64_t split = split_of(range, n - i, k - done);
        if (index[done] == i) {
            range = split;
            done++;
        } else {
            range -= split;
            if (__builtin_add_overflow(low, split, &low))
                carry(at - 1);
        }
        for (; range < range_least; range <<= 8, low <<= 8)
            *at++ = (unsigned char)(low >> TOP);
    }
    memset(at, 0, bytes - (size_t)(at - code));
    if (bytes > 0) { /* the least number of one more byte that is not below low */
        if (__builtin_add_overflow(low, range_least - 1, &low))
            carry(at - 1);
        *at = (unsigned char)(low >> TOP);
    }
}

static void enumerative_read(const unsigned char *code, size_t n, size_t k, uint32_t *index)
{
    const size_t bytes = enumerative_bytes(n, k);
    uint64_t value = 0, range = UINT64_MAX; /* value: the code's number less the range's lower end */
    size_t at = 0, i = 0, done = 0;
    for (; at < sizeof value; at++)
        value = value << 8 | (at < bytes ? code[at] : 0);
    for (; done < k && k - done < n - i; i++) {
        const uint64_t split = split_of(range, n - i, k - done);
        if (value < split) {
            range = split;
            index[done++] = (uint32_t)i;
        } else {
            range -= split;
            value -= split;
        }
        for (; range < range_least; range <<= 8, at++)
            value = value << 8 | (at < bytes ? code[at] : 0);
    }
    for (; done < k; done++, i++)
        index[done] = (uint32_t)i;
}

const struct index_coding index_enumerative = {
    .name = "enumerative", .bytes = enumerative_bytes, .write = enumerative_write, .read = enumerative_read
};

const struct index_coding *index_coding_find(const char *name)
{
    static const struct index_coding *const all[] = { &index_seed, &index_list, &index_bitmap, &index_enumerative, NULL };
    int i = 0;
    while (all[i] && strcmp(all[i]->name, name) != 0)
        i++;
    return all[i];
}
