"""Ended spans on their way out, and the open ones, which a crash would lose."""

from collections import deque
from itertools import islice
from time import monotonic

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SynchronousMultiSpanProcessor
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)

from lambda_otel.baggage import attributes_from
from lambda_otel.export.drops import Drops
from lambda_otel.export.pace import Pace
from lambda_otel.ids import OsIdGenerator
from lambda_otel.termination import cut_off


class SpanQueue(SynchronousMultiSpanProcessor):
    """Keeps sampled spans for the exporter; while a span ends nothing is encoded or sent, unless it is due.

    The processor of a tracer provider, and not one of several: further ones that a function adds are called after it.
    Without locks: a deque's ends may be used by any thread.

    Parameters
    ----------
    drops : Drops
    pace : Pace
        Knows when an export in between is due.
    batch_size, max_size : int
        Ended spans that are a batch, and that may wait; more are dropped.
    baggage_keys : tuple of str
        Keys of the baggage that spans get as attributes.

    Attributes
    ----------
    early : EarlySpans
    """

    def __init__(
        self, drops: Drops, pace: Pace, *, batch_size: int, max_size: int, baggage_keys: tuple[str, ...] = ()
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._drops, self._pace, self._batch_size, self._max_size = drops, pace, batch_size, max_size
        self._baggage_keys = baggage_keys
        self._ended: deque[ReadableSpan] = deque()
        self._open: dict[int, Span] = {}
        self._taken_open: set[int] = set()  # ids of the open spans that were taken last
        self._settled: set[int] = set()  # ids of open spans that were sent as ended, or that the parent process ends
        self.early = EarlySpans()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Note an open span, and give it what its baggage says."""
        if self._baggage_keys and (
            added := attributes_from(parent_context, self._baggage_keys, span._attributes or {})
        ):
            span.set_attributes(added)
        _, span_id, _, flags, _, _ = span.get_span_context()
        if flags & TraceFlags.SAMPLED:
            self._open[span_id] = span
            if len(self._open) > self._max_size:  # somebody does not end his spans
                self._forget_oldest()
        if self._span_processors:
            super().on_start(span, parent_context)
        if monotonic() >= self._pace.due_at:
            self._pace.export()

    def _on_ending(self, span: Span) -> None:
        if self._span_processors:
            super()._on_ending(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Keep an ended span."""
        _, span_id, _, flags, _, _ = span.context
        if flags & TraceFlags.SAMPLED:
            opened = self._open.pop(span_id, None)
            if self._settled and span_id in self._settled:
                self._settled.discard(span_id)
            elif not (self.early.is_active and self.early.holds(span, opened)):
                self.put(span)
        if self._span_processors:
            super().on_end(span)
        if len(self._ended) >= self._batch_size or monotonic() >= self._pace.due_at:
            self._pace.export()

    def put(self, span: ReadableSpan) -> None:
        """Queue a span, or count it if the queue is full."""
        if len(self._ended) < self._max_size:
            self._ended.append(span)
        else:
            self._drops.add("traces", "queue_full", 1)

    def take(self) -> list[ReadableSpan]:
        """All ended spans; they are the caller's now."""
        ended = self._ended
        return [ended.popleft() for _ in range(len(ended))]

    def cut_off(self) -> None:
        """End all open spans with an error, the innermost first: there is no later moment."""
        for held in self.early.release():
            self.put(held)
        for span in reversed(list(self._open.copy().values())):
            self.put(cut_off(span))
        self._settled.update(self._open)
        self._open.clear()

    def take_open(self, limit: int) -> list[Span] | None:
        """Spans that have begun and not ended, the oldest first; None if they are those that were taken last."""
        taken = dict(islice(self._open.copy().items(), limit))
        if taken.keys() == self._taken_open:
            return None
        self._taken_open = set(taken)
        return list(taken.values())

    def forget(self) -> None:
        """Drop everything: after a fork it is the parent's, and so are the spans that are open."""
        self._settled.update(self._open)
        self._ended, self._open, self._taken_open, self.early = deque(), {}, set(), EarlySpans()

    def _forget_oldest(self) -> None:
        """Bound the open spans: one that is forgotten is sent if it ends, and not if the process does.

        It is the oldest but one, since the oldest is the invocation's.
        """
        for span_id in list(islice(self._open.copy(), 1, 2)):
            self._open.pop(span_id, None)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Export what has ended."""
        self._pace.flush()
        return super().force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Export what has ended. The environment lives on, and so does the queue: the next invocation has spans too."""
        self._pace.flush()
        super().shutdown()


class EarlySpans:
    """Spans made before their parent: while an event-context hook finds out what the invocation span is a child of.

    Whatever instruments the hook's own requests makes spans as always, below a placeholder. They are held back, and
    once the invocation span exists they become its children, with the times they truly had.

    Attributes
    ----------
    is_active : bool
        Whether there can be early spans.
    """

    def __init__(self) -> None:
        self.is_active = False
        self._root = NonRecordingSpan(INVALID_SPAN_CONTEXT)
        self._placeholder: SpanContext | None = None
        self._parent: SpanContext | None = None
        self._held: list[tuple[ReadableSpan, Span | None]] = []

    def begin(self, context: Context | None = None) -> Context:
        """A context for the hook to run in."""
        ids = OsIdGenerator()
        flags = TraceFlags(TraceFlags.SAMPLED)
        placeholder = SpanContext(ids.generate_trace_id(), ids.generate_span_id(), is_remote=False, trace_flags=flags)
        self._placeholder, self._parent, self._held, self.is_active = placeholder, None, [], True
        self._root = NonRecordingSpan(placeholder)
        return set_span_in_context(self._root, context)

    def holds(self, span: ReadableSpan, opened: Span | None = None) -> bool:
        """Whether a span that ended has to wait for its parent. If the parent is known by now it is given to it.

        Parameters
        ----------
        span : ReadableSpan
        opened : Span, optional
            What the function had while it was open: log records made within it refer to that.
        """
        if self._placeholder is None or span.context.trace_id != self._placeholder.trace_id:
            return False
        if self._parent is not None:
            self._give(span, self._placeholder, self._parent)
            return False
        self._held.append((span, opened))
        return True

    def adopt(self, parent: SpanContext) -> list[ReadableSpan]:
        """Make the early spans children of a span; all of them, if that is sampled, else none."""
        if self._placeholder is None:
            return []
        self._parent = parent
        self._root._context = parent  # for log records, which ask only later where they belong
        held, self._held = self._held, []
        for span, opened in held:
            self._give(span, self._placeholder, parent)
            if opened is not None:
                opened._context = span.context
        return [span for span, _ in held] if parent.trace_flags & TraceFlags.SAMPLED else []

    def release(self) -> list[ReadableSpan]:
        """What is held, since no parent is to come any more."""
        held, self._held = self._held, []
        return [span for span, _ in held]

    def end(self) -> None:
        """The invocation is over."""
        self._placeholder, self._parent, self._held, self.is_active = None, None, [], False

    @staticmethod
    def _give(span: ReadableSpan, placeholder: SpanContext, parent: SpanContext) -> None:
        # the SDK has no public way to do this, since in a running trace there is no need for it
        context, own_parent = span.context, span.parent
        span._context = _moved(context, parent)
        if own_parent is not None:
            is_first = own_parent.span_id == placeholder.span_id
            span._parent = parent if is_first else _moved(own_parent, parent)


def _moved(context: SpanContext, parent: SpanContext) -> SpanContext:
    """A span's context, in the trace of another."""
    return SpanContext(
        parent.trace_id,
        context.span_id,
        is_remote=False,
        trace_flags=parent.trace_flags,
        trace_state=parent.trace_state,
    )
