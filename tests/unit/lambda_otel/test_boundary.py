"""The hook in the runtime, the stand-ins, and what happens where they cannot work."""

import subprocess
import sys
import types

import pytest
from opentelemetry.sdk.resources import Resource

from lambda_otel.export import drops as drops_module
from lambda_otel.export.drops import METRIC, Drops
from lambda_otel.runtime_hook import RuntimeHook


@pytest.fixture
def client(monkeypatch):
    module = types.ModuleType("awslambdaric.lambda_runtime_client")

    class Base:
        def wait_next_invocation(self, *args):
            return "event", args

    class Client(Base):
        pass

    module.Base, module.Client = Base, Client
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return Client


def test_hook_is_called_before_the_next_event_and_passes_everything_on(client):
    calls = []
    hook = RuntimeHook(lambda: calls.append("export"))
    hook.install()
    assert not hook.is_alive

    assert client().wait_next_invocation(1) == ("event", (1,))
    assert hook.is_alive
    assert calls == ["export"]


def test_hook_without_a_runtime_is_not_alive(monkeypatch):
    monkeypatch.delitem(sys.modules, "awslambdaric.lambda_runtime_client", raising=False)
    hook = RuntimeHook(lambda: None)

    hook.install()

    assert not hook.is_alive


def run(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


def test_stand_in_loads_its_module_when_something_is_taken_from_it():
    code = """
import sys
from lambda_otel._deferred import deferred_modules
with deferred_modules():
    import socket, platform
    kept = platform
    print(type(platform).__name__, "select" in sys.modules)
    print(platform.system(), type(sys.modules["platform"]).__name__)
print("socket" in sys.modules, kept.machine() != "")
import socket
print(type(socket).__name__, socket.AF_INET == 2)
"""

    assert run(code) == ["_StandIn", "False", "Linux", "module", "False", "True", "module", "True"]


def test_functions_without_a_known_runtime_export_before_they_return():
    code = """
import os
os.environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_LAMBDA_ACK_TIMEOUT": "1"}
from lambda_otel import bootstrap

@bootstrap.instrument
def handler(event, context):
    return "result"

ended = []
bootstrap._telemetry._exporter.end = lambda: ended.append(1)
print(handler({}, None), len(ended))
"""

    assert run(code) == ["result", "1"]


def test_handler_runs_without_telemetry_if_that_cannot_be_set_up():
    code = """
import sys
sys.modules["opentelemetry.sdk.trace"] = None
from lambda_otel import instrument
def handler(event, context):
    return "result"
print(instrument(handler) is handler, handler({}, None))
"""

    assert run(code) == ["True", "result"]


def test_error_of_ours_in_an_invocation_is_not_the_functions():
    code = """
from lambda_otel import bootstrap

@bootstrap.instrument
def handler(event, context):
    if event:
        raise KeyError("its own")
    return "result"

def broken(*args, **kwargs):
    raise RuntimeError("ours")

bootstrap._telemetry._starter.start = broken
bootstrap._telemetry._exporter.end = broken
print(handler({}, None))
try:
    handler({"x": 1}, None)
except KeyError as error:
    print(error.args[0].replace(" ", "_"), error.__context__)
"""

    assert run(code) == ["result", "its_own", "None"]


def test_import_of_the_package_has_no_effects():
    code = """
import sys
import lambda_otel
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""

    assert run(code) == ["[]"]


def test_drops_become_a_metric_that_begins_with_zero(monkeypatch):
    clock = iter(range(100, 200))
    monkeypatch.setattr(drops_module, "time_ns", lambda: next(clock))
    drops = Drops()
    assert not drops
    drops.add("logs", "rejected", 0)
    assert not drops
    drops.add("logs", "rejected", 3)
    drops.add("logs", "rejected", 4)

    def points():
        (metric,) = drops.take(Resource({}), {}).resource_metrics[0].scope_metrics[0].metrics
        assert metric.name == METRIC
        return [(point.value, dict(point.attributes)) for point in metric.data.data_points]

    attributes = {"signal": "logs", "reason": "rejected"}
    assert points() == [(0, attributes), (7, attributes)]
    assert not drops
    drops.add("logs", "rejected", 1)
    assert points() == [(1, attributes)]
