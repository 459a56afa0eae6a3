#!/usr/bin/python3
"""`make bench`: how fast dmlbench is beside what others do, on this machine, now.  run.py [--build FOLDER] [--rounds N] [-k WORD]

Rivals run in turn, round after round, and each round gives one ratio; so what disturbs the machine disturbs both sides.  A line
is the median of the ratios with its exact 95 % interval (scripts/median_interval.py).  Every raw number goes into a JSON file in
results/.  OPENBLAS_CORETYPE is taken out of the environment first, because a kernel forced from outside would handicap a side;
PyTorch is measured as installed, with the AVX-512 kernel asked for, and with the kernel that was taken out.
"""
import argparse
import datetime
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from median_interval import median_interval  # noqa: E402

AVX512 = {f"avx512{part}" for part in ("f", "cd", "dq", "bw", "vl")}
MODELS = ("mlp-1024", "gpt-4x256")


def environment(build):
    """(what scripts/env.sh makes of ours without OPENBLAS_CORETYPE, the value that was taken out)"""
    ours = dict(os.environ)
    forced = ours.pop("OPENBLAS_CORETYPE", None)
    shown = subprocess.run(["sh", "-c", ". scripts/env.sh && env -0"], cwd=ROOT, env=ours, check=True, stdout=subprocess.PIPE, text=True)
    env = dict(pair.split("=", 1) for pair in shown.stdout.split("\0") if pair)
    return {**env, "PATH": f"{build}:{env['PATH']}", "OMP_NUM_THREADS": "1"}, forced


def cpu_flags():
    found = re.search(r"^flags\s*:(.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return set(found[1].split()) if found else set()


def run(command, env, **more):
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, cwd=ROOT, env={**env, **more}, capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"bench: {' '.join(map(str, command))} ended with status {done.returncode}\n{done.stderr}")
    return done.stdout


def dmlbench(model, env, folder, sets=(), **more):
    """The result of one run of ours on 2 ranks."""
    out = folder / f"{len(list(folder.iterdir()))}.json"
    sets = [word for key in sets for word in ("--set", key)]
    run(["mpirun", "-np", "2", "dmlbench", "--config", f"scripts/bench/{model}.json", "--quiet", "--out", out, *sets], env, **more)
    return json.loads(out.read_text())


def torch(model, env, **more):
    """Seconds of each measured step of PyTorch's on 2 ranks."""
    shown = json.loads(run(["mpirun", "-np", "2", "/usr/bin/python3", "scripts/bench/torch_step.py", "--model", model], env, **more))
    return shown["step_s"][shown["warmup_steps"]:]


def measured_steps(result):
    """Seconds of each measured step of a result: its slowest rank's."""
    samples = result["samples"]
    return [max(rank[i] for rank in samples["step_s"]) for i, warmup in enumerate(samples["warmup"]) if not warmup]


def row(label, ratios, note=""):
    median, low, high = median_interval(ratios)
    interval = f"[{low:.2f}, {high:.2f}]" if low is not None else "[no interval: fewer than 6 rounds]"
    print(f"  {label:<52} {median:6.2f} x  {interval}{note}", flush=True)
    return {"label": label, "ratios": ratios, "median": median, "ci95_low": low, "ci95_high": high, "n": len(ratios)}


def bench_kernels(env, folder, rounds, _forced):
    """This machine's sgemm rate with the kernel that the program chooses by itself, against each that can be asked for."""
    asked = [name for name, needs in (("Haswell", {"avx2", "fma"}), ("SkylakeX", AVX512)) if needs <= cpu_flags()]
    print("sgemm rate, the program's own choice of the OpenBLAS kernel against one that is asked for (higher is better):")
    raw = {name: [] for name in ("own", *asked)}
    for _ in range(rounds):
        for name in raw:
            result = dmlbench("mlp-1024", env, folder, **({} if name == "own" else {"OPENBLAS_CORETYPE": name}))
            raw[name].append(result["metrics"]["sgemm_flop_per_s"])
            if name == "own":
                own = f"{result['platform']['blas_kernel']}: {result['platform']['blas_kernel_reason']}"
    print(f"  {own}; {statistics.median(raw['own']) / 1e9:.0f} Gflop/s on 2 ranks")
    rows = [row(f"own choice / {name}", [a / b for a, b in zip(raw["own"], raw[name])]) for name in asked]
    return {"flop_per_s": raw, "rows": rows}


def bench_steps(env, folder, rounds, forced):
    """The training step against PyTorch DDP + gloo."""
    if not has_torch(env):
        print("training step against PyTorch: not measured; apt-get install python3-torch brings it")
        return None
    asked = (["SkylakeX"] if AVX512 <= cpu_flags() else []) + ([forced] if forced else [])
    ways = {"as installed": {}, **{f"with {name}": {"OPENBLAS_CORETYPE": name} for name in dict.fromkeys(asked)}}
    found = {"step_s": {}, "rows": []}
    print("training step, PyTorch DDP + gloo / dmlbench, 2 ranks, 1 thread each, fp32 (higher is better):")
    for model in MODELS:
        ours, theirs, mfu = [], {way: [] for way in ways}, []
        for _ in range(rounds):
            result = dmlbench(model, env, folder)
            ours.append(measured_steps(result))
            mfu.append(result["metrics"]["mfu_frac"] or math.nan)  # null says that it could not be measured
            for way, more in ways.items():
                theirs[way].append(torch(model, env, **more))
        own_s = [statistics.median(steps) for steps in ours]
        print(f"  {model}: dmlbench {1e3 * statistics.median(own_s):.2f} ms a step; "
              f"{statistics.median(mfu):.2f} of this machine's sgemm rate")
        for way, samples in theirs.items():
            other_s = [statistics.median(steps) for steps in samples]
            note = f"  PyTorch {1e3 * statistics.median(other_s):.2f} ms"
            found["rows"].append(row(f"{model}, PyTorch {way}", [t / o for t, o in zip(other_s, own_s)], note))
        found["step_s"][model] = {"dmlbench": ours, **{f"PyTorch {way}": samples for way, samples in theirs.items()}}
    return found


