"""scripts/plot-run on a real result, and on files that are none."""
import json
import runpy
import shlex
import unittest

from program import ROOT, InFolder

PLOT = shlex.quote(str(ROOT / "scripts/plot-run"))


class Plot(InFolder):
    def test_a_result_becomes_a_picture_beside_it(self):
        self.run_ok(ranks=2)
        result = self.outs()[0]
        done = self.command(f"{PLOT} '{result.name}'")
        picture = result.with_suffix(".png")
        self.assertEqual((done.returncode, done.stdout), (0, f"{picture.name}\n"), done.stderr)
        self.assertEqual(picture.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")

    def test_every_phase_has_a_colour_and_what_is_grey_is_the_bubble_of_the_title(self):
        result = self.run_ok("--config tiny.json --set parallel.pipeline=2 --set model.tied=false", ranks=4)
        plot, metrics = runpy.run_path(str(ROOT / "scripts/plot-run")), result["metrics"]
        self.assertEqual([phase for phase in plot["STYLES"] if phase != plot["DRAIN"]], list(result["samples"]["phase_s"]))
        means_s = plot["phase_means_s"](result)
        idle_s = sum(sum(ranks) for phase, ranks in means_s.items() if phase.startswith("idle"))
        whole_s = sum(sum(ranks) for phase, ranks in means_s.items() if phase not in plot["IN_NEITHER"])
        self.assertAlmostEqual(idle_s / whole_s, metrics["bubble_frac_measured"], delta=0.01)
        self.assertEqual(plot["rank_names"](result), ["0\nd0\np0", "1\nd0\np1", "2\nd1\np0", "3\nd1\np1"])
        self.assertIn(f"{100 * metrics['bubble_frac_measured']:.1f} % measured", plot["bubble_text"](metrics))
        self.assertEqual(self.command(f"{PLOT} '{self.outs()[0].name}'").returncode, 0)

    def test_a_run_that_failed_after_some_steps_is_drawn(self):
        self.dmlbench("--config tiny.json --set optimizer.learning_rate=1e6 --set measure.warmup_steps=0 --out bad.json")
        done = self.command(f"{PLOT} bad.json")
        self.assertEqual((done.returncode, done.stdout), (0, "bad.png\n"), done.stderr)

    def test_other_files_are_refused_in_one_sentence(self):
        for name, content, says in (("none.json", None, "No such file"), ("text.json", "no JSON", "is not a result"),
                                    ("list.json", "[1]", "is not a result"), ("other.json", '{"schema": "x"}', "is not a result"),
                                    ("failed.json", json.dumps({"schema": "dmlbench.result", "run": {"status": "failed"},
                                                                "samples": {"warmup": None}}), "no measured step (run failed)")):
            with self.subTest(name=name):
                if content is not None:
                    self.write(name, content)
                done = self.command(f"{PLOT} {name}")
                self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
                self.assertIn(says, done.stderr)


if __name__ == "__main__":
    unittest.main()
