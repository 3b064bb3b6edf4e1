#!/usr/bin/env bash
# Runs every fuzz target for a time (default 20 s each).
set -euo pipefail
cd "$(dirname "$0")/.."
fuzztime=${1:-20s}
grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do
  sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' "$file" | while read -r target; do
    echo "== $target in $(dirname "$file")"
    go test "$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" </dev/null
  done
done
