"""What a process notes of the spans it has open, for when it is killed."""

import json

import pytest

from .conftest import read_notes

REQUEST_ID = "8476a536-e9f4-11e8-9739-00000000000{}"


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def run(run_function, spool):
    def start(source, events=({},), **more):
        settings = {"OTEL_LAMBDA_ANNOUNCE": "true", "OTEL_LAMBDA_SPOOL_DIR": str(spool)} | more
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


def test_each_invocation_writes_over_the_note_of_the_one_before(run, spool, collector):
    run("def handler(event, context):\n    pass\n", [{}, {}])

    ((invocation, (span,)),) = read_notes(spool)
    assert invocation == REQUEST_ID.format(2)
    assert span.span_id == collector.spans()[-1].span_id  # it ended: that the flag says, and not the file


def test_span_of_a_thread_that_goes_on_is_noted_without_the_invocation_s(run, spool):
    source = """
from opentelemetry import trace


def handler(event, context):
    trace.get_tracer("app").start_span("goes on")
"""
    run(source)

    ((_, spans),) = read_notes(spool)
    assert names(spans) == ["goes on"]


def test_invocation_that_is_not_sampled_leaves_nothing_of_the_one_before(run, spool):
    unsampled = {
        "headers": {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"},
        "httpMethod": "GET",
    }
    http = unsampled | {"requestContext": {"requestId": "r", "stage": "s"}, "resource": "/", "path": "/"}
    run("def handler(event, context):\n    pass\n", [{}, http])

    ((invocation, spans),) = read_notes(spool)
    assert (invocation, spans) == (REQUEST_ID.format(2), [])


def test_forked_child_has_a_note_of_its_own(run, spool):
    source = """
import os
import time

from opentelemetry import trace

tracer = trace.get_tracer("app")


def handler(event, context):
    with tracer.start_as_current_span("parent's"):
        child = os.fork()
        if not child:
            tracer.start_span("child's")
            time.sleep(0.06)
            tracer.start_span("last")
            os._exit(0)
        os.waitpid(child, 0)
"""
    run(source, OTEL_BSP_SCHEDULE_DELAY="50")

    assert sorted(names(spans) for _, spans in read_notes(spool)) == [["child's", "last"], ["fn"]]


def test_folder_that_cannot_be_made_is_one_line_and_no_more(run, spool):
    spool.write_text("a file")

    sandbox = run("def handler(event, context):\n    return 'fine'\n", [{}, {}])

    assert [json.loads(mark.body) for mark in sandbox.marks if mark.kind == "response"] == ["fine", "fine"]
    assert sandbox.output.count("open spans are not noted") == 1


def test_nothing_is_noted_unless_asked_for(run, spool):
    run("def handler(event, context):\n    pass\n", OTEL_LAMBDA_ANNOUNCE="false")

    assert not spool.exists()
