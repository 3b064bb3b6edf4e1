"""S3: each correction is shown as a fault of plain moto first, and as right at our endpoint then."""

import base64
import contextlib
import hashlib
import http.client
import io
import json
import os
import socket
import threading
import time
from pathlib import Path

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3 import notifications as moto_notifications
from moto.s3.models import FakeKey, S3Backend
from werkzeug.serving import make_server

from lambda_local import BucketSpec, LambdaLocalError
from lambda_local.notifications import notification_event
from lambda_local.s3 import S3Endpoint
from lambda_local.s3_faults import ACCESS_DENIED, RESET, RESET_AFTER_EFFECT, SLOW_DOWN, hang

ONE_TRY = Config(retries={"total_max_attempts": 1}, max_pool_connections=20)


class _QuietHandler(MotoRequestHandler):
    def log(self, *_):
        pass


@pytest.fixture
def plain_moto(monkeypatch):
    """moto's own server, and the events as it would send them."""
    events = []

    def note(account_id, event_name, bucket, key):
        record = moto_notifications._get_s3_event(event_name, bucket, key, "id")["Records"][0]
        if event_name.value.startswith("s3:ObjectCreated:"):
            events.append(record | {"metadata seen": dict(key.metadata)})

    monkeypatch.setattr(moto_notifications, "send_event", note)
    server = make_server(
        "127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True, request_handler=_QuietHandler
    )
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    client = _client(f"http://127.0.0.1:{server.port}")
    client.create_bucket(Bucket="plain")
    yield client, events
    server.shutdown()
    from moto.backends import get_backend

    get_backend("s3").reset()


@pytest.fixture
def endpoint():
    events = []
    endpoint = S3Endpoint(events.append)
    endpoint.start()
    endpoint.create_bucket(BucketSpec("ours"))
    endpoint.create_bucket(BucketSpec("versioned", is_versioned=True))
    yield endpoint, events
    endpoint.stop()


@pytest.fixture
def client(endpoint):
    return _client(endpoint[0].url)


SESSION = boto3.session.Session("local-user", "local", region_name="us-east-1")


def _client(url):
    return SESSION.client("s3", endpoint_url=url, config=ONE_TRY)


def _code(excinfo):
    return excinfo.value.response["Error"]["Code"]


def upload_in_parts(client, bucket, key, **extra):
    transfer = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    client.upload_fileobj(io.BytesIO(os.urandom(11 << 20)), bucket, key, Config=transfer, **extra)


def test_plain_moto_notifies_before_the_metadata_is_stored(plain_moto):
    client, events = plain_moto
    client.put_object(Bucket="plain", Key="k", Body=b"x", Metadata={"traceparent": "00-1"})
    assert "x-amz-meta-traceparent" not in events[0]["metadata seen"]


def test_event_comes_when_the_object_is_complete():
    seen = []

    def look(event):
        answer = client.head_object(Bucket=event.bucket, Key=event.key)
        seen.append((answer["Metadata"], answer["ContentLength"], answer["ResponseMetadata"]["HTTPStatusCode"]))

    endpoint = S3Endpoint(look)
    endpoint.start()
    try:
        endpoint.create_bucket(BucketSpec("ours"))
        client = endpoint.client()
        client.put_object(Bucket="ours", Key="k", Body=b"xyz", Metadata={"traceparent": "00-1"})
    finally:
        endpoint.stop()
    assert seen == [({"traceparent": "00-1"}, 3, 200)]


@pytest.fixture
def slow_moto(monkeypatch):
    """moto that lets others in where it is not atomic: before it stores an object, and before its metadata."""
    put_object, set_metadata = S3Backend.put_object, FakeKey.set_metadata

    def slow_put_object(*args, **kwargs):
        time.sleep(0.05)
        return put_object(*args, **kwargs)

    def slow_set_metadata(*args, **kwargs):
        time.sleep(0.05)
        return set_metadata(*args, **kwargs)

    monkeypatch.setattr(S3Backend, "put_object", slow_put_object)
    monkeypatch.setattr(FakeKey, "set_metadata", slow_set_metadata)


