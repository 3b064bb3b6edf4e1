"""CPU of a warm invocation: the official SDK with Batch processors and `force_flush`, and our layer's pipeline.

    python benchmarks/warm.py --python 3.13 3.11 --rounds 25

The handler makes a root span with 10 children, 3 measurements and 5 log lines. Both pipelines run in one process on the
same SDK, in blocks that are interleaved at random; the receiver is another process.
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

BARS = {"whole invocation": 0.28, "before the response": 0.15}
BLOCK = 25  # invocations
WARM_UP = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", nargs="+", default=["3.13", "3.11"], help="versions to measure")
    parser.add_argument("--rounds", type=int, default=25)
    args = parser.parse_args()
    missed: list[str] = []
    for version in args.python:
        trees = Trees(version)
        with running_sink() as port:
            env = {
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{trees.official}:{trees.instrumentations}:{TELEMETRY}:{Path(__file__).parent}",
                "PYTHONDONTWRITEBYTECODE": "1",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
                "AWS_LAMBDA_FUNCTION_NAME": "fn",
                "AWS_REGION": "us-east-1",
                "BENCHMARK_ROUNDS": str(args.rounds),
            }
            code = "import warm; warm.measure()"
            out = subprocess.run([trees.python, "-c", code], env=env, check=True, capture_output=True, text=True).stdout
        missed += print_table(version, args.rounds, json.loads(out))
    if missed:
        raise SystemExit("over the bar: " + "; ".join(missed))


def print_table(version: str, rounds: int, results: dict[str, list[list[float]]]) -> list[str]:
    """Medians and quartiles of all blocks, and the ratios that are held to a bar; gives those over it."""
    print(f"\nPython {version}, {rounds} blocks of {BLOCK} invocations: CPU in us an invocation")
    medians = {}
    for name, blocks in results.items():
        low, middle, high = statistics.quantiles([whole for whole, _ in blocks], n=4)
        before = statistics.median(before for _, before in blocks)
        medians[name] = middle, before
        print(f"{name:42}{middle:8.0f} ({low:.0f}..{high:.0f}), before the response {before:8.0f}")
    official, ours = medians["official Batch + force_flush"][0], medians["lambda_otel"]
    missed = []
    for value, (name, bar) in zip(ours, BARS.items(), strict=True):
        print(f"ratio, {name:20}: {value / official:.3f}   (bar {bar})")
        if value / official > bar:
            missed.append(f"{name} on Python {version}: {value / official:.3f}")
    return missed


def measure() -> None:
    """In a process of the Python that is measured: run the blocks, print the results as JSON."""
    import gc
    import sys

    variants = {
        "no telemetry": none(),
        "official Batch + force_flush": official(),
        "lambda_otel": ours(),
        "lambda_otel, contrib": contrib(),
    }
    for invoke, flush in variants.values():
        for _ in range(WARM_UP):
            invoke()
            flush()
    gc.collect()
    gc.freeze()
    results: dict[str, list[list[float]]] = {name: [] for name in variants}
    for _ in range(int(os.environ["BENCHMARK_ROUNDS"])):
        for name in random.sample(list(variants), len(variants)):
            results[name].append(block(*variants[name]))
    print(json.dumps(results))
    sys.stdout.flush()
    os._exit(0)


def block(invoke, flush) -> list[float]:
    """CPU in us of one invocation, whole and before its response."""
    from time import process_time

    before = 0.0
    started = process_time()
    for _ in range(BLOCK):
        invoked = process_time()
        invoke()
        before += process_time() - invoked
        flush()
    whole = process_time() - started
    return [whole / BLOCK * 1e6, before / BLOCK * 1e6]


def work(tracer, instruments, log):
    """What every variant's handler does, below its root span."""
    from opentelemetry.trace import SpanKind

    attributes = {"rpc.system": "aws-api", "rpc.service": "S3", "rpc.method": "PutObject", "cloud.region": "us-east-1"}
    counter, histogram, gauge = instruments

    def handler(_event, _context):
        for number in range(10):
            with tracer.start_as_current_span("S3.PutObject", kind=SpanKind.CLIENT, attributes=attributes) as span:
                span.set_attribute("http.response.status_code", 200)
            if number % 2 == 0:
                log.info("processed item %d", number)
        counter.add(10, {"kind": "x"})
        histogram.record(12.5, {"kind": "x"})
        gauge.add(1, {"kind": "x"})
        return {"ok": True}

    return handler


