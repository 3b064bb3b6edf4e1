import re
from pathlib import Path

import pytest
from opentelemetry import propagate
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.semconv._incubating.attributes import (
    aws_attributes,
    client_attributes,
    cloud_attributes,
    error_attributes,
    faas_attributes,
    http_attributes,
    messaging_attributes,
    network_attributes,
    server_attributes,
    url_attributes,
    user_agent_attributes,
)
from opentelemetry.trace import SpanKind, StatusCode

import lambda_otel
from lambda_otel.export.drops import Drops
from lambda_otel.propagation import install_propagators
from lambda_otel.triggers import trigger_of

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
XRAY = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


@pytest.fixture(autouse=True)
def _propagators():
    before = propagate.get_global_textmap()
    install_propagators(("tracecontext", "baggage"), Drops())
    yield
    propagate.set_global_textmap(before)


def s3_record(**more):
    record = {
        "eventSource": "aws:s3",
        "eventTime": "2026-01-02T03:04:05.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "raw"}, "object": {"key": "sub+01/caf%C3%A9.nii.gz"}},
    }
    return record | more


def sqs_message(number, **more):
    return {
        "messageId": f"m{number}",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:orders",
        "body": "{}",
        "attributes": {},
        "messageAttributes": {},
    } | more


def test_s3_notification_is_a_change_of_data_with_its_key_decoded():
    trigger = trigger_of({"Records": [s3_record()]})

    assert (trigger.type, trigger.kind, trigger.name) == ("datasource", SpanKind.SERVER, None)
    assert trigger.attributes == {
        "faas.document.operation": "insert",
        "faas.document.time": "2026-01-02T03:04:05.000Z",
        "faas.document.collection": "raw",
        "faas.document.name": "sub 01/café.nii.gz",
        "aws.s3.bucket": "raw",
        "aws.s3.key": "sub 01/café.nii.gz",
    }


def test_s3_notification_of_several_records_says_what_they_share():
    other = s3_record(s3={"bucket": {"name": "raw"}, "object": {"key": "other"}})

    attributes = trigger_of({"Records": [s3_record(), other]}).attributes

    assert attributes["aws.s3.bucket"] == "raw"
    assert "aws.s3.key" not in attributes


@pytest.mark.parametrize(
    ("name", "operation"),
    [("s3:ObjectCreated:Copy", "insert"), ("ObjectRemoved:Delete", "delete"), ("ObjectTagging:Put", "edit")],
)
def test_s3_operation_is_told_from_the_event_name(name, operation):
    assert trigger_of({"Records": [s3_record(eventName=name)]}).attributes["faas.document.operation"] == operation


def test_s3_event_on_eventbridge_is_the_same_with_its_key_as_it_is():
    event = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "time": "2026-01-02T03:04:05Z",
        "detail": {"bucket": {"name": "raw"}, "object": {"key": "a+b.nii.gz"}},
    }

    trigger = trigger_of(event)

    assert trigger.type == "datasource"
    assert trigger.attributes["aws.s3.key"] == "a+b.nii.gz"
    assert trigger.attributes["faas.document.operation"] == "insert"


def test_sqs_batch_links_every_sender_and_has_no_parent():
    messages = [
        sqs_message(1, messageAttributes={"Traceparent": {"stringValue": TRACEPARENT, "dataType": "String"}}),
        sqs_message(2, attributes={"AWSTraceHeader": XRAY}),
        sqs_message(3),
    ]

    trigger = trigger_of({"Records": messages})

    assert (trigger.type, trigger.kind, trigger.name) == ("pubsub", SpanKind.CONSUMER, "process orders")
    assert [format(link.context.span_id, "x") for link in trigger.links] == ["b7ad6b7169203331", "53995c3f42cd8ad8"]
    assert [link.attributes["messaging.message.id"] for link in trigger.links] == ["m1", "m2"]
    assert trigger.carrier is None
    assert trigger.attributes["messaging.batch.message_count"] == 3
    assert "messaging.message.id" not in trigger.attributes


