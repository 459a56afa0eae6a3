"""Every mistake ends every rank within seconds, with one sentence that names it."""
import json
import os
import pathlib
import signal
import subprocess
import time
import unittest

from program import BUILD, DMLBENCH, TINY, InFolder


class BadInput(InFolder):
    def test_each_mistake_is_one_sentence_and_exit_code_2(self):
        self.write("broken.json", '{\n  "name": "x",\n  "seed": 1,,\n}')
        self.write("empty.txt", "")
        os.mkfifo(self.folder / "pipe")
        bytes_of = """--config tiny.json --set model.vocabulary=256 --set 'data={"name":"bytes","path":"%s"}'"""
        mistakes = [
            ("", ("--config",)),
            ("--confg tiny.json", ("--confg", "no such option")),
            ("--config", ("--config", "needs a value")),
            ("--config nowhere.json", ("nowhere.json",)),
            ("--config broken.json", ("broken.json", "line 3", "column")),
            ("--config tiny.json --set batch.mirco=2", ("batch.mirco", "batch.micro")),
            ("--config tiny.json --set seed=one", ("seed", "one")),
            ("--config tiny.json --set batch.global=0", ("batch.global", "0", "1 ..")),
            ("--config tiny.json --set optimizer.learning_rate=-1", ("optimizer.learning_rate", "-1")),
            ("--config tiny.json --set exchange.allreduce=rign", ("rign", "ring")),
            ("--config tiny.json --set parallel.data=5", ("parallel.data", "5", "3")),
            ("--config tiny.json --set batch.global=5 --set batch.micro=4", ("batch.global = 5", "9")),
            ("--config tiny.json --set parallel.pipeline=3", ("model.layers = 2", "3 stages", "model.layers = 3")),
            ("--config tiny.json --set parallel.pipeline=2", ("auto x 2 x 1", "3 ranks", "3 x 1 x 1")),
            ("--config tiny.json --set parallel.data=2 --set parallel.pipeline=2", ("2 x 2 x 1", "another number of ranks: 4")),
            ("--config tiny.json --set parallel.pipeline=3 --set model.layers=3 --set parallel.schedule.name=chimera",
             ("chimera", "3 stages are not even", "2 or 4")),
            ("--config tiny.json --set parallel.pipeline=3 --set model.layers=6 --set parallel.schedule.name=interleaved --set "
             "batch.global=10", ("interleaved", "5 micro-batches", "batch.global = 6 or 12")),
            ("--config tiny.json --set parallel.sequence=true", ("parallel.sequence", "parallel.tensor")),
            ("--config tiny.json --set model.heads=5", ("model.hidden = 32", "model.heads = 5", "35")),
            ("--config pipe", ("pipe", "5 s")),
            ("--config tiny.json --set exchange.error_feedback=true", ("exchange.error_feedback", "none")),
            (bytes_of % "nowhere.txt", ("data.path", "nowhere.txt")),
            (bytes_of % "empty.txt", ("data.path", "empty.txt", "0 bytes")),
            (bytes_of % "pipe", ("data.path", "pipe", "regular file")),
        ]
        for arguments, parts in mistakes:
            with self.subTest(arguments=arguments):
                start = time.monotonic()
                self.assert_refused(self.dmlbench(arguments, ranks=3), 2, *parts)
                self.assertLess(time.monotonic() - start, 20)
        self.assertEqual(self.results(), [])

    def test_data_that_one_rank_alone_cannot_read_ends_all(self):
        config = self.write("c.json", json.dumps({**TINY, "model": {**TINY["model"], "vocabulary": 256},
                                                  "data": {"name": "bytes", "path": "text.txt"}}))
        for name in ("a", "b"):
            (self.folder / name).mkdir()
        self.write("a/text.txt", "to be or not to be " * 10)
        program = f"{DMLBENCH} --config '{config}'"
        done = self.command(f"mpirun -q -np 2 -wdir '{self.folder}/a' {program} : -np 1 -wdir '{self.folder}/b' {program}")
        self.assert_refused(done, 2, "data.path", "text.txt")

    def test_ranks_that_would_read_different_data_do_not_begin(self):
        config = self.write("c.json", json.dumps({**TINY, "model": {**TINY["model"], "vocabulary": 256},
                                                  "data": {"name": "bytes", "path": "text.txt"}}))
        self.write("a/text.txt", "to be or not to be " * 10)
        self.write("b/text.txt", "to be or not to bee" * 10)
        program = f"{DMLBENCH} --config '{config}'"
        done = self.command(f"mpirun -q -np 2 -wdir '{self.folder}/a' {program} : -np 1 -wdir '{self.folder}/b' {program}")
        self.assert_refused(done, 2, "the ranks do not read the same data")

    def test_a_loss_that_is_not_a_number_stops_and_is_written_down(self):
        done = self.dmlbench("--config tiny.json --set optimizer.learning_rate=1e6 --set measure.steps=100", ranks=3)
        self.assert_refused(done, 1, "loss", "step")
        result = json.loads(self.results()[0].read_text())
        self.assertEqual((result["run"]["status"], result["run"]["exit_code"]), ("failed", 1))
        failed = result["run"]["failed_step"]
        self.assertIsNone(result["samples"]["loss"][failed])
        self.assertIn(f"step {failed}", result["run"]["status_why"])

    def test_a_place_that_cannot_be_written_is_found_before_the_training(self):
        start = time.monotonic()
        done = self.dmlbench("--config tiny.json --set measure.steps=100000 --out nowhere/r.json", ranks=3)
        self.assert_refused(done, 1, "nowhere")
        self.assertLess(time.monotonic() - start, 20)

    def test_a_full_disk_leaves_nothing_half_written(self):
        disk = self.folder / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", disk], capture_output=True).returncode:
            self.skipTest("mounting a small disk takes root")
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        self.assert_refused(self.dmlbench("--config tiny.json --out disk/full.json", ranks=3), 1, "disk/full.json", "No space left")
        self.assertEqual(list(disk.iterdir()), [])

    @staticmethod
    def children(pid):
        """Process ids of the program's processes that pid started."""
        found = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                name, rest = stat.read_text().split("(", 1)[1].rsplit(") ", 1)
            except OSError:
                continue  # it ended meanwhile
            if name == "dmlbench" and rest.split()[1] == str(pid):
                found.append(int(stat.parent.name))
        return sorted(found)

    def ranks_of(self, mpirun):
        """Process ids of the ranks below mpirun, once all run."""
        for _ in range(200):
            found = self.children(mpirun.pid)
            if len(found) == 4:
                return found
            time.sleep(0.05)
        self.fail("the ranks did not start")

    def start_long_run(self):
        running = subprocess.Popen(["mpirun", "-q", "-np", "4", f"{BUILD}/dmlbench", "--config", "tiny.json", "--set",
                                    "measure.steps=1000000"], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(running.communicate, timeout=30)
        self.addCleanup(running.terminate)  # first: mpirun then ends its ranks
        ranks = self.ranks_of(running)
        time.sleep(3)
        return running, ranks

    def assert_ended(self, running, ranks):
        start = time.monotonic()
        running.wait(timeout=30)
        self.assertLess(time.monotonic() - start, 15)
        self.assertNotEqual(running.returncode, 0)
        while any(pathlib.Path(f"/proc/{pid}").exists() for pid in ranks):  # a killed process takes a moment to go
            self.assertLess(time.monotonic() - start, 20)
            time.sleep(0.1)

    def test_a_killed_rank_ends_the_job_in_seconds_and_what_was_measured_is_kept(self):
        running, ranks = self.start_long_run()
        os.kill(ranks[2], signal.SIGKILL)
        self.assert_ended(running, ranks)
        names = [p.name for p in (self.folder / "results").iterdir()]
        self.assertEqual(len(names), 1, names)  # nothing half-written beside it
        result = json.loads((self.folder / "results" / names[0]).read_text())
        self.assertEqual(result["run"]["status"], "failed")
        self.assertIn("interrupted after step", result["run"]["status_why"])
        self.assertGreater(len(result["samples"]["loss"]), 10)

    def test_samples_may_go_on_while_the_last_words_are_written(self):
        for _ in range(5):  # one rank with very short steps: the writer works beside the running steps
            running = subprocess.Popen([f"{BUILD}/dmlbench", "--config", "tiny.json", "--set", "measure.steps=1000000", "--set",
                                        "model={\"name\":\"mlp\",\"inputs\":4,\"hidden\":4,\"classes\":2}", "--set", "measure.verify=false"],
                                       cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.addCleanup(running.kill)
            time.sleep(0.7)
            running.terminate()
            _, said = running.communicate(timeout=30)
            self.assertEqual(running.returncode, 1, said)
        for path in self.results():
            result = json.loads(path.read_text())
            steps = len(result["samples"]["loss"])
            self.assertEqual((len(result["samples"]["step_s"][0]), len(result["samples"]["warmup"])), (steps, steps))
            self.assertEqual(result["run"]["failed_step"], steps)
        self.assertEqual(len(self.results()), 5)

    def test_a_job_that_was_stopped_and_goes_on_takes_its_last_words_back(self):
        running = subprocess.Popen([f"{BUILD}/dmlbench", "--config", "tiny.json", "--set", "measure.steps=8000"], cwd=self.folder,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(running.kill)
        time.sleep(1.5)
        running.send_signal(signal.SIGSTOP)
        running.send_signal(signal.SIGCONT)
        _, said = running.communicate(timeout=90)
        self.assertEqual(running.returncode, 0, said)
        self.assertIn("taken back", said)
        self.assertEqual([json.loads(path.read_text())["run"]["status"] for path in self.results()], ["ok"])

    def test_a_job_interrupted_in_its_first_step_says_that_there_is_no_result(self):
        running = subprocess.Popen(["mpirun", "-q", "-np", "2", f"{BUILD}/dmlbench", "--config", "tiny.json", "--quiet", "--set",
                                    "measure.verify=false", "--set", '''compute={"name": "sleep", "forward_s": 20}'''], cwd=self.folder,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(6)  # its first pass takes 20 s
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=30)[1]
        self.assertNotEqual(running.returncode, 0)
        self.assertIn("dmlbench: interrupted before a step was done", said)
        self.assertEqual(self.results(), [])

    def test_what_cannot_be_printed_is_a_failure(self):
        for command in (["dmlbench", "--keys"], ["dmlplan", "--set", "plan.stages=2", "--set", "plan.micro_batches=3"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run([BUILD / command[0], *command[1:]], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
            self.assertEqual(done.returncode, 1)
            self.assertIn("could not be written", done.stderr)

    def test_an_interrupted_job_keeps_what_was_measured(self):
        running, ranks = self.start_long_run()
        running.send_signal(signal.SIGINT)
        self.assert_ended(running, ranks)
        result = json.loads(self.results()[0].read_text())
        self.assertEqual(result["run"]["status"], "failed")
        self.assertGreater(len(result["samples"]["loss"]), 10)


if __name__ == "__main__":
    unittest.main()
