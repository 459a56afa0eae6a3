"""The real pipeline beside dmlplan: the same lists, once with messages and once without.

On simulated hosts time is virtual and exact: every stage sleeps for its stated times, a message takes the platform's latency, and
the step must be as long as dmlplan says, to the time of a few bytes.
"""
import json
import unittest

from program import SIMULATED, InFolder, built

# Linear layers, which all count alike: one for every stage and chunk.
STAGED = {"name": "staged", "model": {"name": "mlp", "inputs": 8, "hidden": 8, "classes": 4}, "data": {"name": "synthetic"},
          "parallel": {"data": 1, "pipeline": "auto"}, "measure": {"steps": 3, "warmup_steps": 0, "verify": False}}

PLATFORM = """<?xml version="1.0"?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <cluster id="c" prefix="h" suffix="" radical="0-15" speed="10Gf" bw="1000GBps" lat="{}s" loopback_bw="1000GBps" loopback_lat="0s"/>
</platform>
"""
# A message takes the latency and nothing else; computing takes no time but what is slept.
EXACT = " ".join(f"--cfg={key}" for key in (
    "smpi/host-speed:10Gf", "smpi/test:0", "smpi/simulate-computation:no", "network/model:CM02", "network/bandwidth-factor:1",
    "network/latency-factor:1", "network/weight-S:0"))



def compact(schedule):
    return json.dumps(schedule, separators=(",", ":"))  # smpirun takes an argument with blanks apart


