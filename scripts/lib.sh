# Shared by the scripts: where things are, and what must be installed. Sourced, not run.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

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

# Prometheus and promtool, for a test: unpacked, not installed, so that no daemon is started on this machine.
fetch_prometheus() {
  local at="$top/build/prometheus"
  [ -x "$at/usr/bin/promtool" ] && return
  command -v prometheus >/dev/null && command -v promtool >/dev/null && return
  say "fetching prometheus"
  local download wanted=(prometheus)
  download=$(mktemp -d)
  (cd "$download" && { apt-get download -qq prometheus || { as_root apt-get update -qq && apt-get download -qq prometheus; }; }) >/dev/null 2>&1 ||
    { rm -rf "$download"; die "apt-get could not download prometheus"; }
  mkdir -p "$at" && dpkg-deb -x "$download"/prometheus_*.deb "$at"
  rm -rf "$download"
}

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
