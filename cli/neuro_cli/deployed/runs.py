"""What became of a run, read from what the stages left in the buckets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from neuro_cli.deployed.target import Target
from neuro_cli.hints import hint_for
from neuro_preprocess.bids import figure_path
from pipeline import keys
from pipeline.errors import ConfigError, MissingObjectError
from pipeline.events import S3Object
from pipeline.keys import STAGES
from pipeline.scan import ScanRecord
from pipeline.storage import Storage

Outcome: TypeAlias = Literal["unknown", "running", "done", "rejected", "failed"]


@dataclass(frozen=True)
class RunStatus:
    """One run of one scan.

    Attributes
    ----------
    run_id : str
    outcome : str
        `unknown`: no stage has ended yet, or what they left has been deleted, as the work bucket's rules do in time.
    key : str
        Of the upload; empty where it is not known.
    stage : str or None
        The last stage that is done; of a run that went wrong, the stage that it went wrong in.
    seconds : mapping of str to float
        Wall time of each stage that is done.
    order : str
        Sorts the runs of one key by age.
    version_id : str or None
        Of the upload, where it has one and a record tells it.
    brain_volume_ml : float or None
    verdict : str or None
    reasons : tuple of str
        Codes of why it did not simply pass.
    error : mapping or None
        `code`, `message`, `hint` and `file` of what went wrong.
    report : str or None
        URI of the quality report.
    """

    run_id: str
    outcome: Outcome = "unknown"
    key: str = ""
    stage: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    order: str = ""
    version_id: str | None = None
    brain_volume_ml: float | None = None
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    error: Mapping[str, str] | None = None
    report: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.outcome in ("done", "rejected", "failed")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "run_id": self.run_id,
            "outcome": self.outcome,
            "key": self.key,
            "stage": self.stage,
            "seconds": dict(self.seconds),
            "total_seconds": round(sum(self.seconds.values()), 3),
            "brain_volume_ml": self.brain_volume_ml,
            "qc": {"verdict": self.verdict, "reasons": list(self.reasons)},
            "error": None if self.error is None else dict(self.error),
            "report": self.report,
        }


def run_id_of_version(bucket: str, key: str, version_id: str) -> str:
    """Id of the run that an upload to a bucket with versions begins: all that it depends on is known beforehand."""
    upload = S3Object(
        bucket=bucket,
        key=key,
        version_id=version_id,
        sequencer="",
        size_bytes=None,
        etag="",
        created_at=datetime.fromtimestamp(0, UTC),
    )
    return keys.run_id(upload)


def read_status(target: Target, run_id: str) -> RunStatus:
    """What the buckets say of a run.

    Raises
    ------
    PipelineError
        S3 refuses, or does not answer.
    """
    storage = Storage(target.s3)
    record = _last_record(storage, target.work_bucket, run_id)
    if record is not None and STAGES[-1] in record.seconds:
        return _done(target, record)
    status = RunStatus(run_id) if record is None else _running(record)
    for key, tell in ((keys.error_key(run_id), _rejected), (keys.failure_key(run_id), _failed)):
        report = _json(storage, target.derivatives_bucket, key)
        if report is not None:
            return tell(status, report, f"s3://{target.derivatives_bucket}/{key}")
    return status


def _last_record(storage: Storage, bucket: str, run_id: str) -> ScanRecord | None:
    """The record of the last stage that is done."""
    for stage in reversed(STAGES):
        try:
            return ScanRecord.from_json(storage.open(bucket, keys.record_key(stage, run_id)).read())
        except MissingObjectError:
            continue
    return None


def _running(record: ScanRecord) -> RunStatus:
    return RunStatus(
        run_id=record.run_id,
        outcome="running",
        key=record.key,
        stage=next(stage for stage in reversed(STAGES) if stage in record.seconds),
        seconds=record.seconds,
        order=record.order,
        version_id=record.version_id,
        brain_volume_ml=record.facts.get("skull_strip", {}).get("brain_volume_ml"),
    )


def _done(target: Target, record: ScanRecord) -> RunStatus:
    report = record.facts.get("report", {})
    return replace(
        _running(record),
        outcome="done",
        verdict=report.get("verdict"),
        reasons=tuple(report.get("reasons", ())),
        report=f"s3://{target.derivatives_bucket}/{figure_path(record.name, '.html')}",
    )


def _rejected(status: RunStatus, report: Mapping[str, Any], uri: str) -> RunStatus:
    error = {"code": report["code"], "message": report["message"], "hint": hint_for(report["code"]), "file": uri}
    return replace(status, outcome="rejected", key=status.key or report["scan"], stage=report["stage"], error=error)


def _failed(status: RunStatus, report: Mapping[str, Any], uri: str) -> RunStatus:
    hint = f"once the cause is gone: neuro-preprocess replay {uri}"
    error = {"code": report["error"]["type"], "message": report["error"]["message"], "hint": hint, "file": uri}
    return replace(status, outcome="failed", stage=report["stage"], error=error)


def _json(storage: Storage, bucket: str, key: str) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(storage.open(bucket, key).read())
    except (MissingObjectError, ConfigError):  # where one may not list, a missing object is refused
        return None
    return content
