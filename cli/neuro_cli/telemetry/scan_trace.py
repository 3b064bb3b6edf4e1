"""One trace as a person looks at it: function by function, as they ran, with what each of them waited for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from neuro_cli.telemetry.recording import LogRecord, Recording, Span
from pipeline.keys import STAGES

# Names of the functions' spans and attributes, as `pipeline.telemetry` and `pipeline.stage` give them.
_FILE_SPAN = "preprocess_file"
_COLD = "faas.coldstart"
_INVOCATION = "faas.invocation_id"
_INIT = "aws.lambda.initialization_type"


@dataclass(frozen=True)
class Row:
    """A span in its place.

    Attributes
    ----------
    span : Span
    depth : int
        Below the group's first spans.
    is_other_trace : bool
        It belongs to another trace, and is shown because a span here names it by a link.
    """

    span: Span
    depth: int
    is_other_trace: bool = False


@dataclass(frozen=True)
class Group:
    """What one process did at a stretch: an invocation of a function, or an upload.

    Attributes
    ----------
    writer : str
    rows : tuple of Row
        Parents before children, and those by time.
    init : Span or None
        The function's initialisation, where the platform told it.
    is_cold : bool
        The invocation waited for a new environment.
    waited_ns : (int, int) or None
        From the end of the span that caused this, in another process, until this began.
    """

    writer: str
    rows: tuple[Row, ...]
    init: Span | None
    is_cold: bool
    waited_ns: tuple[int, int] | None

    @property
    def start_ns(self) -> int:
        """Begin of the first span, initialisation included."""
        return min(span.start_ns for span in self._spans())

    @property
    def end_ns(self) -> int:
        """End of the last span."""
        return max(max(span.start_ns, span.end_ns) for span in self._spans())

    @property
    def error_type(self) -> str:
        """Of the outermost span that failed; empty if none did."""
        return next((row.span.error_type for row in self.rows if row.span.is_error), "")

    def _spans(self) -> Iterator[Span]:
        yield from (row.span for row in self.rows)
        if self.init is not None:
            yield self.init


@dataclass(frozen=True)
class ScanTrace:
    """A scan's way through the pipeline.

    Attributes
    ----------
    trace_id, run_id : str
        `run_id` is empty where no stage told it.
    name : str
        The file's name as telemetry may show it.
    verdict : str
        Of the quality control; else how it ended, as far as is known.
    groups : tuple of Group
        By time.
    logs : tuple of LogRecord
        By time.
    """

    trace_id: str
    run_id: str
    name: str
    verdict: str
    groups: tuple[Group, ...]
    logs: tuple[LogRecord, ...]

    @property
    def start_ns(self) -> int:
        """Begin of the first span."""
        return min(group.start_ns for group in self.groups)

    @property
    def end_ns(self) -> int:
        """End of the last span."""
        return max(group.end_ns for group in self.groups)

    @property
    def seconds(self) -> float:
        """From the first span's begin to the last one's end."""
        return (self.end_ns - self.start_ns) / 1e9

    @property
    def functions(self) -> tuple[str, ...]:
        """Names of the functions that took part, in order."""
        names = (group.writer for group in self.groups if "faas.name" in group.rows[0].span.resource)
        return tuple(dict.fromkeys(names))

    @property
    def cold_starts(self) -> int:
        """Invocations that waited for a new environment."""
        return sum(group.is_cold for group in self.groups)

    @property
    def spans(self) -> tuple[Span, ...]:
        """Spans of the trace."""
        return tuple(row.span for group in self.groups for row in group.rows if not row.is_other_trace) + tuple(
            group.init for group in self.groups if group.init is not None
        )


def read_trace(recording: Recording, trace_id: str) -> ScanTrace:
    """A trace of a recording, arranged.

    Raises
    ------
    KeyError
        It has no such trace.
    """
    trace = recording.traces[trace_id]
    others = {span.span_id: span for span in trace.values() if _INIT not in span.attributes} or dict(trace)
    children: dict[str, list[Span]] = {}
    for span in others.values():
        children.setdefault(span.parent_id, []).append(span)
    firsts = [span for span in others.values() if _is_first(span, others)]
    groups = [_group(recording, span, children) for span in firsts]
    groups.sort(key=lambda group: group.start_ns)
    return ScanTrace(
        trace_id=trace_id,
        run_id=_attribute(trace.values(), "neuro.run.id"),
        name=_name(trace.values()),
        verdict=_verdict(trace.values()),
        groups=tuple(groups),
        logs=tuple(recording.logs.get(trace_id, ())),
    )


def find_traces(recording: Recording, words: Iterable[str]) -> list[str]:
    """Traces that a scan is named in, the newest first.

    Parameters
    ----------
    recording : Recording
    words : iterable of str
        A trace id, a run id, or keys or file names as telemetry shows them.
    """
    wanted = {word for word in words if word}
    found = [
        (min(span.start_ns for span in trace.values()), trace_id)
        for trace_id, trace in recording.traces.items()
        if trace_id in wanted or any(wanted & _names(span) for span in trace.values())
    ]
    return [trace_id for _, trace_id in sorted(found, reverse=True)]


def scan_traces(recording: Recording) -> list[str]:
    """Every trace in which a stage looked at a file, the newest first."""
    return find_traces(recording, {span.trace_id for span in recording.spans() if span.name == _FILE_SPAN})


def _names(span: Span) -> set[str]:
    values = (span.attributes.get(key) for key in ("neuro.run.id", "file.path", "file.name"))
    return {str(value) for value in values if value}


def _is_first(span: Span, trace: dict[str, Span]) -> bool:
    """Whether a span's parent is none of its own process."""
    parent = trace.get(span.parent_id)
    return parent is None or parent.instance != span.instance or _INVOCATION in span.attributes


