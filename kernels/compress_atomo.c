/* ATOMO, spectral: of the singular triplets of a matrix M of a x b floats, triplet i is kept with probability p[i], about `rank` of
 * them, and scaled so that the mean is M:
 *
 *     M = sum of sigma[i] u[i] v[i]'      C(M) = sum over the kept of (sigma[i] / p[i]) u[i] v[i]'
 *     p[i] = min(1, budget sigma[i] / (sigma[i] + sigma[i+1] + ...)), where each p[i] that reaches 1 takes 1 from the budget
 *
 *     code = count (uint32), then for each kept triplet sigma / p, u[a], v[b] (floats): 4 + 4 count (a + b + 1) bytes
 *
 * These p make E |C(M) - M|^2 = sum of sigma[i]^2 (1 / p[i] - 1) the least for their sum. p[i] = rank / k, k = min(a, b), has that
 * sum, too, and (k / rank - 1) |M|^2; so omega <= k / rank - 1, with equality where all sigma are equal (derived).
 * A vector, and a matrix with no more floats than `rank` triplets, is sent as it is. Costs O(a b k), more than a training step for
 * large layers: the paper's own remedy, sparser steps, is not here.
 * Source: Wang, Sievert, Charles, Liu, Wright, Papailiopoulos, NeurIPS 2018, algorithm 1.
 */
#include <math.h>
#include <string.h>

#include "kernels/compressor.h"
#include "kernels/matmul.h"
#include "kernels/svd.h"

struct options {
    int64_t rank;
};

static const struct key keys[] = {
    { "rank", KEY_INT, offsetof(struct options, rank), "4", 1, 65536,
      .help = "Singular triplets that are sent for a matrix, on average." },
    { 0 },
};

struct shape {
    int a, b, k;
    size_t triplet; /* floats of one */
};

static struct shape shape_of(const struct coding *c)
{
    const int a = (int)c->rows, b = (int)c->columns;
    return (struct shape){ a, b, a < b ? a : b, c->rows + c->columns + 1 };
}

static bool is_dense(const struct coding *c)
{
    const struct options *o = c->options;
    return c->rows == 1 || (size_t)o->rank * (c->rows + c->columns + 1) >= c->n;
}

static const char *refuses(const struct coding *c)
{
    return is_dense(c) || svd_fits(c->rows, c->columns)
               ? NULL
               : "the 32-bit integers of its SVD do not hold a matrix this large (fits: up to 23000 rows or columns)";
}

static size_t code_bytes(const struct coding *c)
{
    const struct shape s = shape_of(c);
    return is_dense(c) ? c->n * sizeof(float) : sizeof(uint32_t) + (size_t)s.k * s.triplet * sizeof(float);
}

/* For encode: singular values, their probabilities, random numbers, vectors; for decode, which needs less, triplets. */
static size_t floats_count(const struct shape *s)
{
    return (size_t)s->k * (s->triplet + 2);
}

static size_t scratch_bytes(const struct coding *c)
{
    const struct shape s = shape_of(c);
    return is_dense(c) ? 0 : svd_scratch_bytes(s.a, s.b) + floats_count(&s) * sizeof(float);
}

static double sum(const float *x, int n)
{
    double total = 0;
    for (int i = 0; i < n; i++)
        total += (double)x[i];
    return total;
}

/* p[k] for sigma[k], descending; rounded up to what random_uniform can tell apart, so that p is exact. */
static void probabilities(const float *sigma, int k, double budget, float *p)
{
    int sure = 0;
    while (sure < k && sigma[sure] > 0 && (double)sigma[sure] * (budget - sure) >= sum(sigma + sure, k - sure))
        p[sure++] = 1;
    const double rest = sum(sigma + sure, k - sure);
    for (int i = sure; i < k; i++)
        p[i] = sigma[i] > 0 ? (float)(ceil((double)sigma[i] * (budget - sure) / rest * 0x1p24) * 0x1p-24) : 0;
}

