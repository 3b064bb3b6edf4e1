"""One file from disk to disk: the chain, the writing, the telemetry around both, and the result whatever happens."""

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.trace import Link, Span

from neuro_cli.dataset import LocalScan
from neuro_cli.inprocess.chain import Chain, OnStep
from neuro_cli.inprocess.faults import fault_of
from neuro_cli.inprocess.outputs import Destination, OutputError, write_file
from neuro_cli.inprocess.preprocessed import ChainOptions, Preprocessed
from neuro_cli.inprocess.results import FileResult
from neuro_cli.inprocess.scan_file import size_of
from neuro_preprocess.bids import BidsName
from pipeline import telemetry
from pipeline.keys import telemetry_key

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileTask:
    """What to do with a file; plain values, so that it can be sent to another process.

    Attributes
    ----------
    options : ChainOptions
    destination : Destination
    carrier : mapping of str to str
        Trace context and baggage of whoever asks.
    is_in_batch : bool
        The file's trace is its own, with a link to the batch's; else it is part of the trace that is carried.
    """

    options: ChainOptions
    destination: Destination
    carrier: Mapping[str, str] = field(default_factory=dict)
    is_in_batch: bool = False

    def __call__(self, scan: LocalScan, on_step: OnStep) -> FileResult:
        """Process a file; an error of any kind is a result too."""
        context, links = self._trace()
        token = otel_context.attach(context)
        try:
            with telemetry.tracer().start_as_current_span(
                "preprocess_file", links=links, record_exception=False, set_status_on_exception=False
            ) as span:
                return self._process(scan, on_step, span)
        finally:
            otel_context.detach(token)

    def _trace(self) -> tuple[otel_context.Context, list[Link]]:
        carried = propagate.extract(self.carrier)
        batch = trace.get_current_span(carried).get_span_context()
        if not self.is_in_batch or not batch.is_valid:
            return carried, []
        return trace.set_span_in_context(trace.INVALID_SPAN, carried), [Link(batch)]

    def _process(self, scan: LocalScan, on_step: OnStep, span: Span) -> FileResult:
        name = BidsName.parse(scan.key)
        chain = Chain(name, self.options, on_step)
        shown = telemetry_key(scan.key)
        _log.info("Processing file %s", shown)
        started = perf_counter()
        try:
            size_bytes = size_of(scan.path)
            span.set_attributes({"modality": name.contrast, **telemetry.file_attributes(shown, size_bytes)})
            telemetry.instruments().file_size.record(size_bytes, {"modality": name.contrast})
            made = chain.run(scan.path)
            paths = self._write(scan, made, chain)
        except Exception as error:  # noqa: BLE001  the boundary: one file must not stop the others
            return self._failed(scan, chain, error, span)
        seconds = perf_counter() - started
        span.set_attributes(_attributes(made, seconds, chain.seconds))
        _count(made, seconds)
        return FileResult(
            file=str(scan.path),
            key=scan.key,
            outputs=tuple(str(path) for path in paths),
            seconds=dict(chain.seconds),
            brain_volume_ml=made.measures.brain_volume_ml,
            verdict=made.verdict.status,
            reasons=tuple(reason.message for reason in made.verdict.reasons),
            notices=tuple(made.notices),
        )

    def _write(self, scan: LocalScan, made: Preprocessed, chain: Chain) -> list[Path]:
        histogram = telemetry.instruments().stage_write_duration
        folder, seconds = self.destination.folder, {name: round(value, 3) for name, value in chain.seconds.items()}
        root = scan.path.parents[scan.key.count("/")]
        raw_uri = Path(os.path.relpath(root, folder)).as_posix()
        written, size_bytes = [], 0
        with chain.timed("write"), telemetry.step("write_output", histogram, chain.labels("write")) as step:
            for file in self.destination.files(made, seconds, raw_uri):
                if file.path.endswith(".json"):
                    with telemetry.step("write_metadata", attributes=chain.labels("write")):
                        written.append(write_file(folder, file))
                else:
                    written.append(write_file(folder, file))
                size_bytes += len(file.content)
            step.span.set_attributes(
                {
                    "output.path": telemetry_key(written[-1].relative_to(folder).as_posix()),
                    "output.format": self.destination.format_name,
                    "output.size_kb": round(size_bytes / 1000, 1),
                    "compress": self.destination.is_compressed,
                }
            )
        return written

    def _failed(self, scan: LocalScan, chain: Chain, error: Exception, span: Span) -> FileResult:
        fault = fault_of(error)
        if isinstance(error, OutputError):  # a hint is for the person alone: telemetry does not show it
            hint = f"the output folder is `{self.destination.folder}`: make it writable, or name another one"
            fault = replace(fault, hint=hint)
        telemetry.mark_failed(span, error, code=fault.code)
        span.set_attribute("outcome", "failed")
        telemetry.instruments().processing_errors.add(1, {"stage": chain.step, "error_type": fault.code})
        telemetry.count_end(BidsName.parse(scan.key).contrast, is_failed=True)
        _log.warning("Processing failed in %s: %s: %s", chain.step, fault.code, fault.message)
        return FileResult(file=str(scan.path), key=scan.key, seconds=dict(chain.seconds), fault=fault)


def _attributes(made: Preprocessed, seconds: float, steps: Mapping[str, float]) -> dict[str, Any]:
    return {
        "outcome": "ok",
        "pipeline.status": "success",
        "pipeline.duration": round(seconds, 3),
        "processing.total_time": round(sum(steps.values()), 3),
        "processing.steps": len(made.options.steps),
        "metadata.modality": made.name.contrast,
        "neuro.qc.verdict": made.verdict.status,
    }


def _count(made: Preprocessed, seconds: float) -> None:
    """Count a scan that came to its end, as `functions/report` does."""
    instruments, modality = telemetry.instruments(), {"modality": made.name.contrast}
    telemetry.count_end(made.name.contrast, is_failed=False)
    instruments.process_duration.record(seconds, modality)
    instruments.pipeline_duration.record(seconds, modality)
    instruments.qc_verdicts.add(1, modality | {"verdict": made.verdict.status})
    instruments.qc_brain_volume.set(made.measures.brain_volume_ml, modality)
    for gauge, value in ((instruments.qc_snr, made.measures.snr_wm), (instruments.qc_cnr, made.measures.cnr)):
        if math.isfinite(value):
            gauge.set(value, modality)
