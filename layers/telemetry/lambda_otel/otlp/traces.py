"""Spans to the body of an ExportTraceServiceRequest."""

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, Status, StatusCode, TraceState

from lambda_otel.otlp._wire import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    Losses,
    attributes,
    count,
    delimited,
    fixed32,
    fixed64,
    request,
    tag,
    text,
    varint,
)

_TRACE_ID = tag(1, LENGTH) + varint(16)
_SPAN_ID = tag(2, LENGTH) + varint(8)
_TRACE_STATE = tag(3, LENGTH)
_PARENT_SPAN_ID = tag(4, LENGTH) + varint(8)
_NAME = tag(5, LENGTH)
_KIND = tag(6, VARINT)
_START_TIME = tag(7, FIXED64)
_END_TIME = tag(8, FIXED64)
_ATTRIBUTES = tag(9, LENGTH)
_DROPPED_ATTRIBUTES = tag(10, VARINT)
_EVENTS = tag(11, LENGTH)
_DROPPED_EVENTS = tag(12, VARINT)
_LINKS = tag(13, LENGTH)
_DROPPED_LINKS = tag(14, VARINT)
_STATUS = tag(15, LENGTH)

_EVENT_TIME, _EVENT_NAME, _EVENT_ATTRIBUTES = tag(1, FIXED64), tag(2, LENGTH), tag(3, LENGTH)
_EVENT_DROPPED = tag(4, VARINT)
_LINK_ATTRIBUTES, _LINK_DROPPED, _LINK_FLAGS = tag(4, LENGTH), tag(5, VARINT), tag(6, FIXED32)
_STATUS_MESSAGE, _STATUS_CODE = tag(2, LENGTH), tag(3, VARINT)
_NO_STATUS = _STATUS + varint(0)

_CACHED_STATES = 16

# SpanFlags: whether a context is remote is known, and it is
_IS_LOCAL, _IS_REMOTE = fixed32(0x100), fixed32(0x300)
_FLAGS_LOCAL, _FLAGS_REMOTE = tag(16, FIXED32) + _IS_LOCAL, tag(16, FIXED32) + _IS_REMOTE


def encode_spans(spans: Sequence[ReadableSpan]) -> tuple[bytes, Losses]:
    """Body of the request, and what had to be left out.

    A span that has not ended yet gets end time 0: what is noted of open spans is encoded so.
    """
    return request(spans, _span)


def _span(span: ReadableSpan, losses: Losses | None) -> bytes:
    # the fields and not the properties, which are a call each, and copy
    context: Any = span._context
    parent = span._parent
    events = [delimited(_EVENTS, _event(event, losses)) for event in span._events] if span._events else ()
    links = [delimited(_LINKS, _link(link, losses)) for link in span._links] if span._links else ()
    out = [
        _TRACE_ID,
        context.trace_id.to_bytes(16, "big"),
        _SPAN_ID,
        context.span_id.to_bytes(8, "big"),
        _trace_state(context.trace_state),
        _PARENT_SPAN_ID + parent.span_id.to_bytes(8, "big") if parent else b"",
        text(_NAME, span._name),
        _KIND + varint(span._kind._value_ + 1),
        _START_TIME,
        fixed64(span._start_time or 0),
        _END_TIME + fixed64(span._end_time) if span._end_time else b"",
        attributes(_ATTRIBUTES, span._attributes, losses),
        count(_DROPPED_ATTRIBUTES, getattr(span._attributes, "dropped", 0)),
        *events,
        count(_DROPPED_EVENTS, getattr(span._events, "dropped", 0)),
        *links,
        count(_DROPPED_LINKS, getattr(span._links, "dropped", 0)),
        _status(span._status),
        _FLAGS_REMOTE if parent and parent.is_remote else _FLAGS_LOCAL,
    ]
    return b"".join(out)


def _event(event: Event, losses: Losses | None) -> bytes:
    time = _EVENT_TIME + fixed64(event.timestamp) if event.timestamp else b""
    return (
        time
        + text(_EVENT_NAME, event.name)
        + attributes(_EVENT_ATTRIBUTES, event.attributes, losses)
        + count(_EVENT_DROPPED, event.dropped_attributes)
    )


def _link(link: Link, losses: Losses | None) -> bytes:
    return (
        _TRACE_ID
        + link.context.trace_id.to_bytes(16, "big")
        + _SPAN_ID
        + link.context.span_id.to_bytes(8, "big")
        + attributes(_LINK_ATTRIBUTES, link.attributes, losses)
        + count(_LINK_DROPPED, link.dropped_attributes)
        + _LINK_FLAGS
        + (_IS_REMOTE if link.context.is_remote else _IS_LOCAL)
    )


_known_states: dict[int, tuple[TraceState, bytes]] = {}


def _trace_state(state: TraceState | None) -> bytes:
    """Found by identity, as resources are: all spans of a trace have the same one."""
    if state is None:
        return b""
    known = _known_states.get(id(state))
    if known is None or known[0] is not state:
        if len(_known_states) >= _CACHED_STATES:
            _known_states.clear()
        known = state, text(_TRACE_STATE, ",".join([f"{key}={value}" for key, value in state.items()]))
        _known_states[id(state)] = known
    return known[1]


def _status(status: Status) -> bytes:
    code, description = status.status_code, status.description
    if code is StatusCode.UNSET and not description:
        return _NO_STATUS
    return delimited(_STATUS, text(_STATUS_MESSAGE, description) + count(_STATUS_CODE, code.value))
