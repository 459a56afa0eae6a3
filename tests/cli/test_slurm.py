"""scripts/slurm: the batch script on a Slurm of this machine. Needs root, and munge, slurmctld, slurmd and slurm-client."""
import json
import os
import pathlib
import shlex
import subprocess
import unittest

from program import BUILD, ROOT, InFolder

SLURM = ROOT / "scripts/slurm"


def local(command, **variables):
    return subprocess.run([SLURM / "local", command], env={**os.environ, **variables}, capture_output=True, text=True, check=False)


class WithoutSlurm(InFolder):
    def test_what_is_missing_is_named(self):
        for user, said in ((1000, "needs root"), (0, "apt-get install munge slurmctld slurmd slurm-client")):
            self.write("bin/id", f"#!/bin/sh\necho {user}\n").chmod(0o755)
            for tool in ("bash", "env"):
                self.write(f"bin/{tool}", f'#!/bin/sh\nexec /bin/{tool} "$@"\n').chmod(0o755)
            done = local("start", PATH=f"{self.folder}/bin")
            self.assertEqual((done.returncode, done.stdout, len(done.stderr.splitlines())), (2, "", 1), done.stderr)
            self.assertIn(said, done.stderr)

    def test_stop_takes_down_only_what_start_has_made(self):
        self.write("slurm.conf", "ClusterName=other\n")
        done = local("stop", SLURM_CONF=f"{self.folder}/slurm.conf")
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"{self.folder}/slurm.conf", done.stderr)
        self.assertTrue((self.folder / "slurm.conf").exists())

    def test_the_batch_script_says_that_it_is_one(self):
        done = self.command(f"{shlex.quote(str(SLURM / 'dmlbench.sbatch'))} --config tiny.json",
                            env={name: value for name, value in os.environ.items() if not name.startswith("SLURM")})
        self.assertEqual(done.returncode, 2)
        self.assertIn("sbatch -n 8", done.stderr)


class OneMachine(InFolder):
    @classmethod
    def setUpClass(cls):
        done = local("start")
        if done.returncode == 2:
            raise unittest.SkipTest(done.stderr.strip())
        if done.returncode:
            raise AssertionError(done.stderr)
        cls.conf = done.stdout.strip().split("=", 1)[1]
        cls.addClassCleanup(cls.stop)

    @classmethod
    def stop(cls):
        done = local("stop", SLURM_CONF=cls.conf)
        folder = str(pathlib.Path(cls.conf).parent)
        left = [p.parent.name for p in pathlib.Path("/proc").glob("[0-9]*/cmdline") if folder in p.read_text(errors="replace")]
        if done.returncode or left or os.path.exists(folder):
            raise AssertionError(f"left: processes {left}, {folder}: {done.stderr}")

    def submit(self, arguments, **variables):
        env = {**os.environ, "SLURM_CONF": self.conf, "PATH": f"{BUILD}:{os.environ['PATH']}", **variables}
        script = shlex.quote(str(SLURM / "dmlbench.sbatch"))
        return self.command(f"sbatch --quiet --wait -n 4 --output=said {script} {arguments}", env=env)

    def test_a_job_of_four_ranks_leaves_its_result(self):
        """The same parameters as under mpirun."""
        done = self.submit("--config tiny.json --out there.json")
        self.assertEqual(done.returncode, 0, done.stderr + (self.folder / "said").read_text())
        there = json.loads((self.folder / "there.json").read_text())
        here = self.run_ok("--config tiny.json --quiet", ranks=4)
        self.assertEqual(len(there["platform"]["ranks"]), 4)
        self.assertEqual(there["correctness"]["parameter_hash"], here["correctness"]["parameter_hash"])
        self.assertIn("4", [v["value"] for v in there["platform"]["variables"] if v["name"] == "SLURM_NTASKS"])

    def test_the_program_s_status_is_the_job_s(self):
        done = self.submit("--config none.json")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("none.json", (self.folder / "said").read_text())


if __name__ == "__main__":
    unittest.main()
