"""EventBridge: the bus on the span, the context as fields of every event's detail.

A detail that is a JSON object gets them as text after its opening brace, so that all else in it stays byte for byte as
the caller wrote it: number formats, white space, order. A detail that is anything else is left alone.
"""

import json
from collections.abc import Mapping
from typing import Any

from lambda_otel.aws._service import Fields, Params, Service, text
from lambda_otel.aws.carrier import fitting, is_below_limit, missing
from lambda_otel.export.drops import Drops

# What an event's `Time` counts for.
_TIME_BYTES = 14


def _describe(operation: str, params: Params) -> dict[str, Any]:
    entries = params.get("Entries")
    if operation != "PutEvents" or not isinstance(entries, list):
        return {}
    buses = {text(entry.get("EventBusName")) or "default" for entry in entries if isinstance(entry, Mapping)}
    return {
        "messaging.system": "aws.eventbridge",
        "messaging.operation.type": "send",
        "messaging.operation.name": "put_events",
        "messaging.destination.name": buses.pop().rsplit("/", 1)[-1] if len(buses) == 1 else None,
        "messaging.batch.message_count": len(entries),
    }


def _with_context_in_each(params: Params, fields: Fields, drops: Drops) -> Params:
    entries = params.get("Entries")
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        return params
    total_bytes = sum(_entry_bytes(entry) for entry in entries)
    sent = []
    for entry in entries:
        detail = entry.get("Detail")
        extended = _extended(detail, fields, total_bytes, drops) if isinstance(detail, str) else detail
        if extended is not detail:
            total_bytes += len(extended) - len(detail)
            entry = {**entry, "Detail": extended}  # noqa: PLW2901  a copy in its place; the caller's stays
        sent.append(entry)
    return {**params, "Entries": sent}


def _extended(detail: str, fields: Fields, total_bytes: int, drops: Drops) -> str:
    try:
        own = json.loads(detail)
    except ValueError:
        return detail
    if not isinstance(own, dict):
        return detail
    added = fitting(
        missing(fields, own), lambda some: is_below_limit(total_bytes, len(_members(some, is_alone=False))), drops
    )
    opening, _, rest = detail.partition("{")
    return f"{opening}{{{_members(added, is_alone=not own)}{rest}" if added else detail


def _members(fields: Fields, *, is_alone: bool) -> str:
    return json.dumps(dict(fields), separators=(",", ":"))[1:-1] + ("" if is_alone else ",")


def _entry_bytes(entry: Mapping[str, Any]) -> int:
    texts = [entry.get("Source"), entry.get("DetailType"), entry.get("Detail"), *(entry.get("Resources") or ())]
    size = sum(len(one.encode()) for one in texts if isinstance(one, str))
    return size + _TIME_BYTES if entry.get("Time") else size


SERVICE = Service(_describe, producers=frozenset({"PutEvents"}), injectors={"PutEvents": _with_context_in_each})
