"""Virtual time that is charged for what is computed, and runs of sizes and flops alone (compute.name model)."""
import json
import unittest

from program import SIMULATED, SMPIRUN, TINY, InFolder, built

DMLRUN = built("dmlrun")

RATE = 1e9
NETWORK = {"compute": {"rate_flop_per_s": RATE},
           "network": {"node_ranks": 4, "inside": {"latency_s": 1e-6, "bandwidth_B_per_s": 1e10},
                       "between": {"latency_s": 1e-5, "bandwidth_B_per_s": 1e9}}}
GPT = {"name": "gpt", "layers": 4, "hidden": 32, "heads": 4, "sequence": 16, "vocabulary": 16}
MLP = {"name": "mlp", "inputs": 32, "hidden": 64, "layers": 2, "classes": 8}
SAME = ("calls", "messages", "logical_B", "wire_B_counted", "wire_B_predicted")

LAYOUTS = [  # of 8 ranks
    {"parallel.data": 8},
    {"parallel.pipeline": 2, "exchange.allreduce": "auto"},
    {"parallel.data": 8, "exchange.reduction": "tree", "parallel.zero": 1},
    {"parallel.pipeline": 4, "parallel.tensor": 2},
    {"parallel.pipeline": 2, "parallel.tensor": 2, "parallel.sequence": True, "parallel.zero": 1},
    {"parallel.tensor": 2, "parallel.zero": 2},
    {"parallel.tensor": 2, "parallel.zero": 3, "exchange.bucket_B": 4096},
    {"parallel.pipeline": 4, "parallel.schedule.name": "zb-h1", "parallel.activation_compressor.name": "fp16"},
    {"parallel.pipeline": 4, "parallel.schedule.name": "chimera"},
]
CODES = [  # of 8 replicas
    {"exchange.compressor.name": "topk", "exchange.error_feedback": True},
    {"exchange.compressor.name": "powersgd", "exchange.error_feedback": True},
    {"exchange.compressor.name": "ef-sign", "exchange.collective.name": "two-shot", "exchange.error_feedback": True},
    {"exchange.compressor.name": "sign", "exchange.collective.name": "ring-requantised"},
    {"exchange.compressor.name": "topk", "exchange.collective.name": "server"},
    {"exchange.compressor.name": "randk", "exchange.collective.name": "hierarchical", "exchange.collective.node_ranks": 4},
]


class Hollow(InFolder):
    def setUp(self):
        super().setUp()
        self.write("net.json", json.dumps(NETWORK))
        self.count = 0

    def simulate(self, sets, ranks=8, model=GPT):
        config = {**TINY, "model": model, "measure": {"steps": 2, "warmup_steps": 1, "verify": False}}
        for path, value in sets.items():
            *groups, key = path.split(".")
            place = config
            for group in groups:
                place = place.setdefault(group, {})
            place[key] = value
        self.write("run.json", json.dumps(config))
        self.count += 1
        out = f"out-{self.count}.json"
        done = self.command(f"{DMLRUN} -np {ranks} --quiet --simulate net.json --config run.json --out {out}")
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return json.loads((self.folder / out).read_text())

    def assert_same(self, real, hollow):
        rows = [{row["name"]: [row[key] for key in SAME] for row in result["comm"]} for result in (real, hollow)]
        self.assertEqual(*rows)
        for name in ("step_s", "gradient_B"):
            for one, other in zip(real["samples"][name], hollow["samples"][name], strict=True):
                for x, y in zip(one, other, strict=True):
                    self.assertLessEqual(abs(x - y), 1e-9 * abs(x))

    def test_without_arithmetic_bytes_messages_and_times_are_the_same(self):
        for sets in LAYOUTS + CODES:
            with self.subTest(sets):
                self.assert_same(*(self.simulate(sets | {"compute.name": name}) for name in ("blas", "model")))

    def test_so_they_are_of_other_layers(self):
        for sets in ({"parallel.pipeline": 3}, {"parallel.tensor": 2}):
            with self.subTest(sets):
                self.assert_same(*(self.simulate(sets | {"compute.name": name}, ranks=6, model=MLP) for name in ("blas", "model")))

    def test_what_was_not_computed_is_null_with_a_reason(self):
        result = self.simulate({"compute.name": "model"}, ranks=2)
        for name in ("loss_first", "loss_last", "parameter_hash", "gradient_max_rel_err"):
            self.assertIsNone(result["correctness"][name])
            self.assertIn("nothing was computed", result["correctness"][name + "_why"])
        self.assertFalse(result["correctness"]["replicas_identical"])

    def test_a_step_of_one_rank_takes_its_flop_at_the_rate(self):
        for model, slowdown in ((GPT, []), (MLP, []), (MLP, [[0, 3]])):
            result = self.simulate({"compute.slowdown": slowdown}, ranks=1, model=model)
            flop = result["model"]["flop_forward"] + result["model"]["flop_backward"]
            expected = flop / RATE * (slowdown[0][1] if slowdown else 1)
            for step_s in result["samples"]["step_s"][0]:
                self.assertAlmostEqual(step_s / expected, 1, delta=1e-9)

    def test_codes_take_the_time_of_their_floats(self):
        """Of an allgather: one code is made, and one of each rank decoded."""
        sets = {"exchange.compressor.name": "randk", "exchange.collective.name": "allgather", "exchange.overlap": False}
        free = self.simulate(sets, ranks=4)
        charged = self.simulate(sets | {"compute.encode_B_per_s": 1e6, "compute.decode_B_per_s": 1e7}, ranks=4)
        B = 4 * free["model"]["parameters_count"]
        self.assertAlmostEqual(charged["metrics"]["step_s"]["median"] - free["metrics"]["step_s"]["median"], B / 1e6 + 4 * B / 1e7,
                               delta=1e-9)

    def test_two_runs_are_the_same_to_the_last_digit(self):
        for name in ("blas", "model"):
            one, other = (self.simulate({"parallel.pipeline": 2, "parallel.tensor": 2, "compute.name": name}) for _ in range(2))
            self.assertNotEqual(one["run"]["uuid"], other["run"]["uuid"])
            for result in (one, other):
                for its_own in ("uuid", "start_utc", "end_utc", "command"):
                    del result["run"][its_own]
            self.assertEqual(one, other)

    def test_what_cannot_go_without_arithmetic_is_refused(self):
        for sets, words in (({"exchange.allreduce": "mpi"}, ("exchange.allreduce", "ring")),
                            ({"exchange.compressor.name": "threshold"}, ("exchange.compressor", "fp16")),
                            ({"exchange.compressor.name": "topk", "exchange.collective.name": "gtopk"}, ("collective", "two-shot"))):
            words_set = " ".join(f"--set {key}={value}" for key, value in sets.items())
            done = self.command(f"{DMLRUN} -np 2 --quiet --simulate net.json --config tiny.json --set compute.name=model {words_set}")
            self.assertEqual(done.returncode, 2, done.stderr)
            for word in ("compute.name", *words):
                self.assertIn(word, done.stderr)

    def test_where_time_is_not_virtual_it_is_refused(self):
        done = self.dmlbench("--config tiny.json --set compute.name=model", ranks=2)
        self.assert_refused(done, 2, "compute.name = \"model\"", "dmlrun --simulate")

    def test_where_smpirun_measures_what_is_computed_nothing_is_charged_twice(self):
        done = self.command(f"{SMPIRUN} -np 2 {SIMULATED} --config tiny.json --set compute.rate_flop_per_s=1e9")
        self.assert_refused(done, 2, "compute.rate_flop_per_s", "simulate-computation:no")


if __name__ == "__main__":
    unittest.main()
