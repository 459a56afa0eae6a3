"""dmlbench --calibrate. Oracles: the published schema, the sgemm rate that a run finds by itself, and arithmetic on the file's own
samples."""
import json
import subprocess
import unittest

import jsonschema

from program import BUILD, DMLBENCH, InFolder, SIMULATED, SMPIRUN


class Calibrate(InFolder):
    def test_measures_what_a_run_finds_and_what_the_schema_says(self):
        done = self.dmlbench("--calibrate --out k.json", 2)
        self.assertEqual(done.returncode, 0, done.stderr)
        k = json.loads((self.folder / "k.json").read_text())
        schema = json.loads(subprocess.check_output([BUILD / "dmlbench", "--schema", "calibration"]))
        jsonschema.validate(k, schema)
        self.assertEqual(self.command(f"{DMLBENCH} --validate k.json").returncode, 0)

        run = self.run_ok("--config tiny.json --set measure.steps=2", 2)
        best = max(p["flop_per_s"]["median"] for p in k["sgemm"])
        self.assertLess(best / 3, run["metrics"]["sgemm_flop_per_s"] / 2)
        self.assertLess(run["metrics"]["sgemm_flop_per_s"] / 2, best * 3)

        link, between = k["links"]
        left = [abs(1 - (link["latency_s"] + m["size_B"] / link["bandwidth_B_per_s"]) / m["message_s"]["min"])
                for m in link["messages"]]
        self.assertAlmostEqual(sum(left) / len(left), link["residual_frac"], delta=1e-6)
        self.assertEqual((link["name"], between["name"], between["latency_s"]), ("inside", "between", None))
        self.assertGreater(k["memory"]["rate_B_per_s"]["median"], 1e8)
        self.assertEqual({"none", "topk", "powersgd"} - {c["name"] for c in k["codecs"]}, set())

        again = self.dmlbench("--calibrate --out k.json", 2)
        self.assert_refused(again, 1, "k.json: exists already")

    def test_is_refused_where_it_means_nothing(self):
        self.assert_refused(self.dmlbench("--calibrate --config tiny.json"), 2, "--calibrate goes with --out and --quiet alone")
        done = self.command(f"{SMPIRUN} -np 2 {SIMULATED} --calibrate")
        self.assertIn("dmlbench: --calibrate: simulated hosts are as fast as their platform states", done.stderr)


if __name__ == "__main__":
    unittest.main()