def instruments_of(provider):
    """The three instruments of the handler."""
    meter = provider.get_meter("app")
    return (
        meter.create_counter("processed", unit="1"),
        meter.create_histogram("duration", unit="ms"),
        meter.create_up_down_counter("inflight"),
    )


def logger(name, *, is_seen=True):
    """A logger that prints nothing; the layer has the records that reach the root logger, so those of some do not."""
    import logging

    made = logging.getLogger(name)
    made.setLevel(logging.INFO)
    made.propagate = is_seen
    made.addHandler(logging.NullHandler())
    return made


class Context:
    """Lambda's context."""

    function_name, function_version, aws_request_id = "fn", "$LATEST", "8476a536-e9f4-11e8-9739-2dfe598c3f01"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:fn"


def none():
    """The API without an SDK."""
    from opentelemetry.metrics import NoOpMeterProvider
    from opentelemetry.trace import NoOpTracer

    handler = work(NoOpTracer(), instruments_of(NoOpMeterProvider()), logger("none", is_seen=False))
    return lambda: handler({}, Context), lambda: None


def official():
    """SDK, Batch processors, OTLP/HTTP exporters, flushed as the official instrumentation does, logs included."""
    import math

    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
    from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import SpanKind

    resource = Resource.create({"service.name": "fn", "faas.name": "fn", "cloud.provider": "aws"})
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    delta = dict.fromkeys((Counter, Histogram), AggregationTemporality.DELTA)
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(preferred_temporality=delta), export_interval_millis=math.inf
    )
    meters = MeterProvider([reader], resource, shutdown_on_exit=False)
    loggers = LoggerProvider(resource, shutdown_on_exit=False)
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    tracer = tracers.get_tracer("app")
    log = logger("official", is_seen=False)
    log.addHandler(LoggingHandler(logger_provider=loggers))
    handler = work(tracer, instruments_of(meters), log)

    def invoke():
        attributes = {
            "cloud.account.id": "123456789012",
            "cloud.resource_id": Context.invoked_function_arn,
            "faas.invocation_id": Context.aws_request_id,
        }
        with tracer.start_as_current_span("fn", kind=SpanKind.SERVER, attributes=attributes):
            return handler({}, Context)

    def flush():
        tracers.force_flush()
        meters.force_flush()
        loggers.force_flush()

    return invoke, flush


def ours():
    """The layer, its export called where the runtime would ask for the next event."""
    from opentelemetry import metrics, trace

    from lambda_otel import bootstrap

    telemetry = bootstrap._start()
    telemetry._hook.is_alive = True
    log = logger("ours")
    handler = work(trace.get_tracer("app"), instruments_of(metrics.get_meter_provider()), log)
    instrumented = bootstrap.instrument(handler)
    return lambda: instrumented({}, Context), telemetry._end


def contrib():
    """The same pipeline with the official instrumentation's wrapper."""
    from opentelemetry import metrics, trace

    from lambda_otel import bootstrap
    from lambda_otel.contrib import Contrib

    telemetry = bootstrap._start()
    log = logger("contrib")
    handler = work(trace.get_tracer("app"), instruments_of(metrics.get_meter_provider()), log)
    official = Contrib(telemetry._tracers, None, telemetry._started)
    instrumented = bootstrap._by_contrib(telemetry, official, handler)
    return lambda: instrumented({}, Context), telemetry._end


if __name__ == "__main__":
    main()
