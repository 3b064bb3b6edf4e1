"""Events on their way: S3 to functions, retries, failure destinations, queues, EventBridge."""

import io
import json
import os
import threading
from pathlib import Path
from urllib.parse import unquote

import pytest
from boto3.s3.transfer import TransferConfig

from lambda_local import (
    BucketSpec,
    EnvironmentStarted,
    InvocationEnded,
    InvocationGivenUp,
    InvocationStarted,
    MessageQueued,
    ObjectCreated,
    Outcome,
    RetryScheduled,
)


@pytest.fixture(scope="module", autouse=True)
def _existing_bucket(service):
    service.create_bucket(BucketSpec("theirs", has_eventbridge=True))


def seen(s3, bucket, key):
    """The event that the function saw which wrote an object."""
    return json.loads(unquote(s3.head_object(Bucket=bucket, Key=key)["Metadata"]["seen"]))


def body(s3, bucket, key):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


@pytest.mark.parametrize("key", ["in/plain.bin", "in/a b+c.bin", "in/é%2Fü 漢字.bin"])
def test_upload_goes_through_two_functions(service, s3, watcher, key):
    s3.put_object(Bucket="local-test-raw", Key=key, Body=b"data", Metadata={"traceparent": "00-1"})
    assert service.drain(20)
    assert body(s3, "local-test-result", key) == b"data"
    metadata = s3.head_object(Bucket="local-test-result", Key=key)["Metadata"]
    assert metadata["traceparent"] == "00-1"
    told = [(event.bucket, event.key) for event in watcher.all(ObjectCreated)]
    assert told == [("local-test-raw", key), ("local-test-work", key), ("local-test-result", key)]
    # The second may well end before the first, which still has to come back from its write.
    assert sorted(event.function for event in watcher.all(InvocationEnded, outcome=Outcome.OK)) == ["first", "second"]


def test_records_tell_who_wrote_and_which_version(service, s3, watcher):
    s3.put_object(Bucket="local-test-raw", Key="in/who.bin", Body=b"1")
    assert service.drain(20)
    (first,) = seen(s3, "local-test-work", "in/who.bin")["Records"]
    assert first["userIdentity"]["principalId"] == "AWS:local-user"
    assert "versionId" not in first["s3"]["object"]
    (second,) = watcher.all(ObjectCreated, bucket="local-test-work")
    assert second.version_id


def test_objects_that_match_no_filter_invoke_nothing(service, s3, watcher):
    for key in ("out/x.bin", "in/x.txt"):
        s3.put_object(Bucket="local-test-work", Key=key, Body=b"")
    assert service.drain(20)
    assert watcher.all(InvocationStarted) == []


def test_multipart_upload_invokes_once(service, s3, watcher):
    content = os.urandom(6 << 20)
    transfer = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    s3.upload_fileobj(io.BytesIO(content), "local-test-raw", "in/big.bin", Config=transfer)
    assert service.drain(20)
    assert sorted(event.function for event in watcher.all(InvocationEnded)) == ["first", "second"]
    assert body(s3, "local-test-result", "in/big.bin") == content


def test_two_records_in_one_event_are_both_there(service, s3, watcher):
    for name in "ab":
        s3.put_object(Bucket="local-test-work", Key=f"two/{name}.txt", Body=name.encode())
    records = [{"s3": {"bucket": {"name": "local-test-work"}, "object": {"key": f"two/{name}.txt"}}} for name in "ab"]
    result = service.invoke("second", json.dumps({"Records": records}).encode())
    assert result.function_error is None
    assert [body(s3, "local-test-result", f"two/{name}.txt") for name in "ab"] == [b"a", b"b"]


def test_eventbridge_event_of_an_existing_bucket_invokes_by_its_rule(service, s3, watcher):
    s3.put_object(Bucket="theirs", Key="some/other.txt", Body=b"")
    s3.put_object(Bucket="theirs", Key="some/scan é.bin", Body=b"data")
    assert service.drain(20)
    assert [event.function for event in watcher.all(InvocationEnded)] == ["second"]
    event = seen(s3, "local-test-result", "some/scan é.bin")
    assert event["detail-type"] == "Object Created"
    assert event["detail"]["object"]["key"] == "some/scan é.bin"
    assert event["detail"]["object"]["size"] == 4
    assert event["detail"]["reason"] == "PutObject"


def test_schedule_sends_its_constant_input(service, s3, watcher):
    service.fire_schedule("tick")
    assert service.drain(20)
    assert body(s3, "local-test-result", "ticked") == b""