def bench_progress(env, folder, rounds, _forced):
    """What overlap gains, by who makes the progress; none: every message waits for the end of the backward pass."""
    modes, found = ("poll", "thread"), {"step_s": {}, "rows": []}
    print("step time without progress / with it, 2 ranks (higher is better):")
    for model in MODELS:
        step_s = {mode: [] for mode in ("none", *modes)}
        for _ in range(rounds):
            for mode, samples in step_s.items():
                samples.append(statistics.median(measured_steps(dmlbench(model, env, folder, [f"exchange.progress={mode}"]))))
        for mode in modes:
            note = f"  {1e3 * statistics.median(step_s[mode]):.2f} ms"
            found["rows"].append(row(f"{model}, {mode}", [a / b for a, b in zip(step_s["none"], step_s[mode])], note))
        found["step_s"][model] = step_s
    return found


TORCH_TOPK = """
import json, time, torch
torch.set_num_threads(1)
n, block, spent_s = 4 << 20, 1024, []
x = (torch.randn(n // block, block) * torch.randn(n // block, 1).exp() * 1e-3).flatten()
for _ in range(4):
    start_s = time.perf_counter()
    x[x.abs().topk(n // 100 + 1, sorted=False).indices]
    spent_s.append(time.perf_counter() - start_s)
print(json.dumps(4 * n / min(spent_s)))
"""


def bench_topk(env, folder, rounds, build):
    """Selecting the largest 1 % of 4 Mi floats like a gradient's: values and indices; one core."""
    print("top-k 1 % of 4 Mi floats, dmlbench / torch.topk of the magnitudes, bytes of input per second:")
    ours, theirs = [], []
    for i in range(rounds):
        out = folder / f"topk-{i}.json"
        run([f"{build}/mpi/tests/speed/speed_compressors", "--only", "topk", "--json", out], env)
        ours.append(json.loads(out.read_text())[0]["encode_B_per_s"])
        theirs.append(json.loads(run(["/usr/bin/python3", "-c", TORCH_TOPK], env)))
    note = f"  {statistics.median(ours) / 1e9:.1f} GB/s, {statistics.median(theirs) / 1e9:.2f} GB/s"
    return {"B_per_s": {"dmlbench": ours, "torch": theirs}, "rows": [row("topk", [o / t for o, t in zip(ours, theirs)], note)]}


def has_torch(env):
    return subprocess.run(["/usr/bin/python3", "-c", "import torch"], env=env, capture_output=True).returncode == 0


def bench_programs(env, folder, build, word):
    """The C programs of tests/speed: each prints its own table, and writes its raw samples where --json says."""
    found = {}
    for source in sorted(ROOT.glob("tests/speed/speed_*.c")):
        ranks = re.match(r"/\* ranks:([ 0-9]+)", source.read_text())
        for count in ranks[1].split() if ranks else [None]:
            name = source.stem + (f" on {count} ranks" if count else "")
            if word not in name:
                continue
            out = folder / f"{name}.json"
            launch = ["mpirun", "-np", count] if count else []
            print(f"{name}:\n{run([*launch, f'{build}/mpi/tests/speed/{source.stem}', '--json', out], env)}", flush=True)
            found[name] = json.loads(out.read_text()) if out.exists() else None
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build", help="folder of the built programs")
    parser.add_argument("--rounds", type=int, default=7, help="ratios per line (6 or more give an interval)")
    parser.add_argument("-k", metavar="WORD", default="", help="only the parts whose name contains WORD: sgemm, step, progress, topk, speed_...")
    options = parser.parse_args()
    build = (ROOT / options.build).resolve()
    env, forced = environment(build)
    if forced:
        print(f"OPENBLAS_CORETYPE={forced} of the environment is left out: it would force one kernel on both sides")

    found = {"schema": "dmlbench.bench", "schema_version": "1.0.0", "rounds": options.rounds, "load_before": os.getloadavg()[0],
             "start_utc": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for part, measure in (("sgemm", bench_kernels), ("step", bench_steps), ("progress", bench_progress)):
                if options.k in part:
                    found[part] = measure(env, folder, options.rounds, forced)
            if options.k in "topk" and has_torch(env):
                found["topk"] = bench_topk(env, folder, options.rounds, build)
            found["programs"] = bench_programs(env, folder, build, options.k)
    finally:  # what was measured before a failure is kept
        out = ROOT / "results" / f"bench-{found['start_utc'].replace(':', '').replace('-', '')[:15]}Z.json"
        out.parent.mkdir(exist_ok=True)
        out.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
        print(f"raw samples: {out.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
