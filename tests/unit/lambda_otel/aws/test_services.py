"""What requests of each service say, and where they carry the context: by the functions of a service alone."""

import json
from base64 import b64decode, b64encode
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_otel.aws import eventbridge, lambda_invoke, object_keys, others, s3, sns, sqs
from lambda_otel.aws.carrier import fitting, missing, size_bytes
from lambda_otel.export.drops import Drops
from lambda_otel.triggers import trigger_of

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE_ID, SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
FIELDS = {"traceparent": TRACEPARENT, "tracestate": "a=1", "baggage": "k=v"}
KIB = 1024


def described(service, operation, params):
    return {name: value for name, value in service.describe(operation, params).items() if value is not None}


@pytest.fixture
def injected(drops):
    """Inject into parameters, and hold on to it that these stay as they were."""

    def inject(module, operation, params, fields=FIELDS):
        before = deepcopy(params)
        sent = module.SERVICE.injectors[operation](params, fields, drops)
        assert params == before
        return sent

    return inject


def test_fields_that_the_caller_has_put_in_are_his():
    assert missing(FIELDS, ["Baggage"]) == {"traceparent": TRACEPARENT, "tracestate": "a=1"}
    assert missing(FIELDS, ["tracestate"]) == {"traceparent": TRACEPARENT, "baggage": "k=v"}
    assert missing(FIELDS, ["TraceParent"]) == {"baggage": "k=v"}  # a tracestate of ours is not of his trace
    assert missing({"b3": "1", **FIELDS}, ["b3"]) == FIELDS


@pytest.mark.parametrize(
    ("room", "left", "dropped"),
    [
        (1000, ["traceparent", "tracestate", "baggage"], {}),
        (80, ["traceparent", "tracestate"], {("baggage", "no_room"): 1}),
        (70, ["traceparent"], {("baggage", "no_room"): 1, ("context", "no_room"): 1}),
        (10, [], {("baggage", "no_room"): 1, ("context", "no_room"): 2}),
        (-5, [], {("baggage", "no_room"): 1, ("context", "no_room"): 2}),
    ],
)
def test_what_has_no_room_is_left_out_and_counted(drops, room, left, dropped):
    assert list(fitting(FIELDS, lambda some: size_bytes(some) <= room, drops)) == left
    assert drops.counts() == dropped


# S3


def test_s3_says_what_the_conventions_have():
    params = {"Bucket": "b", "Key": "k", "UploadId": "u", "PartNumber": 3, "CopySource": {"Bucket": "c", "Key": "d e"}}

    assert described(s3.SERVICE, "UploadPartCopy", params) == {
        "aws.s3.bucket": "b",
        "aws.s3.key": "k",
        "aws.s3.upload_id": "u",
        "aws.s3.part_number": 3,
        "aws.s3.copy_source": "c/d e",
    }
    assert described(s3.SERVICE, "ListBuckets", {}) == {}


@pytest.mark.parametrize(
    "source", ["c/a%20b/d", "/c/a%20b/d", "c/a%20b/d?versionId=7", {"Bucket": "c", "Key": "a b/d", "VersionId": "7"}]
)
def test_s3_copy_source_is_bucket_and_key(source):
    assert described(s3.SERVICE, "CopyObject", {"CopySource": source}) == {"aws.s3.copy_source": "c/a b/d"}


def test_s3_keys_are_masked_wherever_they_are_shown(monkeypatch):
    monkeypatch.setenv("OTEL_LAMBDA_S3_KEY", "builtins:len")
    event = {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": "b"}, "object": {"key": "four"}},
            }
        ]
    }

    attributes = described(s3.SERVICE, "CopyObject", {"Bucket": "b", "Key": "four", "CopySource": "c/private"})
    assert attributes == {"aws.s3.bucket": "b", "aws.s3.key": "4", "aws.s3.copy_source": "c/7"}
    told = trigger_of(event).attributes
    assert (told["aws.s3.key"], told["faas.document.name"]) == ("4", "4")


