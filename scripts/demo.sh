#!/bin/bash
# The main job on 8 ranks and a picture of its result: scripts/demo.sh [BUILD_FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh
PATH="$(realpath "${1:-build}"):$PATH"

mkdir -p results
result=results/demo-$(date -u +%Y%m%dT%H%M%SZ).json
mpirun -np 8 dmlbench --config data.json --out "$result"
echo
echo "result:  $result"
echo "picture: $(scripts/plot-run "$result")"
