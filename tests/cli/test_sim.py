"""The program on simulated hosts."""
import json
import os
import time
import unittest

from program import SIMULATED, SMPIRUN, InFolder, built


class Simulated(InFolder):
    def test_a_rank_that_stays_away_is_reported_as_a_deadlock_at_once(self):
        start = time.monotonic()
        done = self.command(f"{SMPIRUN} -np 4 {built('sim/tests/collectives/show_deadlock')}", timeout=30,
                            env={**os.environ, "SMPI_LOG": "error"})
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("eadlock", done.stderr + done.stdout)
        self.assertLess(time.monotonic() - start, 10)

    def test_a_mistake_is_one_sentence_there_too(self):
        done = self.command(f"{SMPIRUN} -np 3 {SIMULATED} --config tiny.json --set batch.mirco=2")
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stderr.count("dmlbench: "), 1, done.stderr)
        self.assertIn("batch.micro", done.stderr)

    def test_a_pipeline_needs_no_buffers_but_its_own(self):
        """Every send waits for its receive, as large messages do on networks: nothing hangs, and the bits are the same."""
        for ranks in (2, 4, 8):
            done = self.command(f"{SMPIRUN} -np {ranks} --cfg=smpi/send-is-detached-thresh:0 --cfg=smpi/async-small-thresh:0 "
                                f"{built('sim/tests/bench/test_pipeline')}", env={**os.environ, "SMPI_LOG": "error"})
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_result_says_that_time_was_virtual(self):
        done = self.command(f"{SMPIRUN} -np 8 {SIMULATED} --config tiny.json --out sim.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads((self.folder / "sim.json").read_text())
        self.assertEqual(result["tool"]["build"], "smpi")
        self.assertIsNone(result["metrics"]["mfu_frac"])
        self.assertIn("simulated", result["metrics"]["mfu_frac_why"])
        self.assertIsNone(result["metrics"]["peak_rss_B"])  # one process holds all ranks


if __name__ == "__main__":
    unittest.main()
