# Shared by the scripts: where things are, and what must be installed. Sourced, not run.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# What one checkout has compiled, another one need not.
export CCACHE_BASEDIR="$top" CCACHE_NOHASHDIR=1

say() { printf '\n== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
    die "cannot install packages: run as root, or install sudo, or install them yourself: ${wanted[*]}"
  fi
}

# What building, running and testing need. Names that differ between releases are chosen by what is there.
needed_packages() {
  echo g++ cmake ninja-build ccache pkg-config python3 git libpqxx-dev libpq-dev libspdlog-dev libfmt-dev \
    prometheus-cpp-dev libgtest-dev libgmock-dev libpg-query-dev libprotobuf-c-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev \
    libbenchmark-dev postgresql postgresql-client postgresql-contrib util-linux \
    spin python3-psycopg dpkg-dev file
  # libboost-dev conflicts with the dev package of another Boost that is there already.
  compgen -G '/usr/include/boost/asio.hpp' >/dev/null || echo libboost-dev
}

ensure_packages() {
  command -v apt-get >/dev/null || die "this script installs with apt-get (Debian 12 or 13); elsewhere install: $(needed_packages | tr '\n' ' ')"
  wanted=()
  local package
  for package in $(needed_packages) "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || wanted+=("$package")
  done
  [ ${#wanted[@]} = 0 ] && return
  say "installing ${wanted[*]}"
  # A database server that is installed here must not make a cluster or start one: we run our own.
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    as_root mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null ||
    die "apt-get could not install ${wanted[*]}"
}

# fetch DIRECTORY PROGRAM PACKAGE...: packages for tests, unpacked and not installed, so that no daemon is started here.
# A package that this release does not have is left out; the program must be there in the end, or on the machine.
fetch() {
  local at="$top/build/$1" program=$2 download deb package wanted=("${@:3}")
  shift 2
  [ -x "$at/$program" ] && return
  command -v "${program##*/}" >/dev/null && command -v "$1" >/dev/null && return
  say "fetching $1"
  download=$(mktemp -d)
  chmod 755 "$download"
  (cd "$download" && { apt-get download -qq "$1" || { as_root apt-get update -qq && apt-get download -qq "$1"; }; }) >/dev/null 2>&1 ||
    { rm -rf "$download"; die "apt-get could not download $1"; }
  for package in "${@:2}"; do (cd "$download" && apt-get download -qq "$package") >/dev/null 2>&1 || true; done
  rm -rf "$at"
  mkdir -p "$at.new"
  for deb in "$download"/*.deb; do dpkg-deb -x "$deb" "$at.new"; done
  rm -rf "$download"
  # Only what runs counts as fetched.
  LD_LIBRARY_PATH=$(find "$at.new" -name '*.so.*' -printf '%h\n' | sort -u | tr '\n' ':') "$at.new/$program" --version >/dev/null 2>&1 ||
    { rm -rf "$at.new"; die "apt-get did not bring all that $program needs"; }
  mv "$at.new" "$at"
}

fetch_prometheus() { fetch prometheus usr/bin/promtool prometheus promtool; }
# With its libraries: their names have changed with the release.
fetch_pgbouncer() { fetch pgbouncer usr/sbin/pgbouncer pgbouncer libc-ares2 libcares2 libevent-2.1-7 libevent-2.1-7t64; }

# build PRESET: configure and build, quietly unless it fails.
build() {
  say "building ($1)"
  local log
  log=$(mktemp)
  if ! (cd "$top" && cmake --preset "$1" && cmake --build --preset "$1") >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    rm -f "$log"
    die "the build failed (the end of its output is above)"
  fi
  rm -f "$log"
}