@pytest.mark.parametrize("name", ["nonsense", "no_such_module:f", "builtins:no_such_function", "builtins:int"])
def test_s3_key_is_not_shown_where_its_mask_fails(monkeypatch, caplog, name):
    monkeypatch.setenv("OTEL_LAMBDA_S3_KEY", name)

    for _ in range(2):
        assert described(s3.SERVICE, "GetObject", {"Key": "private", "CopySource": "c/private"}) == {
            "aws.s3.copy_source": "c"
        }

    assert "private" not in caplog.text
    assert len(caplog.records) == 1


def test_s3_mask_may_leave_a_key_out():
    assert object_keys.KeyMask("builtins:print").shown("private") is None


def test_s3_mask_is_asked_once_for_a_key_and_remembers_a_bounded_number(capsys):
    mask = object_keys.KeyMask("builtins:print")

    for key in ("a", "a", *(str(number) for number in range(100)), "a"):
        assert mask.shown(key) is None

    assert capsys.readouterr().out.split() == ["a", *(str(number) for number in range(100)), "a"]
    assert len(mask._known) <= 64


@pytest.mark.parametrize("operation", ["PutObject", "CreateMultipartUpload"])
def test_s3_context_goes_into_metadata(injected, operation):
    sent = injected(s3, operation, {"Bucket": "b", "Metadata": {"colour": "red"}})

    assert sent == {"Bucket": "b", "Metadata": {"colour": "red", **FIELDS}}


def test_s3_copy_carries_context_only_if_metadata_is_replaced(injected):
    for directive in ({}, {"MetadataDirective": "COPY"}):
        params = {"CopySource": "a/b", **directive}
        assert injected(s3, "CopyObject", params) is params

    assert injected(s3, "CopyObject", {"MetadataDirective": "REPLACE"})["Metadata"] == FIELDS


def test_s3_metadata_of_the_caller_wins(injected):
    own = {"Traceparent": "mine", "colour": "red"}

    assert injected(s3, "PutObject", {"Metadata": own})["Metadata"] == {**own, "baggage": "k=v"}


@pytest.mark.parametrize(
    ("used", "added"),
    [
        (2048 - 9 - 11 - 66, ["traceparent", "tracestate", "baggage"]),
        (2048 - 9 - 11 - 65, ["traceparent", "tracestate"]),
        (2048 - 66, ["traceparent"]),
        (2048 - 65, []),
        (2048, []),
        (5000, []),
    ],
)
def test_s3_metadata_stays_within_the_limit(injected, used, added):
    own = {"x": "y" * (used - 1)}
    fields = {"traceparent": TRACEPARENT, "tracestate": "a", "baggage": "k="}  # 66, 11 and 9 bytes with their names

    sent = injected(s3, "PutObject", {"Metadata": own}, fields)

    assert list(sent["Metadata"])[1:] == added
    assert size_bytes(sent["Metadata"]) <= max(2048, used)


def test_s3_metadata_that_botocore_would_refuse_is_not_added(injected):
    fields = {"traceparent": TRACEPARENT, "own": "é"}

    assert injected(s3, "PutObject", {}, fields)["Metadata"] == {"traceparent": TRACEPARENT}


# SQS and SNS


def test_sqs_says_what_the_conventions_have():
    url = "https://sqs.eu-west-1.amazonaws.com/123/jobs"

    assert described(sqs.SERVICE, "SendMessageBatch", {"QueueUrl": url, "Entries": [{}, {}]}) == {
        "messaging.system": "aws_sqs",
        "messaging.operation.type": "send",
        "messaging.operation.name": "send",
        "messaging.destination.name": "jobs",
        "messaging.batch.message_count": 2,
        "aws.sqs.queue.url": url,
    }
    assert described(sqs.SERVICE, "ReceiveMessage", {"QueueUrl": url})["messaging.operation.type"] == "receive"
    assert described(sqs.SERVICE, "DeleteMessage", {"QueueUrl": url})["messaging.operation.name"] == "ack"
    assert described(sqs.SERVICE, "ChangeMessageVisibility", {})["messaging.operation.name"] == "nack"
    assert described(sqs.SERVICE, "ListQueues", {}) == {"messaging.system": "aws_sqs"}


