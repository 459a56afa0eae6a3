"""One experiment on every network: links made in the process, simulated hosts, and, as root, hosts of network namespaces, each
beside its closed form, which scripts/networks/run.py has written out."""
import json
import os
import shlex
import subprocess
import time
import unittest

from program import BUILD, InFolder, ROOT

LEAST = {"shaped": 0.99, "simulated": 0.999, "hosts": 0.85}
MOST = {"shaped": 1.15, "simulated": 1.03, "hosts": 1.15}
QUIET_FRAC, QUIET_TRIES, PATIENCE_S = 0.9, 3, 60
FIRST = "chrt -r 10"  # before other programs: root may


def share_of_cores(first):
    """What programs that only compute, one on each core, get of them."""
    spin = "import time; end = time.monotonic() + 0.3\nwhile time.monotonic() < end: pass\nprint(time.process_time() / 0.3)"
    command = [*shlex.split(first), "/usr/bin/python3", "-c", spin]
    spinners = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(os.cpu_count())]
    return min(float(spinner.communicate()[0]) for spinner in spinners)


class Networks(InFolder):
    def first(self):
        return FIRST if os.geteuid() == 0 and self.command(f"{FIRST} true").returncode == 0 else ""

    def rows(self, word):
        """What the script writes of the experiments whose names contain a word."""
        out = self.folder / f"out {len(list(self.folder.iterdir()))}"
        script, build = (shlex.quote(str(path)) for path in (ROOT / "scripts/networks/run.py", BUILD))
        done = self.command(f"{self.first()} {script} --short --rounds 1 --build {build} --out '{out}' -k '{word}'")
        self.assertEqual(done.returncode, 0, done.stderr)
        table = json.loads(next(out.glob("*.json")).read_text())
        if os.geteuid():
            self.assertIn("root", table["left_out"])
        self.assertTrue(next(out.glob("*.md")).read_text().startswith(table["note"]))
        return table["rows"]

    def attempt(self, words, tries):
        """Appends to tries[experiment, network] the ratio, and whether other programs left the cores alone."""
        before = share_of_cores(self.first())
        rows = [row for word in words for row in self.rows(word)]
        quiet = min(before, share_of_cores(self.first())) > QUIET_FRAC
        for row in rows:
            for network in LEAST.keys() & row.keys():
                tries.setdefault((row["name"], network), []).append((row[network]["ratio"], quiet or network == "simulated"))

    def test_all_agree_with_their_closed_forms(self):
        """Other programs on the cores only delay, so the best of several counts, and nothing where they never pause."""
        tries, late, until_s = {}, [""], time.monotonic() + PATIENCE_S
        while late and time.monotonic() < until_s:
            self.attempt(late, tries)
            late = sorted({name for (name, network), ratios in tries.items() if min(ratios)[0] > MOST[network]})
        self.assertEqual(len({name for name, _ in tries}), 5)
        for (name, network), ratios in tries.items():
            self.assertGreater(min(ratios)[0], LEAST[network], (name, network))
            if network == "simulated" or sum(quiet for _, quiet in ratios) >= QUIET_TRIES:
                self.assertLess(min(ratios)[0], MOST[network], (name, network, ratios))


if __name__ == "__main__":
    unittest.main()
