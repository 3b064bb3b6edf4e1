"""The platform's events, as the Telemetry API delivers them.

The contract is https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lambda_local.events import InvocationEnded, Outcome
from lambda_local.resources import FunctionSpec
from lambda_local.runtime_api import Invocation

Event = dict[str, Any]

_RUNTIME_STATUS = {
    Outcome.OK: "success",
    Outcome.ERROR: "error",  # the function said so
    Outcome.TIMEOUT: "timeout",
    Outcome.CRASH: "failure",  # its process ended
}
_REPORT_STATUS = {**_RUNTIME_STATUS, Outcome.CRASH: "error"}


@dataclass(frozen=True)
class Span:
    """A part of an invocation; moments by `time.monotonic`."""

    name: str
    began_s: float
    ended_s: float


def telemetry_event(kind: str, record: Any) -> Event:
    """An event that happens now."""
    return {"time": _timestamp(time.time()), "type": kind, "record": record}


def init_start(function: FunctionSpec, phase: str, instance_id: str, version: str) -> Event:
    """An init begins; `phase` is `init`, or `invoke` when it is on the function's own time."""
    return _init_event(
        "initStart",
        phase,
        functionName=function.name,
        functionVersion="$LATEST",
        instanceId=instance_id,
        instanceMaxMemory=function.memory_mb * 1024 * 1024,
        runtimeVersion=f"python:{version}",
    )


def init_runtime_done(phase: str, status: str, error_type: str | None) -> Event:
    """The runtime has loaded the function, or has not."""
    return _init_event("initRuntimeDone", phase, status=status, **_error(error_type))


def init_report(phase: str, status: str, error_type: str | None, duration_ms: float) -> Event:
    """An init has ended."""
    metrics = {"durationMs": round(duration_ms, 3)}
    return _init_event("initReport", phase, status=status, metrics=metrics, **_error(error_type))


def extension_state(name: str, state: str, events: Sequence[str], error_type: str | None = None) -> Event:
    """An extension is `Ready`, or has failed."""
    record = {"name": name, "state": state, "events": list(events), **_error(error_type)}
    return telemetry_event("platform.extension", record)


def telemetry_subscription(name: str, types: Sequence[str]) -> Event:
    """An extension has subscribed."""
    record = {"name": name, "state": "Subscribed", "types": list(types)}
    return telemetry_event("platform.telemetrySubscription", record)


def start(invocation: Invocation) -> Event:
    """An invocation begins."""
    record = {"requestId": invocation.request_id, "version": "$LATEST", "tracing": _tracing(invocation)}
    return telemetry_event("platform.start", record)


def runtime_done(
    invocation: Invocation,
    outcome: Outcome,
    error_type: str | None,
    *,
    duration_ms: float,
    produced_bytes: int,
    spans: Sequence[Span],
) -> Event:
    """The runtime is done with an invocation, whatever the extensions do."""
    record = {
        "requestId": invocation.request_id,
        "status": _RUNTIME_STATUS[outcome],
        "metrics": {"durationMs": round(duration_ms, 3), "producedBytes": produced_bytes},
        "spans": [_span(span) for span in spans],
        "tracing": _tracing(invocation),
        **_error(error_type),
    }
    return telemetry_event("platform.runtimeDone", record)


def report(invocation: Invocation, ended: InvocationEnded, memory_mb: int, spans: Sequence[Span]) -> Event:
    """An invocation is over, for the extensions too."""
    metrics = {
        "durationMs": round(ended.duration_ms, 3),
        "billedDurationMs": billed_ms(ended),
        "memorySizeMB": memory_mb,
        "maxMemoryUsedMB": ended.max_memory_mb,
    }
    if ended.init_duration_ms is not None:
        metrics["initDurationMs"] = round(ended.init_duration_ms, 3)
    record = {
        "requestId": invocation.request_id,
        "status": _REPORT_STATUS[ended.outcome],
        "metrics": metrics,
        "spans": [_span(span) for span in spans],
        "tracing": _tracing(invocation),
        **_error(ended.error_type),
    }
    return telemetry_event("platform.report", record)


def logs_dropped(records: int, size_bytes: int, reason: str) -> Event:
    """What could not be delivered to a subscriber."""
    record = {"reason": reason, "droppedRecords": records, "droppedBytes": size_bytes}
    return telemetry_event("platform.logsDropped", record)


def billed_ms(ended: InvocationEnded) -> int:
    """What an invocation costs, init included."""
    return math.ceil(ended.duration_ms + (ended.init_duration_ms or 0))


def _init_event(kind: str, phase: str, **fields: Any) -> Event:
    return telemetry_event(f"platform.{kind}", {"initializationType": "on-demand", "phase": phase, **fields})


def _error(error_type: str | None) -> Mapping[str, str]:
    return {} if error_type is None else {"errorType": error_type}


def _tracing(invocation: Invocation) -> Mapping[str, str]:
    return {"type": "X-Amzn-Trace-Id", "value": invocation.trace_id}


def _span(span: Span) -> Mapping[str, Any]:
    began = time.time() - time.monotonic() + span.began_s
    return {
        "name": span.name,
        "start": _timestamp(began),
        "durationMs": round((span.ended_s - span.began_s) * 1000, 3),
    }


def _timestamp(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
