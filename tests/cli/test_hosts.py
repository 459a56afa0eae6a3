"""scripts/hosts: hosts of network namespaces on this machine. All but the refusals need root, and are skipped without it."""
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import unittest

from program import BUILD, DMLBENCH, ROOT, InFolder

HOSTS = ROOT / "scripts/hosts"
TOKEN = "DMLBENCH_TEST_TOKEN"  # in the environment of what a test starts, to find what is left of it

# Rank 0 sends to rank 1 over a socket of its own, and says how long a byte took to be there, the first 2 % of them aside.
SOCKET_RATE = """
import os, socket, sys, time
total, skip = int(sys.argv[1]), int(sys.argv[1]) // 50
if os.environ["OMPI_COMM_WORLD_RANK"] == "0":
    for _ in range(100):
        try:
            to = socket.create_connection(("10.37.1.2", 5001)); break
        except OSError:
            time.sleep(0.02)
    to.sendall(bytes(total)); to.recv(1)
else:
    got, server = 0, socket.create_server(("10.37.1.2", 5001)); peer = server.accept()[0]
    while got < total:
        got += len(peer.recv(1 << 16))
        if got >= skip and skip:
            start_s, counted, skip = time.monotonic(), got, 0
    print("bit/s", 8 * (got - counted) / (time.monotonic() - start_s)); peer.send(b"!")
"""


def unable():
    """The refusal, where hosts cannot be made here, or None. Any other failure is for the tests to find."""
    made = subprocess.run([HOSTS / "run", "-n", "1", "true"], capture_output=True, text=True, check=False)
    return made.stderr.strip() if made.returncode == 2 and made.stderr.startswith("hosts/run: ") else None


UNABLE = unable()


def left():
    """Processes that carry this test's token."""
    found = []
    for environment in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{TOKEN}={os.getpid()}".encode() in environment.read_bytes().split(b"\0"):
                found.append(environment.parent.name)
        except OSError:
            pass  # it has ended
    return found


class OnHosts(InFolder):
    def hosts(self, script, arguments, **kwargs):
        return self.command(f"{shlex.quote(str(HOSTS / script))} {arguments}", **kwargs)

    def hosts_ok(self, script, arguments):
        done = self.hosts(script, arguments)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return done.stdout


class Refusals(OnHosts):
    def assert_says(self, done, *parts):
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)

    def test_without_root_shaped_links_are_offered(self):
        self.write("bin/id", "#!/bin/sh\necho 1000\n").chmod(0o755)
        env = {**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}"}
        self.assert_says(self.hosts("run", "-n 2 true", env=env), "need root", '"shaped"')

    @unittest.skipUnless(os.geteuid() == 0, "root comes first")
    def test_a_missing_tool_is_named(self):
        for tool in ("bash", "dirname", "basename", "id", "ip"):
            self.write(f"bin/{tool}", f'#!/bin/sh\nPATH="{os.environ["PATH"]}" exec {tool} "$@"\n').chmod(0o755)
        self.assert_says(self.hosts("run", "-n 2 true", env={"PATH": f"{self.folder}/bin"}), '"tc"', "iproute2")

    def test_options_that_do_not_fit(self):
        for arguments, *parts in (("true", "-n is missing"), ("-n 0 true", "-n 0", "1 .. 250"), ("-n", "-n wants a value"),
                                  ("-n 2 --rate 100MB true", "100MB", "as in 100mbit"),
                                  ("-n 2 --rate 10mbit --burst 1000 true", "--burst 1000", "3028"),
                                  ("-n 2 --burst 5000 true", "--rate"), ("-n 2 --id A_B true", "--id A_B"),
                                  ("-n 2 --ranks-per-host 0 true", "--ranks-per-host 0"),
                                  ("-n 2 --rat 100mbit --config tiny.json", "what is --rat?", "--rate"),
                                  ("-n 2 --rate=1mbit true", "what is --rate=1mbit?")):
            with self.subTest(arguments=arguments):
                self.assert_says(self.hosts("run", arguments), *parts)
        self.assert_says(self.hosts("down", ""), "which hosts?", "--all")


