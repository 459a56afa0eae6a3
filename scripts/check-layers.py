#!/usr/bin/python3
"""Proves from the objects' symbols that arrows only point down, bench -> collectives -> kernels, and that each outside library
is known in one place only.  check-layers.py FOLDER: a build folder with the objects of kernels/, collectives/ and bench/.

Prints each offending object with its symbol.  Status 1 if there is one or nothing to check.
It sees what the linker sees: not the types, macros and inline code that a header alone brings in.
"""
import pathlib
import re
import subprocess
import sys

LAYERS = ("kernels", "collectives", "bench")  # each may refer to itself and to those before it

MOVES_DATA = (r"(?i:P?MPI_[a-z]*(send|recv|sendrecv_replace|bcast|reduce(_scatter)?(_block)?|gatherv?|scatterv?|alltoall[vw]?|"
              r"scan|put|get|accumulate)(_init)?)")
FILES = r"(__)?(f?d?open(at)?|freopen|read|write|fread|fwrite|f?puts|f?putc|putchar|v?[fd]?printf|f?scanf)(_chk|64)?"
MEMORY = r"malloc|calloc|realloc(array)?|free|aligned_alloc|posix_memalign|mmap|strn?dup|v?asprintf"
CLOCK = r"clock_gettime|gettimeofday|time|clock|(nano|u)?sleep"

RULES = (  # objects, symbols that they must not refer to, why
    (r"kernels/", r"P?MPI_.*", "kernels know no MPI"),
    (r"kernels/", FILES, "kernels touch no files and print nothing"),
    (r"kernels/", MEMORY, "kernels do not allocate"),
    (r"kernels/", CLOCK, "kernels have no clock"),
    (r"(?!kernels/matmul\.o)", r"(cblas|openblas|goto)_.*|[sd]gem[mv]_", "only kernels/matmul.c knows the BLAS"),
    (r"(?!kernels/svd\.o)", r"[sd](gesvd|gesdd|syev|geqrf)[a-z]*_|LAPACKE?_.*", "only kernels/svd.c knows LAPACK"),
    (r"(?!bench/(config|result))", r"cJSON_.*", "only bench/config* and bench/result* know cJSON"),
    (r"(?!bench/topology\.o)", r"hwloc_.*", "only bench/topology.c knows hwloc"),
    (r"bench/", MOVES_DATA, "only collectives/ moves data by MPI"),
)


def symbols(folder, which):
    """(object, symbol) pairs; which: --undefined-only or --defined-only."""
    objects = sorted(str(o.relative_to(folder)) for layer in LAYERS for o in folder.glob(f"{layer}/**/*.o"))
    if not objects:
        sys.exit(f"layers: {folder} holds no objects of {', '.join(LAYERS)}")
    lines = subprocess.run(["nm", "-A", "-g", "-P", which, *objects], cwd=folder, check=True, capture_output=True, text=True)
    return [(line.split(": ")[0], line.split(": ")[1].split()[0]) for line in lines.stdout.splitlines()]


def offences(folder):
    layer_of = {symbol: name.split("/")[0] for name, symbol in symbols(folder, "--defined-only")}
    for name, symbol in symbols(folder, "--undefined-only"):
        home = layer_of.get(symbol)
        if home and LAYERS.index(home) > LAYERS.index(name.split("/")[0]):
            yield name, symbol, f"that is defined above it, in {home}/"
        for where, forbidden, why in RULES:
            if re.match(where, name) and re.fullmatch(forbidden, symbol):
                yield name, symbol, why


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: check-layers.py FOLDER")
    found = list(offences(pathlib.Path(sys.argv[1])))
    for name, symbol, why in found:
        print(f"layers: {name} refers to {symbol}, but {why}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
