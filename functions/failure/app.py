"""The last resort: an event that Lambda gave up becomes a file, so that no upload ends in silence.

The file holds the event as it came; `neuro-preprocess replay` (or any Lambda invocation) with it is a retry.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from neuro_preprocess.bids import BidsName, is_companion
from neuro_preprocess.image import Contrast
from pipeline import keys, telemetry
from pipeline.config import settings
from pipeline.errors import ConfigError, PipelineError
from pipeline.events import Event, FailedInvocation, S3Object, decode_failure, decode_objects
from pipeline.keys import StageName
from pipeline.logs import begin_invocation
from pipeline.propagation import carried_context
from pipeline.run import JSON_TYPE, record_before, run_id_of
from pipeline.storage import RUN_FIELD, Item, Stored, storage


def handler(event: Event, lambda_context: Any) -> dict[str, Any]:
    """Store every failed invocation of an SQS event; name the messages that could not be, for SQS to bring again."""
    log = begin_invocation("failure", lambda_context)
    unfinished = []
    for message in event["Records"]:
        try:
            _store_failures(decode_failure(message))
        except Exception as error:  # the boundary: the other messages have their turn
            log.exception("Failure not stored", error_type=type(error).__name__)
            unfinished.append({"itemIdentifier": message["messageId"]})
    return {"batchItemFailures": unfinished}


def _store_failures(failed: FailedInvocation) -> None:
    try:
        sources = decode_objects(failed.event)
        places = [(source, _stage_of(source)) for source in sources]
    except ConfigError:  # no stage could make anything of it, but it is kept
        _store(_event_id(failed.event), failed, stage=None)
        return
    for source, stage in places:
        if stage != keys.STAGES[0] or not is_companion(source.key):
            _store_failure(failed, source, stage)


def _store_failure(failed: FailedInvocation, source: S3Object, stage: StageName) -> None:
    run = run_id_of(stage, source)
    if _is_ended(stage, run):  # another object of the same event failed, or a later attempt succeeded after all
        return
    with carried_context(_carried(source)), telemetry.step("record_failure", attributes={"stage": stage}) as step:
        step.span.set_attributes({"neuro.run.id": run, "error.type": failed.error_type})
        if _store(run, failed, stage) is Stored.NOW:
            telemetry.instruments().processing_errors.add(1, {"stage": stage, "error_type": "retries_exhausted"})
            telemetry.count_end(_contrast(stage, run, source), is_failed=True)


def _store(run: str, failed: FailedInvocation, stage: StageName | None) -> Stored:
    report = {
        "run_id": run,
        "stage": stage,
        "function": failed.function_name,
        "condition": failed.condition,
        "attempts": failed.attempts,
        "failed_at": failed.failed_at,
        "error": {"type": failed.error_type, "message": failed.error_message},
        "event": failed.event,
    }
    content = (json.dumps(report, indent=1, sort_keys=True) + "\n").encode()
    return storage().create(
        settings().derivatives_bucket, keys.failure_key(run), Item(content, JSON_TYPE, {RUN_FIELD: run})
    )


def _carried(source: S3Object) -> Mapping[str, str]:
    """What the object's metadata says of its trace; whatever kept the stage from the object may keep us from it too."""
    try:
        return storage().metadata(source.bucket, source.key) or {}
    except PipelineError:
        return {}


def _stage_of(source: S3Object) -> StageName:
    """The stage that was to process an object: the one after the stage that wrote it.

    Raises
    ------
    ConfigError
        No stage is: the trigger is wrong.
    """
    stage = keys.stage_for(source, settings().work_bucket)
    if stage is None:
        raise ConfigError(f"no stage comes after what wrote `{source.key}`")
    return stage


def _is_ended(stage: StageName, run: str) -> bool:
    config, store = settings(), storage()
    return (
        store.metadata(config.work_bucket, keys.output_key(stage, run)) is not None
        or store.metadata(config.derivatives_bucket, keys.error_key(run)) is not None
    )


def _contrast(stage: StageName, run: str, source: S3Object) -> Contrast:
    if stage == keys.STAGES[0]:
        return BidsName.parse(source.key).contrast
    try:
        return record_before(stage, run).contrast
    except PipelineError:  # counting it under the commoner contrast beats not counting it
        return "T1w"


def _event_id(event: Event) -> str:
    return hashlib.sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()[:24]
