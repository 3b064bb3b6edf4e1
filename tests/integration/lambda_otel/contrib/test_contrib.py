"""`OTEL_LAMBDA_INSTRUMENTATION=contrib` in a real `awslambdaric` process."""

import json

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ..conftest import read_notes

PLAIN = """
def handler(event, context):
    return {"echo": event}
"""
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def scopes(collector):
    """Names of spans by the scope that made them."""
    return {
        of_scope.scope.name: [span.name for span in of_scope.spans]
        for message in collector.messages("/v1/traces")
        for of_resource in message.resource_spans
        for of_scope in of_resource.scope_spans
    }


def bodies(sandbox):
    return [json.loads(mark.body) for mark in sandbox.marks if mark.kind == "response"]


def test_invocation_ends_with_one_export_that_says_so(run_contrib, collector):
    sandbox = run_contrib(PLAIN, [{"n": 1}])

    assert bodies(sandbox) == [{"echo": {"n": 1}}]
    assert scopes(collector) == {"opentelemetry.instrumentation.aws_lambda": ["fn"]}
    ((_, headers, _),) = collector.requests
    assert headers["lambda-otel-end"] == "1"
    assert headers["lambda-otel-invocation"] == "8476a536-e9f4-11e8-9739-000000000001"


def test_export_waits_until_the_response_is_posted(run_contrib, collectors):
    hanging = collectors(["hang"] * 9)

    sandbox = run_contrib(PLAIN, [{}], OTEL_EXPORTER_OTLP_ENDPOINT=hanging.endpoint, OTEL_LAMBDA_ACK_TIMEOUT="1500")

    kinds = [mark.kind for mark in sandbox.marks]
    began, responded, asked = (mark.wall_ms for mark in sandbox.marks)
    assert kinds == ["next", "response", "next"]
    assert asked - responded > 1000 > responded - began


def test_force_flush_of_user_code_exports_at_once(run_contrib, collector):
    source = """
from opentelemetry import trace

def handler(event, context):
    with trace.get_tracer("app").start_as_current_span("work"):
        pass
    return trace.get_tracer_provider().force_flush()
"""
    sandbox = run_contrib(source, [{}])

    assert bodies(sandbox) == [True]
    first, last = collector.messages("/v1/traces")
    assert [span.name for span in first.resource_spans[0].scope_spans[0].spans] == ["work"]
    assert [span.name for span in last.resource_spans[0].scope_spans[0].spans] == ["fn"]
    assert ["lambda-otel-end" in headers for _, headers, _ in collector.requests] == [False, True]


def test_open_invocation_span_is_noted(run_contrib, collector, tmp_path):
    source = "import os\n\ndef handler(event, context):\n    if event:\n        os._exit(1)\n"
    settings = {"OTEL_LAMBDA_NOTE_OPEN_SPANS": "true", "OTEL_LAMBDA_SPOOL_DIR": str(tmp_path / "spool")}
    run_contrib(source, [{}, {"fate": "killed"}], **settings)

    ((_, (noted,)),) = read_notes(tmp_path / "spool")
    (ended,) = collector.spans()
    assert (noted.name, ended.name) == ("fn", "fn")
    assert noted.span_id != ended.span_id
    assert noted.end_time_unix_nano == 0 < ended.end_time_unix_nano


def test_without_its_packages_the_layers_own_wrapper_serves(run_function, collector):
    sandbox = run_function(PLAIN, [{"n": 1}], OTEL_LAMBDA_INSTRUMENTATION="contrib")

    assert bodies(sandbox) == [{"echo": {"n": 1}}]
    assert scopes(collector) == {"lambda_otel": ["fn"]}
    (line,) = sandbox.output.splitlines()
    assert "`OTEL_LAMBDA_INSTRUMENTATION=contrib` has no effect" in line
    assert "No module named" in line


