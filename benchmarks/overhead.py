"""What a span costs the code it is around: nothing, or more than 1 %, by how long that code runs.

    python benchmarks/overhead.py --python 3.13 --rounds 25

The same work is done plainly and within `start_as_current_span`, in blocks that are interleaved at random, with the
layer's pipeline (a block ends with an export, as an invocation does) and with the official Batch processor. It is CPU
time of the process: a wall clock measures the machine's other work too. The 1 % rule is then a matter of division.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
from pathlib import Path

from _sink import running_sink
from _trees import TELEMETRY, Trees

BLOCK = 200  # pieces of work


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", default="3.13", help="version to measure")
    parser.add_argument("--rounds", type=int, default=25)
    args = parser.parse_args()
    trees = Trees(args.python)
    with running_sink() as port:
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{trees.official}:{TELEMETRY}:{Path(__file__).parent}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "BENCHMARK_ROUNDS": str(args.rounds),
        }
        command = [trees.python, "-c", "import overhead; overhead.measure()"]
        results = json.loads(subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout)
    base = statistics.median(results["no span"])
    print(f"Python {args.python}, {args.rounds} blocks of {BLOCK}: CPU in us a piece of work")
    for name, blocks in results.items():
        low, middle, high = statistics.quantiles(blocks, n=4)
        cost_us = middle - base
        rule = f"  a span is {cost_us:5.1f} us: 1 % of {cost_us / 10:.1f} ms" if name != "no span" else ""
        print(f"{name:32}{middle:8.1f} ({low:.1f}..{high:.1f}){rule}")


def measure() -> None:
    """In a process of the Python that is measured: run the blocks, print the results as JSON."""
    import gc
    import sys

    variants = {"no span": plain(), "lambda_otel": ours(), "official Batch + force_flush": official()}
    for run in variants.values():
        run()
    gc.collect()
    gc.freeze()
    results: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(int(os.environ["BENCHMARK_ROUNDS"])):
        for name in random.sample(list(variants), len(variants)):
            results[name].append(variants[name]())
    print(json.dumps(results))
    sys.stdout.flush()
    os._exit(0)


def work() -> int:
    """A few microseconds of Python."""
    total = 0
    for number in range(100):
        total += number * number
    return total


def timed(block, flush) -> float:
    """CPU in us of a piece of work, the export included."""
    from time import process_time

    started = process_time()
    block()
    flush()
    return (process_time() - started) / BLOCK * 1e6


def plain():
    """The work alone."""

    def block():
        for _ in range(BLOCK):
            work()

    return lambda: timed(block, lambda: None)


def spanned(tracer, flush):
    """The work within a span with two attributes."""
    attributes = {"stage": "conform", "file.size_mb": 12}

    def block():
        for _ in range(BLOCK):
            with tracer.start_as_current_span("work", attributes=attributes):
                work()

    return lambda: timed(block, flush)


def ours():
    """The layer's pipeline."""
    from opentelemetry import trace

    from lambda_otel import bootstrap

    telemetry = bootstrap._start()
    return spanned(trace.get_tracer("app"), telemetry._exporter.flush)


def official():
    """The SDK with its Batch processor and OTLP/HTTP exporter."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "fn"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return spanned(provider.get_tracer("app"), provider.force_flush)


if __name__ == "__main__":
    main()
