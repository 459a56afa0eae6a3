/* PowerSGD: a matrix M of a x b floats as a product of rank r, by one step of power iteration with all workers' sum of M:
 *
 *     P = M Q   [summed over workers]   P^ = P orthonormalised   Q = M' P^   [summed]   C(M) = P^ Q'
 *
 *     code = P transposed (r x a floats), Q transposed (r x b floats); or the n floats themselves
 *
 * Linear for a given Q. Each worker's C(M) is the projection of its columns on the span of P^. With the warm start, Q is the last
 * step's, orthonormalised, so that a matrix that changes slowly is followed to its best approximation; else it is normal numbers,
 * new in every step, the same on all workers. Then the projection keeps r / b of |M|^2 or more in expectation: for orthonormal Q,
 * |P^ P^' M|^2 >= |P^ P^' M Q|^2 = |M Q|^2 (derived). With a warm start M may be orthogonal to Q, so nothing is claimed.
 * What is no matrix, or would not shrink by min_compression_rate, or comes before start_step, is sent as it is.
 * Differs from the paper: columns of Q that vanished (as M's rank was less than r) begin anew with normal numbers instead of
 * staying 0; Q is orthonormalised before its use, as PyTorch's hook does, so that M's scale is only in Q once.
 * Source: Vogels, Karimireddy, Jaggi, NeurIPS 2019; PyTorch's powerSGD_hook for the options.
 */
#include <math.h>
#include <string.h>

#include "kernels/compressor.h"
#include "kernels/matmul.h"

struct options {
    int64_t rank;
    bool warm_start;
    int64_t start_step;
    double min_compression_rate;
};

static const struct key keys[] = {
    { "rank", KEY_INT, offsetof(struct options, rank), "4", 1, 65536, .help = "Rank of the product that is sent for a matrix." },
    { "warm_start", KEY_BOOL, offsetof(struct options, warm_start), "true",
      .help = "Begin each step from the last step's right factor, not from random numbers." },
    { "start_step", KEY_INT, offsetof(struct options, start_step), "0", 0, 1e15,
      .help = "Steps before this one send everything as it is." },
    { "min_compression_rate", KEY_REAL, offsetof(struct options, min_compression_rate), "2", 0, 1e9,
      .help = "A matrix is sent as it is unless it has more than this many times the floats of its factors." },
    { 0 },
};

/* A vector of rank * a or rank * b floats holds a factor's columns one after the other. */
struct factors {
    int rank, a, b;
    size_t left_count, right_count; /* floats */
};

static size_t smaller(size_t x, size_t y)
{
    return x < y ? x : y;
}

static struct factors factors_of(const struct coding *c)
{
    const struct options *o = c->options;
    const size_t rank = smaller((size_t)o->rank, smaller(c->rows, c->columns));
    return (struct factors){ (int)rank, (int)c->rows, (int)c->columns, rank * c->rows, rank * c->columns };
}

static bool shrinks(const struct coding *c)
{
    const struct options *o = c->options;
    const struct factors f = factors_of(c);
    return c->rows > 1 && c->columns > 1 && (double)(f.left_count + f.right_count) * o->min_compression_rate < (double)c->n;
}

/* Sent as it is in this step. */
static bool is_dense(const struct coding *c)
{
    const struct options *o = c->options;
    return c->step < o->start_step || !shrinks(c);
}

static unsigned more_traits(const void *options)
{
    const struct options *o = options;
    return (o->start_step == 0 ? COMPRESSOR_FIXED_SIZE : 0) | (o->warm_start ? 0 : COMPRESSOR_CONTRACTIVE);
}

static const char *refuses(const struct coding *c)
{
    return c->rows > INT32_MAX || (c->rows > 1 && c->columns > INT32_MAX)
               ? "more than 2147483647 rows or columns do not fit the integers of matrix products"
               : NULL;
}

static size_t part_elements(const struct coding *c, int part)
{
    const struct factors f = factors_of(c);
    if (is_dense(c))
        return part == 0 ? c->n : 0;
    return part == 0 ? f.left_count : f.right_count;
}

/* In this step. */
static size_t bytes_now(const struct coding *c)
{
    return (part_elements(c, 0) + part_elements(c, 1)) * sizeof(float);
}

static size_t code_bytes(const struct coding *c)
{
    const struct options *o = c->options;
    const struct factors f = factors_of(c);
    const size_t low_rank = f.left_count + f.right_count;
    const bool may_be_dense = !shrinks(c) || (o->start_step > 0 && c->n > low_rank);
    return (may_be_dense ? c->n : low_rank) * sizeof(float);
}

struct room {
    double *exact; /* the factor that is being orthonormalised */
    float *left, *right;
};

static size_t exact_count(const struct factors *f)
{
    return f->left_count > f->right_count ? f->left_count : f->right_count;
}

static size_t scratch_bytes(const struct coding *c)
{
    const struct factors f = factors_of(c);
    return shrinks(c) ? exact_count(&f) * sizeof(double) + (f.left_count + f.right_count) * sizeof(float) : 0;
}

static struct room room_of(const struct factors *f, void *scratch)
{
    double *exact = scratch;
    void *behind = exact + exact_count(f);
    float *left = behind;
    return (struct room){ exact, left, left + f->left_count };
}

