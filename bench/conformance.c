/* The claims about a single code: see docs/conformance.md. Each case (a kind of vector, a size) is coded as often as a budget of
 * floats allows, with new random numbers and a new state every time, and the error's mean, its mean square and the code's size are
 * compared with what the compressor says of that vector. Where a mean is compared with a claim, four of its own standard errors are
 * allowed.
 */
#include "bench/conformance_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINE = 64, BUDGET = 1500000 /* floats that are coded per case */, DRAWS_MAX = 10000, GUARD = 0xA5 };

/* ---- vectors -------------------------------------------------------------------------------------------------------------- */

static void gaussian(float *x, size_t n, uint32_t worker)
{
    random_normal(&(struct random){ .seed = 1, .stream = RANDOM_CHECK, .worker = worker }, 1, 0, x, n);
}

/* Where rounding to powers of two varies most. */
static void constant(float *x, size_t n, uint32_t worker)
{
    (void)worker;
    for (size_t i = 0; i < n; i++)
        x[i] = 4.f / 3;
}

static void sparse(float *x, size_t n, uint32_t worker)
{
    enum { STRIDE = 20 };
    gaussian(x, n, worker);
    for (size_t i = 0; i < n; i++)
        if (i % STRIDE != n % STRIDE / 2)
            x[i] = 0;
}

static void log_normal(float *x, size_t n, uint32_t worker)
{
    gaussian(x, n, worker);
    for (size_t i = 0; i < n; i++)
        x[i] = i % 2 ? -expf(x[i]) : expf(x[i]);
}

static const struct {
    const char *name;
    void (*fill)(float *x, size_t n, uint32_t worker);
} inputs[] = { { "gaussian", gaussian }, { "constant", constant }, { "5 % sparse", sparse }, { "log-normal", log_normal } };

static const size_t shapes[][2] = { { 4, 5 }, { 3, 41 }, { 48, 64 } };

/* ---- one compressor, one vector ------------------------------------------------------------------------------------------- */

/* Where buffer i begins in a block that holds all; sizes come in whole lines. */
static void *deal(unsigned char *block, size_t *at, size_t bytes, size_t guard_B)
{
    unsigned char *p = block ? block + *at : NULL;
    const size_t lines = (bytes + LINE - 1) / LINE * LINE;
    *at += lines + guard_B;
    if (p)
        memset(p + bytes, GUARD, lines - bytes + guard_B);
    return p;
}

/* Deals the buffers from the block; NULL: only counts. Returns bytes. */
static size_t lay_out(struct subject *s, unsigned char *block)
{
    const size_t floats_B = s->n * sizeof(float);
    size_t at = 0;
    for (int w = 0; w < WORKERS; w++) {
        s->x[w] = deal(block, &at, floats_B, s->guard_B);
        s->code[w] = deal(block, &at, s->code_B, s->guard_B);
        s->state[w] = deal(block, &at, s->state_B, s->guard_B);
    }
    s->y = deal(block, &at, floats_B, s->guard_B);
    s->z = deal(block, &at, floats_B, s->guard_B);
    s->spare = deal(block, &at, s->code_B, s->guard_B);
    s->saved = deal(block, &at, s->state_B, s->guard_B);
    s->scratch = deal(block, &at, s->scratch_B, s->guard_B);
    for (int i = 0; i < 2; i++)
        s->index[i] = deal(block, &at, s->n * sizeof *s->index[i], 0);
    s->mean = deal(block, &at, s->n * sizeof *s->mean, 0);
    return at;
}

/* ---- claims --------------------------------------------------------------------------------------------------------------- */

struct moments {
    struct sample error2, along, bits; /* |C(x) - x|^2 and <C(x) - x, x>, over |x|^2; bits per float */
    double bias;                       /* |mean C(x) - x| / |x| */
    double wrong_sizes, wrong_floats;
};

