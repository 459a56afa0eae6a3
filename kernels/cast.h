/* Private to kernels/: what fp16 and bf16 have in common. C(x) is x in a 16-bit format, two bytes a float, nothing else.
 *
 * With u = half of the largest ulp (2^-11 |x| or 2^-8 |x|) and t = half of the spacing at 0 (2^-25 or 2^-134), a float is off by at
 * most max(u |x|, min(t, |x|)) if it is rounded to the nearest, and has a variance of at most (u |x|)^2 + t^2 if stochastically.
 * Hence delta = 1 - u^2 - n t^2 / |x|_2^2 and omega = u^2 + n t^2 / |x|_2^2 (derived), as long as nothing overflows: above 65504
 * (binary16) numbers become Inf, as IEEE 754 has it. A sum of codes is rounded, too, at every addition of an allreduce.
 */
#ifndef DMLBENCH_KERNELS_CAST_H
#define DMLBENCH_KERNELS_CAST_H

#include "kernels/compressor.h"

struct cast {
    const char *rounding;
};

extern const struct key cast_keys[];

unsigned cast_traits(const void *options);
size_t cast_bytes(const struct coding *c);
size_t cast_elements(const struct coding *c, int part);
void cast_encode(enum element e, const struct coding *c, const float *x, unsigned char *code);
double cast_variance(enum element e, const struct coding *c, const float *x); /* u^2 + n t^2 / |x|_2^2; x NULL: INFINITY */

#endif
