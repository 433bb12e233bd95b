#!/usr/bin/env bash
# Looks at every state of versions.pml: both claims hold, and each seeded error is found.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# holds CLAIM [-DERROR]: gives whether spin finds no error.
holds() {
  local claim=$1
  shift
  spin -a "$@" "$here/versions.pml" > spin.log || { cat spin.log; exit 2; }
  gcc -w -O2 -DNFAIR=3 -o pan pan.c
  ./pan -a -f -m1000000 -N "$claim" > pan.log 2>&1 || { cat pan.log; exit 2; }
  if grep -q "max search depth too small" pan.log; then cat pan.log; exit 2; fi
  grep -q "errors: 0" pan.log
}

for claim in two_versions ends; do
  holds "$claim" || { cat pan.log; echo "$claim does not hold"; exit 1; }
  echo "$claim holds: $(grep -o '[0-9.e+]* states, stored' pan.log | head -1)"
done
for error in IGNORES_PINS FORGETS TWO_READS NO_FENCE; do
  if holds two_versions "-D$error"; then echo "the error $error is not found"; exit 1; fi
  echo "$error is found"
done