@pytest.mark.parametrize(
    ("event", "outcome", "error_type"),
    [
        ({"do": "raise"}, Outcome.ERROR, "DemandedError"),
        ({"do": "exit"}, Outcome.CRASH, "Runtime.ExitError"),
        ({"do": "kill"}, Outcome.CRASH, "Runtime.ExitError"),
        ({"do": "sleep", "s": 30}, Outcome.TIMEOUT, "Sandbox.Timedout"),
    ],
)
def test_failing_event_is_retried_under_its_request_id_and_then_recorded(
    service, s3, watcher, event, outcome, error_type
):
    request_id = service.invoke_async("act", json.dumps(event).encode())
    assert service.drain(30)
    attempts = watcher.all(InvocationEnded, function="act")
    assert [(end.request_id, end.attempt, end.outcome) for end in attempts] == [
        (request_id, 1, outcome),
        (request_id, 2, outcome),
    ]
    (retry,) = watcher.all(RetryScheduled)
    assert (retry.request_id, retry.next_attempt, retry.wait_s) == (request_id, 2, pytest.approx(0.12))
    (given_up,) = watcher.all(InvocationGivenUp)
    assert (given_up.condition, given_up.attempts) == ("RetriesExhausted", 2)
    record = json.loads(body(s3, "local-test-result", f"failures/{request_id}.json"))
    assert record["requestContext"] == {
        "requestId": request_id,
        "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:act:$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 2,
    }
    assert record["requestPayload"] == event
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert record["responsePayload"]["errorType"] == error_type


def test_poison_message_is_dead_after_its_last_time_and_the_others_are_not(service, s3, watcher):
    good = {"requestContext": {"requestId": "good"}}
    queue = service.queues["local-FailureQueue"]
    queue.send(json.dumps({"poison": True}))
    queue.send(json.dumps(good))
    assert service.drain(20)
    assert json.loads(body(s3, "local-test-result", "failures/good.json")) == good
    assert queue.messages() == ()
    (dead,) = service.queues["local-DeadQueue"].messages()
    assert json.loads(dead.body) == {"poison": True}
    assert len(watcher.all(MessageQueued, queue="local-DeadQueue")) == 1
    # Received as often as the redrive policy says, with the good one beside it or after it.
    assert len(watcher.all(InvocationEnded, function="failures")) in (2, 3)
    service.queues["local-DeadQueue"].delete([dead])


def test_async_events_beyond_the_limit_wait_and_use_up_no_attempt(service, watcher):
    for _ in range(6):
        service.invoke_async("reserved", b'{"do": "sleep", "s": 0.1}')
    assert service.drain(20)
    ended = watcher.all(InvocationEnded, function="reserved")
    assert [event.outcome for event in ended] == [Outcome.OK] * 6
    assert {event.attempt for event in ended} == {1}
    assert len(watcher.all(EnvironmentStarted, function="reserved")) <= 2
    running, most = 0, 0
    for event in (*watcher.all(InvocationStarted | InvocationEnded),):
        running += 1 if isinstance(event, InvocationStarted) else -1
        most = max(most, running)
    assert most == 2


def test_fault_for_one_function_ends_in_its_retry(service, s3, watcher):
    from lambda_local.s3_faults import ACCESS_DENIED

    active = service.s3.faults.add(
        ACCESS_DENIED, where=lambda request: request.caller == "second" and request.method == "PUT", times=1
    )
    s3.put_object(Bucket="local-test-raw", Key="in/faulty.bin", Body=b"data")
    assert service.drain(20)
    assert active.hits == 1
    assert [event.outcome for event in watcher.all(InvocationEnded, function="first")] == [Outcome.OK]
    attempts = watcher.all(InvocationEnded, function="second")
    assert [event.outcome for event in attempts] == [Outcome.ERROR, Outcome.OK]
    assert body(s3, "local-test-result", "in/faulty.bin") == b"data"


def test_two_hundred_quick_files_all_arrive(service, s3, watcher):
    threads_before, descriptors_before = threading.active_count(), sum(1 for _ in Path("/proc/self/fd").iterdir())
    for number in range(200):
        s3.put_object(Bucket="local-test-raw", Key=f"in/many/{number:03}.bin", Body=str(number).encode())
    assert service.drain(60)
    keys = [
        item["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket="local-test-result", Prefix="in/many/")
        for item in page["Contents"]
    ]
    assert keys == [f"in/many/{number:03}.bin" for number in range(200)]
    assert len(watcher.all(InvocationEnded, outcome=Outcome.OK)) == 400
    # A handful of environments and their threads were added, but nothing a file.
    assert threading.active_count() - threads_before < 150
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) - descriptors_before < 200