def metadata_seen_while_written(client, bucket):
    """What others see of an object's metadata from its first byte on."""
    writer = threading.Thread(
        target=client.put_object, kwargs={"Bucket": bucket, "Key": "k", "Body": b"x", "Metadata": {"a": "1"}}
    )
    writer.start()
    seen = []
    while writer.is_alive() or not seen:
        with contextlib.suppress(ClientError):
            seen.append(client.head_object(Bucket=bucket, Key="k")["Metadata"])
    writer.join()
    return seen


def test_plain_moto_shows_objects_without_their_metadata(plain_moto, slow_moto):
    assert {} in metadata_seen_while_written(plain_moto[0], "plain")


def test_object_is_never_seen_without_its_metadata(client, slow_moto):
    seen = metadata_seen_while_written(client, "ours")
    assert seen
    assert all(metadata == {"a": "1"} for metadata in seen)


def test_plain_moto_tells_twice_of_a_multipart_upload(plain_moto):
    client, events = plain_moto
    upload_in_parts(client, "plain", "big")
    assert [event["eventName"] for event in events] == ["ObjectCreated:Put", "ObjectCreated:CompleteMultipartUpload"]


def test_multipart_upload_is_one_event(endpoint, client):
    upload_in_parts(client, "ours", "big", ExtraArgs={"Metadata": {"a": "1"}})
    (event,) = endpoint[1]
    assert (event.name, event.size_bytes) == ("ObjectCreated:CompleteMultipartUpload", 11 << 20)
    answer = client.head_object(Bucket="ours", Key="big")
    assert answer["Metadata"] == {"a": "1"}
    assert answer["ETag"].strip('"') == event.etag
    assert event.etag.endswith("-3")


def test_plain_moto_leaves_fields_out_and_encodes_slashes(plain_moto):
    client, events = plain_moto
    client.put_object(Bucket="plain", Key="a/b c.nii", Body=b"x")
    (record,) = events
    assert "%2F" in record["s3"]["object"]["key"]
    assert {"userIdentity", "requestParameters", "responseElements"}.isdisjoint(record)
    assert {"sequencer", "versionId"}.isdisjoint(record["s3"]["object"])
    assert "ownerIdentity" not in record["s3"]["bucket"]


def test_record_has_every_field_and_keeps_slashes(endpoint, client):
    answer = client.put_object(Bucket="ours", Key="a/b c+é.nii", Body=b"x")
    (record,) = notification_event(endpoint[1][0], "conf", "us-east-1")["Records"]
    assert record["s3"]["object"]["key"] == "a/b+c%2B%C3%A9.nii"
    assert record["s3"]["object"]["eTag"] == answer["ETag"].strip('"')
    assert record["s3"]["object"]["size"] == 1
    assert record["userIdentity"] == {"principalId": "AWS:local-user"}
    assert record["requestParameters"] == {"sourceIPAddress": "127.0.0.1"}
    # The client sees the same request id, by which AWS's support would find the request.
    assert record["responseElements"]["x-amz-request-id"] == answer["ResponseMetadata"]["RequestId"]
    assert record["responseElements"]["x-amz-id-2"] == answer["ResponseMetadata"]["HostId"]
    assert record["s3"]["bucket"]["ownerIdentity"]


