"""What was recorded, as plain values: spans by trace, log records by trace, and the metrics' points."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuro_cli.telemetry.metric_totals import Totals
from neuro_cli.telemetry.otlp_files import Signal, read_requests

Attributes = Mapping[str, Any]

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_ERROR = 2


@dataclass(frozen=True)
class Link:
    """A span that another one names without being its child."""

    trace_id: str
    span_id: str
    attributes: Attributes


@dataclass(frozen=True)
class SpanEvent:
    """What happened at one moment of a span, such as an exception."""

    name: str
    at_ns: int
    attributes: Attributes


@dataclass(frozen=True)
class Span:
    """One span; times in ns since 1970.

    Attributes
    ----------
    trace_id, span_id, parent_id : str
        Hexadecimal; `parent_id` is empty for a root.
    end_ns : int
        0: it has not ended.
    kind : str
    is_error : bool
    resource : mapping
        Attributes of what made it.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    is_error: bool
    message: str
    attributes: Attributes
    events: tuple[SpanEvent, ...]
    links: tuple[Link, ...]
    resource: Attributes
    scope: str

    @property
    def seconds(self) -> float:
        """How long it took; 0 for one that has not ended."""
        return max(0, self.end_ns - self.start_ns) / 1e9

    @property
    def error_type(self) -> str:
        """What went wrong, in a word; empty if nothing did."""
        if not self.is_error:
            return ""
        raised = (event.attributes.get("exception.type") for event in reversed(self.events))
        kind = self.attributes.get("error.type") or next(filter(None, raised), "error")
        return str(kind).rpartition(".")[2]

    @property
    def writer(self) -> str:
        """The function, or the service where there is none: what rows are named and coloured by."""
        return str(self.resource.get("faas.name") or self.resource.get("service.name") or "unknown")

    @property
    def instance(self) -> str:
        """What tells one process of a writer from another."""
        # the environment's log stream, where both the function and its extension name it
        return str(self.resource.get("faas.instance") or self.resource.get("service.instance.id") or self.writer)


@dataclass(frozen=True)
class LogRecord:
    """One log record."""

    at_ns: int
    level: str
    body: str
    trace_id: str
    span_id: str
    attributes: Attributes
    resource: Attributes

    @property
    def writer(self) -> str:
        """The function, or the service where there is none."""
        return str(self.resource.get("faas.name") or self.resource.get("service.name") or "unknown")


@dataclass
class Recording:
    """All that one session received.

    Attributes
    ----------
    traces : dict
        Spans by trace id and span id: each once, however often it came.
    logs : dict
        Records by trace id, each once; those of no trace under the empty one.
    totals : Totals
        Of all metrics.
    """

    traces: dict[str, dict[str, Span]] = field(default_factory=dict)
    logs: dict[str, list[LogRecord]] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)

    @property
    def span_count(self) -> int:
        """Different spans."""
        return sum(map(len, self.traces.values()))

    @property
    def log_count(self) -> int:
        """Different log records."""
        return sum(map(len, self.logs.values()))

    def find(self, span_id: str, trace_id: str) -> Span | None:
        """A span, if it was recorded."""
        return self.traces.get(trace_id, {}).get(span_id)

    def spans(self) -> Iterator[Span]:
        """Every span."""
        return (span for trace in self.traces.values() for span in trace.values())


def load_recording(folder: Path) -> Recording:
    """Read what a session kept, also while it goes on."""
    recording = Recording()
    for message in read_requests(folder, Signal.TRACES):
        for span in _spans(message):
            _keep(recording.traces.setdefault(span.trace_id, {}), span)
    logs: defaultdict[str, dict[Any, LogRecord]] = defaultdict(dict)
    for message in read_requests(folder, Signal.LOGS):
        for record in _records(message):
            # a request may come twice, and has no id; two records equal in all of this are one
            identity = (record.at_ns, record.span_id, record.body, str(record.resource.get("service.instance.id")))
            logs[record.trace_id].setdefault(identity, record)
    recording.logs = {
        trace_id: sorted(records.values(), key=lambda record: record.at_ns) for trace_id, records in logs.items()
    }
    for message in read_requests(folder, Signal.METRICS):
        recording.totals.add(message)
    return recording


def values_of(attributes: Iterable[Any]) -> dict[str, Any]:
    """OTLP's attributes as plain values."""
    return {attribute.key: _value(attribute.value) for attribute in attributes}


def _keep(trace: dict[str, Span], span: Span) -> None:
    """Each span once: what has ended stands, and what had not gives way to it."""
    known = trace.get(span.span_id)
    if known is None or known.end_ns == 0:
        trace[span.span_id] = span


def _spans(message: Any) -> Iterator[Span]:
    for of_resource in message.resource_spans:
        resource = values_of(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield Span(
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    name=span.name,
                    kind=KINDS[span.kind] if span.kind < len(KINDS) else str(span.kind),
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    is_error=span.status.code == _ERROR,
                    message=span.status.message,
                    attributes=values_of(span.attributes),
                    events=tuple(
                        SpanEvent(event.name, event.time_unix_nano, values_of(event.attributes))
                        for event in span.events
                    ),
                    links=tuple(
                        Link(link.trace_id.hex(), link.span_id.hex(), values_of(link.attributes)) for link in span.links
                    ),
                    resource=resource,
                    scope=of_scope.scope.name,
                )


def _records(message: Any) -> Iterator[LogRecord]:
    for of_resource in message.resource_logs:
        resource = values_of(of_resource.resource.attributes)
        for of_scope in of_resource.scope_logs:
            for record in of_scope.log_records:
                body = _value(record.body)
                yield LogRecord(
                    at_ns=record.time_unix_nano or record.observed_time_unix_nano,
                    level=record.severity_text.upper(),
                    body=body if isinstance(body, str) else str(body),
                    trace_id=record.trace_id.hex(),
                    span_id=record.span_id.hex(),
                    attributes=values_of(record.attributes),
                    resource=resource,
                )


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return values_of(value.kvlist_value.values)
    plain = getattr(value, kind)
    return plain.hex() if isinstance(plain, bytes) else plain
