"""Training over links of a stated network, and with stragglers."""
import json
import unittest

import numpy

from program import SIMULATED, SMPIRUN, InFolder, ROOT

# Two nodes of two ranks.
SLOW = ("--set fabric.name=shaped --set network.node_ranks=2 --set network.between.latency_s={} "
        "--set network.between.bandwidth_B_per_s={}")


def median_step_s(result):
    return numpy.median(numpy.array(result["samples"]["step_s"])[:, result["config"]["measure"]["warmup_steps"]:].max(axis=0))


class Shaped(InFolder):
    def test_bits_and_bytes_are_those_of_fabric_mpi_and_an_audit_closes(self):
        layouts = ["parallel.data=4", "parallel.pipeline=2 --set exchange.compressor.name=topk", "parallel.tensor=2",
                   "parallel.zero=3", "parallel.data=4 --set exchange.progress=thread"]
        for layout in layouts:
            with self.subTest(layout=layout):
                plain = self.run_ok(f"--config tiny.json --set {layout}", 4)
                shaped = self.run_ok(f"--config tiny.json --set {layout} {SLOW.format(1e-4, 1e8)}", 4)
                audited = self.run_ok(f"--config tiny.json --set {layout} {SLOW.format(1e-4, 1e8)} --audit", 4)
                for result in (shaped, audited):
                    self.assertEqual(result["correctness"]["parameter_hash"], plain["correctness"]["parameter_hash"])
                self.assertIsNone(plain["metrics"]["late_frac"])
                self.assertTrue(0 <= shaped["metrics"]["late_frac"] <= 1)
                self.assertEqual(shaped["comm_total"]["wire_B_counted"], plain["comm_total"]["wire_B_counted"])
                self.assertEqual(audited["comm_total"]["wire_B_measured"], audited["comm_total"]["wire_B_counted"])

    def test_a_step_takes_its_exchange_by_formula(self):
        """One bucket of n floats in one segment around two ranks: 2 (latency + 2 n / bandwidth); the loss hides behind it."""
        sets = "--set exchange.segment_B=4194304 --set measure.steps=4 --set measure.warmup_steps=1"
        for latency_s, bandwidth in ((0.05, 1e9), (0.001, 2e6)):
            with self.subTest(latency_s=latency_s, bandwidth=bandwidth):
                for _ in range(6):
                    result = self.run_ok(f"--config tiny.json {sets} {SLOW.format(latency_s, bandwidth)} --set network.node_ranks=1", 2)
                    stated_s = 2 * (latency_s + 2 * result["model"]["parameters_count"] / bandwidth)
                    ratio = median_step_s(result) / stated_s
                    self.assertGreater(ratio, 1)
                    if ratio < 1.15:  # the step also computes
                        break
                self.assertLess(ratio, 1.15)

    def assert_straggler(self, sets, slow, low, high):
        """Forward seconds of rank `slow` over those of the other, best steps; again where other programs had the cores."""
        for _ in range(6):
            phases = self.run_ok(f"--config tiny.json {sets}", 2)["samples"]["phase_s"]
            forward = numpy.array(phases["forward"]).min(axis=1)
            ratio = forward[slow] / forward[1 - slow]
            if low < ratio < high:
                break
        self.assertTrue(low < ratio < high, forward)

    def test_a_straggler_takes_its_factor_longer(self):
        self.assert_straggler("--set compute.slowdown=[[1,4]] --set compute.name=sleep --set compute.forward_s=0.004 "
                              "--set compute.backward_s=0.004 --set measure.steps=4", 1, 3.5, 4.5)
        self.assert_straggler("--set compute.slowdown=[[0,8]] --set measure.steps=4", 0, 3, 1000)  # arithmetic; short sleeps are longer

    def test_what_cannot_be_shaped_is_refused(self):
        done = self.dmlbench("--config tiny.json --set fabric.name=shaped --set network.nodes=1 --set network.node_ranks=2", 4)
        self.assert_refused(done, 2, "too small for 4 ranks")
        done = self.command(f"{SMPIRUN} -np 2 {SIMULATED} --config tiny.json --set fabric.name=shaped")
        self.assertIn("simulated hosts have links of their own", done.stderr)

    def test_the_configs_name_networks_that_fit(self):
        for name in ("shaped", "geo"):
            config = json.loads((ROOT / "configs" / f"{name}.json").read_text())
            self.assertTrue(config["why"])
            self.assertEqual(self.dmlbench(f"--config {name}.json --explain", 8).returncode, 0)
        matrix = numpy.array(config["network"]["matrix"]["latency_s"])
        self.assertTrue((matrix == matrix.T).all())
        self.assertEqual(matrix[0, 1], 0.067)  # published: Oregon, Virginia


if __name__ == "__main__":
    unittest.main()
