"""What is counted of the layer's own CPU time, and that it is sent."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from time import thread_time

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from lambda_otel.cost import METRIC, CpuClock


def burn(seconds):
    until = thread_time() + seconds
    while thread_time() < until:
        pass


def test_clock_counts_nested_calls_once():
    clock = CpuClock()
    inner = clock.counted(lambda: burn(0.02))
    outer = clock.counted(lambda: (burn(0.02), inner()))
    outer()
    assert 0.04 <= clock.take() / 1e9 < 0.06
    assert clock.take() == 0


def test_clock_leaves_out_what_is_the_user_s_own():
    clock = CpuClock()
    span = clock.counted(lambda: burn(0.01))
    hook = clock.uncounted(lambda: (burn(0.05), span()))
    clock.counted(lambda: (burn(0.01), hook()))()
    assert 0.02 <= clock.take() / 1e9 < 0.045


def test_clock_stops_when_a_call_fails():
    clock = CpuClock()

    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        clock.counted(fail)()
    clock.take()
    burn(0.02)
    assert clock.take() == 0


def test_threads_are_counted_each_by_their_own_clock():
    clock = CpuClock()
    threads = [threading.Thread(target=clock.counted(burn), args=(0.02,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.06 <= clock.take() / 1e9 < 0.1


SCRIPT = """
from types import SimpleNamespace
from lambda_otel import instrument
from opentelemetry import trace

def handler(event, context):
    for number in range(300):
        with trace.get_tracer("t").start_as_current_span("s") as span:
            span.set_attribute("n", number)
    end = __import__("time").process_time() + 0.3   # the function's own work, which must not count
    while __import__("time").process_time() < end: pass

instrumented = instrument(handler)
for number in range(2):
    instrumented({}, SimpleNamespace(aws_request_id="0-%d" % number))
"""


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/metrics":
            self.server.bodies.append(body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def run(**env):
    server = HTTPServer(("127.0.0.1", 0), Collector)
    server.bodies = []
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    layer = Path(__file__).resolve().parents[3] / "layers" / "telemetry"
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    variables = os.environ | {"PYTHONPATH": str(layer), "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint} | env
    try:
        subprocess.run([sys.executable, "-c", SCRIPT], env=variables, check=True, timeout=60)
    finally:
        server.shutdown()
        server.server_close()
    points = []
    for body in server.bodies:
        for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            metrics = [metric for of_scope in of_resource.scope_metrics for metric in of_scope.metrics]
            points += [point for metric in metrics if metric.name == METRIC for point in metric.sum.data_points]
    totals = {}
    for point in points:
        phase = point.attributes[0].value.string_value
        totals.setdefault(phase, []).append(point.as_double)
    return totals


def test_cost_is_sent_by_phase_with_each_invocation_s_metrics():
    totals = run(OTEL_LAMBDA_MEASURE_COST="true")
    assert set(totals) == {"init", "invocation"}
    assert 0.005 < sum(totals["init"]) < 2
    assert len([value for value in totals["invocation"] if value]) == 3  # the last when the process ends
    # 600 spans cost some 10 ms; the handler's 0.6 s are not among them
    assert 0.002 < sum(totals["invocation"]) < 0.25


def test_cost_is_not_measured_unless_asked_for():
    assert run() == {}
