"""What a step could not have been faster than. Oracles: the closed form of a ring written out, and simulated hosts, which are as
fast as their platform says."""
import json
import unittest

from program import DMLBENCH, InFolder, SIMULATED, SMPIRUN

LATENCY_S, BANDWIDTH_B_PER_S, RANKS = 2e-5, 1.25e8, 8
PLATFORM = f"""<?xml version='1.0'?><!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd"><platform version="4.1">
<cluster id="c" prefix="h" suffix="" radical="0-{RANKS - 1}" speed="1e18f" bw="{BANDWIDTH_B_PER_S}Bps" lat="{LATENCY_S / 2}s"
 sharing_policy="SPLITDUPLEX"/></platform>"""
NETWORK = {"node_ranks": 1, "between": {"latency_s": LATENCY_S, "bandwidth_B_per_s": BANDWIDTH_B_PER_S}}
MLP = {"model": {"name": "mlp", "inputs": 512, "hidden": 512, "layers": 2}, "data": {"name": "synthetic"},
       "batch": {"global": 16, "micro": 2}, "measure": {"steps": 6, "warmup_steps": 1, "verify": False}}
# Latency and bandwidth as they are stated, no factors; computing takes no time.
EXACT = " ".join(f"--cfg={c}" for c in (
    "network/model:CM02", "network/TCP-gamma:0", "network/crosstraffic:0", "network/bandwidth-factor:1",
    "network/latency-factor:1", "network/weight-S:0", "smpi/simulate-computation:no"))


class Bounds(InFolder):
    def simulated(self, config):
        self.write("platform.xml", PLATFORM)
        self.write("sim.json", json.dumps(config))
        done = self.command(f"{SMPIRUN} -np {RANKS} -platform platform.xml {EXACT} {SIMULATED} --config sim.json --out s.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads((self.folder / "s.json").read_text())

    def test_a_simulated_ring_takes_its_bound(self):
        result = self.simulated({**MLP, "network": NETWORK, "exchange": {"segment_B": 1 << 22, "bucket_B": 1 << 26}})
        bounds, n = result["bounds"], result["model"]["parameters_count"]
        ring_s = 2 * (RANKS - 1) * (LATENCY_S + 4 * n / RANKS / BANDWIDTH_B_PER_S)
        self.assertAlmostEqual(bounds["exchange_s"] / ring_s, 1, delta=1e-3)  # blocks differ by a float
        self.assertEqual(bounds["network_source"], "network keys")
        self.assertGreaterEqual(bounds["step_ratio"], 0.999)
        self.assertLess(bounds["step_ratio"], 1.03)
        self.assertAlmostEqual(bounds["step_ratio"] * bounds["step_s"], result["metrics"]["step_s"]["median"], delta=1e-9)

    def test_other_algorithms_take_no_less_than_theirs(self):
        for algorithm in "doubling", "halving", "tree":
            with self.subTest(algorithm=algorithm):
                bounds = self.simulated({**MLP, "network": NETWORK, "exchange": {"allreduce": algorithm}})["bounds"]
                (self.folder / "s.json").unlink()
                self.assertGreaterEqual(bounds["step_ratio"], 0.999)

    def test_a_shaped_run_takes_no_less_than_its_bound_and_little_more(self):
        slow = {"node_ranks": 1, "between": {"latency_s": 1e-4, "bandwidth_B_per_s": 2.5e7}}
        self.write("shaped.json", json.dumps({**MLP, "network": slow, "fabric": {"name": "shaped"}}))
        ratios = []
        while not ratios or (min(ratios) > 1.3 and len(ratios) < 4):  # other work on the machine makes steps longer, never shorter
            result = self.run_ok("--config shaped.json", ranks=2)
            ratios.append(min(max(steps) for steps in zip(*result["samples"]["step_s"])) / result["bounds"]["step_s"])
            self.assertGreaterEqual(ratios[-1], 0.999)
        self.assertLess(min(ratios), 1.3)

    def test_what_nobody_said_is_null_with_the_reason(self):
        bounds = self.run_ok(ranks=2)["bounds"]
        for name in "compute_s", "exchange_s", "step_s", "serial_step_s", "step_ratio", "compute_source", "network_source":
            self.assertIsNone(bounds[name], name)
            self.assertRegex(bounds[name + "_why"], "calibration")

    def test_on_real_hosts_a_stated_network_is_not_in_force(self):
        """Two ranks on one host, which cross nothing, whatever the keys say."""
        self.write("stated.json", json.dumps({**MLP, "network": NETWORK}))
        result = self.run_ok("--config stated.json", ranks=2)
        self.assertIsNone(result["bounds"]["exchange_s"])
        self.assertRegex(result["bounds"]["exchange_s_why"], r"network\.\* is not in force")
        self.assertEqual(result["comm_total"]["step_between_nodes_B"], 0)
        shaped = self.run_ok("--config stated.json --set fabric.name=shaped", ranks=2)
        self.assertEqual(shaped["bounds"]["network_source"], "network keys")
        self.assertGreater(shaped["comm_total"]["step_between_nodes_B"], 0)

    def test_a_bound_says_of_what_it_is(self):
        self.write("stated.json", json.dumps({**MLP, "network": NETWORK, "fabric": {"name": "shaped"}}))
        for more, said in (("--set compute.rate_flop_per_s=1e9", r"bound .* it took [0-9.e+]+ times that\n"),
                           ("", r"bound .* times that \(exchange alone: no rate of computing is known\)"),
                           ("--set parallel.pipeline=2 --set model.layers=3", r"bound +- \(neither compute.rate_flop_per_s nor a calibration")):
            with self.subTest(more=more):
                done = self.dmlbench(f"--config stated.json {more} --out b.json", 2)
                (self.folder / "b.json").unlink()
                self.assertRegex(done.stdout, said)

    def test_a_bad_calibration_is_refused_before_the_run(self):
        self.write("k.json", '{"schema": "dmlbench.result"}')
        self.assert_refused(self.dmlbench("--config tiny.json --set calibration=k.json", 2), 2, "k.json: is no calibration")
        missing = self.dmlbench("--config tiny.json --set calibration=none.json", 2)
        self.assert_refused(missing, 2, "calibration: cannot find none.json")


if __name__ == "__main__":
    unittest.main()
