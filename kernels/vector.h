/* Private to kernels/: sixteen floats at a time, in the compiler's own vector type, so one source serves every processor.
 *
 * A sum has 16 running lanes, lane l taking the elements l, l+16, l+32, ..., and ends in a fixed tree (8 + 8, 4 + 4, 2 + 2, 1 + 1).
 * The order of additions is thus given by the length alone, not by alignment, compiler or vector width.
 * Loops have the form
 *     for (size_t i = 0; i < n; i += LANES) { const size_t m = vec_count(n, i); vec v = vec_load_some(x + i, m, 0); ... }
 * where the last vector may be short. exp, log, sin and cos are SLEEF's, within 1 ulp, at the width that the processor has.
 */
#ifndef DMLBENCH_KERNELS_VECTOR_H
#define DMLBENCH_KERNELS_VECTOR_H

#include <sleef.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Functions of vectors must vanish into their callers: vectors wider than the processor's have no settled calling convention. */
#define VEC_INLINE static inline __attribute__((always_inline))

enum { LANES = 16 };
typedef float vec __attribute__((vector_size(64)));
typedef int32_t vec_int __attribute__((vector_size(64)));
typedef uint32_t vec_bits __attribute__((vector_size(64)));
typedef uint16_t vec_short __attribute__((vector_size(32)));

VEC_INLINE vec vec_set(float x)
{
    return x - (vec){ 0 }; /* not +: -0 + 0 is +0 */
}

VEC_INLINE vec vec_load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

VEC_INLINE void vec_store(float *p, vec v)
{
    memcpy(p, &v, sizeof v);
}

/* How many of n floats the vector that begins at i holds. */
VEC_INLINE size_t vec_count(size_t n, size_t i)
{
    return n - i < LANES ? n - i : LANES;
}

/* The first m lanes from p, the others `fill`. */
VEC_INLINE vec vec_load_some(const float *p, size_t m, float fill)
{
    if (m == LANES)
        return vec_load(p);
#ifdef __AVX512F__ /* a copy through memory would wait for its own bytes */
    return _mm512_mask_loadu_ps(vec_set(fill), (__mmask16)((1u << m) - 1), p);
#else
    vec v = vec_set(fill);
    memcpy(&v, p, m * sizeof *p);
    return v;
#endif
}

VEC_INLINE void vec_store_some(float *p, vec v, size_t m)
{
    if (m == LANES)
        vec_store(p, v);
    else
#ifdef __AVX512F__
        _mm512_mask_storeu_ps(p, (__mmask16)((1u << m) - 1), v);
#else
        memcpy(p, &v, m * sizeof *p);
#endif
}

/* Lane by lane: mask ? a : b, for a mask made by a comparison. */
VEC_INLINE vec vec_select(vec_int mask, vec a, vec b)
{
    return (vec)((mask & (vec_int)a) | (~mask & (vec_int)b));
}

VEC_INLINE vec vec_add(vec a, vec b)
{
    return a + b;
}

/* The larger of each pair; b where either is NaN. */
VEC_INLINE vec vec_max(vec a, vec b)
{
    return vec_select(a > b, a, b);
}

/* Combines the 16 lanes in the fixed tree. */
#define VEC_FOLD(name, combine)                                                                                                    \
    VEC_INLINE float name(vec v)                                                                                                   \
    {                                                                                                                              \
        v = combine(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));                       \
        v = combine(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));                       \
        v = combine(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));                       \
        v = combine(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));                       \
        return v[0];                                                                                                               \
    }
VEC_FOLD(vec_sum, vec_add)
VEC_FOLD(vec_largest, vec_max)

#if defined __AVX512F__
enum { SLEEF_LANES = 16 };
#define SLEEF(name) Sleef_##name##f16_u10
#elif defined __AVX2__
enum { SLEEF_LANES = 8 };
#define SLEEF(name) Sleef_##name##f8_u10
#else
enum { SLEEF_LANES = 4 };
#define SLEEF(name) Sleef_##name##f4_u10
#endif

typedef float sleef_vec __attribute__((vector_size(4 * SLEEF_LANES)));

#define VEC_FUNCTION(name)                                                                                                         \
    VEC_INLINE vec vec_##name(vec v)                                                                                               \
    {                                                                                                                              \
        sleef_vec part[LANES / SLEEF_LANES];                                                                                       \
        memcpy(part, &v, sizeof v);                                                                                                \
        for (int i = 0; i < LANES / SLEEF_LANES; i++)                                                                              \
            part[i] = SLEEF(name)(part[i]);                                                                                        \
        memcpy(&v, part, sizeof v);                                                                                                \
        return v;                                                                                                                  \
    }
VEC_FUNCTION(exp)
VEC_FUNCTION(log)
VEC_FUNCTION(sin)
VEC_FUNCTION(cos)

#endif
