"""What the Collector extension costs and keeps, as a table.

Runs the real binary against a small platform (Extensions and Telemetry API), an OTLP backend and a bucket, all on
loopback, and prints one row a figure with the bar it must meet. CPU is the process's own clock, read when a request
of the extension arrives; wall time is for orientation, and moves with whatever else the machine does.

    python benchmarks/extension.py collector/build/amd64/collector
    python benchmarks/extension.py OURS --reference OTHER     # interleaved, with ratios of medians

The reference is any extension that speaks OTLP/HTTP on port 4318 and reads OPENTELEMETRY_COLLECTOR_CONFIG_URI. Only
the figures that mean the same for both are taken of it. Without one, the column shows figures recorded earlier on two
shared cores (AMD EPYC): compare ratios within a run, never milliseconds between machines.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import queue
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

OTLP_PORT = 4318
SPANS = 11
RECORDED_REFERENCE = {
    "ready_cpu_ms": 43.4,
    "ready_wall_ms": 33.1,
    "binary_mb": 57.4,
    "rss_mib": 47.2,
    "invocation_cpu_us": 926.0,
}

CONFIG = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{otlp}"}}}}}}}}
exporters: {{otlphttp: {{endpoint: "http://127.0.0.1:{sink}"}}}}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlphttp]}}
    metrics: {{receivers: [otlp], exporters: [otlphttp]}}
    logs: {{receivers: [otlp], exporters: [otlphttp]}}
"""


# ---------------------------------------------------------------- a request of eleven spans, encoded by hand


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, content: bytes | str) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _attribute(number: int, key: str, value: str) -> bytes:
    return _field(number, _field(1, key) + _field(2, _field(1, value)))


