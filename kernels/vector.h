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

/* Vectors wider than the processor's have no settled calling convention; nothing here is called across files. */
#pragma GCC diagnostic ignored "-Wpsabi"

enum { LANES = 16 };
typedef float vec __attribute__((vector_size(64)));
typedef int32_t vec_int __attribute__((vector_size(64)));

static inline vec vec_set(float x)
{
    return x - (vec){ 0 }; /* not +: -0 + 0 is +0 */
}

static inline vec vec_load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void vec_store(float *p, vec v)
{
    memcpy(p, &v, sizeof v);
}

/* How many of n floats the vector that begins at i holds. */
static inline size_t vec_count(size_t n, size_t i)
{
    return n - i < LANES ? n - i : LANES;
}

/* The first m lanes from p, the others `fill`. */
static inline vec vec_load_some(const float *p, size_t m, float fill)
{
    if (m == LANES)
        return vec_load(p);
    vec v = vec_set(fill);
    memcpy(&v, p, m * sizeof *p);
    return v;
}

static inline void vec_store_some(float *p, vec v, size_t m)
{
    if (m == LANES)
        vec_store(p, v);
    else
        memcpy(p, &v, m * sizeof *p);
}

/* Lane by lane: mask ? a : b, for a mask made by a comparison. */
static inline vec vec_select(vec_int mask, vec a, vec b)
{
    return (vec)((mask & (vec_int)a) | (~mask & (vec_int)b));
}

/* The larger of each pair; b where either is NaN. */
static inline vec vec_max(vec a, vec b)
{
    return vec_select(a > b, a, b);
}

static inline float vec_sum(vec v)
{
    typedef float half __attribute__((vector_size(32)));
    typedef float quarter __attribute__((vector_size(16)));
    const half h =
        __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
    const quarter q = __builtin_shufflevector(h, h, 0, 1, 2, 3) + __builtin_shufflevector(h, h, 4, 5, 6, 7);
    return (q[0] + q[2]) + (q[1] + q[3]);
}

static inline float vec_largest(vec v)
{
    float largest = v[0];
    for (int i = 1; i < LANES; i++)
        largest = v[i] > largest ? v[i] : largest;
    return largest;
}

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
    static inline vec vec_##name(vec v)                                                                                            \
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