def test_handler_runs_where_the_instrumentation_fails(run_contrib, collector):
    arn = {"Lambda-Runtime-Invoked-Function-Arn": ""}  # the instrumentation reads the account from it

    sandbox = run_contrib(PLAIN, [{"n": 1}, {"n": 2}], headers=arn)

    assert bodies(sandbox) == [{"echo": {"n": 1}}, {"echo": {"n": 2}}]
    assert "the instrumentation failed" in sandbox.output


def test_result_stands_where_the_instrumentation_fails_after_the_handler(run_contrib, collector):
    source = """
from opentelemetry.instrumentation import aws_lambda

def broken(tracer, event, call, args, kwargs):
    call(*args, **kwargs)
    raise RuntimeError("not the handler's")

aws_lambda._run_sqs_handler = broken

def handler(event, context):
    print("here once")
    return len(event["Records"])
"""
    sandbox = run_contrib(source, [{"Records": [{"eventSource": "aws:sqs", "eventSourceARN": "arn"}]}])

    assert bodies(sandbox) == [1]
    assert sandbox.output.count("here once") == 1
    assert "the instrumentation failed; the handler's outcome is not affected" in sandbox.output
    assert [span.name for span in collector.spans()] == ["fn"]


def test_handler_is_called_once_where_it_raises(run_contrib, collector):
    source = """
def handler(event, context):
    print("here once")
    raise KeyError("scan")
"""
    sandbox = run_contrib(source, [{}])

    assert sandbox.output.count("here once") == 1
    (error,) = [json.loads(mark.body) for mark in sandbox.marks if mark.kind == "error"]
    assert error["errorType"] == "KeyError"
    assert len(error["stackTrace"]) == 1
    (span,) = collector.spans()
    assert span.status.code == 2


def test_handler_that_exits_is_exported_before(run_contrib, collector):
    sandbox = run_contrib("import sys\n\ndef handler(event, context):\n    sys.exit(7)\n", [{}])

    collector.wait_for(1)
    assert sandbox.exit_code in (1, 7)
    assert [span.name for span in collector.spans()] == ["fn"]


def test_handler_instrumented_in_code(run_contrib, collector):
    source = """
from lambda_otel import instrument

@instrument
def handler(event, context):
    return handler.__name__
"""
    sandbox = run_contrib(source, [{}], with_layer=False)

    assert bodies(sandbox) == ["handler"]
    assert scopes(collector) == {"opentelemetry.instrumentation.aws_lambda": ["fn"]}


def test_function_does_not_see_what_the_instrumentation_was_told_of_the_handler(run_contrib, collector):
    source = """
import os

def handler(event, context):
    return [os.environ["ORIG_HANDLER"], __name__, hasattr(handler, "__wrapped__")]
"""
    sandbox = run_contrib(source, [{}])

    assert bodies(sandbox) == [["app.handler", "app", False]]


def test_event_context_hook_gives_the_parent_and_its_spans_are_children(run_contrib, collector):
    source = f"""
import time

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagate import extract

def find(event, context):
    with trace.get_tracer("app").start_as_current_span("look"):
        time.sleep(0.01)
    return (extract({{"traceparent": "{TRACEPARENT}"}}, Context()), {{"scan": event["scan"]}}) if event else None

def handler(event, context):
    return "done"
"""
    run_contrib(source, [{"scan": "7"}, {}], OTEL_LAMBDA_EVENT_CONTEXT="app:find")

    spans = sorted(collector.spans(), key=lambda span: span.start_time_unix_nano)
    by_name = [(span.name, span.parent_span_id.hex()) for span in spans]
    first, look, second, look_again = spans
    assert by_name == [
        ("fn", "00f067aa0ba902b7"),
        ("look", first.span_id.hex()),
        ("fn", ""),
        ("look", second.span_id.hex()),
    ]
    assert first.trace_id.hex() == look.trace_id.hex() == TRACEPARENT[3:35]
    assert first.kind == Span.SPAN_KIND_SERVER
    assert {pair.key: pair.value.string_value for pair in first.attributes}["scan"] == "7"
    assert first.end_time_unix_nano - first.start_time_unix_nano >= 10_000_000
    assert look_again.trace_id == second.trace_id