class Pipeline(InFolder):
    def simulated_step_s(self, stages, micro_batches, latency_s, schedule, chunks=1):
        """The steps on hosts between which a message takes latency_s (a cluster's message passes two links)."""
        self.write("platform.xml", PLATFORM.format(latency_s / 2))
        self.write("staged.json", json.dumps(STAGED))
        out = self.folder / "sim.json"
        out.unlink(missing_ok=True)
        done = self.command(
            f"smpirun -np {stages} -platform platform.xml {EXACT} --log=root.thres:critical {SIMULATED} --config staged.json "
            f"--set batch.global={micro_batches} --set batch.micro=1 --set model.layers={stages * chunks - 1} --out sim.json "
            f"--set compute='{{\"name\":\"sleep\",\"forward_s\":{1 / chunks},\"backward_s\":{2 / chunks}}}' "
            f"--set parallel.schedule='{compact(schedule)}'")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(out.read_text())
        return [max(rank[step] for rank in result["samples"]["step_s"]) for step in range(3)], result

    def planned(self, stages, micro_batches, latency_s, schedule):
        done = self.command(f"{built('dmlplan')} --json --set plan.stages={stages} --set plan.micro_batches={micro_batches} "
                            f"--set plan.latency_s={latency_s} --set plan.schedule='{json.dumps(schedule)}'")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_a_step_in_virtual_time_is_as_long_as_dmlplan_says(self):
        """From the second step on: the first ends when the loss has gone round, the others do so behind the next one's work."""
        members = [({"name": "1f1b"}, 1), ({"name": "gpipe"}, 1), ({"name": "varuna"}, 1), ({"name": "zb-h1"}, 1),
                   ({"name": "varuna", "opportunistic": True}, 1), ({"name": "interleaved", "chunks": 2}, 2)]
        for stages, micro_batches, latency_s in ((4, 8, 1e-6), (4, 8, 0.3), (4, 16, 0.45), (4, 16, 1.3), (4, 16, 2.6), (6, 24, 1.3)):
            for schedule, chunks in members:
                if chunks > 1 and latency_s > 1:
                    continue  # its last work is too short for the loss to hide behind
                with self.subTest(stages=stages, micro_batches=micro_batches, latency_s=latency_s, schedule=schedule):
                    steps, _ = self.simulated_step_s(stages, micro_batches, latency_s, schedule, chunks)
                    makespan_s = self.planned(stages, micro_batches, latency_s, schedule)["makespan_s"]
                    for step_s in steps[1:]:
                        self.assertAlmostEqual(step_s, makespan_s, delta=1e-4 * makespan_s)

    def test_waiting_is_split_into_waiting_for_the_sender_and_for_the_network(self):
        """Two stages, one micro-batch: stage 1 waits while stage 0 computes (1), stage 0 while stage 1 does and one message comes."""
        _, result = self.simulated_step_s(2, 1, 0.3, {"name": "1f1b"})
        phase_s = {name: [rank[0] for rank in ranks] for name, ranks in result["samples"]["phase_s"].items()}
        for name, expected in (("idle_gradient", (0.3 + 1 + 2, 0)), ("transfer", (0.3, 0.3)), ("forward", (1, 1)), ("backward", (2, 2))):
            for got_s, expected_s in zip(phase_s[name], expected):
                self.assertAlmostEqual(got_s, expected_s, delta=1e-3, msg=name)
        self.assertEqual(phase_s["idle_activation"][0], 0)
        self.assertAlmostEqual(phase_s["idle_activation"][1], 1, delta=0.301)  # it left the barrier before a message later

    def test_the_bubble_that_a_run_plans_from_its_own_times_is_dmlplans(self):
        for latency_s in (1e-6, 0.3):
            for schedule in ({"name": "1f1b"}, {"name": "varuna"}, {"name": "gpipe"}, {"name": "zb-h1"}):
                with self.subTest(latency_s=latency_s, schedule=schedule):
                    _, result = self.simulated_step_s(4, 8, latency_s, schedule)
                    plan = self.planned(4, 8, latency_s, schedule)
                    self.assertAlmostEqual(result["metrics"]["bubble_frac_planned"], plan["bubble_frac"], delta=0.002)

    def test_zero_bubble_is_as_long_as_its_longest_stage_because_steps_overlap(self):
        for latency_s in (1e-6, 0.3):
            steps, _ = self.simulated_step_s(4, 12, latency_s, {"name": "zb-h2"})
            plan = self.planned(4, 12, latency_s, {"name": "zb-h2"})
            self.assertLess(plan["span_s"], plan["makespan_s"] - 0.5)
            for step_s in steps[1:]:
                self.assertAlmostEqual(step_s, plan["span_s"], delta=1e-3 * plan["span_s"])

    def test_chimera_takes_its_schedule_and_then_the_sum_of_its_two_copies(self):
        steps, _ = self.simulated_step_s(4, 8, 1e-6, {"name": "chimera"})
        self.assertAlmostEqual(steps[1], self.planned(4, 8, 1e-6, {"name": "chimera"})["makespan_s"], delta=1e-3)

    def test_the_order_of_schedules_turns_when_latency_grows(self):
        """Published shape: without latency interleaving wins and the others are equal; with it, strict alternation and chunks lose."""
        def times(latency_s):
            steps = {name: self.simulated_step_s(4, 16, latency_s, {"name": name, **more}, chunks)[0][1]
                     for name, more, chunks in (("1f1b", {}, 1), ("interleaved", {"chunks": 4}, 4))}
            steps["gpipe"] = self.simulated_step_s(4, 16, latency_s, {"name": "gpipe"})[0][1]
            steps["varuna"] = self.simulated_step_s(4, 16, latency_s, {"name": "varuna", "opportunistic": True})[0][1]
            return steps
        near, far = times(1e-6), times(1.1)
        self.assertLess(near["interleaved"], 0.95 * near["1f1b"])
        self.assertLess(near["1f1b"], 1.01 * near["varuna"])
        self.assertLess(far["varuna"], far["gpipe"])
        self.assertLess(far["gpipe"], far["interleaved"])
        growth = {name: far[name] - near[name] for name in near}
        self.assertLess(growth["varuna"], growth["1f1b"] / 3)
        self.assertLess(growth["gpipe"], growth["1f1b"] / 3)


if __name__ == "__main__":
    unittest.main()
