/* Streams of bits, Elias's code of an integer, and QSGD's two codes of many integers of which most are small or 0.
 *
 * A stream is bytes, least significant bit first. Its reader gives zeros after the end, and never looks there.
 * The recursive code (omega) of an integer >= 1 is a list of groups and a final 0; a group is a 1 and then as many bits as the
 * group before says (the first: 1 bit), least significant first: together the next number, the last one is the integer.
 *
 *     dense:  for every integer q the code of |q| + 1, and a bit (1: negative) unless q = 0
 *     sparse: the code of 1 + how many are not 0; for each of them the code of its distance to the one before, a bit, the code of
 * |q|
 *
 * Source: Elias, "Universal codeword sets and representations of the integers", IEEE Trans. Inf. Theory 21, 1975; Alistarh et al.,
 * NeurIPS 2017. What deviates: the order of bits in a group, and the count in front of the sparse code.
 */
#ifndef DMLBENCH_KERNELS_ELIAS_H
#define DMLBENCH_KERNELS_ELIAS_H

#include <stddef.h>
#include <stdint.h>

struct bit_writer {
    unsigned char *code, *end; /* the next whole byte's place; the end of the room */
    uint64_t word;             /* pending bits */
    int pending;               /* < 8 */
};

struct bit_reader {
    const unsigned char *code;
    size_t bits, at;
};

/* The lower count <= 56 bits of the word; those above must be 0. What has no room is left out. */
void bits_write(struct bit_writer *w, uint64_t word, int count);
unsigned char *bits_finish(struct bit_writer *w);    /* fills the last byte with 0; returns the place after it */
uint64_t bits_read(struct bit_reader *r, int count); /* count <= 56 */

int elias_length(uint32_t n);                       /* bits of n >= 1; at most 43 */
void elias_write(struct bit_writer *w, uint32_t n); /* n >= 1 */
uint32_t elias_read(struct bit_reader *r);          /* 0: the stream ends before, or no such code below 2^32 */

/* q = symbols[i] - most, at most `most` <= 32767 in magnitude; n < 2^32 - 1 of them. */
enum elias_kind { ELIAS_DENSE, ELIAS_SPARSE };

struct elias_lengths {
    size_t bits[2];         /* of either kind */
    uint32_t nonzero_count; /* which the sparse code needs to know */
};

struct elias_lengths elias_measure(const uint16_t *symbols, size_t n, int most);
/* Returns the bytes, (lengths->bits[kind] + 7) / 8. */
size_t elias_pack(enum elias_kind kind, const uint16_t *symbols, size_t n, int most, const struct elias_lengths *lengths,
                  unsigned char *code);
/* symbols[n]. A stream that ends early, or has an integer or a place that cannot be, says nothing from there on: zeros. */
void elias_unpack(enum elias_kind kind, const unsigned char *code, size_t bytes, size_t n, int most, uint16_t *symbols);

#endif
