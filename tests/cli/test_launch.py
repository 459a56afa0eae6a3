"""dmlrun through the command line: what it starts, what the simulated network makes of messages, and how it ends."""
import json
import os
import re
import shlex
import signal
import subprocess
import time
import unittest

from program import BUILD, InFolder, built

XML = "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM 'https://simgrid.org/simgrid.dtd'>\n<platform version='4.1'>"
DMLRUN, TIMES = built("dmlrun"), str(BUILD / "sim/tests/collectives/show_times")
INSIDE = {"latency_s": 2e-6, "bandwidth_B_per_s": 5e9}
BETWEEN = {"latency_s": 5e-5, "bandwidth_B_per_s": 1.25e9}
# From node 0 to node 2 and back, other delays and widths each way.
MATRIX = {"latency_s": [[0, 1e-3, 2e-3], [3e-3, 0, 4e-3], [5e-3, 6e-3, 0]],
          "bandwidth_B_per_s": [[0, 1e8, 2e8], [3e8, 0, 4e8], [5e8, 6e8, 0]]}


class Launch(InFolder):
    def dmlrun(self, arguments, **kwargs):
        return self.command(f"{DMLRUN} {arguments}", **kwargs)

    def network(self, **keys):
        self.write("net.json", json.dumps({"compute": {"rate_flop_per_s": 1e11}, "network": keys}))

    def times(self, ranks):
        """What tests/collectives/show_times prints under the very command that dmlrun makes."""
        (self.folder / "net.xml").unlink(missing_ok=True)
        done = self.dmlrun(f"-np {ranks} --simulate net.json --platform net.xml --print")
        self.assertEqual(done.returncode, 0, done.stderr)
        words = shlex.split(done.stdout)
        program = next(i for i, word in enumerate(words) if "dmlbench" in word)
        done = subprocess.run(words[:program] + [TIMES], cwd=self.folder, capture_output=True, text=True, timeout=60, check=True)
        lines = [line.split() for line in done.stdout.splitlines()]
        messages = {(int(a), int(b), int(n)): float(s) for kind, a, b, n, s in (line for line in lines if line[0] == "message")}
        return messages, {int(n): float(s) for kind, n, s in (line for line in lines if line[0] == "ring")}

    def assert_times(self, messages, link):
        self.assertTrue(messages)
        for (a, b, size), took_s in messages.items():
            latency_s, bandwidth_B_per_s = link(a, b)
            expected_s = latency_s + size / bandwidth_B_per_s
            self.assertLess(abs(took_s / expected_s - 1), 1e-6, (a, b, size, took_s, expected_s))

    def test_simulated_messages_and_rings_take_what_the_formulas_say(self):
        self.network(node_ranks=1, between=BETWEEN)
        messages, rings = self.times(8)
        self.assert_times(messages, lambda a, b: BETWEEN.values())
        for size, took_s in rings.items():
            expected_s = 2 * 7 * (BETWEEN["latency_s"] + size / (8 * BETWEEN["bandwidth_B_per_s"]))
            self.assertLess(abs(took_s / expected_s - 1), 1e-6, (size, took_s, expected_s))

    def test_links_inside_and_between_nodes_are_those_stated(self):
        for shared in (True, False):
            self.network(node_ranks=3, inside=INSIDE, between={**BETWEEN, "shared": shared})
            messages, _ = self.times(8)  # the last node has two ranks
            self.assert_times(messages, lambda a, b: (INSIDE if a // 3 == b // 3 else BETWEEN).values())

    def test_a_matrix_gives_every_pair_of_nodes_links_of_its_own(self):
        for shared in (True, False):
            self.network(node_ranks=2, inside=INSIDE, between={"shared": shared}, matrix=MATRIX)
            messages, _ = self.times(6)
            self.assert_times(messages, lambda a, b: INSIDE.values() if a // 2 == b // 2 else
                              (MATRIX["latency_s"][a // 2][b // 2], MATRIX["bandwidth_B_per_s"][a // 2][b // 2]))

    def test_later_keys_change_the_platform(self):
        self.network(node_ranks=1, between={"latency_s": 1, "bandwidth_B_per_s": 1e6})
        self.write("more.json", '{"network": {"between": {"latency_s": 2, "bandwidth_B_per_s": 2e6}}}')
        done = self.dmlrun("-np 2 --simulate net.json --with more.json --set network.between.bandwidth_B_per_s=1.6e9 --platform p.xml "
                           "--set compute.rate_flop_per_s=5e8 --print")
        self.assertEqual(done.returncode, 0, done.stderr)
        cluster = re.search(r'speed="(.*)f" lat="(.*)s" bw="(.*)Bps"', (self.folder / "p.xml").read_text())
        self.assertEqual([float(x) for x in cluster.groups()], [5e8, (2 - 1e-8) / 2, 1.6e9])  # 16 bytes take 10 ns

    def test_a_speed_that_is_not_stated_is_named(self):
        self.write("net.json", '{"network": {"node_ranks": 1}}')
        self.assertIn("simulated hosts make 1e+10 flop/s", self.dmlrun("-np 2 --simulate net.json --platform p.xml --print").stderr)

    def test_simulated_ranks_learn_the_same_bits(self):
        self.assertEqual(self.dmlrun("-np 16 --simulate cluster-64.json --config tiny.json --out sim.json --quiet").returncode, 0)
        self.assertEqual(self.dmlrun("-np 16 --config tiny.json --out mpi.json --quiet").returncode, 0)
        sim, mpi = (json.loads((self.folder / name).read_text()) for name in ("sim.json", "mpi.json"))
        self.assertEqual(sim["correctness"]["parameter_hash"], mpi["correctness"]["parameter_hash"])
        self.assertEqual(sim["samples"]["loss"], mpi["samples"]["loss"])
        self.assertEqual((sim["tool"]["build"], sim["config"]["network"]["nodes"]), ("smpi", 64))

    def test_the_exit_code_is_dmlbenchs(self):
        for how in ("", "--simulate cluster-64.json"):
            done = self.dmlrun(f"-np 2 {how} --config tiny.json --quiet --set parallel.pipeline=3")
            self.assert_refused(done, 2, "parallel.pipeline")
            self.assertEqual(done.stdout, "")

    def test_a_setting_that_open_mpi_refuses_is_not_passed_over_in_silence(self):
        for how in ("--mca btl=banana", "-- --mca btl banana"):
            done = self.dmlrun(f"-np 1 --config tiny.json --quiet {how}")
            self.assertNotEqual(done.returncode, 0)
            self.assertTrue(done.stderr)

    def test_the_printed_command_works_in_a_shell(self):
        done = self.dmlrun("-np 3 --config tiny.json --set 'name=a b' --quiet --out out.json --print")
        self.assertEqual(done.returncode, 0, done.stderr)
        subprocess.run(done.stdout, shell=True, cwd=self.folder, timeout=60, check=True, stdout=subprocess.DEVNULL)
        self.assertEqual(json.loads((self.folder / "out.json").read_text())["config"]["name"], "a b")

    def test_hosts_agents_and_settings_reach_mpirun(self):
        self.write("hostfile", "# two\na slots=4\n\nb slots = 4 max_slots=8 # half\n")
        self.write("agent", "#!/bin/sh\n").chmod(0o755)
        for hosts, option in (("hostfile", "--hostfile hostfile"), ("a:4,b:4", "--host a:4,b:4")):
            done = self.dmlrun(f"-np 8 --hosts {hosts} --agent ./agent --mca btl=tcp,self --config tiny.json --print -- --tag-output")
            for part in (option, "--mca plm_rsh_agent ./agent", "--mca btl tcp,self", "--tag-output", "-np 8"):
                self.assertIn(f" {part} ", done.stdout)
            self.assertNotIn("oversubscribe", done.stdout)
        command = "-np 1000 --config tiny.json --print"
        self.assertIn("--oversubscribe", self.dmlrun(command).stdout)
        self.assertNotIn("oversubscribe", self.dmlrun(command, env={**os.environ, "SLURM_JOB_ID": "7"}).stdout)

    def test_an_interrupted_run_leaves_its_result_and_no_process(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            out = self.folder / f"{number}.json"
            command = [BUILD / "dmlrun", "-np", "2", "--config", "tiny.json", "--set", "measure.steps=1000000", "--out", out]
            with subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
                time.sleep(6)  # until it steps, also on a busy machine
                process.send_signal(number)
                said = process.communicate(timeout=20)[1]
            self.assertNotEqual(process.returncode, 0)
            self.assertIn("interrupted", said)
            self.assertEqual(json.loads(out.read_text())["run"]["status"], "failed")

    def test_a_run_ends_with_its_launcher(self):
        with subprocess.Popen([BUILD / "dmlrun", "-np", "2", "--config", "tiny.json", "--set", "measure.steps=1000000"], cwd=self.folder,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            time.sleep(2)
            process.kill()
            process.communicate(timeout=20)  # until the last that holds the pipe has ended

    def test_it_notices_the_end_where_ends_are_ignored(self):
        command = [BUILD / "dmlrun", "-np", "1", "--config", "tiny.json", "--set", "measure.steps=1", "--quiet"]
        done = subprocess.run(command, cwd=self.folder, stdin=subprocess.DEVNULL, timeout=60,
                              preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        self.assertEqual(done.returncode, 0)

    def test_an_interrupted_simulation_ends(self):
        command = [BUILD / "dmlrun", "-np", "4", "--simulate", "cluster-64.json", "--config", "tiny.json", "--set",
                   "measure.steps=1000000", "--quiet"]
        with subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            time.sleep(2)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=10)
            self.assertEqual(process.returncode, 128 + signal.SIGINT)
        self.assertEqual(said, ("", "dmlrun: the simulation was interrupted (Interrupt): there is no result\n"))

    def test_what_cannot_be_is_one_sentence(self):
        self.write("words", "hello")
        self.write("bad.xml", f"{XML}\n<zone id='z' routing='Full'>\n"
                              "<host id='a' speed='1Gf'/><route src='a' dst='b'/></zone></platform>")
        self.write("two.xml", f"{XML}\n"
                              "<cluster id='c' prefix='h' suffix='' radical='0-1' speed='1Gf' bw='1GBps' lat='1us'/></platform>")
        for name, content in (("lines", "a\nb slots=x\n"), ("nobody", "# a\n"), ("an agent", "#!/bin/sh\n")):
            self.write(name, content).chmod(0o755)
        empty = {**os.environ, "PATH": "/nonexistent"}
        cases = [
            ("--config tiny.json", "-np RANKS is missing", {}),
            ("-np 0 --config tiny.json", "-np 0: must be a number of ranks, 1 .. 1048576", {}),
            ("-np 2 --config tiny.json", "mpirun is not on the PATH (Debian: apt-get install openmpi-bin)", {"env": empty}),
            ("-np 2 --config tiny.json --simulate cluster-64.json", "smpirun is not on the PATH (Debian: apt-get install libsimgrid-dev)",
             {"env": empty}),
            ("-np 65 --config tiny.json --simulate cluster-64.json", "a network of 64 nodes of 1 ranks is too small for 65 ranks", {}),
            ("-np 2 --config tiny.json --simulate tiny.json", "--simulate tiny.json: states no network", {}),
            ("-np 2 --config tiny.json --simulate no.json", "no.json: no such file", {}),
            ("-np 2 --config tiny.json --simulate words", "words: line 1, column 1", {}),
            ("-np 2 --config tiny.json --simulate bad.xml", "--simulate bad.xml: SimGrid refuses it: Parse error at bad.xml:5", {}),
            ("-np 2 --config tiny.json --simulate two.xml --platform p.xml", "--platform p.xml: nothing is generated", {}),
            ("-np 2 --config tiny.json --simulate cluster-64.json --platform tiny.json", "tiny.json: cannot be written (File exists)", {}),
            ("-np 2 --config tiny.json --simulate cluster-64.json --hosts a", "--simulate and --hosts", {}),
            ("-np 2 --config tiny.json --simulate cluster-64.json --print", "--platform FILE keeps it", {}),
            ("-np 2 --config tiny.json --simulate cluster-64.json --set 'name=a b'", "'name=a b': smpirun hands on no word", {}),
            ("-np 2 --config tiny.json --simulate cluster-64.json --set network.nodse=1", "--set: network.nodse: no such key", {}),
            ("-np 2 --config tiny.json --simulate cluster-64.json --set network.jitter_s=1e-6", "network.jitter_s = 1e-06", {}),
            ("-np 2", "--config FILE is missing", {}),
            ("-np 2 --config no.json", "no.json: no such file", {}),
            ("-np 2 --config tiny.json --with no.json", "no.json: no such file", {}),
            ("-np 2 --config tiny.json --config tiny.json", "--config is given twice: tiny.json and tiny.json", {}),
            ("-np 2 --config tiny.json --simulate cluster-64.json --audit", "--simulate and --audit", {}),
            ("-np 2 --config tiny.json --hosts ''", "--hosts '': '' is no host", {}),
            ("-np 2 --config tiny.json --hosts a:x,b", "--hosts 'a:x,b': 'a:x' is no host", {}),
            ("-np 2 --config tiny.json --hosts .", "--hosts .: is no file", {}),
            ("-np 2 --config tiny.json --hosts tiny.json", "--hosts tiny.json: line 1, '{", {}),
            ("-np 2 --config tiny.json --hosts lines", "--hosts lines: line 2, 'b slots=x', is not NAME [slots=N]", {}),
            ("-np 2 --config tiny.json --hosts nobody", "--hosts nobody: names no host", {}),
            ("-np 2 --config tiny.json --hosts a --agent no-such-agent", "there is no program 'no-such-agent'", {}),
            ("-np 2 --config tiny.json --hosts a --agent ./tiny.json", "there is no program './tiny.json'", {}),
            ("-np 2 --config tiny.json --hosts a --agent './an agent'", "takes it apart at blanks", {}),
            ("-np 2 --config tiny.json --hosts no/hosts", "--hosts no/hosts: no such file", {}),
            ("-np 2 --config tiny.json --mca btl", "--mca btl: must be NAME=VALUE", {}),
            ("-np 2 --config tiny.json --platform p.xml", "--platform p.xml: a platform is made for --simulate", {}),
        ]
        for arguments, sentence, how in cases:
            done = self.dmlrun(f"{arguments} --quiet", **how)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)
            self.assertIn(sentence, done.stderr)
        done = self.dmlrun("-np 3 --config tiny.json --simulate two.xml --quiet")
        self.assert_refused(done, 2, "-np 3 is more than the platform's hosts take: they have 2 cores")


if __name__ == "__main__":
    unittest.main()
