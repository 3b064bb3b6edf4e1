from concurrent.futures import ThreadPoolExecutor

import boto3
import botocore.exceptions
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from pipeline.errors import ConfigError, MissingObjectError, StageError, TransientError
from pipeline.storage import ORDER_FIELD, Item, Storage, Stored

BUCKET = "bucket"


@pytest.fixture
def client():
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client


def item(content: bytes, order: str = "1") -> Item:
    return Item(content, "text/plain", {ORDER_FIELD: order})


def content_of(client) -> bytes:
    return client.get_object(Bucket=BUCKET, Key="k")["Body"].read()


def test_open_gives_bytes_size_and_metadata(client):
    client.put_object(Bucket=BUCKET, Key="k", Body=b"12345", Metadata={"Traceparent": "00-x"})

    opened = Storage(client).open(BUCKET, "k")

    assert (opened.size_bytes, opened.metadata) == (5, {"traceparent": "00-x"})
    assert opened.stream.read(2) + opened.read() == b"12345"


def test_open_reads_the_version_that_is_asked_for(client):
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    first = client.put_object(Bucket=BUCKET, Key="k", Body=b"first")["VersionId"]
    client.put_object(Bucket=BUCKET, Key="k", Body=b"second")

    assert Storage(client).open(BUCKET, "k", first).read() == b"first"


def test_create_writes_once(client):
    storage = Storage(client)

    assert storage.create(BUCKET, "k", item(b"first")) is Stored.NOW
    assert storage.create(BUCKET, "k", item(b"second")) is Stored.BEFORE
    assert content_of(client) == b"first"


def test_replace_older_gives_way_to_the_newest_in_any_order(client):
    storage = Storage(client)

    assert storage.replace_older(BUCKET, "k", item(b"two", "2")) is Stored.NOW
    assert storage.replace_older(BUCKET, "k", item(b"one", "1")) is Stored.SUPERSEDED
    assert storage.replace_older(BUCKET, "k", item(b"two again", "2")) is Stored.BEFORE
    assert storage.replace_older(BUCKET, "k", item(b"three", "3")) is Stored.NOW
    assert content_of(client) == b"three"


def test_replace_older_replaces_what_somebody_else_put_there(client):
    client.put_object(Bucket=BUCKET, Key="k", Body=b"by hand")

    assert Storage(client).replace_older(BUCKET, "k", item(b"ours")) is Stored.NOW


class Interloper:
    """An S3 client between whose look and write another run writes."""

    def __init__(self, client, orders):
        self._client, self._orders = client, list(orders)

    def __getattr__(self, name):
        return getattr(self._client, name)

    def put_object(self, **arguments):
        if self._orders:
            order = self._orders.pop()
            self._client.put_object(Bucket=BUCKET, Key="k", Body=order.encode(), Metadata={ORDER_FIELD: order})
        return self._client.put_object(**arguments)


def test_replace_older_sees_a_newer_run_that_writes_in_between(client):
    assert Storage(Interloper(client, ["3"])).replace_older(BUCKET, "k", item(b"two", "2")) is Stored.SUPERSEDED
    assert content_of(client) == b"3"


@pytest.mark.parametrize("orders", [["1"], ["15", "1"], ["17", "15", "1"]], ids=len)
def test_replace_older_replaces_older_runs_that_write_in_between(client, orders):
    assert Storage(Interloper(client, orders)).replace_older(BUCKET, "k", item(b"two", "2")) is Stored.NOW
    assert content_of(client) == b"two"


def test_replace_older_gives_up_when_others_never_stop(client):
    endless = Interloper(client, [f"1{n}" for n in range(100)])

    with pytest.raises(TransientError, match="changed by others"):
        Storage(endless).replace_older(BUCKET, "k", item(b"two", "2"))


def test_missing_object_is_told(client):
    storage = Storage(client)

    assert storage.metadata(BUCKET, "k") is None
    with pytest.raises(MissingObjectError, match=r"`s3://bucket/hashed-[0-9a-f]{16}` does not exist"):
        storage.open(BUCKET, "k")


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("SlowDown", 503, TransientError),
        ("InternalError", 500, TransientError),
        ("NewKindOfTrouble", 502, TransientError),
        ("RequestTimeout", 400, TransientError),
        ("ConditionalRequestConflict", 409, TransientError),
        ("AccessDenied", 403, ConfigError),
        ("NoSuchBucket", 404, ConfigError),
        ("NoSuchKey", 404, MissingObjectError),
        ("NewKindOfRefusal", 400, StageError),
    ],
)
def test_errors_are_told_apart_by_code(code, status, expected):
    client = boto3.client("s3")
    with Stubber(client) as stub:
        stub.add_client_error("get_object", code, http_status_code=status)
        with pytest.raises(expected):
            Storage(client).open(BUCKET, "k")


class CutBody:
    def __init__(self, error):
        self._error = error

    def read(self, _size=None):
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        botocore.exceptions.ReadTimeoutError(endpoint_url="http://s3"),
        ConnectionResetError(),
    ],
)
def test_a_connection_cut_while_reading_is_transient(client, error):
    client.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    opened = Storage(client).open(BUCKET, "k")
    opened.stream._body = CutBody(error)

    with pytest.raises(TransientError):
        opened.stream.read(1)


def test_no_answer_at_all_is_transient():
    client = boto3.client(
        "s3", endpoint_url="http://127.0.0.1:9", config=botocore.config.Config(retries={"total_max_attempts": 1})
    )

    with pytest.raises(TransientError, match="did not answer"):
        Storage(client).create(BUCKET, "k", item(b"x"))


def test_of_many_twins_one_creates(client):
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda n: Storage(client).create(BUCKET, "k", item(b"%d" % n)), range(4)))

    assert results.count(Stored.NOW) >= 1
    assert Storage(client).create(BUCKET, "k", item(b"late")) is Stored.BEFORE
