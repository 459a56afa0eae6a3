"""Runs of one experiment in several variants, for the scripts that set them side by side (compare, crossover).

A plan is a file {"why": ..., "base": "learn-mlp.json", "ranks": 8, "settings": {...}, "variants": {"name": {"key.path": value}}}:
base is a config beside it; settings, which may be missing, go over it in every variant, and a variant's own over those.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NEEDED = ("why", "base", "ranks", "variants")


def fail(sentence, status=1):
    """2: nothing was run, because what was asked for cannot be."""
    print(f"{pathlib.Path(sys.argv[0]).name}: {sentence}", file=sys.stderr)
    sys.exit(status)


def quietly(main):
    """main()'s exit code, or what shells say of a program that Ctrl-C has ended."""
    try:
        return main()
    except KeyboardInterrupt:
        return 130


def program(name="dmlbench"):
    """The one that was built here, else the installed one."""
    built = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve() / name
    return str(built) if built.exists() else shutil.which(name) or fail(f"no {name}: run make first")


def read_json(path):
    try:
        return json.loads(path.read_text())
    except OSError as error:
        fail(f"{path}: {error.strerror}", 2)
    except ValueError as error:
        fail(f"{path}: {error}", 2)


def read_plan(name, example, needed=NEEDED):
    """The plan, and the path where it was found: as named, or among the example configs."""
    path = pathlib.Path(name)
    path = path if path.exists() else ROOT / "configs" / path
    plan = read_json(path if path.exists() else pathlib.Path(name))
    if not isinstance(plan, dict):
        fail(f"{path}: is no JSON object (fits: a list of variants, such as configs/{example})", 2)
    missing = [key for key in needed if key not in plan]
    if missing:
        fail(f"{path}: has no {missing[0]!r} (fits: a list of variants, such as configs/{example})", 2)
    return plan, path


def chosen(plan, path, only):
    """The variants that are run: the first, which the others are compared with, and those of --only, or all."""
    names = list(plan["variants"])
    unknown = [name for name in only or [] if name not in names]
    if unknown:
        fail(f"--only {unknown[0]!r} is no variant of {path.name} (fits: {', '.join(names)})", 2)
    return [name for name in names if not only or name in only or name == names[0]]


def set_words(settings):
    """Without blanks, which smpirun hands on to nobody."""
    return [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value, separators=(',', ':'))}")]


def run(launcher, base, settings, out, more=()):
    """The result of one run, or None and the sentence that says why there is none."""
    out.unlink(missing_ok=True)
    command = [*launcher, "--config", str(base), "--quiet", "--out", str(out), *set_words(settings), *more]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sentences = [line for line in done.stderr.splitlines() if line.startswith(("dmlbench: ", "dmlrun: "))]
        return None, (sentences or [f"ended with code {done.returncode}"])[0]
    return json.loads(out.read_text()), None


def by_mpirun(ranks, dmlbench):
    return ["mpirun", "-q", "--oversubscribe", "-np", str(ranks), dmlbench]


def file_name(name):
    return f"{name.replace(' ', '-').replace('/', '-')}.json"


def final_loss(losses):
    """Mean over the last tenth of the steps, as single batches scatter."""
    last = losses[-max(1, len(losses) // 10):]
    return sum(last) / len(last)
