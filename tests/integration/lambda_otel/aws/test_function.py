"""A function that uses boto3, in a real runtime process with the layer's wrapper script."""

import json
from urllib.parse import unquote

import pytest

CLIENT = """
import logging
import sys

import boto3

s3 = boto3.client("s3", aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-west-1")


def handler(event, context):
    s3.put_object(Bucket="b", Key="scan", Body=b"x")
    return [type(finder).__module__ for finder in sys.meta_path]
"""
REFUSED = """
import boto3

s3 = boto3.client("s3", aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-west-1")


def handler(event, context):
    s3.get_object(Bucket="b", Key="scan")
"""
READER = """
import boto3
from opentelemetry import propagate

s3 = boto3.client("s3", aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-west-1")


def context_of(event, context):
    return propagate.extract(s3.get_object(Bucket="b", Key="scan")["Metadata"])


def handler(event, context):
    return "done"
"""
MASK = """

def mask(key):
    logging.getLogger().warning("masking")
    return key.upper()
"""
PLAIN = """
import sys


def handler(event, context):
    return [name for name in sys.modules if name.split(".")[0] in ("boto3", "botocore", "s3transfer")] + [
        name for name in sys.modules if name.startswith("lambda_otel.aws")
    ]
"""
XRAY = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0;Lineage=1:abcdef01:3"


def attributes(span):
    return {pair.key: pair.value.string_value for pair in span.attributes}


def response(sandbox):
    return next(json.loads(mark.body) for mark in sandbox.marks if mark.kind == "response")


@pytest.fixture
def run_client(run_function, service):
    def run(source, events, **more):
        return run_function(source, events, AWS_ENDPOINT_URL=service.endpoint, **more)

    return run


def test_requests_are_children_of_the_invocation(run_client, collector, service):
    sandbox = run_client(CLIENT, [{}], headers={"Lambda-Runtime-Trace-Id": XRAY})

    put, invocation = collector.spans()
    assert (put.name, invocation.name) == ("S3.PutObject", "fn")
    assert put.parent_span_id == invocation.span_id
    assert attributes(put)["aws.s3.key"] == "scan"
    (headers,) = service.headers("/b/scan")
    sent = headers["x-amz-meta-traceparent"]
    assert sent == f"00-{put.trace_id.hex()}-{put.span_id.hex()}-03"
    assert unquote(headers["x-amzn-trace-id"]) == XRAY
    assert "lambda_otel.aws.post_import" not in response(sandbox)  # its work is done


def test_key_mask_and_baggage_attributes_are_as_the_function_sets_them(run_client, collector):
    source = CLIENT + MASK

    run_client(
        source,
        [{"requestContext": {"http": {}}, "headers": {"baggage": "user.tier=gold,other=1"}}],
        OTEL_LAMBDA_S3_KEY="app:mask",
        OTEL_LAMBDA_BAGGAGE_ATTRIBUTES="user.tier",
    )

    put, invocation = collector.spans()
    assert attributes(put)["aws.s3.key"] == "SCAN"
    assert [attributes(span).get("user.tier") for span in (put, invocation)] == ["gold", "gold"]
    assert "other" not in attributes(put)
    (record,) = collector.records()
    assert attributes(record)["user.tier"] == "gold"
    assert "other" not in attributes(record)


def test_object_that_a_hook_opens_gives_the_parent_and_is_a_child(run_client, collector, service):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    service.metadata = {"traceparent": parent}

    run_client(READER, [{}], OTEL_LAMBDA_EVENT_CONTEXT="app:context_of")

    get, invocation = collector.spans()
    assert invocation.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert invocation.parent_span_id.hex() == "b7ad6b7169203331"
    assert (get.trace_id, get.parent_span_id) == (invocation.trace_id, invocation.span_id)


def test_error_of_a_request_is_reported_as_without_the_layer(run_client, service):
    reported = []
    for with_layer in (True, False):
        service.answers.append((403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"))
        sandbox = run_client(REFUSED, [{}], with_layer=with_layer)
        reported.append(next(json.loads(mark.body) for mark in sandbox.marks if mark.kind == "error"))

    assert "AccessDenied" in reported[0]["errorMessage"]
    for report in reported:
        report.pop("requestId")
    assert reported[0] == reported[1]


def test_function_without_boto3_loads_nothing_of_it(run_client, collector):
    loaded = response(run_client(PLAIN, [{}]))

    assert set(loaded) == {"lambda_otel.aws", "lambda_otel.aws.post_import", "lambda_otel.aws.object_keys"}
