"""dmlplan through the command line: what it prints, and the sentence for what cannot be."""
import csv
import json
import pathlib
import shlex
import subprocess
import tempfile
import unittest

from program import BUILD, ROOT

BASE = "--set plan.stages=4 --set plan.micro_batches=8"


def dmlplan(arguments):
    done = subprocess.run([BUILD / "dmlplan", *shlex.split(arguments)], capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout, done.stderr


def played(arguments):
    code, out, err = dmlplan(f"{arguments} --json")
    assert code == 0, err
    return json.loads(out, parse_constant=lambda word: 1 / 0)  # NaN and Infinity are not JSON


def oracle(name):
    with open(ROOT / "tests/oracles" / f"{name}.csv", encoding="utf-8") as table:
        return list(csv.DictReader(line for line in table if not line.startswith("#")))


class Plan(unittest.TestCase):
    def test_configs_are_laid_over_each_other(self):
        with tempfile.TemporaryDirectory() as folder:
            times = pathlib.Path(folder, "times.json")
            times.write_text('{"plan": {"forward_s": 2, "backward_s": 4}}', encoding="utf-8")
            self.assertEqual(played(f"{BASE} --with {times}")["makespan_s"], 2 * played(BASE)["makespan_s"])

    def test_the_json_has_what_scripts_rely_on(self):
        plan = played("--set plan.schedule.name=varuna --set plan.stages=8 --set plan.micro_batches=64 --set plan.latency_s=0.5")
        self.assertEqual((plan["schedule"], plan["stages"], plan["micro_batches"]), ("varuna", 8, 64))
        self.assertEqual((plan["makespan_s"], plan["span_s"]), (304, 304))  # tests/oracles/latency.csv
        self.assertEqual(plan["peak_activations"], [21, 18, 15, 12, 9, 6, 3, 1])
        work = 63 * 4 + 4  # F + R + B of 64 micro-batches
        self.assertEqual(plan["idle_s"], [304 - work] * 7 + [304 - 64 * 3])
        idle = sum(plan["idle_s"])
        self.assertAlmostEqual(plan["bubble_frac"], idle / (8 * 304))
        self.assertAlmostEqual(plan["bubble_ratio"], idle / (8 * 304 - idle))
        causes = [sum(stage) for stage in zip(*(plan[f"idle_{cause}_s"] for cause in ("fill", "drain", "activation", "gradient")))]
        self.assertEqual(causes, plan["idle_s"])

    def test_times_of_the_zero_bubble_paper_give_its_bubbles(self):
        for row in oracle("zero_bubble_table"):
            keys = {"stages": row["stages"], "micro_batches": row["micro_batches"], "forward_s": row["forward_s"],
                    "backward_s": row["input_grad_s"], "weight_grad_s": row["weight_grad_s"], "latency_s": row["latency_s"]}
            work = int(row["micro_batches"]) * sum(int(row[key]) for key in ("forward_s", "input_grad_s", "weight_grad_s"))
            sets = " ".join(f"--set plan.{key}={value}" for key, value in keys.items())
            for schedule in ("1f1b", "zb-h1", "zb-h2"):
                with self.subTest(schedule=schedule, row=row):
                    span = played(f"{sets} --set plan.schedule.name={schedule}")["span_s"]
                    self.assertAlmostEqual((span - work) / span, float(row[schedule.replace("-", "_")]), delta=1e-4)

    def test_options_of_members_and_jitter_are_keys(self):
        def makespan(sets):
            return played(BASE + "".join(f" --set plan.{word}" for word in sets.split()))["makespan_s"]

        self.assertEqual(makespan("schedule.name=varuna schedule.opportunistic=true latency_s=1"), 45)
        self.assertEqual(makespan("schedule.name=varuna schedule.opportunistic=true recompute_waits=true"), 42)
        self.assertEqual(makespan("schedule.name=interleaved schedule.chunks=4"), 8 * 3 + 3 * 3 / 4)
        self.assertEqual(makespan("schedule.name=gpipe recompute=false"), 11 * 3)
        self.assertEqual(makespan("recompute=true recompute_last_stage=true last_stage_factor=2"),
                         3 + 8 * 8 + 3 * 2)  # the last stage is never idle: 3 forwards before it, 3 backwards behind
        self.assertEqual(makespan("message_B=100 bandwidth_B_per_s=200"), makespan("latency_s=0.5"))
        self.assertNotEqual(makespan("jitter_network_s=1 seed=1"), makespan("jitter_network_s=1 seed=2"))
        self.assertGreater(makespan("jitter_compute_s=0.5"), 33)

    def test_without_keys_of_its_own_the_run_is_played(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        config = pathlib.Path(folder.name, "run.json")
        config.write_text(json.dumps({"parallel": {"schedule": {"name": "gpipe"}, "recompute": False, "pipeline": 4, "data": 3},
                                      "batch": {"global": 50, "micro": 2}}))
        sets = f"--config {config}"
        plan = played(sets)
        self.assertEqual((plan["schedule"], plan["stages"], plan["micro_batches"], plan["recompute"]), ("gpipe", 4, 9, False))
        self.assertEqual(played(f"{sets} --set plan.schedule.name=varuna")["recompute"], True)
        self.assertEqual(played(f"{sets} --set plan.micro_batches=5")["micro_batches"], 5)
        self.assertIn("x 9 micro-batches (of the largest replica", dmlplan(sets)[1])  # 25 of them are 9 + 8 + 8
        self.assertNotIn("largest", dmlplan(f"{sets} --set plan.micro_batches=5")[1])

    def test_a_rate_gives_the_times_of_the_run_s_own_layers(self):
        # Four matrices of 64 x 64, one a stage: F = f, backward 2 f, but f where there is no layer before.
        run = ("--set model.name=mlp --set model.inputs=64 --set model.hidden=64 --set model.layers=3 --set model.classes=64 "
               "--set batch.global=32 --set batch.micro=4 --set parallel.pipeline=4 --set parallel.data=1 ")
        rate = "--set compute.rate_flop_per_s=1e9 "
        f = 2 * 64 * 64 * 4 / 1e9
        plan = played(run + rate)
        self.assertAlmostEqual(plan["makespan_s"], (3 + 8 * 3 + 2 + 2 + 1) * f, delta=1e-9 * f)
        self.assertEqual((plan["times_source"], plan["messages_source"]), ("compute.rate_flop_per_s", "plan keys"))
        # GPipe's waves wait for three messages of 4 samples x 64 floats and a stamp each, three nodes with one link each.
        net = "--set network.node_ranks=1 --set network.between.latency_s=0.01 --set network.between.bandwidth_B_per_s=1e6 "
        gpipe = run + "--set parallel.schedule.name=gpipe --set parallel.recompute=false "
        slow = played(gpipe + rate + net)
        message = 0.01 + (4 * 64 * 4 + 8) / 1e6
        self.assertAlmostEqual(slow["makespan_s"] - played(gpipe + rate)["makespan_s"], 6 * message, delta=1e-9)
        self.assertEqual(slow["messages_source"], "network keys")
        # What the user states goes first.
        self.assertEqual(played(run + rate + "--set plan.forward_s=1")["makespan_s"], 33)
        self.assertEqual(played(run + rate + net + "--set plan.latency_s=0")["messages_source"], "plan keys")
        code, _, err = dmlplan(run + "--set calibration=none.json")
        self.assertEqual(code, 2)
        self.assertIn("calibration: cannot find none.json", err)

    def test_more_tasks_than_can_be_played_are_refused_at_once(self):
        code, _, said = dmlplan("--set plan.stages=1024 --set plan.micro_batches=16384 --set plan.schedule.name=interleaved "
                                "--set plan.schedule.chunks=64")
        self.assertEqual(code, 2)
        self.assertIn("1024 stages x 16384 micro-batches x 64 chunks", said)

    def test_the_drawing_has_a_row_of_equal_length_for_each_stage(self):
        for schedule in ("1f1b", "gpipe", "varuna", "zb-h1", "chimera", "interleaved"):
            code, out, _ = dmlplan(f"{BASE} --draw --set plan.schedule.name={schedule}")
            rows = out.splitlines()[1:-1]
            self.assertEqual((code, [row.split()[0] for row in rows]), (0, ["0", "1", "2", "3"]))
            self.assertEqual({len(row) for row in rows}, {120})
            for row in rows:
                for label in [f"F{j}" for j in range(8)] + [f"B{j}" for j in range(8)]:
                    self.assertEqual(row.upper().count(label), 2 if schedule == "interleaved" else 1, row)

    def drawing(self, sets):
        code, out, _ = dmlplan(f"--draw --set plan.stages=2 {sets}")
        rows = [row for row in out.splitlines() if row[:6].strip().isdigit()]
        self.assertEqual((code, {len(row) for row in rows}), (0, {120} if rows else set()))
        return "".join(row[6:] for row in rows), out

    def test_a_drawing_without_room_says_so_and_shows_no_part_of_a_number(self):
        rows, out = self.drawing("--set plan.micro_batches=15")  # a forward pass has 2 of 114 columns: no room for F10
        self.assertEqual((set(rows), rows.count("F"), rows.count("B")), (set("FB- ."), 30, 30), rows)
        self.assertIn("no room for the micro-batches' numbers", out)
        rows, out = self.drawing("--set plan.micro_batches=1000")
        self.assertEqual(set(rows), {"+"})
        self.assertIn("+ several tasks", out)

    def test_a_drawing_of_no_time_says_so(self):
        rows, out = self.drawing("--set plan.micro_batches=2 --set plan.forward_s=0 --set plan.backward_s=0")
        self.assertEqual(rows, "")
        self.assertIn("all times are 0", out)

    def test_the_table_has_a_row_for_each_stage(self):
        code, out, _ = dmlplan(BASE)
        self.assertEqual(code, 0)
        self.assertEqual(out.splitlines()[-4:], [f"  {s:5}" + "".join(f" {x:10g}" for x in row) for s, row in enumerate(
            [(4, 24, 9, 0, 0, 0, 9), (3, 24, 9, 1, 2, 0, 6), (2, 24, 9, 2, 4, 0, 3), (1, 24, 9, 3, 6, 0, 0)])])

    def test_what_cannot_be_is_one_sentence_and_exit_code_2(self):
        mistakes = [
            ("", ("neither plan.stages nor parallel.pipeline", "plan.stages = 4")),
            ("--set plan.micro_batches=4", ("neither plan.stages nor parallel.pipeline",)),
            ("--set plan.stages=4", ("parallel.data", "auto", "plan.micro_batches")),
            ("--set plan.micro_batches=4 --set parallel.pipeline=auto", ("parallel.pipeline", "plan.stages")),
            ("--set plan.stages=3 --set plan.micro_batches=4 --set plan.schedule.name=interleaved", ("interleaved", "plan.micro_batches = 3 or 6")),
            ("--set plan.stages=3 --set plan.micro_batches=4 --set plan.schedule.name=chimera", ("chimera", "2 or 4")),
            (f"{BASE} --set plan.schedule.name=zb-h1 --set plan.recompute=true", ("zb-h1", "recompute = false", 'schedule.name = "1f1b"')),
            (f"{BASE} --set plan.recompute_last_stage=true", ("recompute_last_stage", "recompute = true")),
            (f"{BASE} --set plan.schedule.chunks=2", ("plan.schedule.chunks", "interleaved", "1f1b")),
            (f"{BASE} --set plan.schedule.name=1f2b", ("1f2b", "1f1b")),
            (f"{BASE} --set plan.forward_s=-1", ("plan.forward_s", "-1")),
            (f"{BASE} --set plan.foward_s=1", ("plan.foward_s", "plan.forward_s")),
            ("--set plan.stages=4 --set parallel.data=1 --set batch.global=1000000 --set batch.micro=1", ("1000000", "16384")),
            (f"{BASE} --json --draw", ("--json", "--draw")),
            ("--confg x", ("--confg", "dmlplan --help")),
            ("--config nowhere.json", ("nowhere.json",)),
        ]
        for arguments, parts in mistakes:
            with self.subTest(arguments=arguments):
                code, out, err = dmlplan(arguments)
                self.assertEqual((code, out, err.count("\n")), (2, "", 1), err)
                self.assertTrue(err.startswith("dmlplan: "))
                for part in parts:
                    self.assertIn(part, err)

    def test_help_version_and_keys_answer(self):
        self.assertIn("--draw", dmlplan("--help")[1])
        self.assertRegex(dmlplan("--version")[1], r"^dmlplan \d+\.\d+\.\d+\n$")
        self.assertIn("plan.weight_grad_s", dmlplan("--keys")[1])


if __name__ == "__main__":
    unittest.main()
