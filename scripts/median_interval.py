"""The exact confidence interval of a median, in integers: bench/statistics.c is tested against it, and the scripts use it."""
import math


def median_ranks(n):
    """Ranks (from 1) and coverage of the narrowest symmetric pair of order statistics that covers the median with at least 95 %
    (Hoefler & Belli, SC'15, rule 6); None for n < 6.  B ~ Binomial(n, 1/2): [x(l), x(n+1-l)] covers with P(l <= B <= n - l)."""
    inside = 0
    for low in range((n + 1) // 2, 0, -1):
        inside += sum(math.comb(n, k) for k in {low, n - low} if low <= n - low)
        if 100 * inside >= 95 * 2**n:
            return low, n + 1 - low, inside / 2**n
    return None


def median_interval(samples):
    """(median, low, high); low and high are None where there are too few samples."""
    x = sorted(samples)
    n = len(x)
    median = (x[(n - 1) // 2] + x[n // 2]) / 2
    ranks = median_ranks(n)
    return (median, x[ranks[0] - 1], x[ranks[1] - 1]) if ranks else (median, None, None)