def test_sqs_batch_of_several_queues_is_named_so():
    other = sqs_message(2, eventSourceARN="arn:aws:sqs:us-east-1:123456789012:other")

    trigger = trigger_of({"Records": [sqs_message(1), other]})

    assert trigger.name == "process multiple_sources"
    assert "messaging.destination.name" not in trigger.attributes


def concluded(trigger, result):
    span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s")
    trigger.conclude(span, result)
    return span


def test_sqs_partial_failure_is_counted():
    trigger = trigger_of({"Records": [sqs_message(1)]})

    failed = concluded(trigger, {"batchItemFailures": [{"itemIdentifier": "m1"}]})
    none = concluded(trigger, None)

    assert failed.attributes["lambda_otel.batch.failed_count"] == 1
    assert dict(none.attributes) == {}


def test_sns_message_has_its_sender_as_parent():
    sns = {
        "TopicArn": "arn:aws:sns:us-east-1:123456789012:scans",
        "MessageId": "n1",
        "MessageAttributes": {"traceparent": {"Type": "String", "Value": TRACEPARENT}, "blob": {"Type": "Binary"}},
    }

    trigger = trigger_of({"Records": [{"EventSource": "aws:sns", "Sns": sns}]})

    assert (trigger.type, trigger.kind, trigger.name) == ("pubsub", SpanKind.CONSUMER, "process scans")
    assert trigger.carrier == {"traceparent": TRACEPARENT}
    assert trigger.attributes["messaging.message.id"] == "n1"


def test_eventbridge_event_has_the_context_in_its_detail_as_parent():
    event = {
        "source": "shop",
        "detail-type": "Sold",
        "id": "e1",
        "detail": {"traceparent": TRACEPARENT, "tracestate": 3},
    }

    trigger = trigger_of(event)

    assert (trigger.type, trigger.kind, trigger.name) == ("pubsub", SpanKind.CONSUMER, "process Sold")
    assert trigger.carrier == {"traceparent": TRACEPARENT}


def test_schedule_is_a_timer():
    event = {
        "source": "aws.events",
        "detail-type": "Scheduled Event",
        "time": "2026-01-02T03:04:05Z",
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/every-5-minutes"],
        "detail": {},
    }

    trigger = trigger_of(event)

    assert (trigger.type, trigger.kind, trigger.name) == ("timer", SpanKind.SERVER, None)
    assert trigger.attributes == {"faas.time": "2026-01-02T03:04:05Z", "aws.eventbridge.rule": "every-5-minutes"}


