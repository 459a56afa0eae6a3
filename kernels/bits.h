/* Symbols of a few bits as bytes.
 *
 *     packed: symbol i is the bits i width .. (i + 1) width - 1 of the code; bit j is bit j % 8 of byte j / 8 (least significant
 *             first); bits after the last symbol are 0
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

#endif
