"""What S3 tells others about an object: which notifications an event matches, and the records they get."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

from lambda_local.resources import NotificationSpec

_REASONS = {
    "ObjectCreated:Put": "PutObject",
    "ObjectCreated:Post": "POST Object",
    "ObjectCreated:Copy": "CopyObject",
    "ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
    "ObjectRemoved:Delete": "DeleteObject",
}


@dataclass(frozen=True)
class S3Event:
    """Something that happened to one object.

    Attributes
    ----------
    name : str
        `ObjectCreated:Put` and the like, without `s3:`.
    bucket, key : str
        The key as it is, not encoded.
    size_bytes : int
    etag : str
        Without quotes.
    version_id : str or None
        None in a bucket without versions.
    sequencer : str
        Hexadecimal; of two events of one key, the later has the greater one.
    at : datetime
        UTC.
    request_id, extended_request_id : str
        Of the request that caused it.
    source_ip : str
    principal : str
        Access key id of who made the request.
    """

    name: str
    bucket: str
    key: str
    size_bytes: int
    etag: str
    version_id: str | None
    sequencer: str
    at: datetime
    request_id: str
    extended_request_id: str
    source_ip: str
    principal: str

    @property
    def is_created(self) -> bool:
        """Whether the object came into being (or was replaced)."""
        return self.name.startswith("ObjectCreated:")


def matching(notifications: Iterable[NotificationSpec], event: S3Event) -> Iterator[NotificationSpec]:
    """The notifications an event is for."""
    for notification in notifications:
        is_kind = any(_is_kind(wanted, f"s3:{event.name}") for wanted in notification.events)
        if is_kind and event.key.startswith(notification.prefix) and event.key.endswith(notification.suffix):
            yield notification


def notification_event(event: S3Event, configuration_id: str, region: str) -> dict[str, Any]:
    """The event a function or a queue gets from a bucket's notification."""
    entity: dict[str, Any] = {"key": quote_plus(event.key, safe="/")}
    if event.is_created:
        entity |= {"size": event.size_bytes, "eTag": event.etag}
    if event.version_id is not None:
        entity["versionId"] = event.version_id
    entity["sequencer"] = event.sequencer
    record = {
        "eventVersion": "2.4",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": _timestamp(event.at, "milliseconds"),
        "eventName": event.name,
        "userIdentity": {"principalId": f"AWS:{event.principal}"},
        "requestParameters": {"sourceIPAddress": event.source_ip},
        "responseElements": {"x-amz-request-id": event.request_id, "x-amz-id-2": event.extended_request_id},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration_id,
            "bucket": {
                "name": event.bucket,
                "ownerIdentity": {"principalId": "LOCAL"},
                "arn": f"arn:aws:s3:::{event.bucket}",
            },
            "object": entity,
        },
    }
    return {"Records": [record]}


def eventbridge_event(event: S3Event, account_id: str, region: str) -> dict[str, Any]:
    """The event EventBridge gets from a bucket that sends to it."""
    entity: dict[str, Any] = {"key": event.key}
    if event.is_created:
        entity |= {"size": event.size_bytes, "etag": event.etag}
    if event.version_id is not None:
        entity["version-id"] = event.version_id
    entity["sequencer"] = event.sequencer
    detail = {
        "version": "0",
        "bucket": {"name": event.bucket},
        "object": entity,
        "request-id": event.request_id,
        "requester": account_id,
        "source-ip-address": event.source_ip,
        "reason": _REASONS.get(event.name, event.name),
    }
    if not event.is_created:
        detail["deletion-type"] = "Permanently Deleted"
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Object Created" if event.is_created else "Object Deleted",
        "source": "aws.s3",
        "account": account_id,
        "time": _timestamp(event.at, "seconds"),
        "region": region,
        "resources": [f"arn:aws:s3:::{event.bucket}"],
        "detail": detail,
    }


def _is_kind(wanted: str, name: str) -> bool:
    return name.startswith(wanted[:-1]) if wanted.endswith("*") else name == wanted


def _timestamp(at: datetime, precision: str) -> str:
    return at.replace(tzinfo=None).isoformat(timespec=precision) + "Z"
