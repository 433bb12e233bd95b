#!/usr/bin/env bash
# The Debian package of this build: what it needs, what is in it, that its parts work. Installed it is by
# scripts/test-containers, on a system that may be spoilt.
# deb_test.sh BUILD_DIRECTORY
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$1" && cpack -G DEB -B "$work/made" >/dev/null)
deb=$(echo "$work"/made/lockkeeper_*.deb)
fail() { echo "FAILED: $*"; exit 1; }
for library in libpq5 libpqxx libspdlog libprometheus-cpp-core; do
  dpkg-deb -f "$deb" Depends | grep -q "$library" || fail "the package does not depend on $library"
done
dpkg-deb -x "$deb" "$work/root"
"$work/root/usr/bin/lockkeeper" version
"$work/root/usr/bin/lockkeeper" config check --config "$work/root/etc/lockkeeper/lockkeeper.toml"
[ ! -e "$work/root/usr/include" ] || fail "headers are in it"
for file in usr/share/lockkeeper/alerts.yml usr/share/lockkeeper/grafana/dashboards/overview.json usr/share/doc/lockkeeper/copyright; do
  [ -s "$work/root/$file" ] || fail "$file is not in it"
done
unit="$work/root/usr/lib/systemd/system/lockkeeper.service"
if command -v systemd-analyze >/dev/null; then
  # As it says itself: below 2 is "OK". docs/operations.md names the value.
  value=$(systemd-analyze security --offline=true --threshold=20 "$unit" | sed -n 's/.*exposure level[^:]*: \([0-9.]*\).*/\1/p')
  echo "systemd-analyze security: $value"
  grep -q "exposure of $value" "$(dirname "$0")/../../docs/operations.md" || fail "docs/operations.md does not name $value"
else
  echo "no systemd-analyze here: the unit's security is not looked at"
fi
