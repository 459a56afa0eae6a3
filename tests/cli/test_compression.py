"""Compressed gradients, through the program: bytes that --explain predicts and MPI's monitoring sees, and what the result says of
gain and cost, from its own raw samples."""
import json
import math
import os
import re
import unittest

import numpy

from program import SIMULATED, SMPIRUN, InFolder

CODED = ("encode", "pack", "residual", "decode")
VARYING = 'exchange.compressor={"name":"threshold","threshold":0.001}'
# (ranks, what is set): a compressor, an exchange and a layout in each.
PREDICTED = [
    (4, ['exchange.compressor={"name":"topk","ratio":0.05}', "parallel.tensor=2"]),
    (4, ["exchange.compressor.name=qsgd", "exchange.collective.name=two-shot", "exchange.error_feedback=true",
         "parallel.pipeline=2"]),
    (4, ["exchange.compressor.name=ef-sign", "exchange.collective.name=ring-requantised", "parallel.pipeline=2",
         "parallel.schedule.name=chimera", "parallel.data=2"]),
    (4, ["exchange.compressor.name=powersgd", "exchange.error_feedback=true", "parallel.zero=1"]),
    (3, ["exchange.compressor.name=terngrad", "exchange.collective.name=ring-widened", "batch.global=37"]),
    (4, ["exchange.compressor.name=natural", 'exchange.collective={"name":"hierarchical","node_ranks":2}']),
]
BY_THE_DATA = [
    (4, [VARYING, "parallel.pipeline=2"]),
    (3, ["exchange.compressor.name=topk", "exchange.collective.name=oktopk", "exchange.error_feedback=true"]),
    (4, ["exchange.compressor.name=randk", "exchange.collective.name=sparse-doubling"]),
    (3, ["exchange.compressor.name=topk", "exchange.collective.name=gtopk"]),
]


def arguments(sets):
    return " ".join(["--config tiny.json --set model.layers=4"] + [f"--set '{s}'" for s in sets])