def _group(recording: Recording, first: Span, children: dict[str, list[Span]]) -> Group:
    invocation = _linked_invocation(recording, first)
    rows = [] if invocation is None else [Row(invocation, 0, is_other_trace=True)]
    rows.extend(_rows(first, children, len(rows)))
    is_cold = any(row.span.attributes.get(_COLD) is True for row in rows)
    init = _init_of(recording, invocation or first) if is_cold else None
    start_ns = min(span.start_ns for span in (rows[0].span, init) if span is not None)
    cause = recording.find(first.parent_id, first.trace_id)
    waited_ns = (cause.end_ns, start_ns) if cause is not None and 0 < cause.end_ns < start_ns else None
    return Group(first.writer, tuple(rows), init, is_cold, waited_ns)


def _rows(first: Span, children: dict[str, list[Span]], depth: int) -> Iterator[Row]:
    waiting = [Row(first, depth)]
    while waiting:
        row = waiting.pop()
        yield row
        own = (
            child
            for child in children.get(row.span.span_id, ())
            if child.instance == first.instance and _INVOCATION not in child.attributes
        )
        latest_first = sorted(own, key=lambda child: (child.start_ns, child.span_id), reverse=True)
        waiting.extend(Row(child, row.depth + 1) for child in latest_first)


def _init_of(recording: Recording, invocation: Span) -> Span | None:
    """The initialisation before an invocation: the extension, which knows no more, puts it beside the invocation."""
    inits = (
        span
        for span in recording.traces[invocation.trace_id].values()
        if _INIT in span.attributes
        and (span.writer, span.parent_id) == (invocation.writer, invocation.parent_id)
        and span.start_ns <= invocation.start_ns
    )
    return max(inits, key=lambda span: span.start_ns, default=None)


def _linked_invocation(recording: Recording, span: Span) -> Span | None:
    """The invocation that a span was made in, where that has a trace of its own, as for an event of several objects."""
    linked = (recording.find(link.span_id, link.trace_id) for link in span.links)
    return next(
        (other for other in linked if other and _INVOCATION in other.attributes and other.instance == span.instance),
        None,
    )


def _attribute(spans: Iterable[Span], key: str) -> str:
    return next((str(span.attributes[key]) for span in spans if key in span.attributes), "")


def _name(spans: Iterable[Span]) -> str:
    """The scan's own name: that of the earliest span that tells one."""
    ordered = sorted(spans, key=lambda span: span.start_ns)
    named = (str(span.attributes["file.name"]) for span in ordered if "file.name" in span.attributes)
    return next(named, ordered[0].name)


def _verdict(spans: Iterable[Span]) -> str:
    spans = tuple(spans)
    verdict: Any = _attribute(spans, "neuro.qc.verdict")
    if verdict:
        return str(verdict)
    outcomes = [span.attributes.get("outcome") for span in spans if span.name == _FILE_SPAN]
    if "rejected" in outcomes:
        return "refused"
    ended = {span.attributes.get("stage") for span in spans if span.attributes.get("outcome") == "ok"}
    if STAGES[-1] in ended:
        return "done"
    return "failed" if any(span.is_error for span in spans) else "not ended"
