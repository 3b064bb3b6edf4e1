"""What an invocation pays while no Collector answers: refused connections, and one that takes all and says nothing.

    python benchmarks/collector_down.py --python 3.13

Wall time of the export after the response, for a handler of 11 spans, 3 measurements and 5 log lines; the first export
that meets the trouble, those until the layer gives the Collector up, and those with the breaker open.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
from pathlib import Path

from _trees import TELEMETRY, Trees

BARS = {"first": 6.0, "breaker open": 0.1}
INVOCATIONS = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", default="3.13", help="version to measure")
    parser.add_argument("--runs", type=int, default=15)
    args = parser.parse_args()
    trees = Trees(args.python)
    print(f"Python {args.python}, medians of {args.runs} runs: wall time of an export in ms")
    for trouble in ("refused", "hanging"):
        runs = [run(trees, trouble) for _ in range(args.runs)]
        for phase in runs[0]:
            values = [one[phase] for one in runs if phase in one]
            bar = f"   (bar {BARS[phase]})" if phase in BARS else ""
            print(f"{trouble:10}{phase:34}{statistics.median(values):8.3f}  worst {max(values):8.3f}{bar}")


def run(trees: Trees, trouble: str) -> dict[str, float]:
    """One process that meets the trouble."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if trouble == "refused":
            listener.close()
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{trees.official}:{TELEMETRY}:{Path(__file__).parent}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_LAMBDA_PRELOAD": "metrics,logs",  # what the first export loads is not the Collector's fault
            "OTEL_EXPORTER_OTLP_TIMEOUT": "100",  # instead of 10 s, so that the run is short
        }
        command = [trees.python, "-c", "import collector_down; collector_down.measure()"]
        out = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    measured: dict[str, float] = json.loads(out)
    return measured


def measure() -> None:
    """In a process of the Python that is measured: invoke, time the exports, print them as JSON."""
    from time import perf_counter, sleep

    import warm

    from lambda_otel import bootstrap

    invoke, export = warm.ours()
    channel = bootstrap._telemetry._exporter._channels["traces"]
    times: dict[str, list[float]] = {"first": [], "until given up": [], "breaker open": []}
    for number in range(INVOCATIONS):
        invoke()
        was_open = channel.is_closed
        started = perf_counter()
        export()
        phase = "first" if number == 0 else "breaker open" if was_open else "until given up"
        times[phase].append((perf_counter() - started) * 1e3)
        if phase != "breaker open":
            sleep(0.05)
    print(json.dumps({phase: statistics.median(values) for phase, values in times.items() if values}))


if __name__ == "__main__":
    main()
