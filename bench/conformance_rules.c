/* What an exchange relies on, beyond the claims about a single code: that the same again is the same, that a code can be taken off
 * again, that workers differ or agree, that a saved state goes on, that codes may be added. */
#include <math.h>
#include <string.h>

#include "bench/conformance_parts.h"
#include "kernels/half.h"

enum { TURNS = 4 };

/* The same coding twice, with other bytes in scratch before. */
static void check_repeats(const struct subject *s)
{
    double differ = 0;
    for (uint32_t t = 0; t < TURNS; t++) {
        const struct coding c = subject_coding(s, 0, t);
        memset(s->scratch, 0x11, s->scratch_B);
        const size_t bytes = subject_encode(s, &c, 0, s->code[0]);
        memset(s->scratch, 0xEE, s->scratch_B);
        differ += subject_encode(s, &c, 0, s->spare) != bytes || memcmp(s->code[0], s->spare, bytes) != 0;
        subject_decode(s, &c, s->code[0], bytes, s->y);
        memset(s->scratch, 0x11, s->scratch_B);
        subject_decode(s, &c, s->code[0], bytes, s->z);
        differ += memcmp(s->y, s->z, s->n * sizeof *s->y) != 0;
    }
    judge(s, CHECK_REPEATS, differ, NAN, of_allowed(differ, 0));
}

static void check_feedback(const struct subject *s)
{
    const struct coding c = subject_coding(s, 0, 0);
    const size_t bytes = subject_encode(s, &c, 0, s->code[0]);
    subject_decode(s, &c, s->code[0], bytes, s->y);
    memcpy(s->z, s->x[0], s->n * sizeof *s->z);
    s->kind->decode(&c, s->code[0], bytes, -1, s->z, s->scratch);
    const double lengths = sqrt(square_of(s->y, s->n)) + sqrt(square_of(s->x[0], s->n));
    for (size_t i = 0; i < s->n; i++)
        s->y[i] += s->z[i];
    const double lost = sqrt(distance2(s->y, s->x[0], s->n)) / lengths;
    judge(s, CHECK_FEEDBACK, lost, NAN, of_allowed(lost, ROUNDING));
}

/* ---- between workers ------------------------------------------------------------------------------------------------------ */

/* Random numbers of its own, or shared with the other workers, changed. */
static struct coding varied(struct coding c, bool own)
{
    struct random *r = own ? &c.random : &c.shared;
    r->seed++;
    return c;
}

static size_t mask(const struct subject *s, const struct coding *c, uint32_t *index)
{
    const size_t bytes = subject_encode(s, c, 0, s->spare);
    return s->kind->entries(c, s->spare, bytes, index, s->z, s->scratch);
}

static bool mask_varies(const struct subject *s, bool own)
{
    for (uint32_t t = 0; t < TURNS; t++) {
        const struct coding c = subject_coding(s, 0, t), other = varied(c, own);
        const size_t k = mask(s, &c, s->index[0]);
        if (mask(s, &other, s->index[1]) != k || memcmp(s->index[0], s->index[1], k * sizeof *s->index[0]) != 0)
            return true;
    }
    return false;
}

/* Of ascending indices. */
static double common(const uint32_t *a, size_t a_count, const uint32_t *b, size_t b_count)
{
    size_t count = 0;
    for (size_t i = 0, j = 0; i < a_count && j < b_count;) {
        count += a[i] == b[j];
        const bool first = a[i] <= b[j], second = b[j] <= a[i];
        i += first, j += second;
    }
    return (double)count;
}

/* Masks that depend on the vector alone are not judged. Those that a worker draws by itself have k / n in common with another's;
 * those from shared numbers are the same, or share nothing. */
static void check_masks(const struct subject *s)
{
    const bool own = mask_varies(s, true);
    struct sample overlap = { 0 }, expected = { 0 }, beside = { 0 };
    double neither = 0;
    if (!own && !mask_varies(s, false))
        return;
    for (uint32_t t = 0; t < (uint32_t)s->draws; t++) {
        const struct coding a = subject_coding(s, 0, t), b = subject_coding(s, 1, t);
        const size_t a_count = mask(s, &a, s->index[0]), b_count = mask(s, &b, s->index[1]);
        if (a_count == 0)
            continue;
        const double share = common(s->index[0], a_count, s->index[1], b_count) / (double)a_count;
        sample_add(&overlap, share);
        sample_add(&expected, (double)b_count / (double)s->n);
        sample_add(&beside, share - (double)b_count / (double)s->n);
        neither += share > 0 && share < 1;
    }
    const double measured = sample_mean(&overlap);
    if (own)
        judge(s, CHECK_MASKS, measured, sample_mean(&expected),
              of_allowed(fabs(sample_mean(&beside)), Z_ALLOWED * sample_error(&beside) + ROUNDING));
    else
        judge(s, CHECK_MASKS, measured, measured > .5 ? 1 : 0, of_allowed(neither, 0));
}

static bool code_varies(const struct subject *s, bool own)
{
    for (uint32_t t = 0; t < TURNS; t++) {
        const struct coding c = subject_coding(s, 0, t), other = varied(c, own);
        subject_decode(s, &c, s->spare, subject_encode(s, &c, 0, s->spare), s->y);
        subject_decode(s, &other, s->spare, subject_encode(s, &other, 0, s->spare), s->z);
        if (memcmp(s->y, s->z, s->n * sizeof *s->y) != 0)
            return true;
    }
    return false;
}

/* Two workers, one vector: errors that each draws by itself do not go together. What they draw together may, and is not judged,
 * even if each adds to it by itself (a chain). */
