"""What a process notes of the spans it has open, for when it is killed."""

import json
import os

import pytest

from lambda_otel.export.open_spans import OpenSpansNote

from ...ports import free_port
from .conftest import read_notes

REQUEST_ID = "8476a536-e9f4-11e8-9739-00000000000{}"


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def run(run_function, spool):
    def start(source, events=({},), **more):
        settings = {"OTEL_LAMBDA_NOTE_OPEN_SPANS": "true", "OTEL_LAMBDA_SPOOL_DIR": str(spool)} | more
        return run_function(source, list(events), **settings)

    return start


def names(spans):
    return [span.name for span in spans]


def test_killed_process_leaves_a_note_of_its_invocation(run, spool, collector):
    run("import os\n\ndef handler(event, context):\n    os._exit(1)\n")

    ((invocation, (span,)),) = read_notes(spool)
    assert invocation == REQUEST_ID.format(1)
    assert (span.name, span.end_time_unix_nano) == ("fn", 0)
    assert span.start_time_unix_nano > 0
    assert {"faas.invocation_id"} <= {attribute.key for attribute in span.attributes}
    assert collector.spans() == []


def test_filters_act_on_what_is_noted(run, spool):
    source = """
import os
from opentelemetry import trace


def handler(event, context):
    trace.get_current_span().set_attribute("user_id", "u1")
    trace.get_tracer("app").start_span("open", attributes={"user_id": "u1"})
    trace.get_tracer_provider().force_flush()
    os._exit(1)
"""
    run(source, OTEL_LAMBDA_ATTRIBUTE_FILTERS="drop:user_id")

    ((_, spans),) = read_notes(spool)
    assert names(spans) == ["fn", "open"]
    assert "user_id" not in {attribute.key for span in spans for attribute in span.attributes}


def test_note_follows_what_is_open_in_a_long_invocation(run, spool, collector):
    source = """
import os
import time

from opentelemetry import trace

tracer = trace.get_tracer("app")


def handler(event, context):
    with tracer.start_as_current_span("done"):
        time.sleep(0.06)
    with tracer.start_as_current_span("outer"):
        tracer.start_span("inner")
        time.sleep(0.06)
        tracer.start_span("innermost")
        os._exit(1)
"""
    run(source, OTEL_BSP_SCHEDULE_DELAY="50")

    ((_, spans),) = read_notes(spool)
    assert names(spans) == ["fn", "outer", "inner", "innermost"]
    assert names(collector.spans()) == ["done"]


@pytest.mark.parametrize("end", ["pass", "raise ValueError"])
def test_nothing_is_noted_of_an_invocation_that_has_ended(run, spool, end):
    run(f"def handler(event, context):\n    {end}\n", [{}, {}])

    assert read_notes(spool) == [(REQUEST_ID.format(2), [])]


def test_span_of_a_thread_that_goes_on_is_noted_until_it_ends(run, spool):
    source = """
from opentelemetry import trace

span = None


def handler(event, context):
    global span
    if span:
        span.end()
    else:
        span = trace.get_tracer("app").start_span("goes on")
"""
    run(source)
    ((_, spans),) = read_notes(spool)
    assert names(spans) == ["goes on"]

    run(source, [{}, {}], OTEL_LAMBDA_SPOOL_DIR=str(spool / "another"))
    ((_, spans),) = read_notes(spool / "another")
    assert spans == []


def test_children_note_what_they_have_open_in_files_of_their_own(run, spool):
    source = """
import os
import time

from opentelemetry import trace

tracer = trace.get_tracer("app")


def child(ends):
    process = os.fork()
    if process:
        os.waitpid(process, 0)
        return
    span = tracer.start_span("child's")
    time.sleep(0.06)
    tracer.start_span("short").end()
    if ends:
        span.end()
        trace.get_tracer_provider().force_flush()
    os._exit(0)


def handler(event, context):
    with tracer.start_as_current_span("parent's"):
        child(ends=False)
        child(ends=True)
        os._exit(1)
"""
    run(source, OTEL_BSP_SCHEDULE_DELAY="50")

    assert sorted(names(spans) for _, spans in read_notes(spool)) == [["child's", "short"], ["fn"]]


def test_spans_of_init_are_not_noted(run, spool):
    source = """
import os
from opentelemetry import trace

trace.get_tracer("app").start_span("of INIT")
trace.get_tracer_provider().force_flush()
os._exit(1)
"""
    run(source)

    assert read_notes(spool) == []


def test_oldest_are_noted_of_very_many(run, spool):
    source = """
import os
from opentelemetry import trace


def handler(event, context):
    for _ in range(3000):
        trace.get_tracer("app").start_span("open")
    trace.get_tracer_provider().force_flush()
    os._exit(1)
"""
    run(source)

    ((_, spans),) = read_notes(spool)
    assert (len(spans), spans[0].name) == (256, "fn")


def test_note_is_made_without_a_collector(run, spool):
    source = """
import os


def handler(event, context):
    if event.get("fate"):
        os._exit(1)
"""
    run(source, [{}, {}, {"fate": "killed"}], OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}")

    ((invocation, spans),) = read_notes(spool)
    assert (invocation, names(spans)) == (REQUEST_ID.format(3), ["fn"])


def test_function_may_sweep_its_temporary_folder(run, spool):
    source = """
import os
import shutil


def handler(event, context):
    if event.get("fate"):
        os._exit(1)
    shutil.rmtree(os.environ["OTEL_LAMBDA_SPOOL_DIR"])
"""
    run(source, [{}, {"fate": "killed"}])

    ((invocation, spans),) = read_notes(spool)
    assert (invocation, names(spans)) == (REQUEST_ID.format(2), ["fn"])


def test_folder_that_cannot_be_made_is_one_line_and_no_more(run, spool):
    spool.write_text("a file")

    sandbox = run("def handler(event, context):\n    return 'fine'\n", [{}, {}])

    assert [json.loads(mark.body) for mark in sandbox.marks if mark.kind == "response"] == ["fine", "fine"]
    assert sandbox.output.count("open spans are not noted") == 1


@pytest.mark.parametrize("write", [lambda *_: 3, lambda *_: os.open("/nowhere/x", 0)], ids=["short", "fails"])
def test_full_disc_leaves_no_note_of_what_was_before(spool, monkeypatch, caplog, write):
    note = OpenSpansNote(str(spool))
    note.write(b"one", b"")
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", write)
        note.write(b"two", b"")
        note.write(b"three", b"")
    (path,) = (spool / "open").iterdir()
    assert path.read_bytes() == b""

    note.write(b"four", b"")

    assert read_notes(spool) == [("four", [])]
    assert len(caplog.records) == 1


def test_nothing_is_noted_unless_asked_for(run, spool):
    run("def handler(event, context):\n    pass\n", OTEL_LAMBDA_NOTE_OPEN_SPANS="false")

    assert not spool.exists()