@unittest.skipIf(UNABLE, UNABLE)
class Hosts(OnHosts):
    def setUp(self):
        super().setUp()
        self.env = {**os.environ, TOKEN: str(os.getpid()), "PATH": f"{BUILD}:{os.environ['PATH']}"}
        self.before = self.namespaces()
        self.addCleanup(self.assert_nothing_left)

    def hosts(self, script, arguments, **kwargs):
        return super().hosts(script, arguments, env=self.env, **kwargs)

    def namespaces(self):
        return self.command("ip netns list").stdout

    def assert_nothing_left(self):
        end = time.monotonic() + 10
        while left() and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual(left(), [])
        self.assertEqual(self.namespaces(), self.before)

    def start(self, arguments):
        """A run whose ranks have begun to wait."""
        self.write("wait.sh", "echo begun; sleep 100")
        run = subprocess.Popen([HOSTS / "run", *shlex.split(arguments), "sh", self.folder / "wait.sh"], env=self.env,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(run.stdout.close)
        self.assertEqual(run.stdout.readline(), "begun\n")
        return run

    def test_each_host_has_its_name_and_its_ranks(self):
        names = self.hosts_ok("run", "-n 3 --ranks-per-host 2 hostname").split()
        self.assertEqual(sorted(names), ["host0", "host0", "host1", "host1", "host2", "host2"])

    def test_the_path_may_have_blanks(self):
        copy = shutil.copytree(ROOT / "scripts", self.folder / "a copy/scripts")
        done = self.command(f"'{copy}/hosts/run' -n 2 hostname", env=self.env)
        self.assertEqual(sorted(done.stdout.split()), ["host0", "host1"], done.stderr)

    def test_a_link_has_its_rate(self):
        self.write("rate.py", SOCKET_RATE)
        for rate, bit_per_s, total in (("20mbit", 20e6, 1 << 21), ("400mbit", 400e6, 1 << 25)):
            got = []
            for _ in range(6):  # other programs on the cores only delay
                said = self.hosts_ok("run", f"-n 2 --rate {rate} {sys.executable} rate.py {total}")
                got.append(float(re.search(r"bit/s ([0-9.]+)", said)[1]) / (bit_per_s * 1448 / 1514))
                if 0.93 < got[-1] < 1.02:
                    break
            else:
                self.fail(f"{rate}: {got} of it")

    def test_the_command_s_status_comes_back(self):
        self.assertEqual(self.hosts("run", "-n 2 sh -c 'exit 3'").returncode, 3)

    def test_nothing_is_left_after_signals(self):
        for number, status in ((signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGKILL, -signal.SIGKILL)):
            with self.subTest(signal=number.name):
                run = self.start("-n 2 --rate 100mbit")
                run.send_signal(number)
                self.assertEqual(run.wait(20) != 0, status != 0)
                self.assert_nothing_left()

    def test_nothing_is_left_when_mpirun_is_killed(self):
        run = self.start("-n 2")
        mpirun = self.command(f"pgrep -P {run.pid} mpirun").stdout.split()
        os.kill(int(mpirun[0]), signal.SIGKILL)
        self.assertNotEqual(run.wait(20), 0)

    def test_hosts_that_stay_are_listed_used_and_taken_down(self):
        self.assertEqual(self.hosts_ok("up", "-n 2 --rate 100mbit --id test1").strip(), "test1")
        self.addCleanup(self.hosts, "down", "test1")
        self.assertIn("test1: 2 hosts, 0 processes", self.hosts_ok("list", ""))
        again = self.hosts("up", "-n 2 --id test1")
        self.assertIn("--id test1 is up already", again.stderr)
        self.assertEqual(sorted(self.hosts_ok("run", "--on test1 hostname").split()), ["host0", "host1"])
        run = self.start("--on test1")
        self.assertRegex(self.hosts_ok("list", ""), r"test1: 2 hosts, [1-9]\d* processes")
        self.hosts_ok("down", "test1")
        self.assertNotEqual(run.wait(20), 0)
        self.assertIn("no hosts with the id test1", self.hosts("down", "test1").stderr)
        self.assertIn("--on test1", self.hosts("run", "--on test1 true").stderr)

    def test_down_all_finds_what_killed_runs_have_left(self):
        """In a mount namespace of the test's own: hosts of others stay."""
        done = self.command("unshare --mount sh -c 'mount -t tmpfs tmpfs /run/netns && cd \"$0\" && ./up -n 1 --id a1 && "
                            f"./up -n 2 --id b2 && ./list && ./down --all && ./list && ip netns list' {shlex.quote(str(HOSTS))}")
        listed = ["a1: 1 hosts, 0 processes", "b2: 2 hosts, 0 processes"]
        self.assertEqual(done.stdout.splitlines(), ["a1", "b2", *listed], done.stderr)

    def test_hosts_that_cannot_be_made_leave_nothing(self):
        self.write("bin/tc", "#!/bin/sh\necho 'Specified qdisc kind is unknown.' >&2; exit 2\n").chmod(0o755)
        self.env["PATH"] = f"{self.folder}/bin:{self.env['PATH']}"
        for script in ("run", "up"):
            done = self.hosts(script, "-n 2 --rate 10mbit")
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, f"^Specified qdisc kind is unknown.\nhosts/{script}: the hosts were not made, .*tbf")

    def test_an_interface_that_is_not_there_is_named(self):
        self.hosts_ok("run", f"-n 2 env DMLBENCH_INTERFACE=eth7 {DMLBENCH} --config tiny.json --quiet --out none.json")
        result = json.loads((self.folder / "none.json").read_text())
        self.assertIsNone(result["comm_total"]["wire_B_measured"])
        self.assertIn("eth7", " ".join(result["warnings"]))

    def test_the_same_parameters_as_on_one_host(self):
        self.hosts_ok("run", "-n 4 --rate 400mbit --config tiny.json --set exchange.reduction=tree --quiet --out there.json")
        here = self.run_ok("--config tiny.json --set exchange.reduction=tree --quiet", ranks=4)
        there = json.loads((self.folder / "there.json").read_text())
        self.assertEqual(there["correctness"]["parameter_hash"], here["correctness"]["parameter_hash"])
        self.assertEqual(there["platform"]["hosts"], 4)
        self.assertEqual(there["platform"]["ranks_per_core"], here["platform"]["ranks_per_core"])  # they share a machine
        self.assertEqual(there["platform"]["oversubscribed"], here["platform"]["oversubscribed"])
        self.assertEqual([rank["host"] for rank in there["platform"]["ranks"]], ["host0", "host1", "host2", "host3"])

    def test_times_of_hosts_are_by_one_clock(self):
        """Clocks are 1000 s apart, where the kernel can. By them activations would have been sent long before anybody waited, so
        that nobody was idle for one."""
        said = self.hosts_ok("run", f"-n 2 {sys.executable} -c 'import time; print(time.monotonic())'")
        clocks = [float(s) for s in said.split()]
        self.hosts_ok("run", f"-n 4 --config '{ROOT}/configs/bubble.json' --quiet --set measure.steps=6 --set measure.verify=false "
                             "--set batch.global=8 --out bubble.json")
        result = json.loads((self.folder / "bubble.json").read_text())
        platform = result["platform"]
        self.assertTrue(0 < platform["clock_uncertainty_s"] < 0.01)
        if abs(clocks[0] - clocks[1]) > 500:
            self.assertAlmostEqual(platform["clock_offset_max_s"], 3000, delta=platform["clock_uncertainty_s"] + 1e-6)
        if result["metrics"]["bubble_frac_measured"] is None:  # noise
            self.assertIn("clocks", result["metrics"]["bubble_frac_measured_why"])
            return
        self.assertGreater(result["metrics"]["bubble_frac_measured"], 0.2)  # 3 / 11 on quiet cores
        self.assertGreater(platform["ranks"][3]["idle_activation_s"], platform["ranks"][3]["transfer_s"])
        self.assertGreater(platform["ranks"][0]["idle_gradient_s"], platform["ranks"][0]["transfer_s"])

    def test_monitoring_sees_what_was_counted(self):
        """Neither clocks nor the hosts' set-up send anything that it takes for the steps'."""
        self.hosts_ok("run", "-n 2 --ranks-per-host 2 --config tiny.json --audit --quiet --out audited.json")
        total = json.loads((self.folder / "audited.json").read_text())["comm_total"]
        self.assertEqual((total["measured_by"], total["match"]), ("monitoring", True))
        self.assertEqual(total["wire_B_measured"], total["wire_B_counted"])

    def test_interfaces_count_what_was_predicted(self):
        """1448 bytes of payload are 66 more on a cable, and half as much again for acknowledgements. With two ranks on each of two
        hosts, half of what a ring of four sends crosses."""
        for shape, hidden, crossing in (("-n 4", 64, 1), ("-n 2 --ranks-per-host 2", 256, 0.5)):
            with self.subTest(shape=shape, hidden=hidden):
                self.hosts_ok("run", f"{shape} --rate 200mbit --config '{ROOT}/configs/mlp.json' --set model.hidden={hidden} --set "
                                     f"exchange.segment_B=1048576 --set measure.steps=20 --set measure.verify=false "
                                     f"--out '{hidden} {crossing}.json'")
                path = self.folder / f"{hidden} {crossing}.json"
                total = json.loads(path.read_text())["comm_total"]
                frames_B = crossing * total["wire_B_counted"] * (1 + 99 / 1448)
                self.assertEqual((total["measured_by"], total["match"]), ("interface counters", True))
                self.assertAlmostEqual(total["wire_B_measured"] / frames_B, 1, delta=0.06)
                self.assertAlmostEqual(total["frames_ratio"], total["wire_B_measured"] / frames_B, delta=0.01)
                self.assertEqual(self.dmlbench(f"--validate '{path.name}'").returncode, 0)


if __name__ == "__main__":
    unittest.main()
