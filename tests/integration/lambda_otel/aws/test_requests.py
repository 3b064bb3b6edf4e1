"""What goes over the wire, and which spans there are of it."""

import base64
import io
import json
import urllib.request

import botocore.client
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber
from opentelemetry import baggage
from opentelemetry.context import attach, detach
from opentelemetry.sdk.trace import Span
from opentelemetry.trace import SpanKind, StatusCode

from lambda_otel import aws
from lambda_otel.invocation import _client_context
from lambda_otel.settings import Settings

XRAY = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0;Lineage=1:abcdef01:3"
MIB = 2**20


def traceparent(span):
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-03"


def test_put_object_is_a_span_and_carries_it(client, service, ended, tracer):
    with tracer.start_as_current_span("outer") as outer:
        client("s3").put_object(Bucket="b", Key="a/b c", Body=b"x", Metadata={"colour": "red"})

    span, _ = ended.get_finished_spans()
    assert (span.name, span.kind, span.parent.span_id) == ("S3.PutObject", SpanKind.CLIENT, outer.context.span_id)
    assert span.attributes["aws.s3.key"] == "a/b c"
    assert span.attributes["aws.request_id"] == "R1"
    assert span.attributes["aws.extended_request_id"] == "H1"
    assert span.attributes["server.address"] == "127.0.0.1"
    (headers,) = service.headers("/b/")
    assert headers["x-amz-meta-traceparent"] == traceparent(span)
    assert headers["x-amz-meta-colour"] == "red"
    assert "x-amz-meta-traceparent" in headers["authorization"]  # it is signed


def test_retries_are_in_one_span(client, service, ended):
    service.answers.extend([(503, b""), (503, b"")])

    client("s3", retries={"mode": "standard", "max_attempts": 3}).put_object(Bucket="b", Key="k")

    (span,) = ended.get_finished_spans()
    assert span.attributes["http.request.resend_count"] == 2
    assert span.attributes["http.response.status_code"] == 200
    assert len(service.requests) == 3
    assert len({headers["x-amz-meta-traceparent"] for headers in service.headers("/b/")}) == 1


def test_errors_have_their_code_and_answers_no_are_none(client, service, ended):
    refused = b"<Error><Code>AccessDenied</Code><Message>arn:aws:s3:::b/private</Message></Error>"
    failed = b"<Error><Code>PreconditionFailed</Code></Error>"
    service.answers.extend([(403, refused), (412, failed), (404, b"")])
    s3 = client("s3")

    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket="b", Key="k")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="b", Key="k", IfNoneMatch="*")
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket="b", Key="k")

    denied, twin, absent = ended.get_finished_spans()
    assert (denied.status.status_code, denied.attributes["error.type"]) == (StatusCode.ERROR, "AccessDenied")
    assert "private" not in denied.to_json()
    for span, status in ((twin, 412), (absent, 404)):
        assert span.status.status_code is StatusCode.UNSET
        assert span.attributes["http.response.status_code"] == status


def test_service_that_is_not_there_is_an_error(client, service, ended):
    s3 = client("s3", retries={"max_attempts": 0})
    service.close()

    with pytest.raises(EndpointConnectionError):
        s3.get_object(Bucket="b", Key="private")

    (span,) = ended.get_finished_spans()
    assert span.attributes["error.type"] == "botocore.exceptions.EndpointConnectionError"


@pytest.mark.parametrize("size", [1, 11 * MIB])
def test_upload_in_threads_keeps_its_parent(client, service, ended, tracer, size):
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=3)

    with tracer.start_as_current_span("outer") as outer:
        client("s3").upload_fileobj(
            io.BytesIO(b"x" * size), "b", "k", ExtraArgs={"Metadata": {"own": "1"}}, Config=config
        )

    spans = {span.name: span for span in ended.get_finished_spans()}
    expected = {"S3.CreateMultipartUpload", "S3.UploadPart", "S3.CompleteMultipartUpload"}
    assert set(spans) == (expected if size > 5 * MIB else {"S3.PutObject"}) | {"outer"}
    for name, span in spans.items():
        assert span.context.trace_id == outer.context.trace_id
        assert name == "outer" or span.parent.span_id == outer.context.span_id
    first = spans.get("S3.CreateMultipartUpload") or spans["S3.PutObject"]
    carrying = [headers for headers in service.headers("/b/k") if "x-amz-meta-traceparent" in headers]
    assert [headers["x-amz-meta-traceparent"] for headers in carrying] == [traceparent(first)]
    if size > 5 * MIB:
        parts = [span for span in ended.get_finished_spans() if span.name == "S3.UploadPart"]
        assert sorted(span.attributes["aws.s3.part_number"] for span in parts) == [1, 2, 3]
        assert {span.attributes["aws.s3.upload_id"] for span in parts} == {"u1"}


def test_download_in_threads_keeps_its_parent(client, service, ended, tracer):
    service.answers.extend([(200, b"body"), (200, b"body")])

    with tracer.start_as_current_span("outer") as outer:
        client("s3").download_fileobj("b", "k", io.BytesIO())

    *requests, _ = ended.get_finished_spans()
    assert [span.name for span in requests] == ["S3.HeadObject", "S3.GetObject"]
    assert {span.parent.span_id for span in requests} == {outer.context.span_id}


