import logging
import traceback

import pytest
from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY as SUPPRESS_HTTP
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY as SUPPRESS
from opentelemetry.context import attach, detach, get_current, get_value, set_value
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from lambda_otel.aws import client as client_module


class AwsError(Exception):
    """As botocore's `ClientError`: what AWS answered is in `response`."""

    def __init__(self, status, code, message="about `private/key`"):
        super().__init__(f"An error occurred ({code}): {message}")
        self.response = {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "R2", "RetryAttempts": 3},
        }


@pytest.fixture
def s3(client_of):
    return client_of("s3", "S3", endpoint="http://127.0.0.1:9000")


def test_request_has_a_span_by_the_conventions(s3, ended):
    s3.answer = {
        "ResponseMetadata": {"HTTPStatusCode": 200, "RequestId": "R1", "HostId": "H1", "RetryAttempts": 2},
    }

    assert s3._make_api_call("GetObject", {"Bucket": "b", "Key": "k"}) is s3.answer

    (span,) = ended.get_finished_spans()
    assert (span.name, span.kind, span.status.status_code) == ("S3.GetObject", SpanKind.CLIENT, StatusCode.UNSET)
    assert dict(span.attributes) == {
        "rpc.system": "aws-api",
        "rpc.service": "S3",
        "rpc.method": "GetObject",
        "cloud.region": "eu-west-1",
        "server.address": "127.0.0.1",
        "server.port": 9000,
        "aws.s3.bucket": "b",
        "aws.s3.key": "k",
        "http.response.status_code": 200,
        "http.request.resend_count": 2,
        "aws.request_id": "R1",
        "aws.extended_request_id": "H1",
    }


def test_request_of_a_service_nobody_knows_has_a_span_too(client_of, ended):
    client_of("braket", "Braket")._make_api_call("GetDevice", {"deviceArn": "a"})

    (span,) = ended.get_finished_spans()
    assert span.name == "Braket.GetDevice"
    assert span.attributes["server.port"] == 443


def test_span_is_current_within_the_request_and_only_there(s3, tracer, ended):
    seen, plain = [], s3.answer

    def answer():
        seen.append((get_current_span().get_span_context().span_id, get_value(SUPPRESS_HTTP)))
        return plain

    s3.answer = answer
    with tracer.start_as_current_span("outer") as outer:
        s3._make_api_call("GetObject", {})
        assert get_current_span() is outer

    inner, _ = ended.get_finished_spans()
    assert seen == [(inner.context.span_id, True)]
    assert inner.parent.span_id == outer.context.span_id


def test_error_of_aws_has_its_code_and_none_of_its_text(s3, ended):
    s3.answer = AwsError(404, "NoSuchKey")

    with pytest.raises(AwsError) as caught:
        s3._make_api_call("GetObject", {"Bucket": "b", "Key": "k"})

    assert caught.value is s3.answer
    (span,) = ended.get_finished_spans()
    assert span.attributes["error.type"] == "NoSuchKey"
    assert span.attributes["http.response.status_code"] == 404
    assert span.attributes["http.request.resend_count"] == 3
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "NoSuchKey")
    assert "private/key" not in span.to_json()


def test_error_without_an_answer_has_its_name(s3, ended):
    s3.answer = ConnectionResetError("http://b.s3/private/key")

    with pytest.raises(ConnectionResetError):
        s3._make_api_call("GetObject", {"Bucket": "b"})

    (span,) = ended.get_finished_spans()
    assert span.attributes["error.type"] == "builtins.ConnectionResetError"
    assert "private/key" not in span.to_json()


@pytest.mark.parametrize(
    ("operation", "params", "status", "is_error"),
    [
        ("PutObject", {"IfNoneMatch": "*"}, 412, False),
        ("PutObject", {}, 412, True),
        ("GetObject", {"IfModifiedSince": 1}, 304, False),
        ("CopyObject", {"CopySourceIfMatch": "e"}, 412, False),
        ("PutObject", {"IfNoneMatch": "*"}, 409, True),
        ("PutObject", {"IfNoneMatch": "*"}, 503, True),
        ("HeadObject", {}, 404, False),
        ("HeadObject", {}, 403, True),
        ("GetObject", {}, 404, True),
        ("GetObject", {"IfMatch": "e"}, 404, True),
    ],
)
def test_answer_no_to_a_question_is_no_error(s3, ended, operation, params, status, is_error):
    s3.answer = AwsError(status, "Code")

    with pytest.raises(AwsError):
        s3._make_api_call(operation, params)

    (span,) = ended.get_finished_spans()
    assert span.attributes["http.response.status_code"] == status
    assert ("error.type" in span.attributes) is is_error
    assert (span.status.status_code is StatusCode.ERROR) is is_error


