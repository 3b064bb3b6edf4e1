"""Where each scan is, made out from what the local service tells while it works."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from threading import Condition
from typing import Any

from lambda_local.events import InvocationEnded, LogLine, ObjectCreated, Outcome, RetryScheduled, ServiceEvent
from neuro_cli.deployed.runs import run_id_of_version
from pipeline import keys
from pipeline.keys import STAGES, StageName


class Place(StrEnum):
    """How a stage stands with a scan."""

    WAITING = "waiting"
    RUNNING = "running"
    RETRYING = "retrying"  # it failed and will be tried again
    DONE = "done"
    REJECTED = "rejected"
    FAILED = "failed"


class End(StrEnum):
    """How a scan ended."""

    DONE = "done"
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass
class StageState:
    """One stage of one scan; `seconds` is None until it has ended once."""

    place: Place = Place.WAITING
    seconds: float | None = None
    since: datetime | None = None


@dataclass
class ScanState:
    """One run of one scan.

    Attributes
    ----------
    run_id : str
    label : str
        Its key, as far as it is known.
    stages : dict
    end : End or None
        None: it is still on its way.
    message : str
        What went wrong, if anything did.
    """

    run_id: str
    label: str
    stages: dict[StageName, StageState] = field(default_factory=lambda: {stage: StageState() for stage in STAGES})
    end: End | None = None
    message: str = ""

    @property
    def next_stage(self) -> StageName | None:
        """The stage that is about to begin: all before it are done, and it waits for a process."""
        if self.end is not None:
            return None
        coming = next((stage for stage in STAGES if self.stages[stage].place is not Place.DONE), None)
        return coming if coming is not None and self.stages[coming].place is Place.WAITING else None


@dataclass(frozen=True)
class Change:
    """A step of a scan that is worth a line."""

    scan: ScanState
    stage: StageName | None
    text: str


class Board:
    """Every scan that was uploaded since, by run; fed with the service's events, asked by whoever draws it.

    Parameters
    ----------
    raw_bucket, derivatives_bucket : str
    """

    def __init__(self, raw_bucket: str, derivatives_bucket: str) -> None:
        self.scans: dict[str, ScanState] = {}
        self._raw, self._derivatives = raw_bucket, derivatives_bucket
        self._requests: dict[str, tuple[str, StageName]] = {}
        self._changed = Condition()

    def on_event(self, event: ServiceEvent) -> Change | None:
        """Take note of an event; what it means for a scan, if anything."""
        with self._changed:
            change = self._take(event)
            self._changed.notify_all()
        return change

    def take(self, event: ServiceEvent) -> None:
        """Take note of an event, for who draws the board and does not look at each change."""
        self.on_event(event)

    def wait_for(self, runs: set[str], timeout_s: float) -> bool:
        """Wait until these runs have ended; False: after `timeout_s` they had not."""

        def is_over() -> bool:
            return all(run in self.scans and self.scans[run].end is not None for run in runs)

        with self._changed:
            return self._changed.wait_for(is_over, timeout_s)

    def _take(self, event: ServiceEvent) -> Change | None:
        match event:
            case ObjectCreated():
                return self._on_object(event)
            case LogLine(is_platform=False):
                return self._on_line(event)
            case RetryScheduled() if event.request_id in self._requests:
                scan, stage = self._of_request(event.request_id)
                scan.stages[stage].place = Place.RETRYING
                return Change(scan, stage, f"again in {event.wait_s:.0f} s: {scan.message}")
            case InvocationEnded(outcome=Outcome.TIMEOUT | Outcome.CRASH) if event.request_id in self._requests:
                scan, stage = self._of_request(event.request_id)
                scan.stages[stage].place = Place.FAILED
                is_timeout = event.outcome is Outcome.TIMEOUT
                scan.message = "the function ran out of time" if is_timeout else "the process died"
        return None

    def _on_object(self, event: ObjectCreated) -> Change | None:
        if event.bucket == self._raw and event.version_id is not None:
            scan = self._scan(run_id_of_version(event.bucket, event.key, event.version_id), event.key)
            scan.label = event.key
            return Change(scan, None, "uploaded")
        if event.bucket != self._derivatives or not event.key.startswith("errors/"):
            return None
        run_id = event.key.removeprefix("errors/").partition(".")[0]
        scan = self._scan(run_id, run_id)
        scan.end = End.REJECTED if event.key == keys.error_key(run_id) else End.FAILED
        for state in scan.stages.values():
            if state.place is Place.RETRYING:  # in vain, as it turns out
                state.place = Place.FAILED
        return Change(scan, None, f"{scan.end}, see `s3://{event.bucket}/{event.key}`")

    def _on_line(self, event: LogLine) -> Change | None:
        line = _fields(event.message)
        stage, run_id = line.get("stage"), line.get("run_id")
        if stage not in STAGES or not isinstance(run_id, str):
            return None
        scan = self._scan(run_id, str(line.get("file_path", run_id)))
        state = scan.stages[stage]
        match line["message"]:
            case "Processing file":
                state.place, state.since = Place.RUNNING, event.at
                if event.request_id is not None:
                    self._requests[event.request_id] = (run_id, stage)
                return Change(scan, stage, "started")
            case "Completed":
                return self._on_completed(scan, stage, line)
            case "File failed validation" | "Processing failed":
                scan.message = f"{line.get('error_type', '?')}: {line.get('error_message', '')}"
        return None

    def _on_completed(self, scan: ScanState, stage: StageName, line: Mapping[str, Any]) -> Change | None:
        state, outcome = scan.stages[stage], line.get("outcome")
        if outcome == "skipped":  # a second delivery says nothing of the first
            state.place = Place.DONE if state.seconds is not None else state.place
            return None
        state.seconds = float(line.get("duration_seconds", 0.0))
        state.place = {"ok": Place.DONE, "rejected": Place.REJECTED}.get(str(outcome), Place.FAILED)
        if state.place is Place.DONE and stage == STAGES[-1]:
            scan.end = End.DONE
        why = f": {scan.message}" if state.place in (Place.REJECTED, Place.FAILED) and scan.message else ""
        return Change(scan, stage, f"{outcome} in {state.seconds:.1f} s{why}")

    def _scan(self, run_id: str, label: str) -> ScanState:
        return self.scans.setdefault(run_id, ScanState(run_id, label))

    def _of_request(self, request_id: str) -> tuple[ScanState, StageName]:
        run_id, stage = self._requests[request_id]
        return self.scans[run_id], stage


def _fields(message: str) -> dict[str, Any]:
    """A log line's fields; none of a line that is not JSON, as a library may write."""
    try:
        line = json.loads(message)
    except ValueError:
        return {}
    return line if isinstance(line, dict) and "message" in line else {}
