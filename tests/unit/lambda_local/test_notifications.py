from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import unquote_plus

import pytest

from lambda_local.notifications import S3Event, eventbridge_event, matching, notification_event
from lambda_local.resources import NotificationSpec

EVENT = S3Event(
    name="ObjectCreated:Put",
    bucket="raw",
    key="in/sub 01+é.nii",
    size_bytes=12,
    etag="abc",
    version_id=None,
    sequencer="0055AED6DCD90281E5",
    at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    request_id="C3D13FE58DE4C810",
    extended_request_id="FMyUVURIY8",
    source_ip="127.0.0.1",
    principal="first",
)


@pytest.mark.parametrize(
    ("events", "prefix", "suffix", "is_match"),
    [
        ("s3:ObjectCreated:*", "", "", True),
        ("s3:ObjectCreated:Put", "in/", ".nii", True),
        ("s3:ObjectCreated:Copy", "", "", False),
        ("s3:ObjectRemoved:*", "", "", False),
        ("s3:ObjectCreated:*", "out/", "", False),
        ("s3:ObjectCreated:*", "", ".json", False),
        ("s3:*", "", "", True),
    ],
)
def test_matching_asks_kind_prefix_and_suffix(events, prefix, suffix, is_match):
    notification = NotificationSpec("id", (events,), prefix, suffix, "arn")
    assert list(matching([notification], EVENT)) == ([notification] if is_match else [])


def test_notification_event_has_every_field_of_s3s():
    (record,) = notification_event(EVENT, "conf", "eu-west-1")["Records"]
    assert record["eventVersion"].split(".")[0] == "2"
    assert (record["eventSource"], record["awsRegion"], record["eventName"]) == ("aws:s3", "eu-west-1", EVENT.name)
    assert record["eventTime"] == "2026-01-02T03:04:05.678Z"
    assert record["userIdentity"] == {"principalId": "AWS:first"}
    assert record["requestParameters"] == {"sourceIPAddress": "127.0.0.1"}
    assert record["responseElements"] == {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8"}
    assert record["s3"] == {
        "s3SchemaVersion": "1.0",
        "configurationId": "conf",
        "bucket": {"name": "raw", "ownerIdentity": {"principalId": "LOCAL"}, "arn": "arn:aws:s3:::raw"},
        "object": {
            "key": "in/sub+01%2B%C3%A9.nii",
            "size": 12,
            "eTag": "abc",
            "sequencer": "0055AED6DCD90281E5",
        },
    }
    assert unquote_plus(record["s3"]["object"]["key"]) == EVENT.key


def test_notification_event_tells_the_version_only_where_there_is_one():
    (record,) = notification_event(replace(EVENT, version_id="v1"), "conf", "eu-west-1")["Records"]
    assert record["s3"]["object"]["versionId"] == "v1"


def test_notification_event_of_a_removal_has_neither_size_nor_etag():
    (record,) = notification_event(replace(EVENT, name="ObjectRemoved:Delete"), "conf", "eu-west-1")["Records"]
    assert set(record["s3"]["object"]) == {"key", "sequencer"}


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("ObjectCreated:Put", "Object Created", "PutObject"),
        ("ObjectCreated:Copy", "Object Created", "CopyObject"),
        ("ObjectCreated:CompleteMultipartUpload", "Object Created", "CompleteMultipartUpload"),
        ("ObjectRemoved:Delete", "Object Deleted", "DeleteObject"),
    ],
)
def test_eventbridge_event_has_the_documented_shape(name, kind, reason):
    event = eventbridge_event(replace(EVENT, name=name, version_id="v1"), "123456789012", "eu-west-1")
    assert (event["source"], event["detail-type"], event["detail"]["reason"]) == ("aws.s3", kind, reason)
    assert (event["account"], event["region"]) == ("123456789012", "eu-west-1")
    assert event["time"] == "2026-01-02T03:04:05Z"
    assert event["resources"] == ["arn:aws:s3:::raw"]
    assert event["detail"]["bucket"] == {"name": "raw"}
    assert event["detail"]["request-id"] == EVENT.request_id
    assert event["detail"]["source-ip-address"] == "127.0.0.1"
    entity = event["detail"]["object"]
    assert (entity["key"], entity["version-id"], entity["sequencer"]) == (EVENT.key, "v1", EVENT.sequencer)
    assert entity.get("etag") == ("abc" if kind == "Object Created" else None)