static void one_draw(const struct subject *s, uint32_t t, double length2, struct moments *m)
{
    const struct coding c = subject_coding(s, 0, t);
    const size_t bytes = subject_encode(s, &c, 0, s->code[0]);
    const double bits = compressor_logical_bits(s->kind, &c, s->code[0], bytes);
    subject_decode(s, &c, s->code[0], bytes, s->y);
    double along = 0, wrong = 0;
    for (size_t i = 0; i < s->n; i++) {
        along += ((double)s->y[i] - (double)s->x[0][i]) * (double)s->x[0][i];
        wrong += s->y[i] != s->x[0][i];
        s->mean[i] += ((double)s->y[i] - s->mean[i]) / (t + 1.);
    }
    sample_add(&m->error2, distance2(s->y, s->x[0], s->n) / length2);
    sample_add(&m->along, along / length2);
    sample_add(&m->bits, bits / (double)s->n);
    m->wrong_floats += wrong;
    m->wrong_sizes += s->traits & COMPRESSOR_FIXED_SIZE ? bytes != s->code_B : bytes > s->code_B;
}

static struct moments measure(const struct subject *s)
{
    struct moments m = { 0 };
    const double length2 = square_of(s->x[0], s->n);
    memset(s->mean, 0, s->n * sizeof *s->mean);
    for (uint32_t t = 0; t < (uint32_t)s->draws; t++)
        one_draw(s, t, length2, &m);
    double bias2 = 0;
    for (size_t i = 0; i < s->n; i++)
        bias2 += (s->mean[i] - (double)s->x[0][i]) * (s->mean[i] - (double)s->x[0][i]);
    m.bias = sqrt(bias2 / length2);
    return m;
}

/* omega may be missed by 5 % upwards, as it is a bound; by 2 % either way, if it is claimed to be met. */
static void check_omega(const struct subject *s, const struct moments *m, double omega)
{
    const double measured = sample_mean(&m->error2), slack = Z_ALLOWED * sample_error(&m->error2) + ROUNDING * ROUNDING;
    const bool tight = s->traits & COMPRESSOR_TIGHT;
    double worst = of_allowed(measured, (tight ? 1.02 : 1.05) * omega + slack);
    if (tight)
        worst = fmax(worst, of_allowed(.98 * omega - slack, measured));
    judge(s, CHECK_OMEGA, measured, omega, worst);
}

static void check_unbiased(const struct subject *s, const struct moments *m)
{
    const struct coding c = subject_coding(s, 0, 0);
    const double omega = s->kind->omega ? s->kind->omega(&c, s->x[0]) : NAN;
    const double bias = m->bias <= BIAS_UNSEEN ? 0 : m->bias / sqrt(omega / s->draws);
    const double along = fabs(sample_mean(&m->along)), along_z = along <= BIAS_UNSEEN ? 0 : along / sample_error(&m->along);
    judge(s, CHECK_BIAS, bias, NAN, of_allowed(bias, Z_ALLOWED));
    judge(s, CHECK_BIAS_ALONG, along_z, NAN, of_allowed(along_z, Z_ALLOWED));
    check_omega(s, m, omega);
}

static void check_contractive(const struct subject *s, const struct moments *m)
{
    const struct coding c = subject_coding(s, 0, 0);
    const double delta = s->kind->delta ? s->kind->delta(&c, s->x[0]) : NAN, left = sample_mean(&m->error2);
    const double slack = Z_ALLOWED * sample_error(&m->error2) + ROUNDING;
    judge(s, CHECK_DELTA, 1 - left, delta, of_allowed(left, 1 - delta + slack));
}

/* A Gaussian vector cannot be told with an error of D |x|^2 in fewer than 1/2 log2(1 / D) bits per float. The error of an unbiased
 * code is the least when it is shortened: D = omega / (1 + omega). */
static void check_bits(const struct subject *s, const struct moments *m)
{
    const double error2 = sample_mean(&m->error2), D = s->traits & COMPRESSOR_UNBIASED ? error2 / (1 + error2) : error2;
    const double bits = sample_mean(&m->bits), least = fmax(0, -.5 * log2(fmax(D, 0x1p-48))); /* a float has 24 bits */
    judge(s, CHECK_BITS, bits, least, of_allowed(least, bits));
}

