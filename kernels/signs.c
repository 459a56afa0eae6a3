/* Both directions know nothing of the numbers but that there are two for each bucket. */
#include "kernels/signs.h"

#include "kernels/bits.h"
#include "kernels/vector.h"

enum { CHUNK = 512 };

static size_t buckets(const struct signs *s, size_t n)
{
    return n / s->bucket + (n % s->bucket != 0);
}

size_t signs_code_bytes(const struct signs *s, size_t n)
{
    return buckets(s, n) * s->numbers_bytes + bits_bytes(n, s->width);
}

size_t signs_scratch_bytes(const struct coding *c)
{
    return (c->n + LANES) * sizeof(uint16_t);
}

double signs_logical_bits(const struct signs *s, size_t n)
{
    return 8.0 * (double)(buckets(s, n) * s->numbers_bytes) + (double)n;
}

void signs_encode(size_t n, const float *x, void *scratch)
{
    uint16_t *const symbols = scratch;
    for (size_t i = 0; i < n; i += LANES) {
        const vec_short negative = __builtin_convertvector(-(vec_load_some(x + i, vec_count(n, i), 0) < 0), vec_short);
        memcpy(symbols + i, &negative, sizeof negative);
    }
}

size_t signs_pack(const struct signs *s, size_t n, unsigned char *code, const void *scratch)
{
    bits_pack(scratch, n, s->width, code + buckets(s, n) * s->numbers_bytes);
    return signs_code_bytes(s, n);
}

VEC_INLINE void add_piece(const uint16_t *symbols, size_t n, float positive, float negative, float *y)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = vec_count(n, i);
        vec_short symbol;
        memcpy(&symbol, symbols + i, sizeof symbol);
        const vec_int is_negative = __builtin_convertvector(symbol, vec_int) != 0;
        const vec value = vec_select(is_negative, vec_set(negative), vec_set(positive));
        vec_store_some(y + i, vec_load_some(y + i, m, 0) + value, m);
    }
}

void signs_decode(const struct signs *s, const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y)
{
    const size_t n = c->n, start = buckets(s, n) * s->numbers_bytes;
    if (bytes < signs_code_bytes(s, n))
        return;
    for (size_t first = 0; first < n; first += CHUNK) {
        const size_t end = n - first < CHUNK ? n : first + CHUNK;
        uint16_t symbols[CHUNK + LANES] = { 0 };
        bits_unpack(code + start, bytes - start, first, end - first, s->width, symbols);
        for (size_t i = first, m; i < end; i += m) {
            const size_t left = s->bucket - i % s->bucket;
            float positive, negative;
            m = end - i < left ? end - i : left;
            s->numbers(c, code + i / s->bucket * s->numbers_bytes, &positive, &negative);
            add_piece(symbols + (i - first), m, factor * positive, factor * negative, y + i);
        }
    }
}
