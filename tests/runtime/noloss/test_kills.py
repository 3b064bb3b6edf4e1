"""Processes that end without a word: what the Collector had acknowledged arrives, the rest is stated."""

from __future__ import annotations

import threading

import pytest

from .journal import Journal
from .reconcile import Balance
from .sink import Sink
from .world import World

ROUNDS = 3
# Long enough that an export has its answer whatever else this machine does.
SURE_ACKNOWLEDGEMENT = {"OTEL_LAMBDA_ACK_TIMEOUT": "2000"}


def meet_an_end(world: World, journal: Journal, round_: int, *programs: str) -> None:
    """Kill processes in the middle of an invocation."""
    doomed = threading.Thread(target=world.invoke, args=("maker",), kwargs={"is_awaited": True, "fate": "wait"})
    doomed.start()
    journal.await_count("doomed", round_)
    world.kill("maker", *programs)
    doomed.join(30)
    assert not doomed.is_alive()


def conclude(name: str, world: World, sink: Sink, tell) -> None:
    """Nothing is missing, each invocation that met its end has a root that says so, and what ended well does not."""
    world.await_end("maker")
    arrived = sink.span_counts() + world.in_bucket()
    acknowledged = world.journal.spans("acknowledged")
    found = world.balance_of(acknowledged, arrived)
    tell(f"{name}: {found}")
    assert not found.missing, str(found)
    failed = {span.span_id.hex(): span for span in sink.spans() if span.status.code == span.status.STATUS_CODE_ERROR}
    roots = [span for span in failed.values() if any(one.key == "faas.invocation_id" for one in span.attributes)]
    assert len(roots) == ROUNDS
    assert not acknowledged & world.journal.spans("ended") & failed.keys()


@pytest.mark.parametrize("fate", ["kill", "exit", "hang", "oom"])
def test_nothing_acknowledged_is_lost_when_the_function_ends_badly(fate, start_world, journal, sink, tell):
    with start_world(
        {"maker": {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, **SURE_ACKNOWLEDGEMENT}}, timeout_s=4, memory_mb=256
    ) as world:
        for _ in range(ROUNDS):
            for _ in range(3):
                assert not world.invoke("maker", is_awaited=True).error
            assert world.invoke("maker", is_awaited=True, fate=fate).error
        assert not world.invoke("maker", is_awaited=True).error
        conclude(fate, world, sink, tell)
    assert len(journal.lines("doomed")) == ROUNDS


@pytest.mark.parametrize("programs", [("collector",), ("python",), ("collector", "python"), ("python", "collector")])
def test_nothing_acknowledged_is_lost_when_processes_are_killed(programs, start_world, journal, sink, tell):
    with start_world(
        {"maker": {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, **SURE_ACKNOWLEDGEMENT}}, timeout_s=20
    ) as world:
        for round_ in range(1, ROUNDS + 1):
            for _ in range(3):
                assert not world.invoke("maker", is_awaited=True).error
            meet_an_end(world, journal, round_, *programs)
        assert not world.invoke("maker", is_awaited=True).error
        conclude(f"kill -9 of {' and '.join(programs)}", world, sink, tell)


def kill_in_an_outage(world: World, journal: Journal, sink: Sink) -> Balance:
    """The extension is killed with everything undelivered; its successors find it in the spool, or nowhere."""
    sink.vanish()
    for round_ in range(1, ROUNDS + 1):
        for _ in range(5):
            assert not world.invoke("maker", is_awaited=True).error
        meet_an_end(world, journal, round_, "collector")
    sink.listen()
    for _ in range(3):
        assert not world.invoke("maker", is_awaited=True).error
    world.await_end("maker")
    return world.balance_of(journal.spans("acknowledged"), sink.span_counts() + world.in_bucket())


def test_nothing_acknowledged_is_lost_when_the_extension_is_killed_in_an_outage(start_world, journal, sink, tell):
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, **SURE_ACKNOWLEDGEMENT}
    with start_world({"maker": variables}, timeout_s=20) as world:
        found = kill_in_an_outage(world, journal, sink)

    tell(f"kill -9 of the extension in an outage: {found}")
    assert not found.missing, str(found)


def test_without_a_spool_the_same_is_lost_and_seen_to_be(start_world, journal, sink, tell):
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, "OTEL_LAMBDA_SPOOL_DIR": "/dev/null", **SURE_ACKNOWLEDGEMENT}
    with start_world({"maker": variables}, timeout_s=20) as world:
        found = kill_in_an_outage(world, journal, sink)

    tell(f"the same without a spool, which shows that these accounts can fail: {found}")
    assert len(found.missing) >= found.promised // 2