def test_aws_requests_are_the_official_instrumentations(run_contrib, collector):
    source = """
import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

sqs = boto3.client("sqs", endpoint_url="http://127.0.0.1:1", config=Config(retries={"total_max_attempts": 1}))

def handler(event, context):
    try:
        sqs.get_queue_url(QueueName="jobs")
    except EndpointConnectionError:
        return "refused"
"""
    sandbox = run_contrib(source, [{}])

    assert bodies(sandbox) == ["refused"]
    found = scopes(collector)
    assert found.pop("opentelemetry.instrumentation.aws_lambda") == ["fn"]
    ((scope, names),) = found.items()
    assert scope.startswith("opentelemetry.instrumentation.botocore")
    assert names == ["SQS.GetQueueUrl"]


def test_layer_sends_the_context_where_the_official_instrumentation_does_not(run_contrib, collector):
    source = """
import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

config = Config(retries={"total_max_attempts": 1})
s3 = boto3.client("s3", endpoint_url="http://127.0.0.1:1", config=config)
sent = []
s3.meta.events.register("before-call.s3", lambda params, **_: sent.append(dict(params["headers"])))

def handler(event, context):
    metadata = {"who": "me"}
    try:
        s3.put_object(Bucket="scans", Key="sub-01.nii", Body=b"", Metadata=metadata)
    except EndpointConnectionError:
        return sent[0]["x-amz-meta-traceparent"], sent[0]["x-amz-meta-who"], metadata
"""
    (traceparent, who, metadata) = bodies(run_contrib(source, [{}]))[0]

    (request,) = (span for span in collector.spans() if span.name == "S3.PutObject")
    assert traceparent[3:52] == f"{request.trace_id.hex()}-{request.span_id.hex()}"
    assert who == "me"
    assert metadata == {"who": "me"}


def test_layer_sends_no_context_where_it_is_told_not_to(run_contrib, collector):
    source = """
import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

s3 = boto3.client("s3", endpoint_url="http://127.0.0.1:1", config=Config(retries={"total_max_attempts": 1}))
sent = []
s3.meta.events.register("before-call.s3", lambda params, **_: sent.extend(params["headers"]))

def handler(event, context):
    try:
        s3.put_object(Bucket="scans", Key="sub-01.nii", Body=b"")
    except EndpointConnectionError:
        return [name for name in sent if name.startswith("x-amz-meta")]
"""
    assert bodies(run_contrib(source, [{}], OTEL_LAMBDA_AWS_INJECT="none")) == [[]]


def test_without_its_packages_aws_requests_have_the_layers_own_spans(run_function, collector):
    source = """
import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

sqs = boto3.client("sqs", endpoint_url="http://127.0.0.1:1", config=Config(retries={"total_max_attempts": 1}))

def handler(event, context):
    try:
        sqs.get_queue_url(QueueName="jobs")
    except EndpointConnectionError:
        return "refused"
"""
    run_function(source, [{}], OTEL_LAMBDA_INSTRUMENTATION="contrib")

    assert scopes(collector) == {"lambda_otel": ["fn"], "lambda_otel.aws": ["SQS.GetQueueUrl"]}


def test_transfer_threads_keep_their_parent(run_contrib, collector):
    source = """
import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

s3 = boto3.client("s3", endpoint_url="http://127.0.0.1:1", config=Config(retries={"total_max_attempts": 1}))

def handler(event, context):
    try:
        s3.upload_file(__file__, "scans", "sub-01.nii")
    except EndpointConnectionError:
        return "refused"
"""
    assert bodies(run_contrib(source, [{}])) == ["refused"]

    by_name = {span.name: span for span in collector.spans()}
    assert by_name["S3.PutObject"].parent_span_id == by_name["fn"].span_id
