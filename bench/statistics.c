/* Order statistics of raw samples, and the exact confidence interval of their median.
 *
 * The k-th smallest of n samples lies below the median with the probability that a fair coin shows at least k heads in n throws,
 * whatever the distribution.  So [x(l), x(n+1-l)] covers the median with P(l <= B <= n - l), B ~ Binomial(n, 1/2).  The sum starts
 * at the centre, where the terms are large, and widens until it reaches 95 %: about sqrt(n) terms, no underflow for any n.
 *
 * Nothing here assumes a normal distribution, removes outliers or resamples.
 * Source: Hoefler & Belli, "Scientific benchmarking of parallel computing systems", SC'15, rule 6; David & Nagaraja, "Order
 * statistics", 2003, section 7.1.
 */
#include "bench/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double LEVEL = 0.95;

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double quantile(const double *sorted, size_t n, double q)
{
    if (n == 0)
        return NAN;
    double place = (double)(n - 1) * q;
    size_t below = (size_t)place;
    size_t above = below + 1 < n ? below + 1 : below;
    return sorted[below] + (place - (double)below) * (sorted[above] - sorted[below]);
}

/* The rank l (from 1) of the interval's lower end, and its coverage; 0 and NaN where n allows none. */
static size_t median_rank(size_t n, double *coverage)
{
    size_t l = n / 2;
    double N = (double)n, k = (double)l;
    double term = exp(lgamma(N + 1) - lgamma(k + 1) - lgamma(N - k + 1) - N * M_LN2);
    double covered = n % 2 ? 2 * term : term;
    while (l > 0 && covered < LEVEL) {
        l--;
        term *= (double)(l + 1) / (double)(n - l);
        covered += 2 * term;
    }
    *coverage = l > 0 ? covered : (double)NAN;
    return l;
}

static double mean_of(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n; /* 0 / 0 is NaN */
}

static double deviation_of(const double *x, size_t n, double mean)
{
    if (n < 2)
        return NAN;
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    return sqrt(squares / (double)(n - 1));
}

struct statistic statistic_of(const double *x, size_t n, double *sorted)
{
    double mean = mean_of(x, n);
    if (isnan(mean))
        return (struct statistic){ n, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN };

    memcpy(sorted, x, n * sizeof *x);
    qsort(sorted, n, sizeof *sorted, compare);
    struct statistic s = { .n = n, .ci95_low = NAN, .ci95_high = NAN, .min = sorted[0], .max = sorted[n - 1], .mean = mean };
    s.median = quantile(sorted, n, 0.5);
    s.sd = deviation_of(x, n, mean);
    s.p5 = quantile(sorted, n, 0.05);
    s.p95 = quantile(sorted, n, 0.95);
    s.p99 = quantile(sorted, n, 0.99);
    size_t l = median_rank(n, &s.ci_level);
    if (l > 0) {
        s.ci95_low = sorted[l - 1];
        s.ci95_high = sorted[n - l];
    }
    return s;
}

struct line_fit line_fit(const double *x, const double *y, size_t n)
{
    enum { SMALLEST = 3 };
    double slopes[LINE_POINTS_MAX * LINE_POINTS_MAX / 8], rests[SMALLEST];
    struct line_fit line = { NAN, NAN, NAN };
    size_t pairs = 0;
    if (n < SMALLEST || n > LINE_POINTS_MAX)
        return line;
    for (size_t i = n / 2; i < n; i++)
        for (size_t k = n / 2; k < i; k++)
            slopes[pairs++] = (y[i] - y[k]) / (x[i] - x[k]);
    qsort(slopes, pairs, sizeof *slopes, compare);
    line.slope = quantile(slopes, pairs, 0.5);
    for (size_t i = 0; i < SMALLEST; i++)
        rests[i] = y[i] - line.slope * x[i];
    qsort(rests, SMALLEST, sizeof *rests, compare);
    line.at_0 = fmax(0, quantile(rests, SMALLEST, 0.5));
    line.residual_frac = 0;
    for (size_t i = 0; i < n; i++)
        line.residual_frac += fabs(y[i] - line.at_0 - line.slope * x[i]) / y[i] / (double)n;
    return line;
}
