"""bench/statistics.c against numpy and exact binomial sums in integers."""
import math
import os
import pathlib
import subprocess
import sys
import unittest

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
from median_interval import median_ranks  # noqa: E402

SHOW = f"{os.environ.get('BUILD', 'build')}/mpi/tests/bench/show_statistics"


def statistics_of(samples):
    done = subprocess.run([SHOW], input="\n".join(repr(float(x)) for x in samples), capture_output=True, text=True, check=True)
    return {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}


class Statistics(unittest.TestCase):
    def check(self, samples):
        got, x = statistics_of(samples), numpy.sort(samples)
        expected = {"n": len(x), "median": numpy.median(x), "min": x[0], "max": x[-1], "mean": x.mean(),
                    **{f"p{q}": numpy.percentile(x, q) for q in (5, 95, 99)}}
        if len(x) > 1:
            expected["sd"] = x.std(ddof=1)
        ranks = median_ranks(len(x))
        if ranks:
            low, high, level = ranks
            expected.update(ci95_low=x[low - 1], ci95_high=x[high - 1], ci_level=level)
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