static void check_workers(const struct subject *s)
{
    struct sample product = { 0 }, error2 = { 0 };
    const bool together = code_varies(s, false), own = !together && code_varies(s, true);
    if (!own && !together)
        return;
    for (uint32_t t = 0; t < (uint32_t)s->draws; t++) {
        const struct coding a = subject_coding(s, 0, t), b = subject_coding(s, 1, t);
        subject_decode(s, &a, s->spare, subject_encode(s, &a, 0, s->spare), s->y);
        subject_decode(s, &b, s->spare, subject_encode(s, &b, 0, s->spare), s->z);
        double sum = 0;
        for (size_t i = 0; i < s->n; i++)
            sum += ((double)s->y[i] - (double)s->x[0][i]) * ((double)s->z[i] - (double)s->x[0][i]);
        sample_add(&product, sum);
        sample_add(&error2, distance2(s->y, s->x[0], s->n));
    }
    const double allowed = Z_ALLOWED * sample_error(&product) + ROUNDING * ROUNDING * square_of(s->x[0], s->n);
    judge(s, CHECK_WORKERS, sample_mean(&product) / sample_mean(&error2), own ? 0 : NAN,
          own ? of_allowed(fabs(sample_mean(&product)), allowed) : 0);
}

/* ---- sums ----------------------------------------------------------------------------------------------------------------- */

static void add_elements(enum element e, void *to, const void *from, size_t n)
{
    if (e == ELEMENT_HALF) {
        add_half(to, from, n);
    } else if (e == ELEMENT_BFLOAT) {
        add_bfloat(to, from, n);
    } else {
        for (size_t i = 0; i < n; i++) {
            float a, b;
            memcpy(&a, (char *)to + i * sizeof a, sizeof a);
            memcpy(&b, (const char *)from + i * sizeof b, sizeof b);
            a += b;
            memcpy((char *)to + i * sizeof a, &a, sizeof a);
        }
    }
}

/* Every worker's code of its own vector, its parts before the last as summed; spare: all summed. Returns the bytes. */
static size_t sum_parts(const struct subject *s)
{
    const struct linear *l = s->kind->linear;
    size_t at = 0;
    for (int w = 0; w < WORKERS; w++) {
        const struct coding c = subject_coding(s, w, 0);
        compressor_state_begin(s->kind, &c, s->state[w]);
    }
    for (int part = 0; part < l->parts; part++) {
        const struct coding first = subject_coding(s, 0, 0);
        const size_t count = l->part_elements(&first, part), bytes = count * element_bytes(l->element);
        memset(s->spare + at, 0, bytes);
        for (int w = 0; w < WORKERS; w++) {
            const struct coding c = subject_coding(s, w, 0);
            l->encode_part(&c, s->state[w], s->x[w], part, s->code[w], s->scratch);
            add_elements(l->element, s->spare + at, s->code[w] + at, count);
        }
        const bool more = part + 1 < l->parts && l->part_elements(&first, part + 1) > 0;
        for (int w = 0; w < WORKERS && more; w++)
            memcpy(s->code[w] + at, s->spare + at, bytes);
        at += bytes;
    }
    return at;
}

/* Each addition of codes rounds once. */
static double sum_tolerance(enum element e)
{
    return e == ELEMENT_HALF ? WORKERS * 0x1p-11 : e == ELEMENT_BFLOAT ? WORKERS * 0x1p-8 : ROUNDING;
}

static void check_sum(const struct subject *s)
{
    const size_t bytes = sum_parts(s);
    const struct coding first = subject_coding(s, 0, 0);
    double lengths = 0;
    memset(s->z, 0, s->n * sizeof *s->z);
    for (int w = 0; w < WORKERS; w++) {
        const struct coding c = subject_coding(s, w, 0);
        subject_decode(s, &c, s->code[w], bytes, s->y);
        for (size_t i = 0; i < s->n; i++)
            s->z[i] += s->y[i];
        lengths += sqrt(square_of(s->y, s->n));
    }
    subject_decode(s, &first, s->spare, bytes, s->y);
    const double differ = lengths > 0 ? sqrt(distance2(s->y, s->z, s->n)) / lengths : 0;
    judge(s, CHECK_SUM, differ, NAN, of_allowed(differ, sum_tolerance(s->kind->linear->element)));
}

/* ---- state ---------------------------------------------------------------------------------------------------------------- */

/* A few steps on with worker 0's state and other vectors; code becomes the last step's. */
static void go_on(const struct subject *s, unsigned char *code)
{
    memset(code, 0, s->code_B);
    for (int t = 1; t < WORKERS; t++) {
        struct coding c = subject_coding(s, 0, (uint32_t)t);
        c.step += t;
        compressor_encode(s->kind, &c, s->state[0], s->x[t], code, s->scratch);
    }
}

void check_state(const struct subject *s)
{
    const struct coding c = subject_coding(s, 0, 0);
    subject_encode(s, &c, 0, s->spare);
    memcpy(s->saved, s->state[0], s->state_B);
    go_on(s, s->code[0]);
    go_on(s, s->spare);
    double wrong = memcmp(s->code[0], s->spare, s->code_B) == 0;
    memcpy(s->state[0], s->saved, s->state_B);
    go_on(s, s->spare);
    wrong += memcmp(s->code[0], s->spare, s->code_B) != 0;
    judge(s, CHECK_STATE, wrong, NAN, of_allowed(wrong, 0));
}

/* ---- all ------------------------------------------------------------------------------------------------------------------ */

void check_rules(const struct subject *s)
{
    check_repeats(s);
    check_feedback(s);
    if (s->traits & COMPRESSOR_SPARSE)
        check_masks(s);
    if (s->traits & COMPRESSOR_UNBIASED)
        check_workers(s);
    if (s->traits & COMPRESSOR_LINEAR)
        check_sum(s);
}
