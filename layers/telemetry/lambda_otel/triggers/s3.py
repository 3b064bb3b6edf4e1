"""S3: notifications, and S3's own events on EventBridge.

The event says nothing of the request that wrote the object. Its context may be in the object's metadata: a function
that reads the object anyway can give it, see `OTEL_LAMBDA_EVENT_CONTEXT`.
"""

from typing import Any
from urllib.parse import unquote_plus

from lambda_otel.triggers._trigger import Event, Trigger, known, records, shared

_OPERATIONS = (("ObjectCreated", "insert"), ("Object Created", "insert"), ("ObjectRemoved", "delete"))
_DELETED = ("Object Deleted", "LifecycleExpiration:Delete", "LifecycleExpiration:DeleteMarkerCreated")


def is_match(event: Event) -> bool:
    """Whether the event is of S3."""
    return records(event, "aws:s3") is not None or (event.get("source") == "aws.s3" and "detail" in event)


def describe(event: Event) -> Trigger:
    """A change of data; what all records of an event have in common."""
    if "detail" in event:
        detail = event["detail"]
        return _trigger([(event["detail-type"], event.get("time"), detail["bucket"]["name"], detail["object"]["key"])])
    return _trigger([_of_record(record) for record in event["Records"]])


def _of_record(record: Any) -> tuple[str, Any, Any, str]:
    entity = record["s3"]
    # only here is the key encoded, as in a form
    return record["eventName"], record.get("eventTime"), entity["bucket"]["name"], unquote_plus(entity["object"]["key"])


def _trigger(changes: list[tuple[str, Any, Any, str]]) -> Trigger:
    names, times, buckets, keys = (shared(list(values)) for values in zip(*changes, strict=True))
    attributes = {
        "faas.document.operation": _operation(names or ""),
        "faas.document.time": times,
        "faas.document.collection": buckets,
        "faas.document.name": keys,
        "aws.s3.bucket": buckets,
        "aws.s3.key": keys,
    }
    return Trigger("datasource", attributes=known(attributes))


def _operation(name: str) -> str:
    name = name.removeprefix("s3:")
    if name in _DELETED:
        return "delete"
    return next((operation for prefix, operation in _OPERATIONS if name.startswith(prefix)), "edit")
