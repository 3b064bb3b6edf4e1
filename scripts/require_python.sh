#!/usr/bin/env bash
# Says in one line what this machine lacks for `make setup`, or nothing.
set -euo pipefail
python=${PYTHON:-python3}

fail() {
  echo "$*" >&2
  exit 1
}

command -v "$python" >/dev/null || fail "\`$python\` was not found: install Python 3.11, 3.12 or 3.13 (Debian, Ubuntu: apt install python3 python3-venv)"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
case $version in
  3.11 | 3.12 | 3.13) ;;
  *) fail "Python 3.11, 3.12 or 3.13 is needed, but \`$python\` is $version: name another one with \`make PYTHON=python3.13 ...\`" ;;
esac
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "Python's \`venv\` is missing: install it (Debian, Ubuntu: apt install python3-venv)"
