"""bench/statistics.c against numpy and exact binomial sums in integers."""
import math
import os
import subprocess
import unittest

import numpy

SHOW = f"{os.environ.get('BUILD', 'build')}/mpi/tests/bench/show_statistics"


def statistics_of(samples):
    done = subprocess.run([SHOW], input="\n".join(repr(float(x)) for x in samples), capture_output=True, text=True, check=True)
    return {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}


def interval(n):
    """Narrowest l such that [x(l), x(n+1-l)] covers the median with 95 %, and the coverage, in exact integers."""
    inside = 0
    for low in range((n + 1) // 2, 0, -1):
        inside += sum(math.comb(n, k) for k in {low, n - low} if low <= n - low)
        if 100 * inside >= 95 * 2**n:
            return low, inside / 2**n
    return None


class Statistics(unittest.TestCase):
    def check(self, samples):
        got, x = statistics_of(samples), numpy.sort(samples)
        expected = {"n": len(x), "median": numpy.median(x), "min": x[0], "max": x[-1], "mean": x.mean(),
                    **{f"p{q}": numpy.percentile(x, q) for q in (5, 95, 99)}}
        if len(x) > 1:
            expected["sd"] = x.std(ddof=1)
        ranks = interval(len(x))
        if ranks:
            expected.update(ci95_low=x[ranks[0] - 1], ci95_high=x[-ranks[0]], ci_level=ranks[1])
        for name, value in expected.items():
            self.assertTrue(math.isclose(got[name], value, rel_tol=1e-11, abs_tol=1e-15), f"n {len(x)} {name}: {got[name]} {value}")
        for name in set(got) - set(expected):
            self.assertTrue(math.isnan(got[name]), f"n {len(x)} {name}: {got[name]} is not NaN")

    def test_all_small_sizes_agree_with_numpy_and_exact_integers(self):
        random = numpy.random.default_rng(5)
        for n in range(1, 61):
            self.check(random.lognormal(size=n))

    def test_large_sizes_agree(self):
        random = numpy.random.default_rng(6)
        for n in (999, 1000, 1074, 1075, 2500, 4001):  # 2^-1074 is the smallest double
            self.check(random.normal(size=n))

    def test_ties_agree(self):
        self.check(numpy.random.default_rng(7).integers(0, 3, size=101).astype(float))


if __name__ == "__main__":
    unittest.main()
