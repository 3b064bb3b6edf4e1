"""Context that has to fit into what a service allows, beside what the caller sends himself.

What the caller has put in stays as it is. What has no room is left out, the baggage first and the trace's parent last:
it is counted in `lambda_otel.dropped`, and the request goes out.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lambda_otel.aws._service import Fields
from lambda_otel.export.drops import Drops

KIB = 1024

# What SQS, SNS and EventBridge take in one request: by accounts and settings we cannot see, the lower or the higher.
_MESSAGE_LIMITS_BYTES = (256 * KIB, 1024 * KIB)
_MAX_ATTRIBUTES = 10

# These go first, in this order, if not all has room.
_EXPENDABLE = ("baggage", "tracestate")


def missing(fields: Fields, present: Iterable[str]) -> dict[str, str]:
    """The fields that a caller has not put in himself; his `traceparent` goes without a `tracestate` of ours."""
    own = {name.lower() for name in present}
    if "traceparent" in own:
        own.add("tracestate")
    return {name: value for name, value in fields.items() if name.lower() not in own}


def fitting(fields: Fields, has_room: Callable[[Fields], bool], drops: Drops) -> dict[str, str]:
    """As many of the fields as there is room for."""
    left = dict(fields)
    if has_room(left):
        return left
    for name in [*_EXPENDABLE, *(name for name in fields if name not in _EXPENDABLE)]:
        value = left.pop(name, None)
        if value is None:
            continue
        if name == "baggage":
            drops.add("baggage", "no_room", value.count(",") + 1)
        else:
            drops.add("context", "no_room", 1)
        if has_room(left):
            break
    return left


def size_bytes(fields: Fields) -> int:
    """Of names and values, in UTF-8."""
    return len("".join([*fields, *fields.values()]).encode())


def is_below_limit(before_bytes: int, added_bytes: int) -> bool:
    """Whether a message stays below a limit that it was below before."""
    return not any(before_bytes <= limit < before_bytes + added_bytes for limit in _MESSAGE_LIMITS_BYTES)


def with_attributes(
    message: Mapping[str, Any], fields: Fields, total_bytes: int, drops: Drops
) -> tuple[Mapping[str, Any], int]:
    """A message of SQS or SNS with a context as message attributes.

    Parameters
    ----------
    message : mapping
        With `MessageAttributes`, or without.
    fields : mapping
    total_bytes : int
        Of all messages of the request: they have a limit together.
    drops : Drops

    Returns
    -------
    mapping
        The same message, if nothing was added.
    int
        How many bytes were.
    """
    own = message.get("MessageAttributes", {})
    if not isinstance(own, Mapping):
        return message, 0
    added = fitting(
        missing(fields, own),
        lambda some: len(own) + len(some) <= _MAX_ATTRIBUTES and is_below_limit(total_bytes, _attribute_bytes(some)),
        drops,
    )
    if not added:
        return message, 0
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in added.items()}
    return {**message, "MessageAttributes": {**own, **attributes}}, _attribute_bytes(added)


def message_bytes(message: Mapping[str, Any], body: str) -> int:
    """Size of a message of SQS or SNS: its body, and names, types and values of its attributes."""
    size = len(str(message.get(body, "")).encode())
    own = message.get("MessageAttributes")
    for name, value in own.items() if isinstance(own, Mapping) else ():
        size += len(str(name).encode())
        parts = value.values() if isinstance(value, Mapping) else ()
        size += sum(len(part if isinstance(part, bytes) else str(part).encode()) for part in parts)
    return size


def _attribute_bytes(fields: Fields) -> int:
    return size_bytes(fields) + len("String") * len(fields)