static size_t state_bytes(const struct coding *c)
{
    const struct options *o = c->options;
    return o->warm_start && shrinks(c) ? factors_of(c).right_count * sizeof(float) : 0;
}

/* ---- orthonormal columns -------------------------------------------------------------------------------------------------- */

/* In eight running sums, as one would wait for each addition. */
static double dot(const double *x, const double *y, size_t n)
{
    enum { SUMS = 8 };
    double sums[SUMS] = { 0 };
    size_t i = 0;
    for (; i + SUMS <= n; i += SUMS)
        for (int s = 0; s < SUMS; s++)
            sums[s] += x[i + (size_t)s] * y[i + (size_t)s];
    for (; i < n; i++)
        sums[0] += x[i] * y[i];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/* x[rank][n], a row for each column of the factor, by the modified Gram-Schmidt process. A column that depends on those before it,
 * as far as floats can tell, becomes 0; what is not finite stays so. */
static void orthonormalise(float *x, int rank, size_t n, double *exact)
{
    const double dependent = 1e-6;
    for (size_t i = 0; i < (size_t)rank * n; i++)
        exact[i] = x[i];
    for (int j = 0; j < rank; j++) {
        double *column = exact + (size_t)j * n;
        const double before = sqrt(dot(column, column, n));
        for (int k = 0; k < j; k++) {
            const double *other = exact + (size_t)k * n, share = dot(column, other, n);
            for (size_t i = 0; i < n; i++)
                column[i] -= share * other[i];
        }
        const double after = sqrt(dot(column, column, n)), scale = after <= dependent * before ? 0 : 1 / after;
        for (size_t i = 0; i < n; i++)
            x[(size_t)j * n + i] = (float)(column[i] *= scale);
    }
}

static bool all_zero(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0)
            return false;
    return true;
}

/* The right factor that this step begins with. */
static void begin_right(const struct coding *c, const float *state, const struct room *s)
{
    const struct options *o = c->options;
    const struct factors f = factors_of(c);
    const size_t n = c->columns;
    if (o->warm_start) {
        memcpy(s->right, state, f.right_count * sizeof *state);
        orthonormalise(s->right, f.rank, n, s->exact);
    }
    for (size_t at = 0; at < f.right_count; at += n)
        if (!o->warm_start || all_zero(s->right + at, n))
            random_normal(&c->shared, 1, at, s->right + at, n);
}

/* ---- a code --------------------------------------------------------------------------------------------------------------- */

static void encode_part(const struct coding *c, void *state, const float *x, int part, unsigned char *code, void *scratch)
{
    const struct factors f = factors_of(c);
    const struct room s = room_of(&f, scratch);
    const size_t left_B = f.left_count * sizeof *s.left;
    if (is_dense(c)) {
        memcpy(code, x, part_elements(c, part) * sizeof *x);
    } else if (part == 0) {
        begin_right(c, state, &s);
        matmul(false, true, f.rank, f.a, f.b, 1, s.right, f.b, x, f.b, 0, s.left, f.a);
        memcpy(code, s.left, left_B);
    } else {
        memcpy(s.left, code, left_B);
        orthonormalise(s.left, f.rank, c->rows, s.exact);
        matmul(false, false, f.rank, f.b, f.a, 1, s.left, f.a, x, f.b, 0, s.right, f.b);
        memcpy(code + left_B, s.right, f.right_count * sizeof *s.right);
    }
}

static void summed(const struct coding *c, void *state, const unsigned char *code)
{
    const struct options *o = c->options;
    const struct factors f = factors_of(c);
    if (o->warm_start && !is_dense(c))
        memcpy(state, code + f.left_count * sizeof(float), f.right_count * sizeof(float));
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    for (int part = 0; part < 2; part++)
        encode_part(c, state, x, part, code, scratch);
    summed(c, state, code);
    return bytes_now(c);
}

static void decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    if (is_dense(c)) {
        compress_none.decode(c, code, bytes, factor, y, scratch);
        return;
    }
    if (bytes < bytes_now(c))
        return;
    const struct factors f = factors_of(c);
    const struct room s = room_of(&f, scratch);
    memcpy(s.left, code, (f.left_count + f.right_count) * sizeof *s.left);
    orthonormalise(s.left, f.rank, c->rows, s.exact);
    matmul(true, false, f.a, f.b, f.rank, factor, s.left, f.a, s.right, f.b, 1, y, f.b);
}

static double delta(const struct coding *c, const float *x)
{
    (void)x;
    return is_dense(c) ? 1 : (double)factors_of(c).rank / (double)c->columns;
}

static const struct linear linear = {
    .element = ELEMENT_FLOAT, .parts = 2, .part_elements = part_elements, .encode_part = encode_part, .summed = summed
};

const struct compressor compress_powersgd = {
    .member = { .name = "powersgd",
                .help = "Sends each matrix as a product of low rank.",
                .source = "Vogels, Karimireddy, Jaggi 2019; options of PyTorch's powerSGD_hook",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .traits = COMPRESSOR_LINEAR | COMPRESSOR_MATRIX,
    .more_traits = more_traits,
    .refuses = refuses,
    .code_bytes = code_bytes,
    .scratch_bytes = scratch_bytes,
    .state_bytes = state_bytes,
    .encode = encode,
    .decode = decode,
    .delta = delta,
    .linear = &linear,
};
