#!/bin/sh
# shellcheck disable=SC2086  # lists of package names are meant to be split
# Installs the Debian packages that dmlbench is built from, tested and plotted with; does nothing when all of them are there.
#
# The package manager is asked only for what dpkg does not know, with sudo only when this is not root, and never with a question.
# Where it cannot install, it says in one sentence what is missing and which command an administrator should run.
set -eu

packages="gcc make git pkg-config python3 python3-numpy python3-matplotlib python3-jsonschema
    openmpi-bin libopenmpi-dev libsimgrid-dev libopenblas-dev libsleef-dev libhwloc-dev libcjson-dev
    librandom123-dev libxxhash-dev libmd-dev libcmocka-dev iproute2"

if ! command -v dpkg-query > /dev/null; then
    echo "install-deps: not a Debian system, nothing was checked; dmlbench needs what these Debian packages hold:" $packages >&2
    exit 0
fi
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $packages 2> /dev/null | sed -n 's/^installed //p')
missing=$(printf '%s\n' $packages | grep -vxF "$installed" | tr '\n' ' ')
[ -n "$missing" ] || exit 0

fail() {
    echo "install-deps: $1; ask an administrator for: apt-get install" $missing >&2
    exit 1
}
command -v apt-get > /dev/null || fail "there is no apt-get here"
as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo > /dev/null || fail "this needs root, and there is no sudo"
    as_root=sudo
    [ -t 0 ] || sudo -n true 2> /dev/null || fail "sudo wants a password, and there is no terminal to ask on"
fi

echo "install-deps: installing" $missing
install() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; }
# An old list of packages is the usual reason for a failure, hence the second attempt.
install || { $as_root apt-get update && install; } || fail "apt-get could not install (no network?)"