def test_sns_says_topics_and_no_telephone_numbers():
    arn = "arn:aws:sns:eu-west-1:123:news"

    assert described(sns.SERVICE, "Publish", {"TopicArn": arn}) == {
        "messaging.system": "aws.sns",
        "messaging.operation.type": "send",
        "messaging.operation.name": "publish",
        "messaging.destination.name": "news",
        "aws.sns.topic.arn": arn,
    }
    assert "+44" not in str(described(sns.SERVICE, "Publish", {"PhoneNumber": "+44 7700 900000"}))


def test_sns_message_to_a_telephone_carries_nothing(injected):
    params = {"PhoneNumber": "+44 7700 900000", "Message": "m"}

    assert injected(sns, "Publish", params) is params


SENDING = [
    (sqs, "SendMessage", "MessageBody", {"QueueUrl": "q"}),
    (sns, "Publish", "Message", {"TopicArn": "t"}),
]
BATCHES = [
    (sqs, "SendMessageBatch", "MessageBody", "Entries"),
    (sns, "PublishBatch", "Message", "PublishBatchRequestEntries"),
]


def attribute(value):
    return {"DataType": "String", "StringValue": value}


@pytest.mark.parametrize(("module", "operation", "body", "more"), SENDING)
def test_message_carries_the_context_as_attributes(injected, module, operation, body, more):
    params = {body: "m", "MessageAttributes": {"own": attribute("1")}, **more}

    sent = injected(module, operation, params)

    own = {"own": attribute("1")}
    assert sent["MessageAttributes"] == own | {name: attribute(value) for name, value in FIELDS.items()}


@pytest.mark.parametrize(("module", "operation", "body", "more"), SENDING)
@pytest.mark.parametrize(("own", "added"), [(7, 3), (8, 2), (9, 1), (10, 0), (11, 0)])
def test_message_has_at_most_ten_attributes(injected, module, operation, body, more, own, added):
    attributes = {f"own{index}": attribute("1") for index in range(own)}

    sent = injected(module, operation, {body: "m", "MessageAttributes": attributes, **more})

    assert list(sent["MessageAttributes"])[own:] == ["traceparent", "tracestate", "baggage"][:added]


