/* Symbols of a few bits as bytes, and integers by an Elias code.
 *
 *     packed: symbol i is the bits i width .. (i + 1) width - 1 of the code; bit j is bit j % 8 of byte j / 8 (least significant
 *             first); bits after the last symbol are 0
 *
 * A stream has the same order of bits. Its reader gives zeros after the end, and never looks there.
 * Elias's recursive code (omega) of an integer >= 1 is a list of groups and a final 0; a group is a 1 and then as many bits as the
 * group before says (the first: 1 bit), least significant first: together the next number, the last one is the integer.
 * Source: Elias, "Universal codeword sets and representations of the integers", IEEE Trans. Inf. Theory 21, 1975; what deviates is
 * the order of bits in a group.
 */
#ifndef DMLBENCH_KERNELS_BITS_H
#define DMLBENCH_KERNELS_BITS_H

#include <stddef.h>
#include <stdint.h>

enum { BITS_GROUP = 8, BITS_WIDTH_MAX = 16 }; /* so many symbols are whole bytes, whatever their width */

size_t bits_bytes(size_t n, int width); /* ceil(n width / 8) */
int bits_width(uint32_t symbols_count); /* of so many different symbols: ceil(log2 count), count >= 1 */

/* symbols[n], each below 2^width, 1 <= width <= 16, to bits_bytes(n, width) bytes of any alignment. */
void bits_pack(const uint16_t *symbols, size_t n, int width, unsigned char *code);

/* Symbols first .. first + n - 1 of a code of `bytes` bytes, which holds them all; first is a multiple of 8. Room for n rounded up
 * to a multiple of 8. */
void bits_unpack(const unsigned char *code, size_t bytes, size_t first, size_t n, int width, uint16_t *symbols);

struct bit_writer {
    unsigned char *code; /* the next whole byte's place; the caller sees to the room */
    uint64_t word;       /* pending bits */
    int pending;         /* < 8 */
};

struct bit_reader {
    const unsigned char *code;
    size_t bits, at;
};

void bits_write(struct bit_writer *w, uint64_t word, int count); /* the lower count <= 56 bits; those above must be 0 */
unsigned char *bits_finish(struct bit_writer *w);                /* fills the last byte with 0; returns the place after it */
uint64_t bits_read(struct bit_reader *r, int count);             /* count <= 56 */

int elias_length(uint32_t n);                       /* bits of n >= 1; at most 43 */
void elias_write(struct bit_writer *w, uint32_t n); /* n >= 1 */
uint32_t elias_read(struct bit_reader *r);          /* 0: the stream ends before, or no such code below 2^32 */

#endif
