"""What all kinds of trigger have in common."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from opentelemetry.trace import Link, Span, SpanKind

Event = Mapping[str, Any]


class Trigger(NamedTuple):
    """What an event says of the invocation's span.

    Attributes
    ----------
    type : str
        `faas.trigger`: `http`, `pubsub`, `datasource`, `timer` or `other`.
    kind : SpanKind
    name : str or None
        None: the function's name.
    attributes : mapping
    carrier : mapping or None
        Where to look for the parent's context; names in lower case.
    links : tuple of Link
    conclude : callable or None
        Called with the span and the handler's result.
    """

    type: str
    kind: SpanKind = SpanKind.SERVER
    name: str | None = None
    attributes: Mapping[str, Any] = {}
    carrier: Mapping[str, str] | None = None
    links: tuple[Link, ...] = ()
    conclude: Callable[[Span, Any], None] | None = None


OTHER = Trigger("other")


def records(event: Event, source: str) -> list[Any] | None:
    """The records of an event, if they are of a source; its name is spelled with and without capitals."""
    found = event.get("Records")
    if not isinstance(found, list) or not found or not isinstance(found[0], Mapping):
        return None
    return found if source in (found[0].get("eventSource"), found[0].get("EventSource")) else None


def shared(values: list[Any]) -> Any:
    """The value that all have, or None."""
    return values[0] if values and all(value == values[0] for value in values) else None


def known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not known."""
    return {name: value for name, value in attributes.items() if value is not None}
