"""The SDK's spans, made with fewer steps: a function's caches are cold for them, and each step is code to fetch.

The SDK makes a span in some 80 calls, of which most look for what is seldom there: attributes to be cleaned, a place
for events and links, what is the same for all spans of a tracer. Here that is done where it is needed. What a span is,
does and holds stays the SDK's, to which the tests hold it; an SDK of another version makes its spans itself.
"""

from collections.abc import Mapping, Sequence
from threading import Lock
from time import time_ns
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, _Span
from opentelemetry.sdk.trace._tracer_metrics import NoOpTracerMetrics
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)
from opentelemetry.util.types import Attributes

from lambda_otel.sampling import parent_of
from lambda_otel.tracer import LambdaTracer

_SAMPLED, _RANDOM = TraceFlags.SAMPLED, TraceFlags.RANDOM_TRACE_ID
_FLAGS = {flags: TraceFlags(flags) for flags in (0, _SAMPLED, _RANDOM, _SAMPLED | _RANDOM)}
_UNSET = Status(StatusCode.UNSET)

_NAMES = frozenset({str})
_CLEAN = frozenset({str, bool, int, float})


class LeanTracer(LambdaTracer):
    """The SDK's tracer."""

    def start_span(  # noqa: PLR0917  the API's signature
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        """A span that is not current."""
        parent = parent_of(context)
        if type(parent) is not SpanContext or not self._tracer_config.is_enabled:
            return super().start_span(
                name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
            )
        ids = self.id_generator
        flags: int
        trace_id, _, _, flags, _, has_parent = parent
        if not has_parent:
            trace_id, flags = ids.generate_trace_id(), _RANDOM if ids.is_trace_id_random() else 0
        decide = getattr(self.sampler, "decide", None)
        if decide is not None:
            decision, state = decide(parent, trace_id)
        else:
            sampled = self.sampler.should_sample(context, trace_id, name, kind, attributes, links or ())
            decision, state, attributes = sampled.decision, sampled.trace_state, sampled.attributes
        own_flags = _FLAGS[flags & _RANDOM | (_SAMPLED if decision is Decision.RECORD_AND_SAMPLE else 0)]
        own = SpanContext(trace_id, ids.generate_span_id(), False, own_flags, state)
        above = parent if has_parent else None
        on_end = None
        if type(self._tracer_metrics) is not NoOpTracerMetrics:
            on_end = self._tracer_metrics.start_span(above, decision)
        if decision is Decision.DROP:
            return NonRecordingSpan(own)
        span = object.__new__(LeanSpan)
        span._name, span._context, span._parent, span._kind = name, own, above, kind
        span._record_exception, span._set_status_on_exception = record_exception, set_status_on_exception
        span._record_end_metrics = on_end
        span._start(self, attributes, links, start_time)
        self.span_processor.on_start(span, parent_context=context)
        return span


class LeanSpan(_Span):
    """The SDK's span, with places for events and links from the first one on."""

    def _start(
        self, tracer: LeanTracer, attributes: Attributes, links: Sequence[Link] | None, start_time: int | None
    ) -> None:
        # with what the tracer sets, all that the SDK's constructors would, and no call of them
        limits = tracer._span_limits
        self._start_time = time_ns() if start_time is None else start_time
        self._end_time = None
        self._status = _UNSET
        self._resource, self._sampler, self._span_processor = tracer.resource, tracer.sampler, tracer.span_processor
        self._instrumentation_scope = tracer._instrumentation_scope
        self._instrumentation_info = tracer.instrumentation_info
        self._trace_config, self._limits, self._lock = None, limits, Lock()
        self._attributes = LeanAttributes(
            limits.max_span_attributes,
            attributes,
            immutable=False,
            max_value_len=limits.max_span_attribute_length,
        )
        self._events: Sequence[Any] = ()
        self._links: Sequence[Link] = self._new_links(links) if links else ()

    def get_span_context(self) -> SpanContext:
        """The SDK's, without a cast."""
        return self._context  # type: ignore[return-value]

    def _add_event(self, event: Any) -> None:
        with self._lock:
            if not isinstance(self._events, BoundedList):
                self._events = self._new_events()  # type: ignore[no-untyped-call]
        super()._add_event(event)

    def _add_link(self, link: Link) -> None:
        with self._lock:
            if not isinstance(self._links, BoundedList):
                self._links = self._new_links(())
        super()._add_link(link)

    def _readable_span(self) -> ReadableSpan:
        """Itself: it has ended, and so changes no more."""
        return self


class LeanAttributes(BoundedAttributes):
    """The SDK's attributes, which take those as they are that have not to be cleaned, replaced or dropped."""

    def _set_items(self, attributes: Mapping[str, Any]) -> None:
        own = self._dict
        if (
            self.max_value_len is None
            and not self._immutable
            and _CLEAN.issuperset(map(type, attributes.values()))
            and _NAMES.issuperset(map(type, attributes))
            and "" not in attributes
        ):
            with self._lock:
                has_room = self.maxlen is None or len(own) + len(attributes) <= self.maxlen
                if has_room and own.keys().isdisjoint(attributes):
                    own.update(attributes)
                    return
        super()._set_items(attributes)

    def __setitem__(self, key: str, value: Any) -> None:
        own = self._dict
        if type(value) in _CLEAN and type(key) is str and key and self.max_value_len is None and not self._immutable:
            with self._lock:
                if key not in own and (self.maxlen is None or len(own) < self.maxlen):
                    own[key] = value
                    return
        super().__setitem__(key, value)
