"""Whose client an S3 event tells of, and several event-context hooks."""

import sys
import types
from types import SimpleNamespace

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from lambda_otel.export.drops import Drops
from lambda_otel.export.pace import Pace
from lambda_otel.invocation import InvocationStarter
from lambda_otel.propagation import XRayReader
from lambda_otel.spans import SpanQueue
from lambda_otel.tracer import LambdaTracerProvider
from lambda_otel.triggers import trigger_of


def s3_event(*addresses):
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "requestParameters": {"sourceIPAddress": address},
                "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}},
            }
            for address in addresses
        ]
    }


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::1", "::ffff:203.0.113.7"])
def test_s3_event_tells_the_clients_address(address):
    assert trigger_of(s3_event(address)).attributes["client.address"] == address


@pytest.mark.parametrize("address", ["s3.amazonaws.com", "AWS Internal", "", "cafe", None, 7])
def test_s3_event_of_a_service_tells_no_address(address):
    assert "client.address" not in trigger_of(s3_event(address)).attributes


def test_s3_event_without_request_parameters_is_one_still():
    event = s3_event("203.0.113.7")
    del event["Records"][0]["requestParameters"]

    assert trigger_of(event).attributes["aws.s3.key"] == "k"


def test_s3_records_of_several_clients_tell_none():
    assert "client.address" not in trigger_of(s3_event("203.0.113.7", "203.0.113.8")).attributes
    assert trigger_of(s3_event("203.0.113.7", "203.0.113.7")).attributes["client.address"] == "203.0.113.7"


def test_s3_event_on_eventbridge_tells_the_clients_address():
    detail = {"bucket": {"name": "b"}, "object": {"key": "k"}, "source-ip-address": "203.0.113.7"}
    event = {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}

    assert trigger_of(event).attributes["client.address"] == "203.0.113.7"


# several hooks


PARENT = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(1))


@pytest.fixture
def hooks(monkeypatch):
    module = types.ModuleType("users_hooks")
    module.calls = []

    def nothing(event, context):
        module.calls.append("nothing")

    def knows(event, context):
        module.calls.append("knows")
        return None, {"more": 1, "same": "knows"}

    def finds(event, context):
        module.calls.append("finds")
        return set_span_in_context(NonRecordingSpan(PARENT), Context()), {"same": "finds", "last": 2}

    def fails(event, context):
        module.calls.append("fails")
        raise KeyError("x")

    module.nothing, module.knows, module.finds, module.fails = nothing, knows, finds, fails
    monkeypatch.setitem(sys.modules, "users_hooks", module)
    return module


def start(*names):
    queue = SpanQueue(Drops(), Pace(5.0), batch_size=512, max_size=2048)
    provider = LambdaTracerProvider(resource=Resource({}), shutdown_on_exit=False, active_span_processor=queue)
    starter = InvocationStarter(
        provider.get_tracer("t"),
        XRayReader(is_from_lambda=False),
        queue,
        tuple(f"users_hooks:{name}" for name in names),
        is_xray_parent=False,
    )
    invocation = starter.start({}, SimpleNamespace(function_name="fn"))
    invocation.succeed(None)
    return invocation.span


def test_hooks_are_asked_in_order_until_one_finds_a_context(hooks):
    span = start("nothing", "knows", "finds", "fails")

    assert hooks.calls == ["nothing", "knows", "finds"]
    assert span.parent.span_id == PARENT.span_id
    assert {name: span.attributes[name] for name in ("more", "same", "last")} == {"more": 1, "same": "knows", "last": 2}


def test_hook_that_fails_leaves_the_event_to_the_next(hooks, caplog):
    span = start("missing", "fails", "finds")

    assert span.parent.span_id == PARENT.span_id
    assert [record.getMessage().split("`")[1] for record in caplog.records] == [
        "users_hooks:missing",
        "users_hooks:fails",
    ]


def test_hooks_that_find_nothing_leave_the_event_its_own_context(hooks):
    assert start("nothing", "knows").parent is None
