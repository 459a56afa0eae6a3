"""Published tables in simulated time; the plans, mlsys22.json and slow-link.json, say what each expectation is derived from."""
import re
import shlex
import unittest

from program import ROOT, InFolder

CROSSOVER, MLSYS22 = (shlex.quote(str(ROOT / "scripts" / name)) for name in ("crossover", "mlsys22"))


class Published(InFolder):
    def test_a_data_centre_of_64_ranks_is_as_published_and_as_its_closed_form(self):
        done = self.command(f"{CROSSOVER} mlsys22.json --out out --only sign --bandwidth 1e10 --bandwidth 1e11", timeout=200)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        done = self.command(f"{MLSYS22} out/crossover.json")
        self.assertEqual(done.returncode, 0, done.stdout)
        ratios = re.findall(r"^(?:dense|sign)\D* ([\d. ]+)$", done.stdout, re.M)
        for ratio in " ".join(ratios).split():
            self.assertAlmostEqual(float(ratio), 1, delta=0.05)
        self.assertEqual(len(ratios), 2)

    def test_a_slow_link_makes_onebit_twice_and_sparse_codes_three_times_as_fast(self):
        done = self.command(f"{CROSSOVER} slow-link.json --out out", timeout=200)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertEqual(done.stdout.count("published"), 3 + 1)


if __name__ == "__main__":
    unittest.main()
