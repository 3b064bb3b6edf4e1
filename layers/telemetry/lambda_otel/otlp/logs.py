"""Log records to the body of an ExportLogsServiceRequest."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord

from lambda_otel.otlp._wire import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    Losses,
    any_value,
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

_TIME = tag(1, FIXED64)
_SEVERITY_NUMBER = tag(2, VARINT)
_SEVERITY_TEXT = tag(3, LENGTH)
_BODY = tag(5, LENGTH)
_ATTRIBUTES = tag(6, LENGTH)
_DROPPED_ATTRIBUTES = tag(7, VARINT)
_FLAGS = tag(8, FIXED32)
_TRACE_ID = tag(9, LENGTH) + varint(16)
_SPAN_ID = tag(10, LENGTH) + varint(8)
_OBSERVED_TIME = tag(11, FIXED64)
_EVENT_NAME = tag(12, LENGTH)


def encode_logs(records: Sequence["ReadableLogRecord"]) -> tuple[bytes, Losses]:
    """Body of the request, and what had to be left out."""
    return request(records, _record)


def _record(readable: "ReadableLogRecord", losses: Losses | None) -> bytes:
    record = readable.log_record
    severity = record.severity_number.value if record.severity_number else 0
    out = [
        _TIME + fixed64(record.timestamp) if record.timestamp else b"",
        count(_SEVERITY_NUMBER, severity),
        text(_SEVERITY_TEXT, record.severity_text),
        delimited(_BODY, any_value(record.body)),
        attributes(_ATTRIBUTES, record.attributes, losses),
        count(_DROPPED_ATTRIBUTES, readable.dropped_attributes),
        _FLAGS + fixed32(record.trace_flags) if record.trace_flags else b"",
        _TRACE_ID + record.trace_id.to_bytes(16, "big") if record.trace_id else b"",
        _SPAN_ID + record.span_id.to_bytes(8, "big") if record.span_id else b"",
        _OBSERVED_TIME + fixed64(record.observed_timestamp) if record.observed_timestamp else b"",
        text(_EVENT_NAME, record.event_name),
    ]
    return b"".join(out)
