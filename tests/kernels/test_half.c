/* 16-bit floats against their definition in double precision: sign * fraction * 2^exponent, and nearbyint, which rounds ties to
 * even. */
#include "tests/kernels/check.h"

#include <float.h>

#include "kernels/half.h"

enum { DRAWS = 4096 };

static const struct format {
    enum element element;
    int precision, least, bias, exponents; /* significant bits; exponent of the least normal number; field's bias and number */
    double largest;
} formats[] = { { ELEMENT_HALF, 11, -14, 15, 32, 65504 }, { ELEMENT_BFLOAT, 8, -126, 127, 256, 0x1.fep127 } };

static double value(const struct format *f, uint16_t bits)
{
    const int fraction_bits = f->precision - 1, fraction = bits & ((1 << fraction_bits) - 1);
    const int exponent = (bits & 0x7fff) >> fraction_bits;
    const double sign = bits >> 15 ? -1 : 1;
    if (exponent == f->exponents - 1)
        return fraction ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexp(fraction, f->least - fraction_bits);
    return sign * ldexp(fraction + (1 << fraction_bits), exponent - f->bias - fraction_bits);
}

/* Distance of the format's numbers around x. */
static double spacing(const struct format *f, double x)
{
    int exponent;
    frexp(x, &exponent);
    return ldexp(1, (exponent - 1 > f->least && x != 0 ? exponent - 1 : f->least) - (f->precision - 1));
}

static double nearest(const struct format *f, double x)
{
    const double rounded = nearbyint(x / spacing(f, x)) * spacing(f, x);
    return fabs(rounded) > f->largest ? copysign(INFINITY, x) : rounded;
}

static bool same(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b && !signbit(a) == !signbit(b);
}

static void every_code_means_what_the_definition_says(void **state)
{
    (void)state;
    static uint16_t codes[1 << 16];
    static float x[1 << 16];
    for (size_t f = 0; f < COUNT(formats); f++) {
        for (uint32_t i = 0; i < COUNT(codes); i++)
            codes[i] = (uint16_t)i;
        for (uint32_t i = 0; i < COUNT(x); i++)
            x[i] = -0.f;
        half_add_scaled(formats[f].element, codes, COUNT(codes), 1, x);
        for (uint32_t i = 0; i < COUNT(codes); i++)
            if (!same(x[i], value(&formats[f], (uint16_t)i)))
                fail_msg("code %04x is %g, not %g", i, (double)x[i], value(&formats[f], (uint16_t)i));
    }
}

static void check_nearest(const struct format *f, float x)
{
    uint16_t code;
    half_round(f->element, &x, 1, &code);
    if (!same(value(f, code), isnan(x) ? (double)x : nearest(f, x)))
        fail_msg("%a became %a, not %a", (double)x, value(f, code), nearest(f, x));
}

static void numbers_ties_and_their_neighbours_go_to_the_nearest(void **state)
{
    (void)state;
    for (size_t f = 0; f < COUNT(formats); f++)
        for (uint32_t i = 0; i < 1 << 16; i++) {
            const double at = value(&formats[f], (uint16_t)i), next = value(&formats[f], (uint16_t)(i + 1));
            const float number = (float)at, tie = (float)((at + (isfinite(next) ? next : at + spacing(&formats[f], at))) / 2);
            check_nearest(&formats[f], number);
            check_nearest(&formats[f], tie);
            check_nearest(&formats[f], nextafterf(tie, INFINITY));
            check_nearest(&formats[f], nextafterf(tie, -INFINITY));
        }
    const float more[] = { 65519.996f, 65520, -65520, 1e38f, FLT_MAX, 0x1p-149f, -0x1p-25f, 0x1.8p-25f };
    for (size_t f = 0; f < COUNT(formats); f++)
        for (size_t i = 0; i < COUNT(more); i++)
            check_nearest(&formats[f], more[i]);
}

