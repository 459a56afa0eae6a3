/* A rounding, chosen by the options, and its error. */
#include "kernels/cast.h"

#include <math.h>
#include <string.h>

#include "kernels/half.h"
#include "kernels/norm.h"

static const char *const roundings[] = { "nearest", "stochastic", NULL };

const struct key cast_keys[] = {
    { "rounding", KEY_CHOICE, offsetof(struct cast, rounding), "\"nearest\"", .choices = roundings,
      .help = "\"stochastic\" has no bias, \"nearest\" less error." },
    { 0 },
};

static bool is_stochastic(const struct cast *o)
{
    return strcmp(o->rounding, "stochastic") == 0;
}

unsigned cast_traits(const void *options)
{
    return is_stochastic(options) ? COMPRESSOR_UNBIASED : COMPRESSOR_CONTRACTIVE;
}

size_t cast_bytes(const struct coding *c)
{
    return c->n * sizeof(uint16_t);
}

size_t cast_elements(const struct coding *c, int part)
{
    (void)part;
    return c->n;
}

void cast_encode(enum element e, const struct coding *c, const float *x, unsigned char *code)
{
    if (is_stochastic(c->options))
        half_round_stochastic(e, x, c->n, &c->random, code);
    else
        half_round(e, x, c->n, code);
}

double cast_variance(enum element e, const struct coding *c, const float *x)
{
    if (!x)
        return INFINITY;
    const double u = e == ELEMENT_HALF ? 0x1p-11 : 0x1p-8, t = e == ELEMENT_HALF ? 0x1p-25 : 0x1p-134;
    const double squares = norm_squares(x, c->n);
    return u * u + (squares > 0 ? (double)c->n * t * t / squares : 0);
}