static size_t changed_bytes(const unsigned char *from, size_t bytes, size_t guard_B)
{
    size_t count = 0;
    for (size_t i = bytes; i < (bytes + LINE - 1) / LINE * LINE + guard_B; i++)
        count += from[i] != GUARD;
    return count;
}

/* At the end of a case: all guards as they were, and x itself. */
static void check_bounds(const struct subject *s, void (*fill)(float *x, size_t n, uint32_t worker))
{
    const size_t floats_B = s->n * sizeof(float);
    size_t changed = changed_bytes(s->scratch, s->scratch_B, s->guard_B) + changed_bytes(s->spare, s->code_B, s->guard_B) +
                     changed_bytes((unsigned char *)s->y, floats_B, s->guard_B);
    for (int w = 0; w < WORKERS; w++) {
        fill(s->y, s->n, (uint32_t)w);
        changed += memcmp(s->x[w], s->y, floats_B) != 0;
        changed += changed_bytes((unsigned char *)s->x[w], floats_B, s->guard_B) +
                   changed_bytes(s->code[w], s->code_B, s->guard_B) + changed_bytes(s->state[w], s->state_B, s->guard_B);
    }
    judge(s, CHECK_BOUNDS, (double)changed, NAN, of_allowed((double)changed, 0));
}

static void check_case(struct subject *s, size_t kind)
{
    s->input = inputs[kind].name;
    for (int w = 0; w < WORKERS; w++)
        inputs[kind].fill(s->x[w], s->n, (uint32_t)w);
    const struct moments m = measure(s);
    if (s->traits & COMPRESSOR_UNBIASED)
        check_unbiased(s, &m);
    if (s->traits & COMPRESSOR_CONTRACTIVE)
        check_contractive(s, &m);
    if (inputs[kind].fill == gaussian) {
        check_bits(s, &m);
        if (s->state_B > 0)
            check_state(s);
    }
    if (s->traits & COMPRESSOR_LOSSLESS)
        judge(s, CHECK_LOSSLESS, m.wrong_floats, NAN, of_allowed(m.wrong_floats, 0));
    judge(s, CHECK_BYTES, m.wrong_sizes, NAN, of_allowed(m.wrong_sizes, 0));
    check_rules(s);
    check_bounds(s, inputs[kind].fill);
}

/* False: the compressor refuses the size. */
static bool size_up(struct subject *s, size_t rows, size_t columns)
{
    s->rows = rows, s->columns = columns, s->n = rows * columns;
    const struct coding c = subject_coding(s, 0, 0);
    const char *why = s->kind->refuses ? s->kind->refuses(&c) : NULL;
    if (why) {
        s->row->refused_n = s->n;
        snprintf(s->row->refused, sizeof s->row->refused, "%s", why);
        return false;
    }
    s->code_B = s->kind->code_bytes(&c);
    s->state_B = compressor_state_bytes(s->kind, &c);
    s->scratch_B = compressor_scratch_bytes(s->kind, &c);
    s->guard_B = (8 * s->n + 4096) / LINE * LINE; /* a wrong formula should be found out, not crash the program */
    s->draws = (int)fmin(DRAWS_MAX, BUDGET / (double)s->n);
    return true;
}

status conformance_check(const struct compressor *k, const void *options, struct conformance_row *row)
{
    struct subject s = { .kind = k, .options = options, .traits = compressor_traits(k, options), .row = row };
    const clock_t start = clock();
    *row = (struct conformance_row){ .name = row->name, .traits = s.traits };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (!size_up(&s, shapes[i][0], shapes[i][1]))
            continue;
        unsigned char *block = aligned_alloc(LINE, lay_out(&s, NULL));
        if (!block)
            return status_fail(STATUS_FAILED, "no memory for the codes of %zu floats", s.n);
        lay_out(&s, block);
        for (size_t kind = 0; kind < sizeof inputs / sizeof *inputs; kind++)
            check_case(&s, kind);
        free(block);
    }
    row->cpu_s = (double)(clock() - start) / CLOCKS_PER_SEC;
    return STATUS_OK;
}
