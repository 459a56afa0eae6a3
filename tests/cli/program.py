"""Shared by the command-line tests: running dmlbench as a user does, in a folder of its own."""
import json
import os
import pathlib
import shlex
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve()


def built(name):
    """What make built, as a word of InFolder.command: the path may have blanks."""
    return shlex.quote(str(BUILD / name))


DMLBENCH, SIMULATED, SMPIRUN = built("dmlbench"), built("sim/dmlbench"), shlex.quote(str(ROOT / "tests/smpirun"))

# A GPT that learns synthetic symbols, small enough for eight ranks on two cores.
TINY = {"name": "tiny", "model": {"name": "gpt", "layers": 2, "hidden": 32, "heads": 4, "sequence": 16, "vocabulary": 16},
        "data": {"name": "synthetic"}, "batch": {"global": 48, "micro": 2}, "optimizer": {"name": "adamw", "learning_rate": 0.003},
        "measure": {"steps": 8, "warmup_steps": 2}}


class InFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="dmlbench ü ")  # paths with blanks and UTF-8 work
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.write("tiny.json", json.dumps(TINY))

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def command(self, command, **kwargs):
        """A finished process; `command` is split as a shell would."""
        return subprocess.run(shlex.split(command), cwd=kwargs.pop("cwd", self.folder), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=kwargs.pop("timeout", 90), **kwargs)

    def dmlbench(self, arguments, ranks=1, **kwargs):
        return self.command(f"mpirun -q -np {ranks} {DMLBENCH} {arguments}", **kwargs)

    def results(self):
        return sorted((self.folder / "results").glob("*.json"))

    def run_ok(self, arguments="--config tiny.json", ranks=1, **kwargs):
        """Runs and returns the result, which is the newest file."""
        done = self.dmlbench(f"{arguments} --out 'r {len(self.outs())}.json'", ranks, **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return json.loads(self.outs()[-1].read_text())

    def outs(self):
        return sorted(self.folder.glob("r *.json"), key=lambda p: int(p.stem[2:]))

    def assert_refused(self, done, code, *parts):
        """Ends with the code and one sentence of the program's that has all the parts."""
        said = [line for line in done.stderr.splitlines() if line.startswith("dmlbench: ")]
        self.assertEqual((done.returncode, len(said)), (code, 1), done.stderr + done.stdout)
        for part in parts:
            self.assertIn(part, said[0])