def test_stack_trace_is_the_one_without_the_hook(s3):
    s3.answer = AwsError(500, "InternalError")

    try:
        s3._make_api_call("GetObject", {})
    except AwsError as error:
        files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]

    assert files
    assert client_module.__file__ not in files


def test_end_of_the_process_ends_the_span_too(s3, ended):
    s3.answer = SystemExit(3)

    with pytest.raises(SystemExit):
        s3._make_api_call("GetObject", {})

    assert ended.get_finished_spans()[0].attributes["error.type"] == "builtins.SystemExit"
    assert not get_current_span().get_span_context().is_valid


@pytest.mark.parametrize("key", [SUPPRESS, "suppress_instrumentation"])
def test_suppressed_request_has_no_span_and_no_context(s3, ended, key):
    params = {"Bucket": "b", "Key": "k"}
    token = attach(set_value(key, True))
    try:
        s3._make_api_call("PutObject", params)
    finally:
        detach(token)

    assert ended.get_finished_spans() == ()
    assert s3.sent == [("PutObject", params)]
    assert s3.sent[0][1] is params


def test_http_suppression_of_others_is_none_of_ours(s3, ended):
    token = attach(set_value(SUPPRESS_HTTP, True))
    try:
        s3._make_api_call("GetObject", {})
    finally:
        detach(token)

    assert len(ended.get_finished_spans()) == 1


def test_context_is_sent_and_the_callers_parameters_stay(s3, ended):
    own = {"colour": "red"}
    params = {"Bucket": "b", "Key": "k", "Metadata": own}

    s3._make_api_call("PutObject", params)

    (span,) = ended.get_finished_spans()
    sent = s3.sent[0][1]["Metadata"]
    assert sent == {
        "colour": "red",
        "traceparent": f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-03",
    }
    assert own == {"colour": "red"}
    assert params == {"Bucket": "b", "Key": "k", "Metadata": {"colour": "red"}}


def test_context_goes_only_to_services_that_are_named(tracer, drops, fake_module):
    client_module.hook(fake_module, tracer, drops, ("sqs",))
    s3 = fake_module.BaseClient("s3", "S3")

    s3._make_api_call("PutObject", {"Bucket": "b"})

    assert s3.sent == [("PutObject", {"Bucket": "b"})]


def test_producer_is_what_sends_messages(client_of, ended):
    sqs = client_of("sqs", "SQS")
    sqs._make_api_call("SendMessage", {"QueueUrl": "https://q/1/n", "MessageBody": "b"})
    sqs._make_api_call("ReceiveMessage", {"QueueUrl": "https://q/1/n"})

    assert [span.kind for span in ended.get_finished_spans()] == [SpanKind.PRODUCER, SpanKind.CLIENT]


@pytest.mark.parametrize("where", ["describe", "conclude", "injectors"])
def test_fault_of_ours_is_one_line_and_the_request_goes_out(s3, monkeypatch, caplog, where):
    def broken(*_):
        raise ZeroDivisionError("with what the function sends")

    s3._make_api_call("ListBuckets", {})
    known = s3._lambda_otel
    service = known._service._replace(**{where: {"PutObject": broken} if where == "injectors" else broken})
    monkeypatch.setattr(known, "_service", service)
    monkeypatch.setattr(known, "_injectors", service.injectors)
    before = get_current()

    for _ in range(3):
        assert s3._make_api_call("PutObject", {"Bucket": "b"}) is s3.answer

    (record,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "sends" not in record.getMessage()
    assert get_current() == before


def test_hook_that_is_called_twice_makes_one_span(tracer, drops, fake_module, ended):
    for _ in range(2):
        client_module.hook(fake_module, tracer, drops, ())

    fake_module.BaseClient("s3", "S3")._make_api_call("ListBuckets", {})

    assert len(ended.get_finished_spans()) == 1


@pytest.mark.parametrize(
    "params", [None, 7, {"Metadata": 3}, {"Metadata": {"a": 1}}, {"Metadata": None, "Bucket": object(), "Key": 3}]
)
def test_parameters_that_make_no_sense_reach_botocore_as_they_are(s3, params):
    s3._make_api_call("PutObject", params)

    assert s3.sent[-1][1] == params


def test_answer_that_makes_no_sense_reaches_the_caller(s3, ended):
    s3.answer = None

    assert s3._make_api_call("GetObject", {}) is None
    assert len(ended.get_finished_spans()) == 1


def test_unsampled_request_carries_its_context_too(drops, fake_module):
    provider = TracerProvider(ALWAYS_OFF, resource=Resource({}), shutdown_on_exit=False)
    client_module.hook(fake_module, provider.get_tracer("t"), drops, ("s3",))
    s3 = fake_module.BaseClient("s3", "S3")

    s3._make_api_call("PutObject", {"Bucket": "b"})

    assert s3.sent[0][1]["Metadata"]["traceparent"][-2:] == "02"  # not sampled; its id is random
