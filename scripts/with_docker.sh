#!/usr/bin/env bash
# Runs a command with a Docker engine: the one that answers, or one installed (Debian, Ubuntu; needs root) and started
# for the command alone.
set -euo pipefail

if ! docker info >/dev/null 2>&1; then
  if ! command -v dockerd >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq docker.io >/dev/null
  fi
  state=$(mktemp -d)
  dockerd --data-root "$state/data" --exec-root "$state/exec" --pidfile "$state/pid" >"$state/log" 2>&1 &
  engine=$!
  stop() {
    kill "$engine" 2>/dev/null && wait "$engine" || true
    rm -rf "$state"
  }
  trap stop EXIT
  for _ in $(seq 60); do
    docker info >/dev/null 2>&1 && break
    if ! kill -0 "$engine" 2>/dev/null; then
      cat "$state/log" >&2
      exit 1
    fi
    sleep 1
  done
fi

"$@"