def test_sequencers_increase_and_follow_the_last_write(endpoint, client):
    threads = [
        threading.Thread(target=client.put_object, kwargs={"Bucket": "ours", "Key": "k", "Body": body})
        for body in (b"a", b"bb", b"ccc", b"dddd", b"eeeee")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = endpoint[1]
    assert all(len(event.sequencer) == 18 and int(event.sequencer, 16) for event in events)
    assert len({event.sequencer for event in events}) == 5
    last = max(events, key=lambda event: event.sequencer)
    assert client.head_object(Bucket="ours", Key="k")["ContentLength"] == last.size_bytes


def test_version_ids_are_told_and_can_be_asked_for(endpoint, client):
    first = client.put_object(Bucket="versioned", Key="k", Body=b"1")["VersionId"]
    second = client.put_object(Bucket="versioned", Key="k", Body=b"2")["VersionId"]
    assert [event.version_id for event in endpoint[1]] == [first, second]
    assert client.get_object(Bucket="versioned", Key="k", VersionId=first)["Body"].read() == b"1"
    client.put_object(Bucket="ours", Key="k", Body=b"1")
    assert endpoint[1][-1].version_id is None


def test_copies_and_removals_are_events(endpoint, client):
    client.put_object(Bucket="ours", Key="k", Body=b"1", Metadata={"kept": "yes"})
    client.copy_object(Bucket="ours", Key="copy", CopySource={"Bucket": "ours", "Key": "k"})
    client.delete_object(Bucket="ours", Key="copy")
    client.delete_object(Bucket="ours", Key="was never there")
    told = [(event.name, event.key) for event in endpoint[1]]
    assert told == [
        ("ObjectCreated:Put", "k"),
        ("ObjectCreated:Copy", "copy"),
        ("ObjectRemoved:Delete", "copy"),
    ]


def test_plain_moto_accepts_a_wrong_content_md5(plain_moto):
    client, _ = plain_moto
    client.put_object(Bucket="plain", Key="k", Body=b"x", ContentMD5=_md5(b"y"))


def test_wrong_content_md5_is_refused_and_a_right_one_is_not(endpoint, client):
    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket="ours", Key="k", Body=b"x", ContentMD5=_md5(b"y"))
    assert _code(refused) == "BadDigest"
    assert endpoint[1] == []
    client.put_object(Bucket="ours", Key="k", Body=b"x", ContentMD5=_md5(b"x"))
    assert len(endpoint[1]) == 1


def _md5(body):
    return base64.b64encode(hashlib.md5(body).digest()).decode()


# One byte more than S3 takes, names and values together; a value alone would fit.
TOO_MUCH_METADATA = {"a": "x" * 1000, "bc": "y" * 1046}


def test_plain_moto_takes_more_metadata_than_s3_does(plain_moto):
    client, _ = plain_moto
    client.put_object(Bucket="plain", Key="k", Body=b"x", Metadata=TOO_MUCH_METADATA)
    assert client.head_object(Bucket="plain", Key="k")["Metadata"] == TOO_MUCH_METADATA


def test_too_much_metadata_is_refused_and_as_much_as_s3_takes_is_not(endpoint, client):
    for write in (client.put_object, client.create_multipart_upload):
        with pytest.raises(ClientError) as refused:
            write(Bucket="ours", Key="k", Metadata=TOO_MUCH_METADATA)
        assert _code(refused) == "MetadataTooLarge"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert endpoint[1] == []
    just_enough = TOO_MUCH_METADATA | {"a": "x" * 999}
    client.put_object(Bucket="ours", Key="k", Body=b"x", Metadata=just_enough)
    assert client.head_object(Bucket="ours", Key="k")["Metadata"] == just_enough


def test_metadata_is_measured_in_bytes(endpoint):
    host = endpoint[0].url.removeprefix("http://")
    statuses = []
    for letters in (1023, 1024):  # of two bytes each, and one byte of the name
        connection = http.client.HTTPConnection(host, timeout=5)
        connection.request("PUT", "/ours/k", body=b"x", headers={"x-amz-meta-n": ("é" * letters).encode()})
        statuses.append(connection.getresponse().status)
        connection.close()
    assert statuses == [200, 400]