def test_presigned_url_is_as_without_the_hook(client, service, ended):
    s3 = client("s3")

    url = s3.generate_presigned_url("put_object", {"Bucket": "b", "Key": "k"})

    assert "traceparent" not in url
    assert ended.get_finished_spans() == ()
    urllib.request.urlopen(urllib.request.Request(url, b"x", method="PUT"))
    assert len(service.requests) == 1


def test_xray_header_goes_out_as_lambda_gave_it(client, service, monkeypatch):
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "fn")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", XRAY)

    client("s3").put_object(Bucket="b", Key="k")

    (headers,) = service.headers("/b/k")
    assert urllib.request.unquote(headers["x-amzn-trace-id"]) == XRAY


def test_message_and_event_and_invocation_carry_the_context(client, service, ended):
    published = b"<PublishResponse><PublishResult><MessageId>m1</MessageId></PublishResult></PublishResponse>"
    service.answers.extend([(200, b"{}"), (200, b"{}"), (200, published), (200, b"{}")])
    client("sqs").send_message(QueueUrl=f"{service.endpoint}/1/jobs", MessageBody="m")
    client("events").put_events(Entries=[{"Source": "s", "DetailType": "t", "Detail": '{"a":1}'}])
    client("sns").publish(TopicArn="arn:aws:sns:eu-west-1:1:news", Message="m")
    client("lambda").invoke(FunctionName="other", Payload=b"{}")

    spans = ended.get_finished_spans()
    assert [span.name for span in spans] == ["SQS.SendMessage", "EventBridge.PutEvents", "SNS.Publish", "Lambda.Invoke"]
    assert [span.kind for span in spans] == [SpanKind.PRODUCER] * 3 + [SpanKind.CLIENT]
    message, event, publication, invocation = service.requests
    sent = json.loads(message[3])["MessageAttributes"]["traceparent"]["StringValue"]
    detail = json.loads(json.loads(event[3])["Entries"][0]["Detail"])
    assert sent == traceparent(spans[0])
    assert detail == {"traceparent": traceparent(spans[1]), "a": 1}
    assert traceparent(spans[2]).encode() in publication[3]
    custom = json.loads(base64.b64decode(invocation[2]["X-Amz-Client-Context"]))["custom"]
    assert custom == {"traceparent": traceparent(spans[3])}
    assert spans[2].attributes["messaging.message.id"] == "m1"
    assert spans[3].attributes["faas.invoked_name"] == "other"


def test_lambda_runtime_reads_what_is_sent_in_the_client_context(client, service, ended):
    from awslambdaric.lambda_context import LambdaContext

    service.answers.append((200, b"{}"))
    client("lambda").invoke(FunctionName="other")
    sent = json.loads(base64.b64decode(service.requests[0][2]["X-Amz-Client-Context"]))

    context = LambdaContext("id", sent, None, 0)

    assert _client_context(context)["traceparent"] == traceparent(ended.get_finished_spans()[0])


def test_baggage_that_does_not_fit_is_counted_and_the_object_is_stored(client, service, drops):
    token = attach(baggage.set_baggage("k", "v" * 250, baggage.set_baggage("l", "v" * 250)))
    try:
        client("s3").put_object(Bucket="b", Key="k", Metadata={"own": "y" * 1800})
    finally:
        detach(token)

    (headers,) = service.headers("/b/k")
    assert "x-amz-meta-traceparent" in headers
    assert "x-amz-meta-baggage" not in headers
    assert drops.counts() == {("baggage", "no_room"): 2}


def test_stubbed_client_answers_as_ever(client, ended):
    s3 = client("s3")
    with Stubber(s3) as stubber:
        stubber.add_client_error("get_object", "NoSuchKey", http_status_code=404)
        with pytest.raises(s3.exceptions.NoSuchKey):
            s3.get_object(Bucket="b", Key="k")

    assert ended.get_finished_spans()[0].attributes["error.type"] == "NoSuchKey"


def test_mistake_of_the_caller_is_told_as_ever(client, ended):
    s3 = client("s3")

    with pytest.raises(botocore.exceptions.ParamValidationError, match="Bucket"):
        s3.put_object(Key="k")
    with pytest.raises(TypeError, match="keyword arguments"):
        s3.put_object("b", "k")

    (span,) = ended.get_finished_spans()
    assert span.attributes["error.type"] == "botocore.exceptions.ParamValidationError"


def test_hook_that_is_switched_off_is_not_there(monkeypatch, drops):
    before = botocore.client.BaseClient._make_api_call

    aws.install(Settings({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "x, botocore"}), drops)

    assert botocore.client.BaseClient._make_api_call is before


def test_fault_of_the_sdk_is_not_the_functions(client, service, monkeypatch, caplog):
    def broken(*_, **__):
        raise ZeroDivisionError

    s3 = client("s3")
    monkeypatch.setattr(Span, "set_attributes", broken)

    for _ in range(2):
        s3.put_object(Bucket="b", Key="k")

    assert len(service.requests) == 2
    assert len([one for one in caplog.records if one.name == "lambda_otel"]) == 1
