"""A running service for the tests: real processes, with this environment's packages for Lambda's runtime."""

import json
import sys
import sysconfig
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lambda_local import (
    Isolation,
    IsolationError,
    LambdaService,
    LogLine,
    RuntimeConfig,
    ServiceOptions,
    load_deployment,
)
from lambda_local._sandbox import Sandboxes

TEMPLATE = Path(__file__).with_name("template.yaml")


class Watcher:
    """Keeps what a service tells, and waits for what it is about to tell."""

    def __init__(self):
        self._condition = threading.Condition()
        self._events = []

    def __call__(self, event):
        with self._condition:
            self._events.append(event)
            self._condition.notify_all()

    def all(self, kind, **fields):
        with self._condition:
            return [event for event in self._events if _is(event, kind, fields)]

    def wait(self, kind, count=1, timeout_s=20, **fields):
        with self._condition:
            is_told = self._condition.wait_for(
                lambda: sum(_is(event, kind, fields) for event in self._events) >= count, timeout_s
            )
            assert is_told, f"expected {count} {kind.__name__} with {fields}"
        return self.all(kind, **fields)

    def log(self, **fields):
        return [line.message for line in self.all(LogLine, **fields)]


def _is(event, kind, fields):
    return isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items())


def wait_until(condition, timeout_s=10):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.fixture(scope="session")
def alive():
    """Tells whether a process lives."""
    return is_alive


@pytest.fixture(scope="session")
def eventually():
    """Waits until something is so."""
    return wait_until


@pytest.fixture(scope="session")
def runtime():
    return RuntimeConfig(python=Path(sys.executable), runtime_dir=Path(sysconfig.get_path("purelib")))


@pytest.fixture(scope="session")
def has_namespaces(runtime, tmp_path_factory):
    """Whether environments can have mount namespaces on this machine."""
    try:
        Sandboxes(tmp_path_factory.mktemp("namespaces"), runtime, Isolation.NAMESPACES)
    except IsolationError:
        return False
    return True


@pytest.fixture(scope="session")
def deployment():
    return load_deployment(TEMPLATE, parameters={"ExistingBucket": "theirs"})


@pytest.fixture(scope="module")
def options():
    """Overridden by modules whose service is another one."""
    return ServiceOptions(time_scale=0.002)


@pytest.fixture(scope="module")
def service(deployment, runtime, options):
    with LambdaService(deployment, runtime, options) as running:
        yield running


@pytest.fixture
def watcher(service):
    """Told of what happens during one test; the service is idle before and after it."""
    assert service.drain(20)
    watcher = Watcher()
    end = service.subscribe(watcher)
    yield watcher
    service.s3.faults.clear()
    assert service.drain(20)
    end()


@pytest.fixture(scope="module")
def s3(service):
    return service.s3.client()


@pytest.fixture
def call(service):
    """Invokes a function synchronously; its answer decoded, and the whole result."""

    def invoke(function, **event):
        result = service.invoke(function, json.dumps(event).encode())
        return json.loads(result.payload), result

    return invoke


class Probe:
    """What the extension `probe` said, and what the service told."""

    def __init__(self):
        self.events = []
        self._lock = threading.Lock()

    def __call__(self, event):
        with self._lock:
            self.events.append(event)

    def all(self, kind):
        with self._lock:
            return [event for event in self.events if isinstance(event, kind)]

    def said(self, key):
        lines = [line.message for line in self.all(LogLine) if line.extension == "probe"]
        return [said for said in map(json.loads, lines) if key in said]

    def told(self, kind):
        """Events of the Extensions API."""
        return [said["event"] for said in self.said("event") if said["event"]["eventType"] == kind]

    def telemetry(self, kind):
        """Records of the Telemetry API."""
        return [said["record"] for said in self.said("telemetry") if said["telemetry"] == kind]

    def platform_lines(self, start):
        lines = [line.message for line in self.all(LogLine) if line.is_platform]
        return [line for line in lines if line.startswith(start)]


@pytest.fixture
def probe():
    return Probe()


@pytest.fixture
def serve_probe(deployment, runtime, probe):
    """Starts a service of one function with the extension, which is asked for something by its variable."""
    services = []

    def start(
        handler="act.handler", *, asked=None, timeout_s=5, memory_mb=256, layers=("probe",), variables=(), **options
    ):
        act = deployment.functions["act"]
        function = replace(
            act,
            handler=handler,
            timeout_s=timeout_s,
            memory_mb=memory_mb,
            layer_dirs=tuple(TEMPLATE.parent / "layers" / name for name in layers),
            environment={"PROBE": json.dumps(asked or {}), **dict(variables)},
        )
        alone = replace(deployment, functions={"act": function}, buckets=(), mappings=(), rules=(), queues=())
        service = LambdaService(alone, runtime, ServiceOptions(**{"time_scale": 0.002, **options}))
        service.subscribe(probe)
        service.start()
        services.append(service)
        return service

    yield start
    for service in services:
        service.stop()


@pytest.fixture(scope="session")
def act():
    """Invokes the function of `act.py` with what it is to do; its answer."""

    def invoke(service, do="tell", **event):
        result = service.invoke("act", json.dumps({"do": do, **event}).encode())
        return json.loads(result.payload)

    return invoke
