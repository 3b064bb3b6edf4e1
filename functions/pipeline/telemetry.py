"""Spans and metrics of the pipeline, by the OpenTelemetry API only: names are a contract with queries and dashboards.

Without an SDK (no telemetry layer) all of this does nothing and costs next to nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath
from time import perf_counter
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.metrics import Counter, Histogram, Meter, UpDownCounter
from opentelemetry.metrics import _Gauge as Gauge  # the API's only name for it
from opentelemetry.trace import Span, Status, StatusCode, Tracer

from neuro_preprocess import __version__

_SCOPE = "neuro_preprocess"

# Lambda stops at 900 s; 3 s is a boundary because objectives are set on it.
_SECONDS = [0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 120, 300, 600, 900]
_BYTES = [2**20 * mb for mb in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)]
_VOXELS = [1e5, 3e5, 1e6, 3e6, 5e6, 7e6, 1e7, 1.5e7, 2e7, 3e7, 1e8]
_RATIOS = [1, 1.5, 2, 3, 5, 7, 10, 15, 20, 50, 100]


@cache
def tracer() -> Tracer:
    """The tracer of the pipeline."""
    return trace.get_tracer(_SCOPE, __version__)


@dataclass(frozen=True)
class Instruments:
    """Every instrument of the pipeline."""

    files_processed: Counter
    files_failed: Counter
    processing_errors: Counter
    stages_executed: Counter
    processing_current: UpDownCounter
    process_duration: Histogram
    pipeline_duration: Histogram
    stage_load_duration: Histogram
    stage_process_duration: Histogram
    stage_write_duration: Histogram
    file_size: Histogram
    load_file_size: Histogram
    load_duration: Histogram
    voxels_processed: Histogram
    compression_ratio: Histogram
    qc_snr: Gauge
    qc_cnr: Gauge
    qc_brain_volume: Gauge
    qc_verdicts: Counter


@cache
def instruments() -> Instruments:
    """All instruments, made when first used."""
    meter = metrics.get_meter(_SCOPE, __version__)
    return Instruments(
        files_processed=meter.create_counter("neuro.files.processed", "{file}", "Scans that came to their end"),
        files_failed=meter.create_counter("neuro.files.failed", "{file}", "Scans that ended without derivatives"),
        processing_errors=meter.create_counter("neuro.processing.errors", "{error}", "Errors, by stage and kind"),
        stages_executed=meter.create_counter("neuro.stages.executed", "{stage}", "Stages run, by stage and outcome"),
        processing_current=meter.create_up_down_counter(
            "neuro.processing.current", "{file}", "Scans in a stage at this moment"
        ),
        process_duration=_seconds(meter, "neuro.process.duration", "Processing time of a scan, all stages summed"),
        pipeline_duration=_seconds(meter, "neuro.pipeline.duration", "Time from a scan's upload to its end"),
        stage_load_duration=_seconds(meter, "neuro.stage.load.duration", "Reading a stage's input"),
        stage_process_duration=_seconds(meter, "neuro.stage.process.duration", "A stage's computation"),
        stage_write_duration=_seconds(meter, "neuro.stage.write.duration", "Writing a stage's output"),
        file_size=_histogram(meter, "neuro.file.size", "By", "Size of a scan as uploaded", _BYTES),
        load_file_size=_histogram(meter, "neuro.load.file_size", "By", "Size of a file as read", _BYTES),
        load_duration=_seconds(meter, "neuro.load.duration", "Reading and checking a file"),
        voxels_processed=_histogram(meter, "neuro.voxels.processed", "{voxel}", "Voxels of a volume", _VOXELS),
        compression_ratio=_histogram(
            meter, "neuro.compression.ratio", "1", "Bytes of a volume over bytes of its file", _RATIOS
        ),
        qc_snr=meter.create_gauge("neuro.qc.snr", description="Signal-to-noise ratio of white matter"),
        qc_cnr=meter.create_gauge("neuro.qc.cnr", description="Contrast-to-noise ratio of grey and white matter"),
        qc_brain_volume=meter.create_gauge("neuro.qc.brain.volume", "mL", "Volume of the brain mask"),
        qc_verdicts=meter.create_counter("neuro.qc.verdicts", "{verdict}", "QC verdicts, by verdict"),
    )


def _seconds(meter: Meter, name: str, description: str) -> Histogram:
    return _histogram(meter, name, "s", description, _SECONDS)


def _histogram(meter: Meter, name: str, unit: str, description: str, bounds: Sequence[float]) -> Histogram:
    return meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=bounds)


@dataclass
class Step:
    """One timed piece of work and its span."""

    span: Span
    seconds: float = 0.0
    attributes: dict[str, Any] = field(default_factory=dict)


@contextmanager
def step(name: str, histogram: Histogram | None = None, attributes: Mapping[str, Any] | None = None) -> Iterator[Step]:
    """A span around a piece of work, its seconds recorded in a histogram with the same attributes when it succeeds."""
    started = perf_counter()
    with tracer().start_as_current_span(name, attributes=dict(attributes or {})) as span:
        this = Step(span, attributes=dict(attributes or {}))
        yield this
        this.seconds = perf_counter() - started
        if histogram is not None:
            histogram.record(this.seconds, this.attributes)


def file_attributes(shown_key: str, size_bytes: int) -> dict[str, Any]:
    """Attributes of a span about one file.

    `file_size_mb` is a whole number, since TraceQL compares whole numbers only with whole numbers
    (`{span.file_size_mb > 100}`); `file.size_mb` has the fraction.
    """
    megabytes = size_bytes / 1e6
    return {
        "file.name": PurePosixPath(shown_key).name,
        "file.path": shown_key,
        "file_path": shown_key,
        "file.size": size_bytes,
        "file.size_mb": round(megabytes, 3),
        "file_size_mb": round(megabytes),
    }


def count_end(modality: str, *, is_failed: bool) -> None:
    """Count a scan at its end, whatever the verdict.

    Both counters are added to with the same attributes, a 0 where nothing failed, so that their ratio always finds
    both series. A scan that failed and is replayed comes to an end again, and counts again.
    """
    attributes = {"modality": modality}
    instruments().files_processed.add(1, attributes)
    instruments().files_failed.add(1 if is_failed else 0, attributes)


def mark_failed(span: Span, error: BaseException, *, code: str) -> None:
    """Give a span error status and the fields that say which error."""
    span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, str(error)))
    span.set_attributes({"error": True, "error.type": code, "error.message": str(error), "pipeline.status": "failed"})