def write_at_once(client, bucket):
    """Lets several clients write an object that must not be there yet: what each was told."""
    told = []

    def write():
        try:
            client.put_object(Bucket=bucket, Key="k", Body=b"x", IfNoneMatch="*")
            told.append(200)
        except ClientError as error:
            told.append(error.response["ResponseMetadata"]["HTTPStatusCode"])

    threads = [threading.Thread(target=write) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(told)


def test_plain_moto_lets_several_conditional_writes_win(plain_moto, slow_moto):
    assert write_at_once(plain_moto[0], "plain").count(200) > 1


def test_conditional_writes_have_one_winner(endpoint, client, slow_moto):
    assert write_at_once(client, "ours") == [200, 412, 412, 412, 412]
    assert len(endpoint[1]) == 1


def test_if_match_replaces_only_what_was_seen(client):
    etag = client.put_object(Bucket="ours", Key="k", Body=b"1")["ETag"]
    client.put_object(Bucket="ours", Key="k", Body=b"2", IfMatch=etag)
    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket="ours", Key="k", Body=b"3", IfMatch=etag)
    assert _code(refused) == "PreconditionFailed"
    with pytest.raises(ClientError) as missing:
        client.put_object(Bucket="ours", Key="none", Body=b"3", IfMatch=etag)
    assert _code(missing) == "NoSuchKey"


def test_upload_that_breaks_off_stores_nothing(endpoint, client):
    host, port = endpoint[0].url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"PUT /ours/half HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b"x" * 400)
    client.put_object(Bucket="ours", Key="whole", Body=b"1")
    assert [item["Key"] for item in client.list_objects_v2(Bucket="ours")["Contents"]] == ["whole"]
    assert [event.key for event in endpoint[1]] == ["whole"]


def test_missing_keys_are_404_to_who_may_list(client):
    with pytest.raises(ClientError) as missing:
        client.get_object(Bucket="ours", Key="none")
    assert _code(missing) == "NoSuchKey"


def test_missing_keys_are_403_to_who_may_not_list():
    endpoint = S3Endpoint(lambda _: None, missing_key_is_403=True)
    endpoint.start()
    try:
        endpoint.create_bucket(BucketSpec("ours"))
        client = _client(endpoint.url)
        with pytest.raises(ClientError) as got:
            client.get_object(Bucket="ours", Key="none")
        assert _code(got) == "AccessDenied"
        with pytest.raises(ClientError) as asked:
            client.head_object(Bucket="ours", Key="none")
        assert asked.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        with pytest.raises(ClientError) as bucket:
            client.get_object(Bucket="nobodys", Key="none")
        assert _code(bucket) == "NoSuchBucket"
        client.put_object(Bucket="ours", Key="k", Body=b"1")
        assert client.get_object(Bucket="ours", Key="k")["Body"].read() == b"1"
    finally:
        endpoint.stop()


@pytest.mark.parametrize(
    "key", ["plain", "with space", "a+b", "a%2Fb", "é/ü/漢字", "a//b", "/lead", "q?x=1&y", "~a'(b)*!"]
)
def test_keys_come_back_as_they_were_given(endpoint, client, key):
    client.put_object(Bucket="ours", Key=key, Body=key.encode())
    assert client.get_object(Bucket="ours", Key=key)["Body"].read() == key.encode()
    assert [item["Key"] for item in client.list_objects_v2(Bucket="ours")["Contents"]] == [key]
    assert endpoint[1][0].key == key


def test_metadata_names_keep_their_underscores(client):
    client.put_object(Bucket="ours", Key="k", Body=b"", Metadata={"a_b": "1", "c-d": "2"})
    assert client.head_object(Bucket="ours", Key="k")["Metadata"] == {"a_b": "1", "c-d": "2"}


def test_bodies_of_unknown_length_and_ranges(client):
    class Unseekable(io.RawIOBase):
        def __init__(self, content):
            self._content = io.BytesIO(content)

        def readable(self):
            return True

        def readinto(self, buffer):
            return self._content.readinto(buffer)

    content = os.urandom(300_000)
    client.upload_fileobj(Unseekable(content), "ours", "k")
    assert client.get_object(Bucket="ours", Key="k")["Body"].read() == content
    assert client.get_object(Bucket="ours", Key="k", Range="bytes=10-19")["Body"].read() == content[10:20]


