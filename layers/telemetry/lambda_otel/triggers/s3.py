"""S3: notifications, and S3's own events on EventBridge.

The event says nothing of the request that wrote the object. Its context may be in the object's metadata: a function
that reads the object anyway can give it, see `OTEL_LAMBDA_EVENT_CONTEXT`.
"""

from typing import Any
from urllib.parse import unquote_plus

from lambda_otel.aws.object_keys import shown_key
from lambda_otel.triggers._trigger import Event, Trigger, known, records, shared

_OPERATIONS = (("ObjectCreated", "insert"), ("Object Created", "insert"), ("ObjectRemoved", "delete"))
_DELETED = ("Object Deleted", "LifecycleExpiration:Delete", "LifecycleExpiration:DeleteMarkerCreated")

_ADDRESS = frozenset("0123456789abcdefABCDEF.:")


def is_match(event: Event) -> bool:
    """Whether the event is of S3."""
    return records(event, "aws:s3") is not None or (event.get("source") == "aws.s3" and "detail" in event)


def describe(event: Event) -> Trigger:
    """A change of data; what all records of an event have in common."""
    if "detail" in event:
        detail = event["detail"]
        name, time, address = event["detail-type"], event.get("time"), detail.get("source-ip-address")
        return _trigger([(name, time, detail["bucket"]["name"], detail["object"]["key"], _ip_address(address))])
    return _trigger([_of_record(record) for record in event["Records"]])


def _of_record(record: Any) -> tuple[str, Any, Any, str, str | None]:
    entity = record["s3"]
    bucket, key = (
        entity["bucket"]["name"],
        unquote_plus(entity["object"]["key"]),
    )  # only here is it encoded, as in a form
    address = _ip_address((record.get("requestParameters") or {}).get("sourceIPAddress"))
    return record["eventName"], record.get("eventTime"), bucket, key, address


def _trigger(changes: list[tuple[str, Any, Any, str, str | None]]) -> Trigger:
    names, times, buckets, keys, addresses = (shared(list(values)) for values in zip(*changes, strict=True))
    shown = None if keys is None else shown_key(keys)
    attributes = {
        "faas.document.operation": _operation(names or ""),
        "faas.document.time": times,
        "faas.document.collection": buckets,
        "faas.document.name": shown,
        "aws.s3.bucket": buckets,
        "aws.s3.key": shown,
        "client.address": addresses,
    }
    return Trigger("datasource", attributes=known(attributes))


def _ip_address(text: Any) -> str | None:
    """The address a request came from. S3 gives a service's name where that made it; `ipaddress` is 2 ms of a start."""
    is_address = isinstance(text, str) and not set(text) - _ADDRESS and ("." in text or ":" in text)
    return text if is_address else None


def _operation(name: str) -> str:
    name = name.removeprefix("s3:")
    if name in _DELETED:
        return "delete"
    return next((operation for prefix, operation in _OPERATIONS if name.startswith(prefix)), "edit")
