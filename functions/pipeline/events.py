"""What the functions are invoked with, decoded once: S3 notifications, EventBridge events, failed invocations."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from pipeline.errors import ConfigError

Event = Mapping[str, Any]

# Set by `neuro-preprocess replay --force` beside the event's own fields, to make a new run of an old upload.
REPLAY_FIELD = "neuroReplay"


@dataclass(frozen=True)
class S3Object:
    """One object that came into being, as an event tells it.

    Attributes
    ----------
    bucket, key : str
        Where it is; the key is decoded (a space is a space).
    version_id : str or None
        None in a bucket without versions.
    sequencer : str
        Hexadecimal; orders the events of one key. May be empty in hand-made events.
    size_bytes : int or None
    etag : str
    created_at : datetime
        When S3 made it (UTC).
    source_ip : str or None
        Address of the uploader.
    replay : str
        Not empty when a person asked for a new run of an object that was processed before.
    """

    bucket: str
    key: str
    version_id: str | None
    sequencer: str
    size_bytes: int | None
    etag: str
    created_at: datetime
    source_ip: str | None = None
    replay: str = ""


@dataclass(frozen=True)
class FailedInvocation:
    """An asynchronous invocation that Lambda gave up, as its failure destination tells it.

    Attributes
    ----------
    function_name : str
    condition : str
        `RetriesExhausted` or `EventAgeExceeded`.
    attempts : int
    failed_at : str
        ISO 8601, as Lambda wrote it.
    error_type, error_message : str
    event : Event
        What the function was invoked with; invoking it again with this is a retry.
    """

    function_name: str
    condition: str
    attempts: int
    failed_at: str
    error_type: str
    error_message: str
    event: Event


def decode_objects(event: Event) -> tuple[S3Object, ...]:
    """All created objects an event tells of.

    S3's test event, a schedule's event and the removal of an object tell of none.

    Raises
    ------
    ConfigError
        The event is none that a stage is meant to be invoked with.
    """
    if event.get("Event") == "s3:TestEvent" or event.get("detail-type") == "Scheduled Event":
        return ()
    replay = str(event.get(REPLAY_FIELD, ""))
    try:
        if event.get("detail-type") == "Object Created":
            return (_from_eventbridge(event, replay),)
        if "Records" in event:
            return tuple(_from_notification(event["Records"], replay))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"expected an S3 event, but it lacks or garbles a field: {error!r}") from error
    raise ConfigError(f"expected an S3 or EventBridge event, but its fields are {sorted(event)[:8]}")


def decode_failure(message: Mapping[str, Any]) -> FailedInvocation:
    """The failed invocation in one SQS message.

    Raises
    ------
    ConfigError
        The message is not what Lambda sends to a failure destination.
    """
    try:
        record = json.loads(message["body"])
        context, response = record["requestContext"], record.get("responsePayload")
        response = response if isinstance(response, dict) else {}
        return FailedInvocation(
            function_name=context["functionArn"].split(":")[6],
            condition=context["condition"],
            attempts=int(context["approximateInvokeCount"]),
            failed_at=record["timestamp"],
            error_type=str(response.get("errorType") or "Unknown"),
            error_message=str(response.get("errorMessage") or ""),
            event=record["requestPayload"],
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ConfigError(f"expected a failed invocation, but it lacks or garbles a field: {error!r}") from error


def _from_notification(records: list[dict[str, Any]], replay: str) -> Iterator[S3Object]:
    for record in records:
        if record["eventSource"] != "aws:s3":
            raise ConfigError(f"expected records of `aws:s3`, but one is of `{record['eventSource']}`")
        if not record["eventName"].removeprefix("s3:").startswith("ObjectCreated:"):
            continue
        entity = record["s3"]["object"]
        yield S3Object(
            bucket=record["s3"]["bucket"]["name"],
            key=unquote_plus(entity["key"]),
            version_id=entity.get("versionId") or None,
            sequencer=entity.get("sequencer", ""),
            size_bytes=entity.get("size"),
            etag=entity.get("eTag", ""),
            created_at=_time(record["eventTime"]),
            source_ip=(record.get("requestParameters") or {}).get("sourceIPAddress"),
            replay=replay,
        )


def _from_eventbridge(event: Event, replay: str) -> S3Object:
    detail = event["detail"]
    entity = detail["object"]
    return S3Object(
        bucket=detail["bucket"]["name"],
        key=entity["key"],  # EventBridge tells it as it is: not encoded
        version_id=entity.get("version-id") or None,
        sequencer=entity.get("sequencer", ""),
        size_bytes=entity.get("size"),
        etag=entity.get("etag", ""),
        created_at=_time(event["time"]),
        source_ip=detail.get("source-ip-address"),
        replay=replay,
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