static void an_array_of_any_length_and_alignment_has_the_codes_of_its_numbers(void **state)
{
    (void)state;
    float x[70];
    unsigned char codes[2 * 70 + 3];
    fill(x, COUNT(x), 1);
    for (size_t f = 0; f < COUNT(formats); f++)
        for (size_t n = 0; n < 68; n++) {
            memset(codes, 0xa5, sizeof codes);
            half_round(formats[f].element, x + 1, n, codes + 1);
            assert_true(codes[0] == 0xa5 && codes[1 + 2 * n] == 0xa5);
            for (size_t i = 0; i < n; i++) {
                uint16_t code;
                memcpy(&code, codes + 1 + 2 * i, sizeof code);
                assert_true(value(&formats[f], code) == nearest(&formats[f], x[1 + i]));
            }
        }
}

static void sums_are_rounded_once(void **state)
{
    (void)state;
    uint16_t to[101], from[101], sum[101];
    for (size_t f = 0; f < COUNT(formats); f++)
        for (uint32_t seed = 0; seed < 200; seed++) {
            for (uint32_t i = 0; i < COUNT(to); i++) {
                to[i] = (uint16_t)((seed * 101 + i) * 2654435761u >> 13);
                from[i] = (uint16_t)(to[i] ^ (i * 40503u >> i % 16)); /* of a like size, or not */
            }
            memcpy(sum, to, sizeof sum);
            (formats[f].element == ELEMENT_HALF ? add_half : add_bfloat)(sum, from, COUNT(sum));
            for (size_t i = 0; i < COUNT(sum); i++) {
                const float exact = (float)(value(&formats[f], to[i]) + value(&formats[f], from[i]));
                assert_true(same(value(&formats[f], sum[i]), isfinite(exact) ? nearest(&formats[f], exact) : (double)exact));
            }
        }
}

/* Both neighbours, and no other number, as often as makes the mean the number. */
static void stochastic_rounding_has_the_right_mean(void **state)
{
    (void)state;
    static float x[DRAWS];
    static uint16_t codes[DRAWS];
    const float numbers[] = { 1.0003f, -3.14159f, 60000.3f, 1e-5f, -3e-6f, 3e-8f, 0x1.004p-14f, 0x1p-30f, 0x1.fffffep-127f, 0.f };
    for (size_t f = 0; f < COUNT(formats); f++)
        for (size_t k = 0; k < COUNT(numbers); k++) {
            const double exact = numbers[k], ulp = spacing(&formats[f], exact), below = floor(exact / ulp) * ulp;
            const double probability = (exact - below) / ulp;
            for (int i = 0; i < DRAWS; i++)
                x[i] = numbers[k];
            half_round_stochastic(formats[f].element, x, DRAWS, &(struct random){ .seed = k }, codes);
            int up = 0;
            for (int i = 0; i < DRAWS; i++) {
                const double got = value(&formats[f], codes[i]);
                assert_true(got == below || got == below + ulp);
                up += got > below;
            }
            const double deviation = sqrt(DRAWS * probability * (1 - probability));
            assert_true(fabs(up - DRAWS * probability) <= 4.5 * deviation + 1e-6);
        }
}

static void rounding_keeps_what_is_not_finite(void **state)
{
    (void)state;
    float x[] = { INFINITY, -INFINITY, -NAN, 0 };
    memcpy(x + 3, &(uint32_t){ 0x7f800001 }, sizeof *x); /* a NaN of which the upper half is Inf */
    for (size_t f = 0; f < COUNT(formats); f++)
        for (uint32_t seed = 0; seed < 100; seed++) {
            uint16_t codes[4];
            if (seed == 0)
                half_round(formats[f].element, x, 4, codes);
            else
                half_round_stochastic(formats[f].element, x, 4, &(struct random){ .seed = seed }, codes);
            for (int i = 0; i < 4; i++)
                assert_true(isnan(x[i]) ? isnan(value(&formats[f], codes[i])) : value(&formats[f], codes[i]) == (double)x[i]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_means_what_the_definition_says),
        cmocka_unit_test(numbers_ties_and_their_neighbours_go_to_the_nearest),
        cmocka_unit_test(an_array_of_any_length_and_alignment_has_the_codes_of_its_numbers),
        cmocka_unit_test(sums_are_rounded_once),
        cmocka_unit_test(stochastic_rounding_has_the_right_mean),
        cmocka_unit_test(rounding_keeps_what_is_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
