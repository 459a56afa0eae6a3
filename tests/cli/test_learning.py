"""What compression costs in learning: whole runs on eight ranks, of the variants in configs/compressors.json.

The claims are those of the papers, in the form that can fail here: with error feedback top-k 1 %, PowerSGD and signs end within 2 % of
the dense loss (mean over the last tenth of the steps); each part of a method that is switched off costs more than that, or more than
the whole.  Sources: Stich, Cordonnier, Jaggi 2018 (top-k); Vogels, Karimireddy, Jaggi 2019 (PowerSGD); Karimireddy et al. 2019 (signs).
"""
import json
import unittest

from program import ROOT, InFolder

PLAN = json.loads((ROOT / "configs/compressors.json").read_text())
WITHIN = 0.02


class Learning(InFolder):
    known = {}  # runs give the same bits, so each is made once

    def run_once(self, base, variant):
        sets = " ".join(f"--set '{key}={json.dumps(value)}'" for key, value in PLAN["variants"][variant].items())
        result = self.run_ok(f"--config '{ROOT}/configs/{base}' --quiet --set measure.verify=false {sets}", PLAN["ranks"])
        self.assertTrue(result["comm_total"]["match"])
        self.assertTrue(result["correctness"]["replicas_identical"])
        return result["samples"]["loss"]

    def loss(self, base, variant):
        """Mean over the last tenth of the steps."""
        if (base, variant) not in self.known:
            losses = self.run_once(base, variant)
            last = losses[-(len(losses) // 10):]
            self.known[base, variant] = sum(last) / len(last)
        return self.known[base, variant]

    def check(self, base, variant, parts_off, least_cost=WITHIN):
        dense = self.loss(base, "dense")
        whole = self.loss(base, variant)
        self.assertLess(whole, dense * (1 + WITHIN))
        for part in parts_off:
            self.assertGreater(self.loss(base, part), dense * (1 + least_cost), part)

    def test_top_k_learns_with_error_feedback_only(self):
        self.check("learn-mlp.json", "topk 1 %, feedback", ["topk 1 %"], 0.2)

    def test_top_k_of_a_gpt_learns_with_error_feedback_only(self):
        self.check("learn-gpt.json", "topk 1 %, feedback", ["topk 1 %"], 0.2)

    def test_powersgd_needs_error_feedback_and_a_warm_start(self):
        self.check("learn-mlp.json", "powersgd rank 4, feedback", ["powersgd rank 4"], 0.05)
        self.assertGreater(self.loss("learn-mlp.json", "powersgd rank 4, feedback, cold"),
                           1.005 * self.loss("learn-mlp.json", "powersgd rank 4, feedback"))

    def test_powersgd_of_a_gpt_needs_error_feedback(self):
        self.check("learn-gpt.json", "powersgd rank 4, feedback", ["powersgd rank 4"], 0.05)

    def test_signs_converge_with_error_feedback_and_at_no_rate_without(self):
        self.check("learn-mlp.json", "ef-sign, feedback", ["ef-sign", "sign, best rate for it", "sign, three times that"], 0.1)


if __name__ == "__main__":
    unittest.main()
