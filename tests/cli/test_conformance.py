"""dmlbench --conformance as a user calls it: what its numbers are by the compressors' formulas, its JSON, its mistakes."""
import json
import math
import unittest

from program import DMLBENCH, InFolder

CHECKS = {"bias", "bias_along", "omega", "delta", "bits", "lossless", "bytes", "bounds", "repeats", "feedback", "masks", "workers",
          "state", "sum"}
VALUES = ("measured", "stated", "of_allowed_ratio", "floats_count", "draws_count")


def no_constant(text):
    raise ValueError(f"{text} is not JSON")


class Conformance(InFolder):
    def check(self, name, *sets, code=0):
        """The compressor's part of the JSON."""
        options = " ".join(f"--set exchange.compressor.{s}" for s in sets)
        path = self.folder / f"{len(list(self.folder.iterdir()))}.json"
        done = self.command(f"{DMLBENCH} --conformance {name} {options} --out {path.name}")
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        self.assertIn(name, done.stdout)
        document = json.loads(path.read_text(), parse_constant=no_constant)
        self.assertEqual((document["schema"], len(document["compressors"])), ("dmlbench.conformance", 1))
        return document["compressors"][0]

    def test_random_k_has_the_variance_of_its_formula_and_masks_of_its_own(self):
        row = self.check("randk", "ratio=0.1")
        self.assertTrue(row["passes"])
        for name in ("unbiased", "tight", "sparse"):
            self.assertIn(name, row["traits"])
        omega, masks, bits = (row["checks"][name] for name in ("omega", "masks", "bits"))
        k, n = math.ceil(0.1 * omega["floats_count"]), omega["floats_count"]
        self.assertTrue(math.isclose(omega["stated"], n / k - 1, rel_tol=1e-9))
        self.assertTrue(math.isclose(omega["measured"], omega["stated"], rel_tol=0.1))
        k, n = math.ceil(0.1 * masks["floats_count"]), masks["floats_count"]
        self.assertTrue(math.isclose(masks["stated"], k / n, rel_tol=1e-9))
        self.assertTrue(math.isclose(masks["measured"], k / n, rel_tol=0.2))
        self.assertGreater(bits["measured"], bits["stated"])

    def test_masks_that_are_shared_are_seen_to_be_shared(self):
        masks = self.check("randk", "ratio=0.1", "shared=true")["checks"]["masks"]
        self.assertEqual((masks["measured"], masks["stated"], masks["verdict"]), (1, 1, "ok"))

    def test_errors_that_workers_draw_together_and_alone_are_not_judged(self):
        row = self.check("randk+qsgd", "ratio=0.3", "shared=true")
        self.assertTrue(row["passes"])
        self.assertIsNone(row["checks"]["workers"]["stated"])

    def test_top_k_keeps_its_share_and_claims_no_mean(self):
        checks = self.check("topk", "ratio=0.25")["checks"]
        self.assertEqual(set(checks), CHECKS)
        delta = checks["delta"]
        self.assertEqual(delta["stated"], math.ceil(0.25 * delta["floats_count"]) / delta["floats_count"])
        self.assertGreaterEqual(delta["measured"], delta["stated"] * (1 - 1e-6))
        for name, check in checks.items():
            if check["verdict"] == "not claimed":
                self.assertEqual(list(check), ["verdict"], name)
            else:
                self.assertEqual(check["verdict"], "ok", name)
                for value in VALUES:
                    self.assertIn(value, check)
        self.assertEqual({name for name in CHECKS if checks[name]["verdict"] == "not claimed"},
                         {"bias", "bias_along", "omega", "lossless", "masks", "workers", "state", "sum"})

    def test_powersgd_has_a_state_and_a_sum_and_without_the_warm_start_a_share(self):
        warm = self.check("powersgd")["checks"]
        self.assertEqual([warm[name]["verdict"] for name in ("delta", "state", "sum")], ["not claimed", "ok", "ok"])
        cold = self.check("powersgd", "warm_start=false", "rank=1")["checks"]
        self.assertEqual([cold[name]["verdict"] for name in ("delta", "state", "sum")], ["ok", "not claimed", "ok"])

    def test_a_chain_is_checked_like_one(self):
        row = self.check("randk+randk", "ratio=0.5", "then.ratio=0.5")
        self.assertTrue(row["passes"] and "unbiased" in row["traits"])
        omega = row["checks"]["omega"]
        n = omega["floats_count"]
        kept = math.ceil(math.ceil(n / 2) / 2)
        self.assertTrue(math.isclose(omega["stated"], n / kept - 1, rel_tol=1e-6))

    def test_all_compressors_keep_what_they_claim_and_the_table_has_a_line_for_each(self):
        done = self.command(f"{DMLBENCH} --conformance all")
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertNotIn("FAIL", done.stdout)
        names = [line.split()[0] for line in done.stdout.split("\n\n")[0].splitlines()[1:]]
        listed = self.command(f"{DMLBENCH} --conformance nobody").stderr
        self.assertEqual(names, listed.split("one of: ")[1].split(")")[0].split(", "))

    def test_mistakes_are_named(self):
        (self.folder / "there.json").write_text("")
        for arguments, code, parts in (("topkk", 2, ("topkk", "did you mean topk?")),
                                       ("topk+topk+topk+topk", 2, ("up to 3",)),
                                       ("topk --set exchange.compressor.ratio=2", 2, ("exchange.compressor.ratio", "2")),
                                       ("topk --set exchange.compressor.levels=2", 2, ("levels",)),
                                       ("topk --out there.json", 1, ("there.json", "exists")),
                                       ("topk --out no/where.json", 2, ("no/where.json",))):
            self.assert_refused(self.command(f"{DMLBENCH} --conformance {arguments}"), code, *parts)
        self.assertEqual((self.folder / "there.json").read_text(), "")


if __name__ == "__main__":
    unittest.main()
