#!/usr/bin/python3
"""`make networks`: one experiment on every network that dmlbench knows, beside its closed form.
run.py [--build FOLDER] [--rounds N] [--short] [-k WORD] [--out FOLDER]

  shaped      links made in the process, in real time                           --set fabric.name=shaped
  simulated   SimGrid's hosts, in virtual time: one round, it repeats exactly   dmlrun --simulate
  hosts       network namespaces, TCP, tc tbf (root)                            scripts/hosts/run

The same config states network and experiment for all.  Hosts have the stated rate, of which TCP/IP takes headers, but no latency of
their own: theirs is half of a small message's shortest round trip, measured first, and their closed form is of that.  A cell is
measured / closed form: the median of the rounds, and the smallest and largest.  Table as text, and in FOLDER (results) as Markdown
and JSON.  --short: fewer sizes, one link.  Exit code 1: a run failed.  Other programs on the cores delay what happens in real time;
as root, chrt -r 10 scripts/networks/run.py goes before them.
"""
import argparse
import collections
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
KI, MI, FLOAT_B = 1 << 10, 1 << 20, 4
WHOLE = 1 << 26  # bytes: in one piece
FRAME_B, PAYLOAD_B = 1514, 1448  # Ethernet, and what IPv4 and TCP with timestamps leave of it

Link = collections.namedtuple("Link", "rate_bit_per_s latency_s")
LINKS = (Link(100e6, 1e-3), Link(200e6, 1e-4), Link(1e9, 5e-4))

# closed_s(latency_s, bandwidth_B_per_s, result), measured_s(result)
Experiment = collections.namedtuple("Experiment", "name ranks config measured_s closed_s")

BASE = {"data": {"name": "synthetic"}, "optimizer": {"name": "sgd"}, "compute": {"rate_flop_per_s": 1e18},
        "exchange": {"segment_B": WHOLE, "bucket_B": WHOLE}, "measure": {"steps": 1, "warmup_steps": 0, "verify": False}}


# ---- experiments and their closed forms -------------------------------------------------------------------------------------

def ring_s(p, size_B, a, B):
    return 2 * (p - 1) * (a + size_B / p / B)


def parameters_B(result):
    return FLOAT_B * result["model"]["parameters_count"]


def one_matrix(size_B):
    """A model of that many bytes, of which little is computed: a linear layer and its bias."""
    return {"name": "mlp", "layers": 0, "classes": 16, "inputs": size_B // FLOAT_B // 16 - 1}


def size_name(size_B):
    return f"{size_B // MI} MiB" if size_B >= MI else f"{size_B // KI} KiB"


def ring(ranks, size_B):
    """In one piece, whatever its size."""
    return Experiment(f"ring allreduce, {size_name(size_B)}", ranks,
                      {"model": one_matrix(size_B), "batch": {"global": ranks, "micro": 1}},
                      lambda result: result["compression"]["dense_alone_s"], lambda a, B, result: ring_s(ranks, size_B, a, B))


def segmented(ranks, size_B):
    """In messages of 32 KiB, some of them on their way at a time: the link is busy all the time, and one latency is added."""
    return Experiment(f"... {size_name(size_B)} in 32 KiB", ranks,
                      {"model": one_matrix(size_B), "batch": {"global": ranks, "micro": 1}, "exchange": {"bucket_B": WHOLE}},
                      lambda result: result["compression"]["dense_alone_s"], lambda a, B, result: result["bounds"]["exchange_s"])


def topk(ranks, size_B):
    """1 % of the floats, each as an index and a value, from every rank to all others: (p - 1) (a + 8 k / B)."""
    code_B = 8 * (size_B // FLOAT_B // 100)
    return Experiment(f"top-k 1 % of {size_name(size_B)}, allgather", ranks,
                      {"model": one_matrix(size_B), "batch": {"global": ranks, "micro": 1},
                       "exchange": {**BASE["exchange"], "compressor": {"name": "topk", "ratio": 0.01},
                                    "collective": {"name": "allgather"}, "error_feedback": True}},
                      lambda result: result["compression"]["exchange_alone_s"], lambda a, B, result: (ranks - 1) * (a + code_B / B))


def step_s(result):
    return result["metrics"]["step_s"]["median"]


LAYERS, FORWARD_S, BACKWARD_S = 4, 0.01, 0.02
COMPUTE = {**BASE["compute"], "name": "sleep", "forward_s": FORWARD_S, "backward_s": BACKWARD_S}
STEPS = {**BASE["measure"], "steps": 3, "warmup_steps": 1}


def data_parallel(ranks):
    """Every layer takes its time, then everything is summed in messages of 32 KiB: L (F + B) + the exchange above."""
    return Experiment("data-parallel step", ranks,
                      {"model": {"name": "mlp", "layers": LAYERS - 1, "inputs": 384, "hidden": 384}, "compute": COMPUTE,
                       "batch": {"global": 8 * ranks, "micro": 8}, "exchange": {"bucket_B": WHOLE}, "measure": STEPS}, step_s,
                      lambda a, B, result: LAYERS * (FORWARD_S + BACKWARD_S) + result["bounds"]["exchange_s"])


def pipeline(stages, micro, hidden=512):
    """The schedule played with passes of F and B and messages of a + n / B."""
    return Experiment(f"1F1B, 8 micro-batches of {size_name(FLOAT_B * micro * hidden)}", stages,
                      {"model": {"name": "mlp", "layers": stages - 1, "inputs": hidden, "hidden": hidden},
                       "batch": {"global": 8 * micro, "micro": micro}, "compute": COMPUTE, "measure": STEPS,
                       "parallel": {"pipeline": stages, "schedule": {"name": "1f1b"}}}, step_s,
                      lambda a, B, result: result["bounds"]["pipeline_s"])


def experiments(short):
    if short:
        return [ring(4, 192 * KI), segmented(4, 2 * MI), data_parallel(4), pipeline(4, 16), topk(4, 2 * MI)]
    return [*(ring(4, size * KI) for size in (64, 256, 1024, 4096, 16384)), segmented(4, 4 * MI), data_parallel(4),
            pipeline(4, 16), pipeline(4, 128), topk(4, 2 * MI),
            ring(8, MI), ring(8, 16 * MI), segmented(8, 4 * MI), data_parallel(8), pipeline(8, 16), topk(8, 2 * MI)]


# ---- networks ---------------------------------------------------------------------------------------------------------------

class Failed(Exception):
    pass


def run(command, env, out):
    """The JSON file that a command leaves."""
    done = subprocess.run([str(word) for word in command], cwd=out.parent, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=300)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))} ended with status {done.returncode}\n{done.stderr}")
    return json.loads(out.read_text())


