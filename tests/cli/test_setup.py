"""The scripts around the program: set-up, environment, layer check, and the test runner itself, each on doctored surroundings."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class InTemporaryFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, path, text, mode=0o644):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path


class InstallDeps(InTemporaryFolder):
    """Everything that install-deps.sh may call is a fake: dpkg-query knows some packages, apt-get and sudo write down their use."""

    def run_with(self, installed="", user=0, tools=("apt-get", "sudo", "dpkg-query"), apt_status=0):
        fakes = {
            "dpkg-query": f"for p in {installed}; do echo installed $p; done",
            "apt-get": f'echo "apt-get $DEBIAN_FRONTEND $*" >> {self.folder}/calls; exit {apt_status}',
            "sudo": f'echo "sudo $1 $2" >> {self.folder}/calls; [ "$1" != -n ] || shift; exec "$@"',
            "id": f"echo {user}",
        }
        for name in (*tools, "id"):
            self.write(f"bin/{name}", f"#!/bin/sh\n{fakes[name]}\n", 0o755)
        for name in ("sh", "sed", "grep", "tr", "env", "true"):
            (self.folder / "bin" / name).symlink_to(shutil.which(name))
        done = subprocess.run([ROOT / "scripts/install-deps.sh"], env={"PATH": f"{self.folder}/bin"}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=20)
        calls = self.folder / "calls"
        return done, calls.read_text() if calls.exists() else ""

    def all_packages(self):
        done, _ = self.run_with(tools=())  # without dpkg-query it lists what it would look for
        shutil.rmtree(self.folder / "bin")
        return done.stderr.split("hold:")[1].split()

    def test_does_nothing_when_all_packages_are_there(self):
        done, calls = self.run_with(installed=" ".join(self.all_packages()))
        self.assertEqual((done.returncode, done.stdout, done.stderr, calls), (0, "", "", ""))

    def test_root_installs_only_what_is_missing_and_without_questions(self):
        packages = self.all_packages()
        done, calls = self.run_with(installed=" ".join(p for p in packages if p not in ("libmd-dev", "make")))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(calls, "apt-get noninteractive install -y --no-install-recommends make libmd-dev\n")

    def test_a_user_installs_through_sudo(self):
        done, calls = self.run_with(user=1000)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("sudo env DEBIAN_FRONTEND=noninteractive\napt-get noninteractive install", calls)

    def test_a_user_without_sudo_is_told_the_command_for_an_administrator(self):
        done, calls = self.run_with(user=1000, tools=("apt-get", "dpkg-query"))
        self.assertEqual((done.returncode, calls), (1, ""))
        self.assertRegex(done.stderr, r"^install-deps: this needs root.*: apt-get install .*libmd-dev.*\n$")

    def test_an_old_package_list_is_renewed_and_a_failure_is_one_sentence(self):
        done, calls = self.run_with(apt_status=100)
        self.assertEqual(done.returncode, 1)
        self.assertEqual([line.split()[-1] for line in calls.splitlines() if "update" in line], ["update"])
        self.assertRegex(done.stderr, r"^install-deps: apt-get could not install .*: apt-get install gcc .*\n$")

    def test_without_apt_the_missing_packages_are_named(self):
        done, _ = self.run_with(tools=("dpkg-query",))
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is no apt-get here", done.stderr)
        self.assertIn("libsleef-dev", done.stderr)


class Environment(unittest.TestCase):
    def after(self, shell, script, cwd=ROOT, **env):
        done = subprocess.run([shell, "-c", script + "; env"], cwd=cwd, env={"PATH": "/usr/bin:/bin", **env}, check=True,
                              capture_output=True, text=True)
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    def test_works_from_anywhere_and_twice(self):
        file = ROOT / "scripts/env.sh"
        env = self.after("bash", f"set -eu; . '{file}'; . '{file}'", cwd="/")
        self.assertEqual(env["PATH"], f"{ROOT}/build:/usr/bin:/bin")
        self.assertEqual(env["OPENBLAS_NUM_THREADS"], "1")

    def test_works_in_a_plain_posix_shell_in_the_project(self):
        self.assertEqual(self.after("sh", "set -eu; . scripts/env.sh")["PATH"], f"{ROOT}/build:/usr/bin:/bin")

    def test_keeps_what_is_set_already(self):
        env = self.after("bash", ". scripts/env.sh", OPENBLAS_NUM_THREADS="4", OMPI_MCA_rmaps_base_oversubscribe="0")
        self.assertEqual((env["OPENBLAS_NUM_THREADS"], env["OMPI_MCA_rmaps_base_oversubscribe"]), ("4", "0"))

    def test_replaces_a_blas_kernel_only_where_it_leaves_avx512_unused(self):
        has = "avx512vl" in pathlib.Path("/proc/cpuinfo").read_text().split()
        for given, after in (("Haswell", "SkylakeX" if has else "Haswell"), ("Cooperlake", "Cooperlake"), ("", "")):
            env = self.after("sh", ". scripts/env.sh 2> /dev/null", OPENBLAS_CORETYPE=given)
            self.assertEqual(env["OPENBLAS_CORETYPE"], after)

    def test_mpirun_starts_more_ranks_than_cores(self):
        ranks = 2 * os.cpu_count() + 1
        env = self.after("bash", ". scripts/env.sh")
        done = subprocess.run(["mpirun", "-np", str(ranks), "echo", "here"], env=env, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.stdout.count("here"), done.stderr), (ranks, ""))


class Layers(InTemporaryFolder):
    def check(self):
        return subprocess.run([ROOT / "scripts/check-layers.py", self.folder], capture_output=True, text=True)

    def compile(self, name, code):
        source = self.write(f"{name}.c", code)
        subprocess.run(["gcc", "-w", "-c", source, "-o", source.with_suffix(".o")], check=True)

    def test_a_clean_object_passes_and_each_forbidden_call_is_named(self):
        self.compile("kernels/clean", "float sqrtf(float); float clean(float x) { return sqrtf(x); }")
        self.assertEqual(self.check().returncode, 0)
        for name, symbol in (("kernels/reaches", "MPI_Comm_rank"), ("kernels/prints", "fputs"), ("kernels/allocates", "malloc"),
                             ("kernels/waits", "clock_gettime"), ("kernels/layers", "cblas_sgemm"), ("collectives/parses", "cJSON_Parse"),
                             ("bench/other", "hwloc_topology_load"), ("bench/sends", "MPI_Iallreduce"), ("kernels/looks_up", "statistic")):
            with self.subTest(symbol=symbol):
                self.compile("bench/statistics", "int statistic(void) { return 1; }")
                self.compile(name, f"int {symbol}(void); int f(void) {{ return {symbol}(); }}")
                done = self.check()
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"layers: {name}.o refers to {symbol}, but ", done.stdout)
                self.assertEqual(len(done.stdout.splitlines()), 1)
                (self.folder / f"{name}.o").unlink()

    def test_the_owner_of_a_library_may_use_it(self):
        for name, symbol in (("kernels/matmul", "cblas_sgemm"), ("bench/config_tree", "cJSON_Parse"), ("bench/topology", "hwloc_topology_load"),
                             ("collectives/fabric_mpi", "MPI_Isend"), ("bench/run", "MPI_Wtick")):
            self.compile(name, f"int {symbol}(void); int f(void) {{ return {symbol}(); }}")
        done = self.check()
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_an_empty_folder_proves_nothing(self):
        self.assertEqual(self.check().returncode, 1)


class Runner(InTemporaryFolder):
    """tests/run in a project whose test programs are shell scripts."""

    def run_with(self, programs, *options):
        for name in ("tests/run", "scripts/env.sh"):
            (self.folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, self.folder / name)
        for name, script in programs.items():
            self.write(f"tests/kernels/test_{name}.c", "")
            for variant in ("mpi", "asan"):
                self.write(f"build/{variant}/tests/kernels/test_{name}", "#!/bin/sh\n" + script, 0o755)
        done = subprocess.run([self.folder / "tests/run", *options], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout.splitlines()

    def test_counts_each_test_of_each_variant(self):
        status, lines = self.run_with({"good": "echo 1..3; echo ok 1 - a; echo not ok 2 '# SKIP b'; echo ok 3 - c"})
        self.assertEqual((status, lines[-1]), (0, "4 passed, 0 failed"))

    def test_a_failure_shows_the_output_and_fails_the_whole(self):
        status, lines = self.run_with({"bad": "echo 1..2; echo ok 1 - a; echo not ok 2 - b; echo '# why'; exit 1"}, "-k", "mpi")
        self.assertEqual((status, lines[-1]), (1, "1 passed, 1 failed"))
        self.assertIn("    | # why", lines)

    def test_a_crash_a_missing_plan_and_a_short_plan_are_failures(self):
        for script in ("echo 1..1; echo ok 1 - a; exit 139", "echo ok 1 - a", "echo 1..2; echo ok 1 - a"):
            with self.subTest(script=script):
                status, lines = self.run_with({"bad": script}, "-k", "mpi")
                self.assertEqual((status, lines[-1]), (1, "1 passed, 1 failed"))

    def test_a_program_that_hangs_is_ended_with_its_children(self):
        mark = self.folder / "child"
        script = f"set -m; sleep 50 & echo $! > {mark}; wait"  # in a process group of its own, as mpirun's ranks are
        status, lines = self.run_with({"slow": script}, "-k", "mpi", "--timeout", "1")
        self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed"))
        child = pathlib.Path("/proc", mark.read_text().strip(), "stat")
        self.assertTrue(not child.exists() or " Z " in child.read_text())  # gone, or waits for its burial

    def test_no_tests_at_all_is_a_failure(self):
        status, lines = self.run_with({"good": "echo 1..1; echo ok 1 - a"}, "-k", "no such test")
        self.assertEqual((status, lines[-1]), (1, "0 passed, 0 failed"))


if __name__ == "__main__":
    unittest.main()
