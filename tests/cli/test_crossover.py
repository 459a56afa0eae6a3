"""scripts/crossover: where curves cross, by straight lines that were solved by hand; and that a result's break-even bandwidth says
where codes stop paying, on simulated hosts and on shaped links."""
import copy
import json
import runpy
import shlex
import sys
import unittest

from program import ROOT, InFolder

sys.path.insert(0, str(ROOT / "scripts"))  # as for a script that is started there

CROSSOVER = shlex.quote(str(ROOT / "scripts/crossover"))
# Four simulated hosts, real arithmetic, codes of a stated speed: S = 1.5 x 4n - 3 x 0.08n bytes saved by a rank, T = 4n / rate.
PLAN = {"why": "A test.", "base": str(ROOT / "configs/learn-mlp.json"), "ranks": 4,
        "simulate": str(ROOT / "configs/cluster-64.json"),
        "settings": {"measure.steps": 2, "measure.verify": False, "exchange.overlap": False, "exchange.segment_B": 1048576,
                     "network.between.latency_s": 1e-5},
        "bandwidths_bit_per_s": [1e7, 1e8, 1e9], "learn": {"measure.steps": 40},
        "variants": {"dense": {}, "topk": {"exchange.compressor": {"name": "topk", "ratio": 0.01}, "compute.encode_B_per_s": 2e7}}}


def line(flat_s, saved_bit, bandwidths=(1e7, 1e8, 1e9), noise=0.0):
    """Cells of a curve flat + bits / bandwidth."""
    cells = [{"bandwidth_bit_per_s": b, "step_s": flat_s + saved_bit / b} for b in bandwidths]
    return [{**cell, "ci95_s": [cell["step_s"] * (1 - noise), cell["step_s"] * (1 + noise)]} for cell in cells]


class Refused(InFolder):
    def test_what_the_scripts_cannot_use_is_one_sentence(self):
        for arguments, sentence in (("crossover no.json", "crossover: no.json: No such file"),
                                    ("crossover tiny.json", "crossover: tiny.json: has no 'why'"),
                                    ("crossover crossover.json --bandwidth 0", "--bandwidth 0: is no number"),
                                    ("crossover crossover.json --rounds 0", "--rounds 0: must be 1 or more"),
                                    ("mlsys22 no.json", "mlsys22: no.json: No such file"),
                                    ("mlsys22 tiny.json", "mlsys22: tiny.json: is not what scripts/crossover leaves"),
                                    ("networks/run.py -k banana", "-k banana: no experiment's name has it"),
                                    ("networks/run.py --build no", "--build no: has no dmlrun"),
                                    ("networks/run.py --rounds 0", "--rounds 0: must be 1 or more")):
            script, _, rest = arguments.partition(" ")
            done = self.command(f"{shlex.quote(str(ROOT / 'scripts' / script))} {rest}")
            self.assertEqual((done.returncode, done.stdout, len(done.stderr.splitlines())), (2, "", 1), done.stderr)
            self.assertIn(sentence, done.stderr)


class Crossings(unittest.TestCase):
    def setUp(self):
        self.crossings = runpy.run_path(str(ROOT / "scripts/crossover"))["crossings"]

    def test_two_straight_lines_over_the_inverse_of_bandwidth_cross_where_they_do(self):
        (at, wins_below), = self.crossings(line(0, 1e7), line(0.05, 1e6))  # 9e6 / 0.05
        self.assertAlmostEqual(at / 1.8e8, 1, places=9)
        self.assertTrue(wins_below)

    def test_curves_that_do_not_cross_within_the_range_have_none(self):
        self.assertEqual(self.crossings(line(0, 1e7), line(5, 1e6)), [])
        self.assertEqual(self.crossings(line(0, 1e7), line(0.001, 1e6)), [])

    def test_what_intervals_do_not_tell_apart_is_no_crossing(self):
        self.assertEqual(self.crossings(line(0.1, 1e6, noise=0.2), line(0.102, 0.9e6, noise=0.2)), [])


class Crossover(InFolder):
    def crossover(self, plan, arguments=""):
        self.write("plan.json", json.dumps(plan))
        return self.command(f"{CROSSOVER} plan.json --out out {arguments}", timeout=200)

    def row(self, done):
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        left = json.loads((self.folder / "out/crossover.json").read_text())
        self.assertEqual((self.folder / "out/crossover.png").read_bytes()[:8], b"\x89PNG\r\n\x1a\n")
        return left, left["crossings"][0]

    def test_on_simulated_hosts_codes_pay_up_to_the_bandwidth_that_the_result_predicts(self):
        left, row = self.row(self.crossover(PLAN))
        floats = 64 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10
        saved_bit, seconds = 8 * (1.5 - 3 * 0.02) * 4 * floats, 4 * floats / 2e7
        self.assertAlmostEqual(row["predicted_bit_per_s"] * seconds / saved_bit, 1, delta=0.01)
        self.assertAlmostEqual(row["ratio"], 1, delta=0.05)
        self.assertEqual({name: len(losses) for name, losses in left["losses"].items()}, {"dense": 40, "topk": 40})

    def test_on_shaped_links_the_crossing_is_within_a_fifth_of_the_prediction(self):
        settings = {**PLAN["settings"], "fabric.name": "shaped", "network.node_ranks": 1, "measure.steps": 6, "measure.warmup_steps": 1}
        plan = {key: copy.deepcopy(value) for key, value in PLAN.items() if key not in ("simulate", "learn")}
        plan["variants"]["topk"]["compute.encode_B_per_s"] = 3e6
        for _ in range(4):  # others may need the cores
            done = self.crossover({**plan, "settings": settings}, "--bandwidth 2e7 --bandwidth 8e7")
            ratio = self.row(done)[1]["ratio"]
            if ratio and abs(ratio - 1) < 0.2:
                return
        self.fail(f"found / predicted = {ratio}\n{done.stdout}")

    def test_what_is_not_as_expected_is_said_and_the_exit_code_is_1(self):
        wanted = {"what": "speedup", "variant": "topk", "at_bit_per_s": 1e7, "range": [0.1, 0.2], "source": "made up"}
        done = self.crossover({**PLAN, "expect": [wanted]}, "--bandwidth 1e7")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^speedup topk at 10 Mb/s .*  WRONG  made up$")

    def test_bad_plans_and_runs_that_fail_are_answered_in_one_sentence(self):
        for plan, arguments, code, says in (
                ({**PLAN, "variants": {"dense": {}, "bad": {"exchange.compressor.name": "tpk"}}}, "--bandwidth 1e7", 1, '"tpk"'),
                ({key: value for key, value in PLAN.items() if key != "bandwidths_bit_per_s"}, "", 2, "has no 'bandwidths_bit_per_s'"),
                (PLAN, "--only sign", 2, "--only 'sign' is no variant of plan.json (fits: dense, topk)")):
            with self.subTest(says=says):
                done = self.crossover(plan, arguments)
                self.assertEqual((done.returncode, done.stderr.count("\n")), (code, 1), done.stderr)
                self.assertIn(says, done.stderr)


if __name__ == "__main__":
    unittest.main()
