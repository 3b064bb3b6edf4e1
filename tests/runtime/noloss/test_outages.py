"""A backend that fails in every way, beside one that does not: nothing is lost, and functions do not notice."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from .sink import HANG, OK, RESET, TAKEN_AND_RESET, Answer, Sink, throttle
from .world import World

CPU_MS, SLEEP_MS = 10, 20
MAX_RATIO = 1.05


@dataclass(frozen=True)
class Fault:
    """What the backend does to every request, and how often it was seen to do it."""

    answer: Answer
    times_met: Callable[[Sink], int]


FAULT_S = 8.0
FAULTS = {
    "hanging": Fault(HANG, lambda sink: sink.hung),
    "throttled": Fault(throttle(1), lambda sink: sink.replies[429]),
    "resetting": Fault(RESET, lambda sink: sink.replies[0]),
    "answer-lost": Fault(TAKEN_AND_RESET, lambda sink: sink.replies[0]),
}


@dataclass
class Figures:
    """Of the invocations during a fault, beside a healthy backend and the faulty one."""

    latency_s: dict[str, list[float]]
    cpu_s: dict[str, list[float]]

    def ratios(self) -> tuple[float, float]:
        """Median latency and median CPU of an invocation, the faulty one's over the healthy one's."""
        medians = [
            {name: statistics.median(values) for name, values in figures.items()}
            for figures in (self.latency_s, self.cpu_s)
        ]
        latency, cpu = (m["suffering"] / m["healthy"] for m in medians)
        return latency, cpu


def run_side_by_side(world: World, duration_s: float, pause_s: float) -> Figures:
    """Invoke both functions in turns: whatever else this machine does, it does to both."""
    figures = Figures({"healthy": [], "suffering": []}, {"healthy": [], "suffering": []})
    before: dict[str, float] = {}
    end = time.monotonic() + duration_s
    while time.monotonic() < end:
        for name in ("healthy", "suffering"):
            answer = world.invoke(name, spans=4, cpu_ms=CPU_MS / 4, sleep_ms=SLEEP_MS)
            assert not answer.error
            cpu_s = answer.result["cpu_s"]
            if name in before:
                figures.latency_s[name].append(answer.latency_s)
                figures.cpu_s[name].append(cpu_s - before[name])
            before[name] = cpu_s
            time.sleep(pause_s)
    return figures


@pytest.fixture
def healthy_sink() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.close()


@contextmanager
def both(start_world, healthy: Sink, endpoint: str, **more: str) -> Iterator[World]:
    variables = {
        "healthy": {"OTEL_EXPORTER_OTLP_ENDPOINT": healthy.url},
        "suffering": {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **more},
    }
    with start_world(variables) as world:
        for _ in range(3):  # both are warm
            run_side_by_side(world, 0.1, 0)
        yield world


def conclude(name: str, world: World, figures: Figures, sinks: list[Sink], tell) -> None:
    """End the environments, and draw the account."""
    world.await_end("healthy", "suffering")
    arrived = world.in_bucket()
    for sink in sinks:
        arrived += sink.span_counts()
    found = world.balance_of(world.journal.spans("begun"), arrived)
    latency, cpu = figures.ratios()
    tell(f"{name}: {found}; latency x{latency:.3f}, CPU x{cpu:.3f}, {len(figures.cpu_s['suffering'])} invocations")
    assert not found.missing, str(found)
    assert latency <= MAX_RATIO
    assert cpu <= MAX_RATIO


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_lost_while_the_backend_fails(name, start_world, sink, healthy_sink, tell):
    fault = FAULTS[name]
    with both(start_world, healthy_sink, sink.url) as world:
        sink.always(fault.answer)
        figures = run_side_by_side(world, FAULT_S, 0.02)
        assert fault.times_met(sink) > 1
        sink.always(OK)
        run_side_by_side(world, 2, 0.02)
        conclude(name, world, figures, [sink, healthy_sink], tell)


@pytest.mark.timeout(180)
def test_nothing_is_lost_through_a_minute_without_a_backend(start_world, sink, healthy_sink, tell):
    with both(start_world, healthy_sink, sink.url) as world:
        sink.vanish()
        figures = run_side_by_side(world, 60, 0.1)
        sink.listen()
        run_side_by_side(world, 5, 0.1)
        before_the_end = sum(sink.span_counts().values())
        conclude("down for 60 s", world, figures, [sink, healthy_sink], tell)

    assert before_the_end > 0, "it is delivered as soon as the backend is back, not only when the environment ends"


def test_nothing_is_lost_while_certificates_are_wrong(start_world, certificates, healthy_sink, tell):
    sink = Sink(certificates.context("right"))
    try:
        with both(start_world, healthy_sink, sink.url, SSL_CERT_FILE=str(certificates.ca)) as world:
            sink.tls = certificates.context("wrong")
            sink.break_connections()
            figures = run_side_by_side(world, FAULT_S, 0.02)
            assert sink.failed_handshakes > 1
            sink.tls = certificates.context("right")
            sink.break_connections()
            run_side_by_side(world, 2, 0.02)
            conclude("wrong certificate", world, figures, [sink, healthy_sink], tell)
    finally:
        sink.close()


def test_nothing_is_lost_while_the_name_does_not_resolve(start_world, healthy_sink, tell):
    with both(start_world, healthy_sink, "http://backend.invalid:4318") as world:
        figures = run_side_by_side(world, FAULT_S, 0.02)
        conclude("no such name", world, figures, [healthy_sink], tell)

        assert world.keys(), "all of it is handed over at the end"
