"""The record of an asynchronous invocation that Lambda sends to its destination."""

import json
from datetime import UTC, datetime
from typing import Any

from lambda_local.events import Outcome
from lambda_local.jobs import Answer

SUCCESS = "Success"
RETRIES_EXHAUSTED = "RetriesExhausted"
EVENT_AGE_EXCEEDED = "EventAgeExceeded"


def destination_record(
    *, request_id: str, function_arn: str, condition: str, attempts: int, payload: bytes, answer: Answer | None
) -> dict[str, Any]:
    """What the queue or the function named by `OnFailure` or `OnSuccess` gets.

    Parameters
    ----------
    request_id, function_arn : str
    condition : str
        `Success`, `RetriesExhausted` or `EventAgeExceeded`.
    attempts : int
        How often the function was invoked.
    payload : bytes
        The event.
    answer : Answer or None
        Of the last attempt; None when there was none.
    """
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z",
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{function_arn}:$LATEST",
            "condition": condition,
            "approximateInvokeCount": attempts,
        },
        "requestPayload": json.loads(payload),
    }
    if answer is not None:
        record["responseContext"] = {"statusCode": 200, "executedVersion": "$LATEST"}
        if answer.outcome is not Outcome.OK:
            record["responseContext"]["functionError"] = "Unhandled"
        record["responsePayload"] = _json_or_text(answer.payload)
    return record


def _json_or_text(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode("utf-8", "replace")