def trace_request(trace_id: bytes, padding: int = 0) -> bytes:
    """An OTLP trace request of `SPANS` spans (about 3.5 kB), all with one trace id of 16 bytes.

    `padding` bytes are added to each span, for requests of megabytes.
    """
    resource = b"".join(
        _attribute(1, key, value)
        for key, value in {
            "service.name": "preprocess",
            "cloud.provider": "aws",
            "cloud.region": "eu-west-1",
            "cloud.resource_id": "arn:aws:lambda:eu-west-1:123456789012:function:preprocess",
            "faas.name": "preprocess",
            "faas.instance": "2026/11/23/[$LATEST]0123456789abcdef0123456789abcdef",
            "telemetry.sdk.language": "python",
        }.items()
    )
    start = time.time_ns()
    spans = b""
    for index in range(SPANS):
        span = _field(1, trace_id) + _field(2, os.urandom(8)) + _field(5, f"stage-{index}")
        span += b"\x39" + start.to_bytes(8, "little") + b"\x41" + (start + 1_000_000).to_bytes(8, "little")
        for key in ("rpc.system", "rpc.method", "aws.s3.bucket", "aws.s3.key", "aws.request_id", "stage.shape"):
            span += _attribute(9, key, f"a value of {key}, number {index}")
        span += _attribute(9, "padding", os.urandom(padding // 2).hex()) if padding else b""
        spans += _field(2, span)
    return _field(1, _field(1, resource) + _field(2, spans))


# ---------------------------------------------------------------- what surrounds an extension


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    respond: Callable[[str, str, bytes], tuple[int, dict[str, str], bytes] | None]

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        answer = type(self).respond(self.command, self.path, body)
        if answer is None:
            self.close_connection = True
            return
        status, headers, out = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - names of the base class

    def log_message(self, *_: object) -> None:
        """Nothing: what is served is counted, not logged."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that end early are part of what is measured."""


def serve(respond: Callable[[str, str, bytes], tuple[int, dict[str, str], bytes] | None], port: int = 0) -> _Server:
    handler = type("Handler", (_Handler,), {"respond": staticmethod(respond), "disable_nagle_algorithm": True})
    server = _Server(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


@dataclass
class Sink:
    """A backend that keeps what it takes, and can be told to hang."""

    hang_s: float = 0.0
    bodies: list[bytes] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.server = serve(self._respond, self.port)
        self.port = int(self.server.server_address[1])

    def stop(self) -> None:
        """From now on connections are refused."""
        self.server.shutdown()
        self.server.server_close()

    def _respond(self, _method: str, _path: str, body: bytes) -> tuple[int, dict[str, str], bytes] | None:
        if self.hang_s:
            time.sleep(self.hang_s)
            return None
        self.bodies.append(body)
        return 200, {"Content-Type": "application/x-protobuf"}, b""

    def spans(self, trace_ids: list[bytes]) -> int:
        return count_spans(b"".join(self.bodies), trace_ids)


def count_spans(content: bytes, trace_ids: list[bytes]) -> int:
    """How many spans of the given traces stand in some bytes, each counted once."""
    return sum(min(SPANS, content.count(trace_id)) for trace_id in trace_ids)


class Platform:
    """Lambda, for one process of an extension."""

    def __init__(
        self, binary: Path, sink_port: int, subscribe_status: int = 200, env: dict[str, str] | None = None
    ) -> None:
        self.subscribe_status = subscribe_status
        self.events: queue.Queue[dict[str, object] | None] = queue.Queue()
        self.nexts: queue.Queue[tuple[float, float]] = queue.Queue()
        self.started = threading.Event()
        self.subscriber: int | None = None
        self.invocations = 0
        self.api = serve(self._respond)
        self.dir = tempfile.TemporaryDirectory(prefix="extension-")
        config = Path(self.dir.name, "config.yaml")
        config.write_text(CONFIG.format(otlp=OTLP_PORT, sink=sink_port))
        self.log = Path(self.dir.name, "log").open("wb")  # noqa: SIM115 - closed with the rest
        self.otlp = http.client.HTTPConnection("127.0.0.1", OTLP_PORT, timeout=15)
        self.exec_at = time.perf_counter()
        self.process = subprocess.Popen(
            [str(binary)],
            stdout=self.log,
            stderr=self.log,
            env={
                "PATH": os.environ.get("PATH", ""),
                "TMPDIR": self.dir.name,
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.api.server_address[1]}",
                "AWS_SAM_LOCAL": "true",
                "AWS_REGION": "eu-west-1",
                "AWS_LAMBDA_FUNCTION_NAME": "f",
                "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
                "OPENTELEMETRY_COLLECTOR_CONFIG_URI": str(config),
            }
            | (env or {}),
        )
        self.started.set()
        self.ready_at, self.ready_cpu = self.await_next(30)

    def _respond(self, _method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes] | None:
        at = time.perf_counter()
        self.started.wait()
        if path.endswith("/register"):
            return (
                200,
                {"Lambda-Extension-Identifier": str(uuid.UUID(int=1))},
                b'{"functionName":"f","functionVersion":"1","handler":"h"}',
            )
        if path.endswith("/event/next"):
            self.nexts.put((at, self.cpu()))
            event = self.events.get()
            return None if event is None else (200, {"Content-Type": "application/json"}, json.dumps(event).encode())
        if path.endswith("/telemetry"):
            uri = str(json.loads(body)["destination"]["URI"])
            self.subscriber = urlsplit(uri).port
            return self.subscribe_status, {}, b"OK"
        return 404, {}, b""

    def cpu(self) -> float:
        """Seconds on the process's CPU clock, all threads."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def rss_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(r"VmRSS:\s+(\d+)", status)
        return int(match.group(1)) / 1024 if match else float("nan")

    def await_next(self, timeout_s: float) -> tuple[float, float]:
        try:
            return self.nexts.get(timeout=timeout_s)
        except queue.Empty:
            self.log.flush()
            raise SystemExit(
                f"no /next within {timeout_s} s; the extension printed:\n{Path(self.log.name).read_text()}"
            ) from None

    def invoke(self, timeout_s: float = 60.0) -> str:
        self.invocations += 1
        request_id = str(uuid.UUID(int=self.invocations))
        deadline_ms = int((time.time() + timeout_s) * 1000)
        self.events.put({"eventType": "INVOKE", "requestId": request_id, "deadlineMs": deadline_ms})
        return request_id

    def post(self, request: bytes, ending: str = "") -> float:
        """Hands telemetry in, as the function's layer does; seconds until the answer."""
        headers = {"Content-Type": "application/x-protobuf"}
        if ending:
            headers |= {"Lambda-Otel-End": "1", "Lambda-Otel-Invocation": ending}
        began = time.perf_counter()
        self.otlp.request("POST", "/v1/traces", request, headers)
        answer = self.otlp.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"telemetry was answered with {answer.status}")
        return time.perf_counter() - began

    def runtime_done(self, request_id: str) -> None:
        """What the platform tells, to whoever subscribed."""
        if self.subscriber is None or self.subscribe_status != 200:
            return
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        record = {"requestId": request_id, "status": "success", "metrics": {"durationMs": 12.0}, "spans": []}
        body = json.dumps([{"time": now, "type": "platform.runtimeDone", "record": record}])
        connection = http.client.HTTPConnection("127.0.0.1", self.subscriber, timeout=5)
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        connection.getresponse().read()
        connection.close()

    def shutdown(self, kill_after_s: float) -> float | None:
        """Seconds from SHUTDOWN to the end of the process; None if it had to be killed."""
        began = time.perf_counter()
        self.events.put(
            {"eventType": "SHUTDOWN", "shutdownReason": "spindown", "deadlineMs": int(time.time() * 1000) + 2000}
        )
        try:
            self.process.wait(timeout=kill_after_s)
        except subprocess.TimeoutExpired:
            return None
        return time.perf_counter() - began

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.events.put(None)
        self.otlp.close()
        self.api.shutdown()
        self.api.server_close()
        self.log.close()
        self.dir.cleanup()


@contextmanager
def platform(
    binary: Path, sink_port: int, subscribe_status: int = 200, env: dict[str, str] | None = None
) -> Iterator[Platform]:
    p = Platform(binary, sink_port, subscribe_status, env)
    try:
        yield p
    finally:
        p.close()


# ---------------------------------------------------------------- the measurements


def measure_start(binary: Path) -> dict[str, float]:
    sink = Sink()
    with platform(binary, sink.port) as p:
        figures = {
            "ready_cpu_ms": p.ready_cpu * 1e3,
            "ready_wall_ms": (p.ready_at - p.exec_at) * 1e3,
            "rss_ready_mib": p.rss_mib(),
        }
        p.shutdown(5)
    return figures


def children_cpu() -> float:
    """CPU seconds of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure_invocations(binary: Path, count: int, is_ours: bool) -> dict[str, float]:
    """Back-to-back invocations of eleven spans each. Their CPU includes the SHUTDOWN, which delivers the last ones."""
    sink, trace_ids, held = Sink(), [], []
    reaped = children_cpu()
    with platform(binary, sink.port) as p:
        for _ in range(10):
            request_id = p.invoke()
            p.post(trace_request(os.urandom(16)), request_id)
            p.runtime_done(request_id)
            _, before = p.await_next(60)
        for _ in range(count):
            request_id = p.invoke()
            trace_ids.append(os.urandom(16))
            p.post(trace_request(trace_ids[-1]), request_id if is_ours else "")
            responded = time.perf_counter()
            p.runtime_done(request_id)
            at, _ = p.await_next(60)
            held.append(max(at - responded, 0.0))
        rss = p.rss_mib()
        p.shutdown(5)
    return {
        "invocation_cpu_us": (children_cpu() - reaped - before) / count * 1e6,
        "rss_mib": rss,
        "held_p50_ms": statistics.median(held) * 1e3,
        "missing": float(SPANS * count - sink.spans(trace_ids)),
    }


def measure_outage(binary: Path) -> dict[str, float]:
    """The backend refuses connections for half of the invocations and is back for the other half; then SHUTDOWN."""
    sink, trace_ids, posts, held = Sink(), [], [], []
    with platform(binary, sink.port) as p:
        sink.stop()
        for number in range(40):
            if number == 20:
                sink.start()
                time.sleep(1)
            request_id = p.invoke()
            trace_ids.append(os.urandom(16))
            posts.append(p.post(trace_request(trace_ids[-1]), request_id))
            responded = time.perf_counter()
            at, _ = p.await_next(10)
            held.append(at - responded)
        p.shutdown(5)
    return {
        "outage_post_ms": statistics.median(posts) * 1e3,
        "outage_held_max_ms": max(held) * 1e3,
        "outage_missing": float(SPANS * len(trace_ids) - sink.spans(trace_ids)),
    }


def measure_without_platform_events(binary: Path) -> dict[str, float]:
    """The subscription is answered 202, and the layer's flag is all that says that an invocation is over."""
    sink = Sink()
    with platform(binary, sink.port, subscribe_status=202) as p:
        request_id = p.invoke()
        p.post(trace_request(os.urandom(16)), request_id)
        responded = time.perf_counter()
        at, _ = p.await_next(30)
        p.shutdown(5)
    return {"flag_to_next_ms": (at - responded) * 1e3}


def measure_shutdown(binary: Path) -> dict[str, float]:
    """Five megabytes wait, the backend hangs, and Lambda would kill after two seconds."""
    objects: list[bytes] = []

    def store(_method: str, _path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        objects.append(body)
        return 200, {}, b""

    bucket = serve(store)
    sink = Sink(hang_s=60)
    trace_ids: list[bytes] = []
    env = {
        "OTEL_LAMBDA_HANDOFF_URI": "s3://telemetry/telemetry",
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{bucket.server_address[1]}",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    with platform(binary, sink.port, env=env) as p:
        request_id = p.invoke()
        while len(trace_ids) * SPANS * 30_000 < 5_000_000:
            trace_ids.append(os.urandom(16))
            p.post(trace_request(trace_ids[-1], padding=30_000))
        trace_ids.append(os.urandom(16))
        p.post(trace_request(trace_ids[-1]), request_id)
        p.await_next(30)
        took = p.shutdown(2.0)
    bucket.shutdown()
    # What arrives is unzipped by the server only where a header says so; an object is a gzip stream by itself.
    stored = count_spans(b"".join(gzip.decompress(body) for body in objects), trace_ids)
    return {
        "shutdown_s": float("inf") if took is None else took,
        "shutdown_missing": float(SPANS * len(trace_ids) - stored),
    }


# ---------------------------------------------------------------- the table


@dataclass(frozen=True)
class Row:
    """One line of the table: the figure must be at most `bar`, or at most `ratio` of the reference.

    Wall time alone decides nothing: it is the machine's load as much as ours.
    """

    key: str
    label: str
    bar: float
    ratio: float | None = None
    is_wall: bool = False


ROWS = (
    Row("ready_cpu_ms", "exec to first /next, CPU ms", 23, 0.55),
    Row("ready_wall_ms", "exec to first /next, wall ms", 20, 0.6, is_wall=True),
    Row("binary_mb", "binary, MB", 25),
    Row("rss_mib", "RSS after the invocations, MiB", 30),
    Row("invocation_cpu_us", "CPU an invocation of 11 spans, us", 926, 1.0),
    Row("missing", "spans missing after them", 0),
    Row("held_p50_ms", "held after the response, frequent traffic, p50 ms", 2),
    Row("outage_post_ms", "the function's POST, backend down, p50 ms", 2),
    Row("outage_held_max_ms", "held after the response, backend down, max ms", 100),
    Row("outage_missing", "spans missing after the backend's return", 0),
    Row("flag_to_next_ms", "the layer's flag to /next, no platform events, ms", 1000),
    Row("shutdown_s", "SHUTDOWN, 5 MB waiting, backend hanging: exit, s", 1.5),
    Row("shutdown_missing", "spans neither delivered nor in the bucket", 0),
)


def collect(binary: Path, figures: dict[str, list[float]], measured: dict[str, float]) -> None:
    for key, value in measured.items():
        figures.setdefault(key, []).append(value)
    figures["binary_mb"] = [binary.stat().st_size / 1e6]


def spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.median(values):.2f} [{min(values):.2f}..{max(values):.2f}]"


def print_table(ours: dict[str, list[float]], reference: dict[str, list[float]], is_recorded: bool) -> bool:
    """Prints the table; true if every figure keeps to its bar. Against a recorded reference ratios do not decide."""
    print(f"\n| figure | ours | bar | {'reference, recorded' if is_recorded else 'reference'} | ratio |")
    print("|---|---|---|---|---|")
    is_good = True
    for row in ROWS:
        if row.key not in ours:
            continue
        value = statistics.median(ours[row.key])
        other = statistics.median(reference[row.key]) if row.key in reference else None
        ratio = value / other if other else None
        by_ratio = row.ratio is not None and ratio is not None and not is_recorded
        keeps = ratio <= row.ratio if by_ratio and ratio and row.ratio else value <= row.bar
        is_good = is_good and (keeps or (row.is_wall and not by_ratio))
        bar = f"<= {row.ratio} x reference" if by_ratio else f"<= {row.bar:g}"
        cells = (
            row.label,
            spread(ours[row.key]) + ("" if keeps else " **above**"),
            bar,
            "-" if other is None else spread(reference[row.key]),
            "-" if ratio is None else f"{ratio:.2f}",
        )
        print("| " + " | ".join(cells) + " |")
    return is_good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path, help="the extension")
    parser.add_argument("--reference", type=Path, help="another extension, measured in turn with ours")
    parser.add_argument("--starts", type=int, default=15, help="starts of each (default 15)")
    parser.add_argument("--rounds", type=int, default=5, help="processes that serve invocations (default 5)")
    parser.add_argument("--invocations", type=int, default=1000, help="invocations of each process (default 1000)")
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    sys.setswitchinterval(0.0005)

    binary = options.binary.resolve()
    both: list[tuple[Path, dict[str, list[float]]]] = [(binary, {})]
    if options.reference:
        both.append((options.reference.resolve(), {}))
    for path, _ in both:
        measure_start(path)  # warms the page cache, and is not counted
    for number in range(options.starts):
        for path, figures in both if number % 2 == 0 else reversed(both):
            collect(path, figures, measure_start(path))
    for number in range(options.rounds):
        for path, figures in both if number % 2 == 0 else reversed(both):
            collect(path, figures, measure_invocations(path, options.invocations, is_ours=path == binary))
    ours = both[0][1]
    for measure in (measure_outage, measure_without_platform_events, measure_shutdown):
        collect(binary, ours, measure(binary))

    recorded = {key: [value] for key, value in RECORDED_REFERENCE.items()}
    reference = both[1][1] if options.reference else recorded
    is_good = print_table(ours, reference, is_recorded=not options.reference)
    if options.json:
        options.json.write_text(json.dumps({"ours": ours, "reference": reference}, indent=1))
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