/* Appends scale, u (a column of [a][k]) and v; returns where the next goes. */
static unsigned char *put(unsigned char *code, const struct shape *s, float scale, const float *u, const float *v)
{
    memcpy(code, &scale, sizeof scale);
    code += sizeof scale;
    for (int i = 0; i < s->a; i++, code += sizeof *u)
        memcpy(code, u + (size_t)i * (size_t)s->k, sizeof *u);
    memcpy(code, v, (size_t)s->b * sizeof *v);
    return code + (size_t)s->b * sizeof *v;
}

/* One triplet that is not finite, as the matrix is not: nothing is hidden. */
static uint32_t put_no_number(unsigned char *code, const struct shape *s)
{
    for (size_t i = 0; i < s->triplet; i++)
        memcpy(code + i * sizeof(float), &(float){ NAN }, sizeof(float));
    return 1;
}

static uint32_t encode_triplets(const struct coding *c, const float *x, unsigned char *code, void *scratch)
{
    const struct options *o = c->options;
    const struct shape s = shape_of(c);
    const size_t k = (size_t)s.k;
    void *behind = (char *)scratch + svd_scratch_bytes(s.a, s.b);
    float *sigma = behind, *p = sigma + k, *chance = p + k, *u = chance + k, *v = u + c->rows * k;
    uint32_t count = 0;
    if (!svd(x, s.a, s.b, sigma, u, v, scratch))
        return put_no_number(code, &s);
    probabilities(sigma, s.k, (double)o->rank, p);
    random_uniform(&c->random, chance, k);
    for (size_t i = 0; i < k; i++)
        if (chance[i] < p[i]) {
            code = put(code, &s, sigma[i] / p[i], u + i, v + i * c->columns);
            count++;
        }
    return count;
}

static size_t encode(const struct coding *c, void *state, const float *x, unsigned char *code, void *scratch)
{
    if (is_dense(c))
        return compress_none.encode(c, state, x, code, scratch);
    const uint32_t count = encode_triplets(c, x, code + sizeof count, scratch);
    memcpy(code, &count, sizeof count);
    return sizeof count + count * shape_of(c).triplet * sizeof(float);
}

static void decode(const struct coding *c, const unsigned char *code, size_t bytes, float factor, float *y, void *scratch)
{
    const struct shape s = shape_of(c);
    float *triplets = scratch;
    uint32_t count;
    if (is_dense(c)) {
        compress_none.decode(c, code, bytes, factor, y, scratch);
        return;
    }
    if (bytes < sizeof count)
        return;
    memcpy(&count, code, sizeof count);
    if (count > (uint32_t)s.k || bytes != sizeof count + count * s.triplet * sizeof(float))
        return;
    memcpy(triplets, code + sizeof count, count * s.triplet * sizeof(float));
    for (float *t = triplets; t < triplets + count * s.triplet; t += s.triplet)
        for (int i = 1; i <= s.a; i++)
            t[i] *= t[0];
    const int stride = (int)s.triplet;
    matmul(true, false, s.a, s.b, (int)count, factor, triplets + 1, stride, triplets + 1 + s.a, stride, 1, y, s.b);
}

static double omega(const struct coding *c, const float *x)
{
    (void)x;
    const struct options *o = c->options;
    return is_dense(c) ? 0 : fmax(0, (double)shape_of(c).k / (double)o->rank - 1);
}

const struct compressor compress_atomo = {
    .member = { .name = "atomo",
                .help = "Sends some singular triplets of each matrix, drawn so that their mean is the matrix.",
                .source = "Wang et al. 2018",
                .keys = keys,
                .options_bytes = sizeof(struct options) },
    .traits = COMPRESSOR_UNBIASED | COMPRESSOR_MATRIX,
    .refuses = refuses,
    .code_bytes = code_bytes,
    .scratch_bytes = scratch_bytes,
    .encode = encode,
    .decode = decode,
    .omega = omega,
};
