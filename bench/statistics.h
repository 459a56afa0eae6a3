/* Statistics of raw samples: pure functions; scripts/ recomputes them independently in the tests. */
#ifndef DMLBENCH_BENCH_STATISTICS_H
#define DMLBENCH_BENCH_STATISTICS_H

#include <stddef.h>

struct statistic {
    size_t n;
    double median, ci95_low, ci95_high, ci_level; /* ci_level: the coverage actually reached; NaN where n < 6 allows no interval */
    double min, max, mean, sd;                    /* sd: n - 1 in the denominator; NaN for n < 2 */
    double p5, p95, p99;                          /* linear interpolation between order statistics (Hyndman-Fan type 7) */
};

/* x[n], any order, not changed; sorted[n] is scratch. n = 0, or a NaN among x, gives NaN everywhere.
 * The interval of the median is the narrowest symmetric pair of order statistics [l, n + 1 - l] that covers it with at least 95 %
 * by the exact binomial distribution (Hoefler & Belli 2015, rule 6): n = 6 -> [1, 6], 10 -> [2, 9], 20 -> [6, 15], 30 -> [10, 21],
 * 50 -> [18, 33] (its neighbour [19, 32] covers 93.5 %). */
struct statistic statistic_of(const double *x, size_t n, double *sorted);

/* Quantile q, in [0, 1], of sorted[n], type 7; NaN for n = 0. */
double quantile(const double *sorted, size_t n, double q);

/* y = at_0 + slope x through points at growing x: the slope is the median of those of all pairs of the larger half (Theil 1950),
 * at_0 the median of what that leaves of the three smallest, at least 0; so one point that is far off hardly counts, and neither
 * does what lies between. residual_frac: mean of |y - line| / y. 3 <= n <= LINE_POINTS_MAX, y > 0; else NaN. */
enum { LINE_POINTS_MAX = 32 };
struct line_fit {
    double at_0, slope, residual_frac;
};
struct line_fit line_fit(const double *x, const double *y, size_t n);

#endif