class Compression(InFolder):
    def explained(self, ranks, sets):
        done = self.dmlbench(f"{arguments(sets)} --explain", ranks)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def run_coded(self, *sets, ranks=2):
        return self.run_ok(arguments(sets), ranks)

    def warned(self, result, part):
        return any(part in w for w in result["warnings"])

    def test_explain_predicts_the_bytes_that_mpi_sees(self):
        for ranks, sets in PREDICTED:
            with self.subTest(sets=sets):
                a_step = {name: int(B) for name, B in
                          re.findall(r"^(\w+) +(?:data|pipeline|tensor|all) .* (\d+) B$", self.explained(ranks, sets), re.M)}
                result = self.run_ok(f"{arguments(sets)} --audit", ranks)
                rows = {row["name"]: row["wire_B_counted"] for row in result["comm"] if row["name"] != "check"}
                self.assertEqual({name: B for name, B in rows.items() if B}, {name: 10 * B for name, B in a_step.items()})
                total = result["comm_total"]
                self.assertEqual((total["wire_B_measured"], total["match"]), (total["wire_B_counted"], True))

    def test_explain_says_when_the_data_decide_and_the_bytes_close_anyway(self):
        for ranks, sets in BY_THE_DATA:
            with self.subTest(sets=sets):
                self.assertRegex(self.explained(ranks, sets), r"(?m)^gradient +data +unknown +unknown +the data decide")
                total = self.run_ok(f"{arguments(sets)} --audit", ranks)["comm_total"]
                self.assertEqual({total["wire_B_predicted"], total["wire_B_measured"]}, {total["wire_B_counted"]})

    def test_gain_and_cost_follow_from_the_raw_samples(self):
        result = self.run_coded("exchange.compressor.name=qsgd", "exchange.error_feedback=true")
        phases = {name: numpy.array(s) for name, s in result["samples"]["phase_s"].items()}
        numpy.testing.assert_allclose(sum(phases.values()), result["samples"]["step_s"], rtol=1e-6)
        for name in CODED:
            self.assertTrue((phases[name] > 0).all(), name)
        c, steps, ranks = result["compression"], 10, 2
        codec_s = numpy.median(sum(phases[name] for name in CODED).mean(axis=0)[2:])
        gradient = next(row["wire_B_counted"] for row in result["comm"] if row["name"] == "gradient")
        dense_B = result["comm_total"]["dense_equivalent_B"] / steps / ranks
        for name, expected in (("codec_s", codec_s), ("saved_B", dense_B - gradient / steps / ranks),
                               ("break_even_B_per_s", c["saved_B"] / c["codec_s"]),
                               ("dense_B_per_s", dense_B / c["dense_alone_s"])):
            self.assertTrue(math.isclose(c[name], expected, rel_tol=1e-9), name)
        faster = c["codec_s"] + c["exchange_alone_s"] < c["dense_alone_s"]
        self.assertEqual(c["verdict"], "saves time" if faster else "costs time")
        # 16 levels: 6 bits a float, and a float for each 512
        n = result["model"]["parameters_count"]
        bits = 8 * math.ceil(6 * n / 8) + 32 * math.ceil(n / 512)
        self.assertTrue(math.isclose(c["wire_bits_per_element"], bits / n, rel_tol=1e-9))
        self.assertFalse(self.warned(result, "a code is larger") or self.warned(result, "sends more"))

    def test_without_codes_there_is_nothing_to_say_of_them(self):
        result = self.run_coded("exchange.compressor.name=none")
        for name in CODED:
            self.assertFalse(numpy.any(result["samples"]["phase_s"][name]), name)
        for name in ("codec_s", "saved_B", "wire_bits_per_element", "verdict"):
            self.assertIsNone(result["compression"][name])
            self.assertTrue(result["compression"][f"{name}_why"])

    def test_a_code_that_is_larger_than_its_input_is_warned_about(self):
        for options in ({"name": "topk", "ratio": 1, "index": "list"}, {"name": "threshold", "threshold": 0}):
            result = self.run_coded(f"exchange.compressor={json.dumps(options)}")
            self.assertGreater(result["compression"]["wire_bits_per_element"], 60)
            self.assertTrue(self.warned(result, "a code is larger than its input: 64"), result["warnings"])
            self.assertIsNone(result["compression"]["break_even_B_per_s"])

    def test_an_exchange_that_sends_more_than_the_gradients_is_warned_about(self):
        """Codes of half the size, but all of them to all: 3/2 floats, against 2 x 3/4 by ring on 4 ranks; twice that on 8."""
        few, many = (self.run_coded("exchange.compressor.name=fp16", "exchange.collective.name=allgather", ranks=p) for p in (4, 8))
        self.assertFalse(self.warned(few, "sends more"), few["warnings"])
        self.assertTrue(self.warned(many, "sends more than a ring allreduce of the gradients: 2 times"), many["warnings"])
        self.assertLess(many["compression"]["saved_B"], 0)

    def test_replicas_of_two_directions_save_bytes_too(self):
        result = self.run_coded("exchange.compressor.name=sign", "parallel.pipeline=2", "parallel.schedule.name=chimera",
                                'exchange.collective={"name":"hierarchical","node_ranks":2}')
        self.assertEqual(result["parallelism"]["data"], 1)
        self.assertIsNotNone(result["compression"]["saved_B"])

    def test_simulated_ranks_send_the_same_codes(self):
        for ranks, sets in (PREDICTED[1], BY_THE_DATA[1]):
            with self.subTest(sets=sets):
                real = self.run_ok(arguments(sets), ranks)
                out = f"simulated-{ranks}.json"  # smpirun splits at blanks
                done = self.command(f"{SMPIRUN} -np {ranks} {SIMULATED} {arguments(sets)} --out {out}",
                                    env={**os.environ, "OPENBLAS_CORETYPE": real["platform"]["blas_kernel"]})
                self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
                simulated = json.loads((self.folder / out).read_text())
                self.assertEqual(real["correctness"]["parameter_hash"], simulated["correctness"]["parameter_hash"])
                self.assertEqual(real["comm_total"]["wire_B_counted"], simulated["comm_total"]["wire_B_counted"])


if __name__ == "__main__":
    unittest.main()
