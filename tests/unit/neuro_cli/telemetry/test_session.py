import os

import pytest

from neuro_cli.telemetry.cost import LAYER_METRIC
from neuro_cli.telemetry.otlp_files import Signal
from neuro_cli.telemetry.session import MOST_SESSIONS, backend_environment, read_sessions, recording_session


def test_session_is_read_back_while_it_goes_on_and_after(tmp_path, writer):
    with recording_session(tmp_path) as session:
        session.sink.take(Signal.TRACES, writer().span("x", "1", 0, 5))
        assert [recorded.recording.span_count for recorded in read_sessions(tmp_path)] == [1]
    assert [recorded.recording.span_count for recorded in read_sessions(tmp_path)] == [1]


def test_session_tells_functions_where_to_send(tmp_path):
    with recording_session(tmp_path) as session:
        assert session.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == session.sink.url


def test_oldest_sessions_and_nothing_else_are_removed(tmp_path):
    for number in range(MOST_SESSIONS + 3):
        (tmp_path / f"20260101T0000{number:02}Z-7").mkdir()
    (tmp_path / "mine").mkdir()
    with recording_session(tmp_path):
        kept = sorted(path.name for path in tmp_path.iterdir())
    assert len(kept) == MOST_SESSIONS + 1
    assert kept[0] == "20260101T000004Z-7"
    assert "mine" in kept


def test_newest_session_is_first(tmp_path):
    for name in ("20260101T000000Z-9", "20260102T000000Z-1", "20251231T235959Z-5"):
        (tmp_path / name).mkdir()
    assert [recorded.folder.name[:8] for recorded in read_sessions(tmp_path)] == ["20260102", "20260101", "20251231"]


def test_no_sessions_where_there_never_was_one(tmp_path):
    assert list(read_sessions(tmp_path / "none")) == []


def test_backend_of_the_user_s_own_is_passed_on_with_what_belongs_to_it():
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
        "OTEL_EXPORTER_OTLP_HEADERS": "a=b",
        "OTEL_SERVICE_NAME": "shell",
        "PATH": "/bin",
    }
    assert backend_environment(env) == {name: env[name] for name in list(env)[:2]}


@pytest.mark.parametrize("env", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, {"OTEL_EXPORTER_OTLP_HEADERS": "a=b"}])
def test_without_a_backend_nothing_is_passed_on(env):
    assert backend_environment(env) == {}


def test_cost_needs_both_the_processes_clocks_and_the_layer_s_own_figure(tmp_path, writer, make):
    with recording_session(tmp_path) as session:
        (before,) = read_sessions(tmp_path)
        session.meter.look()
        (without_layer,) = read_sessions(tmp_path)
        body = writer().metrics(
            make["total"](LAYER_METRIC, 0.04, phase="init"), make["total"](LAYER_METRIC, 0.5, phase="invocation")
        )
        session.sink.take(Signal.METRICS, body)
        (whole,) = read_sessions(tmp_path)
    assert before.cost is None
    assert without_layer.cost.running_share is None
    assert (whole.cost.layer_init_s, whole.cost.layer_s) == (0.04, 0.5)
    assert f"-{os.getpid()}" in whole.folder.name