def test_chunked_requests_are_read(endpoint, client):
    connection = http.client.HTTPConnection(endpoint[0].url.removeprefix("http://"), timeout=5)
    connection.request("PUT", "/ours/k", body=iter([b"first ", b"second"]), encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    assert client.get_object(Bucket="ours", Key="k")["Body"].read() == b"first second"


def test_listing_stands_against_concurrent_writes(client):
    is_done = threading.Event()

    def write():
        for number in range(80):
            client.put_object(Bucket="ours", Key=f"k{number:03}", Body=b"")
        is_done.set()

    thread = threading.Thread(target=write)
    thread.start()
    counts = []
    while not is_done.is_set():
        counts.append(client.list_objects_v2(Bucket="ours")["KeyCount"])
    thread.join()
    assert counts == sorted(counts)
    assert client.list_objects_v2(Bucket="ours")["KeyCount"] == 80


def test_notifications_cannot_be_configured(client):
    with pytest.raises(ClientError) as refused:
        client.put_bucket_notification_configuration(
            Bucket="ours", NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
    assert _code(refused) == "NotImplemented"


def test_one_endpoint_at_a_time_and_the_next_one_is_empty(endpoint):
    with pytest.raises(LambdaLocalError, match="already has an S3 endpoint"):
        S3Endpoint(lambda _: None)


def test_stop_leaves_moto_as_it_was():
    original = moto_notifications.send_event
    for _ in range(2):
        endpoint = S3Endpoint(lambda _: None)
        endpoint.start()
        endpoint.create_bucket(BucketSpec("ours"))
        endpoint.stop()
    assert moto_notifications.send_event is original


def test_stop_leaves_no_threads_and_no_sockets():
    threads, descriptors = threading.active_count(), sum(1 for _ in Path("/proc/self/fd").iterdir())
    endpoint = S3Endpoint(lambda _: None)
    endpoint.start()
    endpoint.create_bucket(BucketSpec("ours"))
    connections = [http.client.HTTPConnection(endpoint.url.removeprefix("http://")) for _ in range(5)]
    for connection in connections:  # kept alive, and idle
        connection.request("GET", "/ours")
        connection.getresponse().read()
    assert threading.active_count() > threads
    endpoint.stop()
    for connection in connections:
        connection.close()
    end = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() == threads
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) <= descriptors + 1


def test_faults_answer_errors_for_the_next_requests_that_match(endpoint, client):
    active = endpoint[0].faults.add(SLOW_DOWN, where=lambda request: request.method == "PUT", times=2)
    for _ in range(2):
        with pytest.raises(ClientError) as refused:
            client.put_object(Bucket="ours", Key="k", Body=b"1")
        assert _code(refused) == "SlowDown"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    client.put_object(Bucket="ours", Key="k", Body=b"1")
    assert active.hits == 2
    endpoint[0].faults.add(ACCESS_DENIED, where=lambda request: request.key == "k" and request.caller == "local-user")
    with pytest.raises(ClientError) as denied:
        client.get_object(Bucket="ours", Key="k")
    assert _code(denied) == "AccessDenied"


def test_faults_reset_before_or_after_the_effect(endpoint, client):
    for fault, is_stored in ((RESET, False), (RESET_AFTER_EFFECT, True)):
        active = endpoint[0].faults.add(fault, times=1)
        with pytest.raises(ConnectionClosedError):
            client.put_object(Bucket="ours", Key=f"k-{is_stored}", Body=b"1")
        assert active.hits == 1
        assert ("Contents" in client.list_objects_v2(Bucket="ours", Prefix=f"k-{is_stored}")) is is_stored
    assert [event.key for event in endpoint[1]] == ["k-True"]


def test_faults_hang_for_their_time(endpoint, client):
    endpoint[0].faults.add(hang(0.2), times=1)
    started = time.monotonic()
    with pytest.raises(ConnectionClosedError):
        client.get_object(Bucket="ours", Key="k")
    assert time.monotonic() - started >= 0.2


def test_client_of_the_endpoint_bears_its_callers_name(endpoint):
    endpoint[0].client("somebody").put_object(Bucket="ours", Key="k", Body=json.dumps({}).encode())
    assert endpoint[1][0].principal == "somebody"