REST = {
    "resource": "/scans/{id}",
    "path": "/scans/7",
    "httpMethod": "GET",
    "headers": {"User-Agent": "curl", "X-Forwarded-Proto": "https", "Traceparent": TRACEPARENT},
    "multiValueQueryStringParameters": {"q": ["a b", "c"]},
    "requestContext": {
        "path": "/prod/scans/7",
        "domainName": "api.example.com",
        "protocol": "HTTP/1.1",
        "identity": {"sourceIp": "192.0.2.1"},
    },
}
HTTP_API = {
    "version": "2.0",
    "routeKey": "GET /scans/{id}",
    "rawPath": "/prod/scans/7",
    "rawQueryString": "q=a+b&q=c",
    "headers": {"user-agent": "curl", "x-forwarded-proto": "https", "traceparent": TRACEPARENT},
    "requestContext": {
        "domainName": "api.example.com",
        "http": {"method": "GET", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
    },
}


@pytest.mark.parametrize("event", [REST, HTTP_API])
def test_api_gateway_request_is_named_after_its_route(event):
    trigger = trigger_of(event)

    assert (trigger.type, trigger.kind, trigger.name) == ("http", SpanKind.SERVER, "/scans/{id}")
    assert trigger.attributes == {
        "http.request.method": "GET",
        "http.route": "/scans/{id}",
        "url.path": "/prod/scans/7",
        "url.query": "q=a+b&q=c",
        "url.scheme": "https",
        "server.address": "api.example.com",
        "client.address": "192.0.2.1",
        "user_agent.original": "curl",
        "network.protocol.version": "1.1",
    }
    assert trigger.carrier["traceparent"] == TRACEPARENT


def test_function_url_has_no_route():
    trigger = trigger_of(HTTP_API | {"routeKey": "$default"})

    assert trigger.name is None
    assert "http.route" not in trigger.attributes


def test_rest_api_with_multi_value_headers_only():
    event = REST | {"headers": None, "multiValueHeaders": {"Traceparent": [TRACEPARENT], "Empty": []}}

    assert trigger_of(event).carrier == {"traceparent": TRACEPARENT}


def test_load_balancer_request():
    event = {
        "requestContext": {"elb": {"targetGroupArn": "arn"}},
        "httpMethod": "POST",
        "path": "/",
        "queryStringParameters": {"q": "a%20b"},
        "headers": {"host": "lb.example.com", "x-forwarded-for": "192.0.2.9, 10.0.0.1", "x-forwarded-proto": "http"},
    }

    trigger = trigger_of(event)

    assert (trigger.type, trigger.name) == ("http", None)
    assert trigger.attributes["server.address"] == "lb.example.com"
    assert trigger.attributes["client.address"] == "192.0.2.9"
    assert trigger.attributes["url.query"] == "q=a%20b"
    assert trigger.attributes["url.scheme"] == "http"


@pytest.mark.parametrize(
    ("result", "attributes", "status"),
    [
        ({"statusCode": 404}, {"http.response.status_code": 404}, StatusCode.UNSET),
        ({"statusCode": "503"}, {"http.response.status_code": 503, "error.type": "503"}, StatusCode.ERROR),
        ({"body": "x"}, {}, StatusCode.UNSET),
        ({"statusCode": "many"}, {}, StatusCode.UNSET),
        ("plain text", {}, StatusCode.UNSET),
    ],
)
def test_http_result_gives_the_status(result, attributes, status):
    span = concluded(trigger_of(REST), result)

    assert dict(span.attributes) == attributes
    assert span.status.status_code is status


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "text",
        7,
        {},
        {"Records": []},
        {"Records": "x"},
        {"Records": [None]},
        {"Records": [{"eventSource": "aws:kinesis"}]},
        {"Records": [{"eventSource": "aws:s3"}]},
        {"Records": [{"eventSource": "aws:sqs", "eventSourceARN": None}]},
        {"Records": [{"EventSource": "aws:sns", "Sns": {}}]},
        {"detail-type": "x"},
        {"requestContext": None},
        {"requestContext": {}},
        {"requestContext": {"http": None}},
    ],
)
def test_other_events_are_of_no_kind(event):
    assert trigger_of(event).type == "other"


def test_attribute_names_are_those_of_the_conventions():
    modules = (
        aws_attributes, client_attributes, cloud_attributes, error_attributes, faas_attributes, http_attributes,
        messaging_attributes, network_attributes, server_attributes, url_attributes, user_agent_attributes,
    )  # fmt: skip
    known = {value for module in modules for name, value in vars(module).items() if name.isupper()}
    ours = {"aws.eventbridge.rule", "aws.eventbridge.source", "aws.eventbridge.detail_type"}
    folder = Path(lambda_otel.__file__).parent
    files = [*folder.glob("triggers/*.py"), folder / "invocation.py"]
    pattern = r'"((?:aws|client|cloud|error|faas|http|messaging|network|server|url|user_agent)\.[a-z_.]+)"'

    used = {name for file in files for name in re.findall(pattern, file.read_text())} - {
        "aws.events",
        "aws.s3",
        "aws.sns",
    }

    assert used - known - {"aws.eventbridge"} == ours
