/* All groups of a number but the last follow from its number of bits: a table has them. */
#include "kernels/elias.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static uint64_t ones(int count)
{
    return ((uint64_t)1 << count) - 1;
}

void bits_write(struct bit_writer *w, uint64_t word, int count)
{
    w->word |= word << w->pending;
    w->pending += count;
    const int bytes = w->pending / 8;
    if (w->end - w->code >= (ptrdiff_t)sizeof w->word) {
        memcpy(w->code, &w->word, sizeof w->word); /* the bytes that are not whole yet are written again */
    } else if (w->end - w->code >= bytes) {
        memcpy(w->code, &w->word, (size_t)bytes);
    } else { /* full: what follows has no room either, and must not pile up */
        *w = (struct bit_writer){ .code = w->code, .end = w->code };
        return;
    }
    w->code += bytes;
    w->word >>= 8 * bytes;
    w->pending %= 8;
}

unsigned char *bits_finish(struct bit_writer *w)
{
    if (w->pending > 0 && w->code < w->end)
        *w->code++ = (unsigned char)w->word;
    w->word = 0;
    w->pending = 0;
    return w->code;
}

/* The next 57 bits or more, zeros after the end. */
static uint64_t peek(const struct bit_reader *r)
{
    const size_t byte = r->at / 8, bytes = (r->bits + 7) / 8, left = byte < bytes ? bytes - byte : 0;
    uint64_t word = 0;
    memcpy(&word, r->code + byte, left < sizeof word ? left : sizeof word);
    return word >> r->at % 8;
}

static void advance(struct bit_reader *r, int count)
{
    r->at = r->bits - r->at < (size_t)count ? r->bits : r->at + (size_t)count;
}

uint64_t bits_read(struct bit_reader *r, int count)
{
    const uint64_t word = peek(r) & ones(count);
    advance(r, count);
    return word;
}

/* Of numbers of k + 1 bits: what comes before the last group, which is the groups of k; its bits; those of the whole code. */
static const struct {
    uint16_t before;
    uint8_t before_length, length;
} codes[32] = { { 0x0, 0, 1 },     { 0x0, 0, 3 },     { 0x1, 2, 6 },     { 0x3, 2, 7 },     { 0x5, 5, 11 },    { 0xd, 5, 12 },
                { 0x15, 5, 13 },   { 0x1d, 5, 14 },   { 0x7, 6, 16 },    { 0xf, 6, 17 },    { 0x17, 6, 18 },   { 0x1f, 6, 19 },
                { 0x27, 6, 20 },   { 0x2f, 6, 21 },   { 0x37, 6, 22 },   { 0x3f, 6, 23 },   { 0x25, 10, 28 },  { 0x65, 10, 29 },
                { 0xa5, 10, 30 },  { 0xe5, 10, 31 },  { 0x125, 10, 32 }, { 0x165, 10, 33 }, { 0x1a5, 10, 34 }, { 0x1e5, 10, 35 },
                { 0x225, 10, 36 }, { 0x265, 10, 37 }, { 0x2a5, 10, 38 }, { 0x2e5, 10, 39 }, { 0x325, 10, 40 }, { 0x365, 10, 41 },
                { 0x3a5, 10, 42 }, { 0x3e5, 10, 43 } };

int elias_length(uint32_t n)
{
    return codes[31 - __builtin_clz(n)].length;
}

static uint64_t elias_word(uint32_t n)
{
    const int below = 31 - __builtin_clz(n);
    const uint64_t group = (uint64_t)(n - (1u << below)) << 1 | (below > 0);
    return group << codes[below].before_length | codes[below].before;
}

void elias_write(struct bit_writer *w, uint32_t n)
{
    bits_write(w, elias_word(n), elias_length(n));
}

uint32_t elias_read(struct bit_reader *r)
{
    uint64_t word = peek(r);
    uint32_t n = 1;
    int length = 1;
    while (word & 1) {
        if (n > 31)
            return 0;
        const uint64_t below = word >> 1 & ones((int)n);
        length += 1 + (int)n;
        word >>= 1 + n;
        n = (uint32_t)((uint64_t)1 << n | below);
    }
    if ((size_t)length > r->bits - r->at)
        return 0;
    advance(r, length);
    return n;
}