class Bench:
    """Where things are, and runs of one experiment on the three networks."""

    def __init__(self, build, folder):
        self.build, self.folder, self.runs = build, folder, 0
        shown = subprocess.run(["sh", "-c", ". scripts/env.sh && env -0"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        self.env = dict(pair.split("=", 1) for pair in shown.stdout.split("\0") if pair)
        self.links = {}  # of hosts, by rate

    def file(self, content=None):
        self.runs += 1
        path = self.folder / f"{self.runs}.json"
        if content is not None:
            path.write_text(json.dumps(content))
        return path

    def config(self, experiment, latency_s, bandwidth_B_per_s):
        between = {"latency_s": latency_s, "bandwidth_B_per_s": bandwidth_B_per_s}
        return self.file({**BASE, "name": "networks", "network": {"node_ranks": 1, "between": between}, **experiment.config})

    def result(self, command, config):
        out = self.file()
        return run([*command, "--config", config, "--quiet", "--out", out], self.env, out)

    def times(self, command, config, experiment, link):
        """Seconds by closed form, and measured."""
        result = self.result(command, config)
        return experiment.closed_s(*link, result), experiment.measured_s(result)

    def local(self, experiment, link, *how):
        link = (link.latency_s, link.rate_bit_per_s / 8)
        config = self.config(experiment, *link)
        command = [self.build / "dmlrun", "-np", experiment.ranks, *(word or config for word in how)]
        return self.times(command, config, experiment, link)

    def shaped(self, experiment, link):
        return self.local(experiment, link, "--set", "fabric.name=shaped")

    def simulated(self, experiment, link):
        return self.local(experiment, link, "--simulate", None)

    def on_hosts(self, count, link):
        return [ROOT / "scripts/hosts/run", "-n", count, "--rate", f"{link.rate_bit_per_s / 1e6:.0f}mbit", self.build / "dmlbench"]

    def hosts_link(self, link):
        """What a link of hosts has: half a round trip, by which two hosts compare their clocks, and the rate without headers."""
        if link not in self.links:
            result = self.result(self.on_hosts(2, link), self.config(ring(2, 64 * KI), link.latency_s, link.rate_bit_per_s / 8))
            self.links[link] = (result["platform"]["clock_uncertainty_s"], link.rate_bit_per_s / 8 * PAYLOAD_B / FRAME_B)
        return self.links[link]

    def hosts(self, experiment, link):
        """On real hosts network keys are not in force, and bounds are not by them: those of simulated hosts are."""
        own = self.hosts_link(link)
        config = self.config(experiment, *own)
        stated = self.result([self.build / "dmlrun", "-np", experiment.ranks, "--simulate", config], config)
        return experiment.closed_s(*own, stated), experiment.measured_s(self.result(self.on_hosts(experiment.ranks, link), config))


# ---- the table --------------------------------------------------------------------------------------------------------------

NETWORKS = ("shaped", "simulated", "hosts")


def no_hosts():
    """Why there cannot be hosts here; None: there can."""
    if os.geteuid():
        return "hosts need root"
    try:
        done = subprocess.run([ROOT / "scripts/hosts/run", "-n", "1", "true"], capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return "no hosts in a minute"
    return done.stderr.strip() or "hosts cannot be made" if done.returncode else None


def measure(bench, network, experiment, link, rounds):
    """One cell."""
    pairs = [getattr(bench, network)(experiment, link) for _ in range(1 if network == "simulated" else rounds)]
    ratios = [measured_s / closed_s for closed_s, measured_s in pairs]
    return {"closed_s": pairs[0][0], "measured_s": [s for _, s in pairs], "ratio": statistics.median(ratios), "ratios": ratios}


def cell_text(cell):
    if not cell:
        return "-"
    low, high = min(cell["ratios"]), max(cell["ratios"])
    return f"{cell['ratio']:.3f}" + (f" ({low:.3f} .. {high:.3f})" if len(cell["ratios"]) > 1 else "")


HEAD = ("", "ranks", "closed form", *NETWORKS, "hosts' closed form")


def row_words(row):
    cells = [row.get(network) for network in NETWORKS]
    closed = [f"{1e3 * cell['closed_s']:.2f} ms" if cell else "-" for cell in (cells[1], cells[2])]
    return row["name"], str(row["ranks"]), closed[0], *map(cell_text, cells), closed[1]


def title(link, bench):
    hosts = f"; hosts {1e3 * bench.links[link][0]:.3f} ms" if link in bench.links else ""
    return f"{link.rate_bit_per_s / 1e6:.0f} Mb/s, {1e3 * link.latency_s:g} ms{hosts}"


def as_text(words):
    widths = (34, 5, 13, 24, 10, 24, 18)
    return words[0].ljust(widths[0]) + "".join(" " + word.rjust(width) for word, width in zip(words[1:], widths[1:]))


def as_markdown(tables, note):
    lines = [note]
    for name, rows in tables:
        lines += ["", f"**{name}**", "", "| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
        lines += ["| " + " | ".join(row_words(row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def is_chosen(experiment, word):
    return word in f"{experiment.name} {experiment.ranks}"


def measure_all(bench, networks, options):
    """[(title, rows)], printed on the way."""
    tables = []
    for link in LINKS[1:2] if options.short else LINKS:
        print("\n" + as_text((f"{link.rate_bit_per_s / 1e6:.0f} Mb/s, {1e3 * link.latency_s:g} ms", *HEAD[1:])), flush=True)
        rows = []
        for experiment in experiments(options.short):
            if not is_chosen(experiment, options.k):
                continue
            load = os.getloadavg()[0]
            cells = {network: measure(bench, network, experiment, link, options.rounds) for network in networks}
            rows.append({"name": experiment.name, "ranks": experiment.ranks, **link._asdict(), "load": load, **cells})
            print(as_text(row_words(rows[-1])), flush=True)
        tables.append((title(link, bench), rows))
    return tables


def cpu_model():
    found = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return found[1].strip() if found else "unknown"


def check(options):
    """Before anything is measured."""
    wrong = None
    if not any(is_chosen(experiment, options.k) for experiment in experiments(options.short)):
        wrong = f"-k {options.k}: no experiment's name has it"
    elif options.rounds < 1:
        wrong = f"--rounds {options.rounds}: must be 1 or more"
    else:
        missing = [name for name in ("dmlrun", "dmlbench", "dmlbench-sim") if not (options.build / name).exists()]
        if missing:
            wrong = f"--build {options.build}: has no {missing[0]} (make all sim builds it)"
    if wrong:
        print(f"networks: {wrong}", file=sys.stderr)
        sys.exit(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="where make put the programs")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "results", help="folder for the table")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("-k", metavar="WORD", default="", help="only experiments that contain WORD")
    options = parser.parse_args()
    check(options)
    left_out = no_hosts()
    networks = NETWORKS[:2] if left_out else NETWORKS
    with tempfile.TemporaryDirectory(prefix="dmlbench-networks-") as folder:
        bench = Bench(options.build.resolve(), pathlib.Path(folder))
        try:
            tables = measure_all(bench, networks, options)
        except Failed as failed:
            sys.exit(f"networks: {failed}")
    rows = [row for _, rows in tables for row in rows]
    loads = [row["load"] for row in rows]
    first = ", real-time priority" if os.sched_getscheduler(0) else ""
    why = f" Left out: {left_out}." if left_out else ""
    note = (f"Measured / closed form, medians of {options.rounds} (smallest .. largest); {cpu_model()}, {os.cpu_count()} "
            f"cores{first}; load, the ranks' own included, {min(loads):.1f} .. {max(loads):.1f}.{why}")
    print(f"\n{note}")
    options.out.mkdir(parents=True, exist_ok=True)
    out = options.out / f"networks-{datetime.datetime.now(datetime.timezone.utc):%Y%m%dT%H%M%SZ}.md"
    out.write_text(as_markdown(tables, note))
    table = {"schema": "dmlbench.networks", "note": note, "left_out": left_out, "rows": rows}
    out.with_suffix(".json").write_text(json.dumps(table, indent=1))
    print(out)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