@pytest.mark.parametrize(("module", "operation", "body", "more"), SENDING)
@pytest.mark.parametrize("limit", [256 * KIB, 1024 * KIB])
def test_message_is_not_made_too_large(injected, module, operation, body, more, limit):
    full = {body: "m" * (limit - 80), **more}
    assert list(injected(module, operation, full)["MessageAttributes"]) == ["traceparent"]

    full = {body: "m" * limit, **more}
    assert injected(module, operation, full) is full

    # above it already, by bytes and not by characters: it is not this limit that the service has
    larger = {body: "é" * (limit // 2 + 1), **more}
    assert list(injected(module, operation, larger)["MessageAttributes"]) == list(FIELDS)


@pytest.mark.parametrize(("module", "operation", "body", "entries"), BATCHES)
def test_every_message_of_a_batch_carries_the_context_while_there_is_room(injected, module, operation, body, entries):
    sent = injected(module, operation, {entries: [{"Id": "1", body: "a"}, {"Id": "2", body: "b"}]})
    assert [list(entry["MessageAttributes"]) for entry in sent[entries]] == [list(FIELDS)] * 2

    # of one message with all its fields there is room, and of none of the other
    big = {"Id": "1", body: "a" * (256 * KIB - 150)}
    sent = injected(module, operation, {entries: [big, {"Id": "2", body: "b"}]})
    assert [list(entry.get("MessageAttributes", {})) for entry in sent[entries]] == [list(FIELDS), []]


@pytest.mark.parametrize(("module", "operation", "body", "entries"), BATCHES)
@pytest.mark.parametrize("wrong", [{}, {"entries": 3}, {"entries": ["text"]}])
def test_batch_that_makes_no_sense_stays_as_it_is(injected, module, operation, body, entries, wrong):
    params = {entries: wrong["entries"]} if wrong else {}

    assert injected(module, operation, params) is params


def test_message_with_attributes_that_make_no_sense_stays_as_it_is(injected):
    params = {"MessageBody": 3, "MessageAttributes": ["x"]}

    assert injected(sqs, "SendMessage", params) is params


# Lambda


@pytest.mark.parametrize(
    ("function", "name", "region"),
    [
        ("fn", "fn", None),
        ("fn:live", "fn", None),
        ("123456789012:function:fn", "fn", None),
        ("arn:aws:lambda:eu-west-1:123456789012:function:fn:7", "fn", "eu-west-1"),
    ],
)
def test_lambda_says_what_it_invokes(function, name, region):
    expected = {"faas.invoked_name": name, "faas.invoked_provider": "aws"}

    told = described(lambda_invoke.SERVICE, "Invoke", {"FunctionName": function})

    assert told == (expected | {"faas.invoked_region": region} if region else expected)
    assert described(lambda_invoke.SERVICE, "GetFunction", {"FunctionName": function}) == {}


def client_context(params):
    return json.loads(b64decode(params["ClientContext"]))


def encoded(value):
    return b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize("operation", ["Invoke", "InvokeWithResponseStream"])
def test_lambda_carries_the_context_in_the_client_context(injected, operation):
    sent = injected(lambda_invoke, operation, {"FunctionName": "f", "Payload": b"{}"})
    assert client_context(sent) == {"custom": FIELDS}
    assert sent["Payload"] == b"{}"

    given = {"client": {"app": "x"}, "custom": {"own": 1, "baggage": "mine"}}
    sent = injected(lambda_invoke, operation, {"ClientContext": encoded(given)})
    assert client_context(sent) == {
        "client": {"app": "x"},
        "custom": {"own": 1, "baggage": "mine", "traceparent": TRACEPARENT, "tracestate": "a=1"},
    }


@pytest.mark.parametrize(
    "params",
    [
        {"InvocationType": "Event"},
        {"InvocationType": "DryRun"},
        {"ClientContext": "no base64"},
        {"ClientContext": b64encode(b"no json").decode()},
        {"ClientContext": encoded([1])},
        {"ClientContext": encoded({"custom": "text"})},
        {"ClientContext": 3},
    ],
)
def test_lambda_request_that_cannot_carry_it_stays_as_it_is(injected, params):
    assert injected(lambda_invoke, "Invoke", params) is params


@pytest.mark.parametrize("own_bytes", range(2400, 2700, 15))
def test_lambda_client_context_stays_within_the_limit(injected, own_bytes):
    given = encoded({"custom": {"x": "y" * own_bytes}})

    sent = injected(lambda_invoke, "Invoke", {"ClientContext": given})

    assert len(sent["ClientContext"]) <= 3583 or sent["ClientContext"] == given
    assert client_context(sent)["custom"]["x"] == "y" * own_bytes


# EventBridge


@pytest.mark.parametrize(
    ("detail", "rest"),
    [
        ("{}", "}"),
        ('{"a": 1.50, "b":[ 1,2 ], "a": 2}', '"a": 1.50, "b":[ 1,2 ], "a": 2}'),
        (' \n{ "é": "{" }', ' "é": "{" }'),
    ],
)
def test_eventbridge_detail_gets_fields_and_keeps_every_byte(injected, detail, rest):
    sent = injected(eventbridge, "PutEvents", {"Entries": [{"Source": "s", "Detail": detail}]})

    extended = sent["Entries"][0]["Detail"]
    assert extended.endswith(rest)
    assert json.loads(extended) == {**json.loads(detail), **FIELDS}


@pytest.mark.parametrize("detail", ["", "text", "[1]", '"{}"', "{", '{"a": }', None, 3, '{"traceparent": "mine"}'])
def test_eventbridge_detail_that_is_no_object_or_has_a_context_keeps_it(injected, detail):
    fields = {"traceparent": TRACEPARENT, "tracestate": "a=1"}

    sent = injected(eventbridge, "PutEvents", {"Entries": [{"Detail": detail}]}, fields)

    assert sent["Entries"] == [{"Detail": detail}]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@given(_JSON, st.sampled_from([None, 0, 2]), st.booleans())
def test_eventbridge_detail_says_what_it_said_before_whatever_it_is(value, indent, is_ascii):
    detail = json.dumps(value, indent=indent, ensure_ascii=is_ascii)

    extended = eventbridge._extended(detail, FIELDS, 0, Drops())

    if isinstance(value, dict):
        assert json.loads(extended) == {**FIELDS, **value}
    else:
        assert extended is detail


@pytest.mark.parametrize("limit", [256 * KIB, 1024 * KIB])
def test_eventbridge_request_is_not_made_too_large(injected, limit):
    def entries(free):
        frame = len('{"x":""}') + len("s") + len("t")
        detail = json.dumps({"x": "y" * (limit - frame - free)}, separators=(",", ":"))
        return {"Entries": [{"Source": "s", "DetailType": "t", "Detail": detail}]}

    added = len(json.dumps(FIELDS, separators=(",", ":"))) - 1
    sent = injected(eventbridge, "PutEvents", entries(added))
    assert len("st" + sent["Entries"][0]["Detail"]) == limit
    assert set(json.loads(sent["Entries"][0]["Detail"])) == {"x", *FIELDS}

    sent = injected(eventbridge, "PutEvents", entries(added - 1))
    assert set(json.loads(sent["Entries"][0]["Detail"])) == {"x", "traceparent", "tracestate"}

    assert injected(eventbridge, "PutEvents", entries(0)) == entries(0)


def test_eventbridge_says_bus_and_number_of_events():
    params = {"Entries": [{"EventBusName": "arn:aws:events:eu-west-1:1:event-bus/own"}, {"EventBusName": "b"}]}

    assert "messaging.destination.name" not in described(eventbridge.SERVICE, "PutEvents", params)
    assert described(eventbridge.SERVICE, "PutEvents", {"Entries": params["Entries"][:1]}) == {
        "messaging.system": "aws.eventbridge",
        "messaging.operation.type": "send",
        "messaging.operation.name": "put_events",
        "messaging.destination.name": "own",
        "messaging.batch.message_count": 1,
    }


# Others


@pytest.mark.parametrize(
    ("service", "params", "expected"),
    [
        ("dynamodb", {"TableName": "t"}, {"db.collection.name": "t", "aws.dynamodb.table_names": ["t"]}),
        ("dynamodb", {"RequestItems": {"a": 1, "b": 2}}, {"aws.dynamodb.table_names": ["a", "b"]}),
        ("kinesis", {"StreamName": "s"}, {"aws.kinesis.stream_name": "s"}),
        ("secretsmanager", {"SecretId": "arn:x"}, {"aws.secretsmanager.secret.arn": "arn:x"}),
        ("secretsmanager", {"SecretId": "name"}, {}),
        ("stepfunctions", {"stateMachineArn": "a"}, {"aws.step_functions.state_machine.arn": "a"}),
    ],
)
def test_other_services_say_what_the_conventions_have(service, params, expected):
    told = described(others.SERVICES[service], "Operation", params)

    common = {"db.system.name": "aws.dynamodb", "db.operation.name": "Operation"} if service == "dynamodb" else {}
    assert told == common | expected
