"""The emulator answers the Telemetry API with 202 and never tells of an invocation's end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]


def test_emulator_invocation_ends_with_the_layers_flag(emulator: Start, sink: Any) -> None:
    e = emulator(30)
    for number in range(3):
        status, body, took_s = e.invoke({"span": f"span-{number}"})
        assert (status, body) == (200, '"done"')
        assert took_s < (3 if number == 0 else 1)
        sink.await_bytes(f"span-{number}".encode(), timeout_s=0.2)


def test_emulator_function_without_telemetry_is_not_held_for_long(emulator: Start) -> None:
    e = emulator(30)
    for _ in range(2):
        status, body, took_s = e.invoke({})
        assert (status, body) == (200, '"done"')
        assert took_s < 5


def test_emulator_timeout_ends_the_open_span(emulator: Start, sink: Any) -> None:
    e = emulator(2)
    e.invoke({"span": "before"})
    _, body, _ = e.invoke({"span": "hanging", "fate": "hang"})
    assert "timed out" in body
    request = sink.await_bytes(b"hanging")
    assert b"error.type" in request
    assert b"timeout" in request
    # The environment is reset, and works.
    assert e.invoke({"span": "after"})[1] == '"done"'
    sink.await_bytes(b"after")


def test_emulator_crash_ends_the_open_span(emulator: Start, sink: Any) -> None:
    e = emulator(3)
    e.invoke({"span": "before"})
    status, _, _ = e.invoke({"span": "crashing", "fate": "crash"})
    assert status == 502
    assert e.invoke({"span": "after"})[1] == '"done"'
    request = sink.await_bytes(b"crashing")
    assert b"error.type" in request


def test_emulator_stop_delivers_what_waits(emulator: Start, sink: Any) -> None:
    e = emulator(30)
    for number in range(30):
        assert e.invoke({"span": f"span-{number:02d}"})[0] == 200
    e.stop()
    for number in range(30):
        sink.await_bytes(f"span-{number:02d}".encode(), timeout_s=0.5)


def test_emulator_telemetry_layer_ends_invocations(emulator: Start, sink: Any) -> None:
    e = emulator(30, has_layer=True)
    for number in range(4):
        status, body, took_s = e.invoke({"span": f"span-{number}"})
        assert (status, body) == (200, '"done"')
        assert number == 0 or took_s < 1
        sink.await_bytes(f"span-{number}".encode(), timeout_s=0.5)


def test_emulator_telemetry_layer_keeps_what_a_crash_left_open(emulator: Start, sink: Any) -> None:
    e = emulator(3, has_layer=True)
    e.invoke({"span": "before"})
    status, _, _ = e.invoke({"span": "crashing", "fate": "crash"})
    assert status == 502
    assert e.invoke({"span": "after"})[1] == '"done"'
    request = sink.await_bytes(b"error.type")
    assert b"faas.invocation_id" in request
