"""The boundary every stage runs in: event in, one `Run` an object, error kinds turned into fates.

handler = stage_handler("skull_strip", process)      # process(run) is the stage's own screenful
"""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from time import perf_counter
from typing import Any

from aws_lambda_powertools import Logger
from opentelemetry.trace import Link, Span, SpanKind

from neuro_preprocess.bids import is_companion
from pipeline import arrival, keys, telemetry
from pipeline.errors import InputFault, InvalidInputError, MissingObjectError, PipelineError
from pipeline.events import Event, S3Object, decode_objects
from pipeline.keys import StageName
from pipeline.logs import begin_invocation
from pipeline.propagation import carried_context
from pipeline.run import JSON_TYPE, Outcome, Run
from pipeline.storage import RUN_FIELD, Item, Stored

Process = Callable[[Run], None]
Handler = Callable[[Event, Any], dict[str, Any]]


def stage_handler(stage: StageName, process: Process) -> Handler:
    """The Lambda handler of a stage.

    Every object of an event is processed, whatever becomes of the others. One that cannot be processed is answered
    by an error file; any other error is raised once all have had their turn, so that Lambda retries the event.
    """

    def handler(event: Event, lambda_context: Any) -> dict[str, Any]:
        log = begin_invocation(stage, lambda_context)
        results: list[dict[str, str]] = []
        errors: list[Exception] = []
        for source in decode_objects(event):
            try:
                results.append(_process_object(stage, process, source, log))
            except Exception as error:  # noqa: BLE001  the boundary; raised below, after the other objects
                errors.append(error)
        if errors:
            raise errors[0]
        return {"stage": stage, "objects": results}

    return handler


def _process_object(stage: StageName, process: Process, source: S3Object, log: Logger) -> dict[str, str]:
    shown = keys.telemetry_key(source.key) if stage == keys.STAGES[0] else source.key
    if stage == keys.STAGES[0] and is_companion(source.key):
        log.info("Ignoring companion file", file_path=shown, outcome=Outcome.IGNORED)
        return {"file_path": shown, "outcome": Outcome.IGNORED}

    opened, fault = arrival.take(source)
    metadata = opened.metadata if opened else {}
    with carried_context(metadata) as links, _file_span(stage, links) as span:
        run = Run(stage, source, opened, span)
        started = perf_counter()
        outcome = Outcome.FAILED
        log.append_keys(file_path=shown, run_id=run.id)
        log.info("Processing file")
        telemetry.instruments().processing_current.add(1, {"stage": stage})
        try:
            outcome = _fate(run, process, fault, log)
        finally:
            seconds = round(perf_counter() - started, 3)
            span.set_attributes({"outcome": outcome, "processing.total_time": seconds, "pipeline.duration": seconds})
            telemetry.instruments().processing_current.add(-1, {"stage": stage})
            telemetry.instruments().stages_executed.add(1, {"stage": stage, "outcome": outcome})
            log.info("Completed", outcome=outcome, duration_seconds=seconds)
            log.remove_keys(["file_path", "run_id"])
    return {"run_id": run.id, "file_path": shown, "outcome": outcome}


def _fate(run: Run, process: Process, fault: PipelineError | None, log: Logger) -> Outcome:
    """Process a run; what becomes of an error is decided by its kind.

    Raises
    ------
    Exception
        Whatever Lambda is to retry.
    """
    try:
        run.span.set_attribute("neuro.run.id", run.id)
        if run.is_done():
            return Outcome.SKIPPED
        if isinstance(fault, MissingObjectError) and run.stage == keys.STAGES[0]:
            raise InvalidInputError(InputFault.VANISHED, "the object was deleted before it could be read") from None
        if fault is not None:
            raise fault
        log.append_keys(file_path=keys.telemetry_key(run.scan.key))
        run.span.set_attributes(_scan_attributes(run))
        process(run)
    except InvalidInputError as error:
        _mark(run, error, error.code)
        _store_rejection(run, error)
        log.warning("File failed validation", error_type=error.code, error_message=str(error))
        return Outcome.REJECTED
    except Exception as error:
        code = error.code if isinstance(error, PipelineError) else type(error).__name__
        _mark(run, error, code)
        log.exception("Processing failed", error_type=code, error_message=str(error))
        raise
    run.span.set_attribute("pipeline.status", "success")
    return run.outcome


def _scan_attributes(run: Run) -> dict[str, Any]:
    scan = run.scan
    attributes = telemetry.file_attributes(keys.telemetry_key(scan.key), scan.size_bytes)
    return attributes | {"modality": scan.contrast, "metadata.modality": scan.contrast}


def _mark(run: Run, error: Exception, code: str) -> None:
    telemetry.mark_failed(run.span, error, code=code)
    telemetry.instruments().processing_errors.add(1, {"stage": run.stage, "error_type": code})


def _store_rejection(run: Run, error: InvalidInputError) -> None:
    """Store why a scan is refused, and count it: once, however often its event comes."""
    shown = keys.telemetry_key(run.scan.key)
    report = {"run_id": run.id, "scan": shown, "stage": run.stage, "code": error.code, "message": str(error)}
    content = (json.dumps(report, indent=1, sort_keys=True) + "\n").encode()
    item = Item(content, JSON_TYPE, {RUN_FIELD: run.id})
    if run.storage.create(run.settings.derivatives_bucket, keys.error_key(run.id), item) is Stored.NOW:
        telemetry.count_end(run.scan.contrast, is_failed=True)


def _file_span(stage: StageName, links: list[Link]) -> AbstractContextManager[Span]:
    """Span `preprocess_file`; its errors are marked by kind in `_fate`, not by the API."""
    return telemetry.tracer().start_as_current_span(
        "preprocess_file",
        kind=SpanKind.CONSUMER,
        attributes={"stage": stage},
        links=links,
        record_exception=False,
        set_status_on_exception=False,
    )
