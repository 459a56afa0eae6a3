/* Conversions between floats and 16-bit floats by integer arithmetic on their bits: to drop the lower bits of a magnitude after
 * adding `carry` to it rounds by whatever carry is, half an ulp or a random number, and carries into the exponent as it should. */
#include "kernels/half.h"

#include "kernels/vector.h"

enum { REBIAS = (127 - 15) << 23, CHUNK = 512 }; /* what an exponent loses from binary32 to binary16 */

VEC_INLINE vec_bits select_bits(vec_int mask, vec_bits a, vec_bits b)
{
    return ((vec_bits)mask & a) | (~(vec_bits)mask & b);
}

/* Magnitudes below 2^-14 in units of 2^-24; others give something. */
VEC_INLINE vec_bits subnormal_half(vec magnitude, bool stochastic, vec_bits words)
{
    const vec scaled = magnitude * 0x1p24f, v = vec_select(scaled < 1024, scaled, vec_set(1024));
    if (!stochastic)
        return (vec_bits)(v + 0x1p23f) - (vec_bits)vec_set(0x1p23f); /* 2^23 + v has no place for a fraction */
    const vec_int whole = __builtin_convertvector(v, vec_int);
    const vec fraction = v - __builtin_convertvector(whole, vec), uniform = __builtin_convertvector(words >> 8, vec) * 0x1p-24f;
    return (vec_bits)(whole - (uniform < fraction)); /* true is -1 */
}

VEC_INLINE vec_bits half_of(vec x, bool stochastic, vec_bits words)
{
    const vec_bits bits = (vec_bits)x, magnitude = bits & 0x7fffffff;
    const vec_bits carry = stochastic ? words >> 19 : 0xfff + (magnitude >> 13 & 1);
    const vec_bits rounded = (magnitude + carry - REBIAS) >> 13;
    vec_bits half = select_bits(rounded > 0x7c00, 0x7c00 + 0 * bits, rounded);
    half = select_bits(magnitude < 0x38800000, subnormal_half((vec)magnitude, stochastic, words), half);
    half = select_bits(magnitude > 0x7f800000, 0x7e00 + 0 * bits, half);
    return half | (bits >> 16 & 0x8000);
}

VEC_INLINE vec_bits bfloat_of(vec x, bool stochastic, vec_bits words)
{
    const vec_bits bits = (vec_bits)x;
    const vec_bits carry = stochastic ? words >> 16 : 0x7fff + (bits >> 16 & 1);
    return select_bits((bits & 0x7fffffff) > 0x7f800000, bits >> 16 | 0x40, (bits + carry) >> 16);
}

VEC_INLINE vec_short narrow(enum element e, vec x, bool stochastic, vec_bits words)
{
#ifdef __AVX512F__ /* the same in one instruction */
    if (e == ELEMENT_HALF && !stochastic)
        return (vec_short)_mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#endif
    return __builtin_convertvector(e == ELEMENT_HALF ? half_of(x, stochastic, words) : bfloat_of(x, stochastic, words), vec_short);
}

VEC_INLINE vec widen(enum element e, vec_short from)
{
    const vec_bits bits = __builtin_convertvector(from, vec_bits);
    if (e == ELEMENT_BFLOAT)
        return (vec)(bits << 16);
#ifdef __AVX512F__
    return (vec)_mm512_cvtph_ps((__m256i)from);
#else
    const vec_bits magnitude = bits & 0x7fff, normal = (magnitude << 13) + REBIAS;
    const vec_bits finite = select_bits(magnitude < 0x400, (vec_bits)(__builtin_convertvector(magnitude, vec) * 0x1p-24f), normal);
    return (vec)(select_bits(magnitude >= 0x7c00, normal + REBIAS, finite) | (bits & 0x8000) << 16);
#endif
}

VEC_INLINE vec_short load_half(const unsigned char *p, size_t m)
{
    if (m == LANES) {
        vec_short whole;
        memcpy(&whole, p, sizeof whole);
        return whole;
    }
    vec_short some = { 0 };
    memcpy(&some, p, m * sizeof(uint16_t));
    return some;
}

VEC_INLINE void store_half(unsigned char *p, vec_short h, size_t m)
{
    if (m == LANES)
        memcpy(p, &h, sizeof h);
    else
        memcpy(p, &h, m * sizeof(uint16_t));
}

/* x[n], stochastically with n of the words, or with none to the nearest. */
VEC_INLINE void round_to(enum element e, const float *x, size_t n, const uint32_t *words, unsigned char *to)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = vec_count(n, i);
        vec_bits w = { 0 };
        if (words)
            memcpy(&w, words + i, sizeof w);
        store_half(to + 2 * i, narrow(e, vec_load_some(x + i, m, 0), words != NULL, w), m);
    }
}

void half_round(enum element e, const float *x, size_t n, void *to)
{
    if (e == ELEMENT_HALF)
        round_to(ELEMENT_HALF, x, n, NULL, to);
    else
        round_to(ELEMENT_BFLOAT, x, n, NULL, to);
}

void half_round_stochastic(enum element e, const float *x, size_t n, const struct random *r, void *to)
{
    for (size_t i = 0; i < n; i += CHUNK) {
        const size_t m = n - i < CHUNK ? n - i : CHUNK;
        uint32_t words[CHUNK];
        random_bits(r, i, words, CHUNK);
        if (e == ELEMENT_HALF)
            round_to(ELEMENT_HALF, x + i, m, words, (unsigned char *)to + 2 * i);
        else
            round_to(ELEMENT_BFLOAT, x + i, m, words, (unsigned char *)to + 2 * i);
    }
}

VEC_INLINE void add_scaled(enum element e, const unsigned char *from, size_t n, float factor, float *y)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = vec_count(n, i);
        const vec sum = vec_load_some(y + i, m, 0) + factor * widen(e, load_half(from + 2 * i, m));
        vec_store_some(y + i, sum, m);
    }
}

void half_add_scaled(enum element e, const void *from, size_t n, float factor, float *y)
{
    if (e == ELEMENT_HALF)
        add_scaled(ELEMENT_HALF, from, n, factor, y);
    else
        add_scaled(ELEMENT_BFLOAT, from, n, factor, y);
}

VEC_INLINE void add(enum element e, unsigned char *to, const unsigned char *from, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t m = vec_count(n, i);
        const vec sum = widen(e, load_half(to + 2 * i, m)) + widen(e, load_half(from + 2 * i, m));
        store_half(to + 2 * i, narrow(e, sum, false, (vec_bits){ 0 }), m);
    }
}

void add_half(void *to, const void *from, size_t n)
{
    add(ELEMENT_HALF, to, from, n);
}

void add_bfloat(void *to, const void *from, size_t n)
{
    add(ELEMENT_BFLOAT, to, from, n);
}
