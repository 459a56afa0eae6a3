"""What a run says about itself, through the program: the same bits again, bytes that close, statistics that can be recomputed."""
import json
import math
import os
import pathlib
import re
import subprocess
import unittest

import jsonschema
import numpy

from program import BUILD, DMLBENCH, SIMULATED, SMPIRUN, InFolder

NAMES = """schema schema_version run.status run.exit_code config config_sha256 seed platform parallelism model.parameters_count
    samples.step_s samples.loss samples.phase_s comm comm_total.wire_B_predicted comm_total.wire_B_counted comm_total.wire_B_measured
    comm_total.dense_equivalent_B comm_total.match metrics.throughput_samples_per_s metrics.step_s metrics.mfu_frac metrics.overlap_frac
    metrics.bubble_frac_theory metrics.bubble_frac_measured metrics.peak_rss_B correctness.loss_first correctness.loss_last
    correctness.parameter_hash correctness.replicas_identical correctness.gradient_max_rel_err interference warnings""".split()
COMM = "name group op algorithm calls logical_B wire_B_predicted wire_B_counted wire_B_measured".split()
ALGORITHMS = ("ring", "doubling", "halving", "tree")


def at(result, path):
    for name in path.split("."):
        result = result[name]
    return result


class Run(InFolder):
    def test_a_second_config_goes_over_the_first_on_every_rank(self):
        self.write("more.json", '{"why": "other steps", "name": "more", "measure": {"steps": 3}, "seed": 5}')
        result = self.run_ok("--config tiny.json --with more.json --set seed=6", ranks=2)
        self.assertEqual((result["config"]["measure"]["steps"], result["config"]["seed"], result["config"]["name"]), (3, 6, "tiny"))
        self.assert_refused(self.dmlbench("--config tiny.json --with no.json", ranks=2), 2, "no.json: no such file")
        self.write("more.json", '{"measure": {"stepz": 3}}')
        self.assert_refused(self.dmlbench("--config tiny.json --with more.json", ranks=2), 2, "more.json: measure.stepz: no such key")

    def test_a_run_twice_gives_the_same_bits_and_a_result_that_fits_the_schema(self):
        one, two = self.run_ok(ranks=4), self.run_ok(ranks=4)
        for name in ("correctness.parameter_hash", "samples.loss", "config_sha256", "comm_total.wire_B_counted", "data.xxh3"):
            self.assertEqual(at(one, name), at(two, name), name)
        self.assertNotEqual(at(one, "run.uuid"), at(two, "run.uuid"))
        schema = json.loads(self.command(f"{DMLBENCH} --schema result").stdout)
        jsonschema.Draft7Validator.check_schema(schema)
        jsonschema.validate(one, schema)
        for name in NAMES:
            at(one, name)
        for name in COMM:
            self.assertIn(name, one["comm"][0])
        self.assertTrue(one["correctness"]["replicas_identical"])
        self.assertLess(one["correctness"]["gradient_max_rel_err"], 0.01)

    def test_statistics_are_those_of_the_raw_samples(self):
        result = self.run_ok(ranks=2)
        samples = result["samples"]
        self.assertEqual(numpy.shape(samples["step_s"]), (2, 10))
        slowest = numpy.max(samples["step_s"], axis=0)[2:]
        got = result["metrics"]["step_s"]
        self.assertEqual(got["n"], 8)
        self.assertTrue(math.isclose(got["median"], numpy.median(slowest), rel_tol=1e-12))
        self.assertTrue(math.isclose(got["ci95_low"], numpy.sort(slowest)[0], rel_tol=1e-12))  # n = 8: ranks 1 and 8
        rate = result["metrics"]["throughput_samples_per_s"]
        self.assertTrue(math.isclose(rate["mean"], 48 * 8 / slowest.sum(), rel_tol=1e-12))
        phases = sum(numpy.array(p) for p in samples["phase_s"].values())
        numpy.testing.assert_allclose(phases, samples["step_s"], rtol=1e-6)  # every moment of a step is in one phase
        self.assertEqual(samples["loss"][-1], result["correctness"]["loss_last"])

    def test_derived_numbers_follow_from_the_raw_ones_by_the_readmes_formulas(self):
        result = self.run_ok(ranks=2)
        layers, C, T, V, batch = 2, 32, 16, 16, 48
        attention = 2 * C * (T + 1) / 2  # what the mask leaves of queries by keys, and of probabilities by values
        weights = layers * 12 * C * C
        forward = batch * T * (2 * weights + layers * 2 * attention + 2 * C * V)
        backward = batch * T * (4 * weights + layers * 4 * attention + 4 * C * V)
        self.assertEqual((result["model"]["flop_forward"], result["model"]["flop_backward"]), (forward, backward))
        parameters = layers * (12 * C * C + 13 * C) + V * C + T * C + 2 * C  # the head is tied
        self.assertEqual(result["model"]["parameters_count"], parameters)
        metrics = result["metrics"]
        mfu = (forward + backward) / metrics["step_s"]["median"] / metrics["sgemm_flop_per_s"]
        self.assertTrue(math.isclose(metrics["mfu_frac"], mfu, rel_tol=1e-12))
        self.assertEqual(result["comm_total"]["dense_equivalent_B"], 2 * (2 - 1) * 4 * parameters * 10)
        if metrics["overlap_frac"] is None:
            self.assertIn("waited", metrics["overlap_frac_why"])
        else:
            self.assertTrue(0 <= metrics["overlap_frac"] <= 1)

    def test_the_loss_falls_towards_the_entropy_of_the_data_and_not_below(self):
        result = self.run_ok("--config tiny.json --set measure.steps=250", ranks=2)
        floor, losses = result["model"]["loss_floor"], result["samples"]["loss"]
        self.assertTrue(math.isclose(floor, -0.1 * math.log(0.1) - 0.9 * math.log(0.9) + 0.1 * math.log(15), rel_tol=1e-12))
        self.assertGreater(losses[0], 2.5)
        last = numpy.mean(losses[-50:])
        self.assertLess(last, 1.15 * floor)
        self.assertGreater(last, 0.97 * floor)  # 50 batches of 768 symbols: 1 % of sampling error

    def test_tree_reduction_does_not_care_how_many_ranks_there_are(self):
        runs = [self.run_ok("--config tiny.json --set exchange.reduction=tree", ranks=p) for p in (1, 2, 3, 4, 8)]
        for name in ("correctness.parameter_hash", "samples.loss"):
            self.assertEqual(len({json.dumps(at(r, name)) for r in runs}), 1, name)

    def test_predicted_counted_and_measured_bytes_are_equal_for_every_exchange(self):
        ways = [f"exchange.allreduce={a}" for a in ALGORITHMS]
        ways += ["exchange.allreduce=hierarchical --set network.node_ranks=2 --set fabric.name=shaped", "exchange.reduction=tree", """exchange.compressor='{"name": "topk", "ratio": 0.05}'"""]
        for ranks, way in [(p, w) for w in ways for p in (3, 4)]:
            with self.subTest(ranks=ranks, way=way):
                result = self.run_ok(f"--config tiny.json --audit --set {way} --set exchange.bucket_B=20000", ranks)
                total = result["comm_total"]
                self.assertEqual(total["wire_B_predicted"], total["wire_B_counted"])
                self.assertEqual(total["wire_B_measured"], total["wire_B_counted"])
                self.assertTrue(total["match"])
                if ranks == 4 and way == "exchange.allreduce=ring":  # 10 steps; the loss is 24 floats by doubling
                    self.assertEqual(total["wire_B_counted"], 10 * 4 * (2 * 3 * result["model"]["parameters_count"] + 4 * 2 * 24))

    def test_shared_memory_sends_no_message_counts_what_ranks_read_and_is_not_audited(self):
        ring, shared = (self.run_ok(f"--config tiny.json --set exchange.allreduce={a}", 4) for a in ("ring", "shm"))
        gradient = [next(row for row in r["comm"] if row["name"] == "gradient") for r in (ring, shared)]
        self.assertEqual(gradient[1]["messages"], 0)
        self.assertEqual(gradient[1]["wire_B_counted"], gradient[0]["wire_B_counted"])
        self.assertTrue(shared["comm_total"]["match"])
        done = self.dmlbench("--config tiny.json --audit --set exchange.allreduce=shm", 2)
        self.assert_refused(done, 2, 'exchange.allreduce = "shm" goes through shared memory')

    def test_what_auto_picked_is_in_the_result_and_is_what_ran(self):
        narrow = "--set network.node_ranks=2 --set network.between.bandwidth_B_per_s=2e7 --set fabric.name=shaped"
        for ranks, more, picked in ((4, "", "shm"), (4, narrow, "hierarchical"), (1, "", None)):
            with self.subTest(ranks=ranks, more=more):
                auto = self.run_ok(f"--config tiny.json --set exchange.allreduce=auto --set exchange.bucket_B=60000 {more}", ranks)
                gradient = next(row for row in auto["comm"] if row["name"] == "gradient")
                if picked:
                    self.assertTrue(gradient["algorithm"].startswith(f"auto: {picked}"), gradient["algorithm"])
                    named = self.run_ok(f"--config tiny.json --set exchange.allreduce={picked} --set exchange.bucket_B=60000 {more}", ranks)
                    self.assertEqual(auto["samples"]["loss"], named["samples"]["loss"])
                self.assertTrue(auto["comm_total"]["match"])

    def test_an_audit_of_any_layout_closes_and_tells_checking_from_training(self):
        layouts = ["parallel.pipeline=2", "parallel.tensor=2 --set parallel.sequence=true", "parallel.pipeline=2 --set parallel.tensor=2",
                   "parallel.pipeline=4 --set parallel.schedule.name=chimera --set parallel.data=1", "parallel.zero=1", "parallel.zero=3"]
        for layout in layouts:
            with self.subTest(layout=layout):
                audited = self.run_ok(f"--config tiny.json --set model.layers=4 --audit --set {layout}", 4)
                plain = self.run_ok(f"--config tiny.json --set model.layers=4 --set {layout}", 4)
                total = audited["comm_total"]
                self.assertEqual(total["wire_B_predicted"], total["wire_B_counted"])
                self.assertEqual(total["wire_B_measured"], total["wire_B_counted"])
                rows = [{c["name"]: c["wire_B_counted"] for c in r["comm"] if c["name"] != "check"} for r in (audited, plain)]
                self.assertEqual(rows[0], rows[1])

    def test_operations_are_counted_once_and_dense_bytes_for_all_replicas_of_every_part(self):
        """4 ranks, 10 steps, 24 micro-batches of 2; both stages of chimera's two routes have a copy of either part: 4 replicas."""
        for layout, replicas, exchanges in (("parallel.pipeline=2", 2, 2),
                                            ("parallel.pipeline=2 --set parallel.schedule.name=chimera", 4, 2),
                                            ("parallel.data=4", 4, 1)):
            with self.subTest(layout=layout):
                result = self.run_ok(f"--config tiny.json --set model.tied=false --set {layout}", 4)
                calls = {row["name"]: row["calls"] for row in result["comm"]}
                parameters = result["model"]["parameters_count"]
                self.assertEqual(result["comm_total"]["dense_equivalent_B"], 10 * 2 * (replicas - 1) * 4 * parameters)
                self.assertEqual(calls["gradient"], 10 * exchanges)
                self.assertEqual(calls["loss"], 10)
                self.assertEqual(calls.get("activation", 0), 10 * 24 if "pipeline" in layout else 0)

    def test_explain_predicts_the_bytes_that_the_run_counts_and_runs_nothing(self):
        layouts = ["exchange.allreduce=halving", "exchange.reduction=tree", "parallel.zero=3", "parallel.pipeline=2",
                   "parallel.pipeline=2 --set parallel.schedule.name=chimera --set batch.global=45 --set batch.micro=4",
                   "parallel.tensor=2 --set parallel.sequence=true", "parallel.pipeline=2 --set parallel.tensor=2",
                   """parallel.pipeline=2 --set parallel.activation_compressor='{"name":"qsgd","levels":7}' --set batch.global=45"""]
        for layout in layouts:
            with self.subTest(layout=layout):
                said = self.dmlbench(f"--config tiny.json --set {layout} --explain", ranks=4)
                self.assertEqual(said.returncode, 0, said.stderr)
                self.assertEqual(self.results(), [])
                a_step = {name: int(B) for name, B in re.findall(r"^(\w+) +(?:data|pipeline|tensor|all) .* (\d+) B$", said.stdout, re.M)}
                counted = {row["name"]: row["wire_B_counted"] for row in self.run_ok(f"--config tiny.json --set {layout}", 4)["comm"]}
                self.assertEqual({name: B for name, B in counted.items() if B}, {name: 10 * B for name, B in a_step.items()})

    def test_codes_between_stages_have_phases_of_their_own_and_are_warned_of_where_they_are_larger(self):
        larger = "a message between stages is larger as a code"
        for code, warned in (('{"name":"fp16"}', False), ('{"name":"topk","ratio":1}', True)):
            result = self.run_ok(f"--config tiny.json --set parallel.pipeline=2 --set parallel.activation_compressor='{code}'", 2)
            spent_s = {name: sum(map(sum, ranks)) for name, ranks in result["samples"]["phase_s"].items()}
            self.assertTrue(spent_s["message_encode"] > 0 and spent_s["message_decode"] > 0, spent_s)
            self.assertEqual((spent_s["encode"], spent_s["decode"]), (0, 0))
            self.assertEqual(any(larger in warning for warning in result["warnings"]), warned, result["warnings"])

    def test_explain_says_that_gpipe_keeps_its_last_micro_batch(self):
        said = self.dmlbench("--config tiny.json --set parallel.pipeline=2 --set parallel.schedule.name=gpipe --explain", ranks=2)
        self.assertIn("24 micro-batches through 2 stages of 1 chunk, which recompute 23 of them\n", said.stdout)

    def test_the_librarys_allreduce_has_no_wire_bytes_but_a_reason(self):
        result = self.run_ok("--config tiny.json --set exchange.allreduce=mpi", ranks=2)
        self.assertIsNone(result["comm"][0]["wire_B_predicted"])
        self.assertIn("library", result["comm"][0]["wire_B_predicted_why"])

    def test_a_planted_secret_never_appears_and_an_allowed_variable_does(self):
        self.run_ok(env={**os.environ, "SECRET_TOKEN": "hunter2", "OMP_PROC_BIND": "spread"})
        text = self.outs()[-1].read_text()
        self.assertNotIn("hunter2", text)
        self.assertNotIn("SECRET_TOKEN", text)
        self.assertIn("OMP_PROC_BIND", text)

    def test_a_result_is_never_overwritten(self):
        first = self.dmlbench("--config tiny.json --out kept.json")
        self.assertEqual(first.returncode, 0, first.stderr)
        before = (self.folder / "kept.json").read_bytes()
        self.assert_refused(self.dmlbench("--config tiny.json --out kept.json"), 1, "kept.json")
        self.assertEqual((self.folder / "kept.json").read_bytes(), before)

    def test_simulated_ranks_learn_the_same_bits(self):
        real = self.run_ok(ranks=4)
        done = self.command(f"{SMPIRUN} -np 4 {SIMULATED} --config tiny.json --out sim.json",
                            env={**os.environ, "OPENBLAS_CORETYPE": real["platform"]["blas_kernel"]})
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        simulated = json.loads((self.folder / "sim.json").read_text())
        for name in ("correctness.parameter_hash", "samples.loss", "comm_total.wire_B_counted"):
            self.assertEqual(at(real, name), at(simulated, name), name)

    def test_the_program_starts_itself_again_where_openblas_leaves_avx512_unused(self):
        if "avx512vl" not in pathlib.Path("/proc/cpuinfo").read_text().split():
            self.skipTest("a processor without AVX-512")
        source = self.write("old.c", "#include <stdlib.h>\nchar *openblas_get_corename(void);\nchar *openblas_get_corename(void)"
                            '{ char *asked = getenv("OPENBLAS_CORETYPE"); return asked ? asked : "Haswell"; }')
        library = self.folder / "old.so"  # an OpenBLAS that does not know this processor
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
        env = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
        for more, part in (({}, "was set to SkylakeX"), ({"OPENBLAS_CORETYPE": "Haswell"}, "was given")):
            done = subprocess.run([BUILD / "dmlbench", "--config", "tiny.json", "--out", f"{len(more)}.json"], cwd=self.folder,
                                  env={**env, **more, "LD_PRELOAD": "./old.so"}, capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            platform = json.loads((self.folder / f"{len(more)}.json").read_text())["platform"]
            self.assertIn(part, platform["blas_kernel_reason"])
            self.assertEqual(platform["blas_kernel"], more.get("OPENBLAS_CORETYPE", "SkylakeX"))

    def test_the_live_line_and_the_summary_are_for_people_only(self):
        quiet = self.dmlbench("--config tiny.json --quiet")
        self.assertEqual((quiet.returncode, quiet.stdout, quiet.stderr), (0, "", ""))
        plain = self.dmlbench("--config tiny.json")
        self.assertEqual(plain.stderr, "")  # no terminal, no line
        self.assertIn("samples/s", plain.stdout)
        self.assertLess(len(plain.stdout.splitlines()), 25)


if __name__ == "__main__":
    unittest.main()
