"""A thousand simulated ranks, and what they may cost. In seconds of a processor, because others may use it, too."""
import json
import resource
import unittest

from program import InFolder, built

DMLRUN = built("dmlrun")


class Scale(InFolder):
    def simulate(self, ranks, arguments):
        """The result, and the seconds of a processor that it took."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = self.command(f"{DMLRUN} -np {ranks} --quiet {arguments} --out big.json", timeout=115)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = json.loads((self.folder / "big.json").read_text())
        self.assertEqual(len(result["platform"]["ranks"]), ranks)
        self.assertTrue(result["comm_total"]["match"])
        self.assertLess(after.ru_maxrss, 4 * 2**20)  # KiB
        return result, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def test_a_step_of_1024_ranks_without_arithmetic(self):
        result, took_s = self.simulate(1024, "--simulate cluster-1024.json --config gpt-2.5b.json")
        self.assertGreater(result["model"]["parameters_count"], 2.5e9)
        self.assertLess(took_s, 60)

    def test_64_ranks_with_arithmetic_and_its_loss(self):
        result, took_s = self.simulate(64, "--simulate cluster-64.json --config data.json --set batch.micro=1 --set measure.steps=5")
        self.assertLess(result["correctness"]["loss_last"], result["correctness"]["loss_first"])
        self.assertLess(took_s, 60)


if __name__ == "__main__":
    unittest.main()