struct elias_lengths elias_measure(const uint16_t *symbols, size_t n, int most)
{
    struct elias_lengths l = { 0 };
    size_t dense = 0, sparse = 0;
    uint32_t distance = 1;
    for (size_t i = 0; i < n; i++, distance++) { /* without a branch, which would be mispredicted as often as not */
        const uint32_t magnitude = (uint32_t)abs(symbols[i] - most), nonzero = magnitude > 0;
        dense += (size_t)elias_length(magnitude + 1) + nonzero;
        sparse += (size_t)(elias_length(distance) + 1 + elias_length(magnitude | !nonzero)) * nonzero;
        l.nonzero_count += nonzero;
        distance = nonzero ? 0 : distance;
    }
    l.bits[ELIAS_DENSE] = dense;
    l.bits[ELIAS_SPARSE] = sparse + (size_t)elias_length(l.nonzero_count + 1);
    return l;
}

static void write_dense(struct bit_writer *w, const uint16_t *symbols, size_t n, int most)
{
    for (size_t i = 0; i < n; i++) {
        const int q = symbols[i] - most;
        const uint32_t next = (uint32_t)abs(q) + 1;
        bits_write(w, elias_word(next) | (uint64_t)(q < 0) << elias_length(next), elias_length(next) + (q != 0));
    }
}

static void write_sparse(struct bit_writer *w, const uint16_t *symbols, size_t n, int most, uint32_t nonzero_count)
{
    uint32_t distance = 1;
    elias_write(w, nonzero_count + 1);
    for (size_t i = 0; i < n; i++, distance++) {
        const int q = symbols[i] - most;
        if (q == 0)
            continue;
        elias_write(w, distance);
        bits_write(w, (uint64_t)(q < 0) | elias_word((uint32_t)abs(q)) << 1, elias_length((uint32_t)abs(q)) + 1);
        distance = 0;
    }
}

size_t elias_pack(enum elias_kind kind, const uint16_t *symbols, size_t n, int most, const struct elias_lengths *lengths,
                  unsigned char *code)
{
    struct bit_writer w = { .code = code, .end = code + (lengths->bits[kind] + 7) / 8 };
    if (kind == ELIAS_DENSE)
        write_dense(&w, symbols, n, most);
    else
        write_sparse(&w, symbols, n, most, lengths->nonzero_count);
    return (size_t)(bits_finish(&w) - code);
}

static uint16_t symbol(uint32_t magnitude, bool negative, int most)
{
    return (uint16_t)(negative ? (uint32_t)most - magnitude : (uint32_t)most + magnitude);
}

static void read_dense(struct bit_reader *r, size_t n, int most, uint16_t *symbols)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t magnitude = elias_read(r) - 1;
        if (magnitude > (uint32_t)most || (magnitude > 0 && r->at == r->bits))
            return;
        symbols[i] = symbol(magnitude, magnitude > 0 && bits_read(r, 1), most);
    }
}

static void read_sparse(struct bit_reader *r, size_t n, int most, uint16_t *symbols)
{
    size_t next = 0;
    for (uint32_t left = elias_read(r); left > 1; left--) {
        const uint32_t distance = elias_read(r);
        const bool negative = bits_read(r, 1);
        const uint32_t magnitude = elias_read(r);
        if (distance == 0 || distance > n - next || magnitude == 0 || magnitude > (uint32_t)most)
            return;
        next += distance;
        symbols[next - 1] = symbol(magnitude, negative, most);
    }
}

void elias_unpack(enum elias_kind kind, const unsigned char *code, size_t bytes, size_t n, int most, uint16_t *symbols)
{
    struct bit_reader r = { .code = code, .bits = 8 * bytes };
    for (size_t i = 0; i < n; i++)
        symbols[i] = (uint16_t)most;
    if (kind == ELIAS_DENSE)
        read_dense(&r, n, most, symbols);
    else
        read_sparse(&r, n, most, symbols);
}
