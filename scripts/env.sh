# shellcheck shell=bash disable=SC2296  # also read by zsh and dash
# The environment to build, test and run dmlbench in: `. scripts/env.sh` (bash, zsh or dash; twice does no harm).
#
# Puts build/ on the PATH and lets `mpirun -np 8 dmlbench ...` work as root and with fewer cores than ranks (Open MPI then
# yields the core while it waits). A variable that is set already keeps its value, but for an OPENBLAS_CORETYPE that leaves the
# processor's AVX-512 unused: that halves every matrix product, so it is replaced, and this says so.
# dash does not tell a sourced file its own name: there, stand in the project's folder.

if [ -n "${BASH_VERSION:-}" ]; then
    dmlbench_home=${BASH_SOURCE[0]}
elif [ -n "${ZSH_VERSION:-}" ]; then
    dmlbench_home=${(%):-%x}
else
    dmlbench_home=./scripts/env.sh
fi
dmlbench_home=$(CDPATH='' cd -- "$(dirname -- "$dmlbench_home")/.." 2> /dev/null && pwd) || dmlbench_home=

if [ ! -f "$dmlbench_home/scripts/env.sh" ]; then
    echo "env.sh: this shell does not say where the file is; stand in the project's folder and source scripts/env.sh there" >&2
else
    case ":$PATH:" in
        *":$dmlbench_home/build:"*) ;;
        *) export PATH="$dmlbench_home/build:$PATH" ;;
    esac
    # mpirun refuses to run as root, or more ranks than cores, unless it is told that this is meant.
    if [ "$(id -u)" = 0 ]; then
        export OMPI_ALLOW_RUN_AS_ROOT="${OMPI_ALLOW_RUN_AS_ROOT:-1}"
        export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="${OMPI_ALLOW_RUN_AS_ROOT_CONFIRM:-1}"
    fi
    export OMPI_MCA_rmaps_base_oversubscribe="${OMPI_MCA_rmaps_base_oversubscribe:-1}"
    # One thread per rank: more would compete with the other ranks for the cores.
    export OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}"
    case "${OPENBLAS_CORETYPE:-}" in
        '' | [Ss]kylake[Xx] | [Cc]ooperlake | [Ss]apphire[Rr]apids) ;; # the program chooses; kernels with AVX-512
        *)
            if grep -qw avx512vl /proc/cpuinfo 2> /dev/null; then
                echo "env.sh: OPENBLAS_CORETYPE=$OPENBLAS_CORETYPE leaves AVX-512 unused; now SkylakeX (set it again to have it back)" >&2
                export OPENBLAS_CORETYPE=SkylakeX
            fi
            ;;
    esac
fi
unset dmlbench_home
