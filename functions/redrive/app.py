"""Posts what environments handed over to the backend and deletes it: when it comes, and on a schedule what is left.

Its own telemetry must not come here: the function has no `OTEL_LAMBDA_HANDOFF_URI`.
"""

from typing import Any

from pipeline.events import Event, decode_objects
from pipeline.logs import begin_invocation
from redrive.backend import backend
from redrive.bucket import TelemetryBucket, telemetry_bucket
from redrive.delivery import Delivery, Outcome


def handler(event: Event, lambda_context: Any) -> dict[str, Any]:
    """Redrive the objects an S3 event tells of, or all that wait if the event is a schedule's.

    Telemetry that the backend does not take stays for the next time, which is no error of this function. An error of S3
    or of the deployment is raised once all objects have had their turn.
    """
    log = begin_invocation("redrive", lambda_context)
    bucket = telemetry_bucket()
    keys, results = _keys_of(event, bucket)
    errors: list[Exception] = []
    left = 0
    if keys:
        delivery = Delivery(bucket, backend(), lambda: lambda_context.get_remaining_time_in_millis() / 1000, log)
        for key in keys:
            if not delivery.can_go_on:
                left += 1
                continue
            try:
                outcome = delivery.redrive(key)
                log.info("Completed", object=key, outcome=outcome)
                results.append({"object": key, "outcome": outcome})
            except Exception as error:  # the boundary; raised below, after the other objects
                log.exception("Redriving failed", object=key, error_type=type(error).__name__)
                errors.append(error)
        if delivery.fault is not None:
            errors.append(delivery.fault)
    if left:
        log.warning("Left for the next time", objects=left)
    if errors:
        raise errors[0]
    return {"stage": "redrive", "objects": results, "left": left}


def _keys_of(event: Event, bucket: TelemetryBucket) -> tuple[list[str], list[dict[str, str]]]:
    """Keys of what to redrive, and what is to be told of the other objects of an event."""
    if event.get("detail-type") == "Scheduled Event":
        return bucket.waiting(), []
    keys: list[str] = []
    others: list[dict[str, str]] = []
    for source in decode_objects(event):
        if bucket.is_ours(source.bucket, source.key):
            keys.append(source.key)
        else:
            others.append({"object": source.key, "outcome": Outcome.IGNORED})
    return keys, others
