"""From what a person says of a scan to its newest run."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from neuro_cli.dataset import local_scan
from neuro_cli.deployed.aws import told_as_errors
from neuro_cli.deployed.runs import RunStatus, read_status, run_id_of_version
from neuro_cli.deployed.target import Target
from neuro_cli.errors import CliError
from neuro_preprocess.bids import BidsName, figure_path
from pipeline import keys
from pipeline.errors import MissingObjectError, PipelineError
from pipeline.storage import ORDER_FIELD, RUN_FIELD, Storage

_RUN_ID = re.compile(r"[0-9a-f]{24}")
# A search by file name, or in a bucket without versions, looks at so many objects at most.
_MOST_KEYS, _MOST_RECORDS = 10_000, 500
_CLOCK_TOLERANCE_S = 2


def find_status(target: Target, text: str) -> RunStatus:
    """What became of a scan: of its newest upload, or of a replay that came after it.

    Parameters
    ----------
    target : Target
    text : str
        A run id, a key, an `s3://` URI, a file of this machine, or the file name alone.

    Raises
    ------
    CliError
        No upload matches, or S3 refuses.
    """
    try:
        if _RUN_ID.fullmatch(text):
            return read_status(target, text)
        with told_as_errors(target.name):
            for key in _possible_keys(target, text):
                status = _status_of_key(target, key)
                if status is not None:
                    return status
    except PipelineError as error:
        raise CliError(f"{target.name}: {error}") from error
    raise CliError(
        f"expected a scan in `s3://{target.raw_bucket}`, but found none that `{text}` names",
        hint="give its key, its file name, or its run id",
    )


def _possible_keys(target: Target, text: str) -> Iterator[str]:
    text = text.removeprefix(f"s3://{target.raw_bucket}/")
    yield text
    if Path(text).exists():
        yield local_scan(Path(text)).key
    name = BidsName.parse(text)
    if name.is_valid and "/" not in text:
        folders = [f"{entity}-{name[entity]}" for entity in ("sub", "ses") if name[entity] is not None]
        yield "/".join((*folders, "anat", text))
    if "/" not in text:
        pages = target.s3.get_paginator("list_objects_v2").paginate(Bucket=target.raw_bucket)
        entries = (entry for page in pages for entry in page.get("Contents", ()))
        yield from (entry["Key"] for entry in islice(entries, _MOST_KEYS) if entry["Key"].endswith(f"/{text}"))


def _status_of_key(target: Target, key: str) -> RunStatus | None:
    """Status of the newest upload of a key, or of a replay of that upload; None where there is no such key."""
    version = _newest_version(target, key)
    if version is None:
        return None
    if version["VersionId"] != "null":
        status = read_status(target, run_id_of_version(target.raw_bucket, key, version["VersionId"]))
    else:
        status = _by_records(target, key)
    replayed = _of_derivatives(target, key)
    if replayed is not None and _is_of(version, replayed) and replayed.order >= status.order:
        status = replayed
    return replace(status, key=status.key or key)


def _is_of(version: dict[str, Any], status: RunStatus) -> bool:
    """Whether a run is one of this upload; of a run without records, whether it began no earlier."""
    if status.version_id is not None:
        return status.version_id == str(version["VersionId"])
    uploaded_at = int(version["LastModified"].timestamp()) - _CLOCK_TOLERANCE_S
    return status.order >= f"{uploaded_at:010X}"  # see `keys.run_order`


def _newest_version(target: Target, key: str) -> dict[str, Any] | None:
    answer = target.s3.list_object_versions(Bucket=target.raw_bucket, Prefix=key, MaxKeys=10)
    return next((entry for entry in answer.get("Versions", ()) if entry["Key"] == key and entry["IsLatest"]), None)


def _by_records(target: Target, key: str) -> RunStatus:
    """The newest run of a key, where its upload's version does not say it: by first records and error files."""
    storage, shown = Storage(target.s3), keys.telemetry_key(key)
    for bucket, prefix, field, wanted in (
        (target.work_bucket, "conform/", "key", key),
        (target.derivatives_bucket, "errors/", "scan", shown),
    ):
        for entry in _newest_first(target.s3, bucket, prefix):
            content = _read(storage, bucket, entry)
            if content.get(field) == wanted:
                return read_status(target, content["run_id"])
    return RunStatus("")


def _newest_first(s3: Any, bucket: str, prefix: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    entries = [entry for page in pages for entry in page.get("Contents", ()) if entry["Key"].endswith(".json")]
    entries.sort(key=lambda entry: entry["LastModified"], reverse=True)
    return [entry["Key"] for entry in entries[:_MOST_RECORDS]]


def _read(storage: Storage, bucket: str, key: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(storage.open(bucket, key).read())
    return content


def _of_derivatives(target: Target, key: str) -> RunStatus | None:
    """Status of the run that wrote a scan's quality report, which outlives the work bucket's records."""
    path = figure_path(BidsName.parse(key), ".json")
    storage = Storage(target.s3)
    try:
        opened = storage.open(target.derivatives_bucket, path)
    except MissingObjectError:
        return None
    run_id = opened.metadata.get(RUN_FIELD, "")
    status = read_status(target, run_id)
    if status.outcome != "unknown":
        return status
    report = json.loads(opened.read())
    return RunStatus(
        run_id=run_id,
        outcome="done",
        key=key,
        stage=keys.STAGES[-1],
        seconds=report["StageSeconds"],
        order=opened.metadata.get(ORDER_FIELD, ""),
        brain_volume_ml=report["Measures"]["brain_volume_ml"],
        verdict=report["Verdict"],
        reasons=tuple(reason["code"] for reason in report["Reasons"]),
        report=f"s3://{target.derivatives_bucket}/{figure_path(BidsName.parse(key), '.html')}",
    )
