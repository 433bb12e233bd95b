#!/usr/bin/env bash
# Installs into a folder, builds a small program against it with CMake and with pkg-config, and runs both.
# install_test.sh BUILD_DIRECTORY SOURCE_DIRECTORY
set -euo pipefail
work=$(mktemp -d)
dev=
trap '[ -z "$dev" ] || kill "$dev"; wait; rm -rf "$work"' EXIT
cmake --install "$1" --prefix "$work/prefix" >/dev/null
cmake -S "$2/tests/package/program" -B "$work/cmake" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/cmake" >/dev/null
PKG_CONFIG_PATH="$work/prefix/lib/pkgconfig:$(echo "$work"/prefix/lib/*/pkgconfig)"
export PKG_CONFIG_PATH
flags=$(pkg-config --cflags --libs lockkeeper)
# shellcheck disable=SC2086
g++ "$2/tests/package/program/main.cpp" -o "$work/by-pkg-config" $flags
# shellcheck disable=SC2086
g++ "$2/docs/examples/column_cache.cpp" -o "$work/example" $flags
mkfifo "$work/dsn"
"$work/prefix/bin/lockkeeper" dev --no-metrics --log-level error >"$work/dsn" 2>"$work/dev.log" &
dev=$!
read -r dsn <"$work/dsn"
[ "$("$work/cmake/program" "$dsn")" = '"synced"' ]
"$work/prefix/bin/lockkeeper" submit --wait --dsn "$dsn" 'DROP TABLE from_a_program'
[ "$("$work/by-pkg-config" "$dsn")" = '"synced"' ]
echo "both programs work"
