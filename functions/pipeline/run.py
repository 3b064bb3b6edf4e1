"""One object on its way through one stage: what a stage reads from, writes to and reports through."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from functools import cached_property
from time import perf_counter

from opentelemetry.trace import Span

from neuro_preprocess.conform import ConformPlan, plan_conform
from neuro_preprocess.derivatives import DerivedFile
from neuro_preprocess.image import Image
from neuro_preprocess.memory import check_fits
from neuro_preprocess.nifti import Limits, NiftiReader, encode_nifti
from pipeline import keys, telemetry
from pipeline.config import MIB, Settings, settings
from pipeline.errors import MissingObjectError, StageError
from pipeline.events import S3Object
from pipeline.keys import StageName
from pipeline.propagation import inject_context
from pipeline.scan import ScanRecord
from pipeline.storage import ORDER_FIELD, RUN_FIELD, Item, Opened, Storage, Stored, storage

NIFTI_TYPE = "application/gzip"
JSON_TYPE = "application/json"


class Outcome(StrEnum):
    """How one object left a stage."""

    OK = "ok"
    REJECTED = "rejected"  # a scan that cannot be processed; an error file says why
    SKIPPED = "skipped"  # this run had been here before
    IGNORED = "ignored"  # a BIDS companion, no scan
    FAILED = "failed"  # raised, for Lambda to retry


class Run:
    """One object in one stage.

    Parameters
    ----------
    stage : str
    source : S3Object
        What the event named: the upload for `conform`, a work object for the others.
    opened : Opened or None
        Its bytes, not yet read; None where S3 does not give them.
    span : Span
        The stage's `preprocess_file`.

    Attributes
    ----------
    outcome : Outcome
    """

    def __init__(self, stage: StageName, source: S3Object, opened: Opened | None, span: Span) -> None:
        self.stage, self.source, self.span = stage, source, span
        self.outcome = Outcome.OK
        self._opened = opened
        self._started = perf_counter()

    @property
    def settings(self) -> Settings:
        """The function's settings."""
        return settings()

    @property
    def storage(self) -> Storage:
        """The function's S3."""
        return storage()

    @property
    def id(self) -> str:
        """Id of the run."""
        return run_id_of(self.stage, self.source)

    @cached_property
    def scan(self) -> ScanRecord:
        """What the stages before found; a stage adds its own facts."""
        if self.stage == keys.STAGES[0]:
            return ScanRecord.begin(self.source)
        if self.source.key == _key_before(self.stage, self.id):
            return ScanRecord.from_json(self._content.read())
        return record_before(self.stage, self.id)

    @property
    def labels(self) -> dict[str, str]:
        """Attributes of this stage's metrics."""
        return {"stage": self.stage, "modality": self.scan.contrast}

    def is_done(self) -> bool:
        """Whether this stage's output stands already: a second delivery, or a retry after the last write."""
        return self.storage.metadata(self.settings.work_bucket, keys.output_key(self.stage, self.id)) is not None

    def loading(self) -> AbstractContextManager[telemetry.Step]:
        """Span `load_file`, around all reading."""
        return telemetry.step("load_file", telemetry.instruments().stage_load_duration, self.labels)

    def validating(self) -> AbstractContextManager[telemetry.Step]:
        """Span `validate_data`, around the checks before a voxel is read."""
        return telemetry.step("validate_data", attributes=self.labels)

    @contextmanager
    def processing(self, operation: str) -> Iterator[None]:
        """Span `process_image` with the operation's own within, around the computation."""
        with (
            telemetry.step("process_image", telemetry.instruments().stage_process_duration, self.labels),
            telemetry.step(operation, attributes=self.labels),
        ):
            yield

    def writing(self) -> AbstractContextManager[telemetry.Step]:
        """Span `write_output`, around all writing; the next stage's spans hang below it."""
        return telemetry.step("write_output", telemetry.instruments().stage_write_duration, self.labels)

    def open_upload(self) -> NiftiReader:
        """Reader of the upload, its header read and checked.

        Raises
        ------
        InvalidInputError
            The header is refused.
        """
        limits = Limits(self.settings.max_object_bytes, self.settings.max_volume_bytes)
        upload = self._content
        return NiftiReader(upload.stream, object_bytes=upload.size_bytes, limits=limits, name=self.source.key)

    @property
    def upload_bytes(self) -> int:
        """Size of the upload as S3 gives it; events made by hand may not say."""
        return self._content.size_bytes

    def load_trigger(self) -> Image:
        """The volume that triggered this stage."""
        return self._load(self._content)

    def load_output(self, stage: StageName) -> Image:
        """The volume an earlier stage wrote for this run."""
        return self._load(self.storage.open(self.settings.work_bucket, keys.output_key(stage, self.id)))

    def check_fits(self, plan: ConformPlan) -> None:
        """Refuse a scan whose volumes would not fit this function's memory, before they are read.

        Raises
        ------
        InvalidInputError
            `TOO_LARGE`.
        """
        check_fits(plan, available_bytes=self.settings.memory_size * MIB, stage=self.stage)

    def store_image(self, image: Image) -> None:
        """Write the record, then the output volume, which triggers the next stage."""
        content = encode_nifti(image)
        telemetry.instruments().compression_ratio.record(image.data.nbytes / len(content), self.labels)
        self.store_record()
        self._store_work(keys.output_key(self.stage, self.id), content, NIFTI_TYPE)

    def store_record(self) -> Stored:
        """Write the record; of a stage that writes nothing else to the work bucket it is the output."""
        self.scan.seconds[self.stage] = round(perf_counter() - self._started, 3)
        return self._store_work(keys.record_key(self.stage, self.id), self.scan.to_json(), JSON_TYPE)

    def store_derivative(self, path: str, content: bytes, content_type: str) -> None:
        """Write a derivative unless a newer run has; the record then says `is_superseded`."""
        item = Item(content, content_type, {**self._metadata(), ORDER_FIELD: self.scan.order})
        stored = self.storage.replace_older(self.settings.derivatives_bucket, path, item)
        self.scan.is_superseded |= stored is Stored.SUPERSEDED

    def store_shared(self, files: Sequence[DerivedFile]) -> None:
        """Write the files of the whole dataset, the first of them last: where that stands, all do."""
        bucket = self.settings.derivatives_bucket
        if self.storage.metadata(bucket, files[0].path) is not None:
            return
        for file in reversed(files):
            self.storage.create(bucket, file.path, Item(file.content, file.content_type))

    @property
    def _content(self) -> Opened:
        if self._opened is None:
            raise MissingObjectError(f"`{keys.telemetry_key(self.source.key)}` could not be opened")
        return self._opened

    def _load(self, opened: Opened) -> Image:
        labels = {"file.format": "nifti", "modality": self.scan.contrast}
        started = perf_counter()
        # what we wrote ourselves may be as large as a volume: noise does not get smaller
        limits = Limits(self.settings.max_volume_bytes, self.settings.max_volume_bytes)
        reader = NiftiReader(opened.stream, object_bytes=opened.size_bytes, limits=limits)
        header = reader.header
        plan = plan_conform(header.shape, header.affine, voxel_size_mm=self.settings.voxel_size_mm)
        self.check_fits(plan)
        image = reader.read().image
        telemetry.instruments().load_duration.record(perf_counter() - started, labels)
        telemetry.instruments().load_file_size.record(opened.size_bytes, labels)
        return image

    def _store_work(self, key: str, content: bytes, content_type: str) -> Stored:
        stored = self.storage.create(self.settings.work_bucket, key, Item(content, content_type, self._metadata()))
        if stored is Stored.BEFORE and key == keys.output_key(self.stage, self.id):
            self.outcome = Outcome.SKIPPED
        return stored

    def _metadata(self) -> dict[str, str]:
        metadata = {RUN_FIELD: self.id}
        inject_context(metadata, reserved_bytes=len(ORDER_FIELD) + len(self.scan.order))
        return metadata


def record_before(stage: StageName, run: str) -> ScanRecord:
    """The record of a run as the stage before left it.

    Raises
    ------
    PipelineError
        It is not there, cannot be had, or is damaged.
    """
    return ScanRecord.from_json(storage().open(settings().work_bucket, _key_before(stage, run)).read())


def _key_before(stage: StageName, run: str) -> str:
    """Key of the record that the stage before leaves."""
    return keys.record_key(keys.STAGES[keys.STAGES.index(stage) - 1], run)


def run_id_of(stage: StageName, source: S3Object) -> str:
    """Id of the run an event's object belongs to: computed from an upload, read from a work object's key.

    Raises
    ------
    StageError
        The key is no work object's: the stage's trigger is wrong.
    """
    if stage == keys.STAGES[0]:
        return keys.run_id(source)
    parsed = keys.parse_work_key(source.key)
    if parsed is None:
        raise StageError(f"expected the key of a work object, not `{source.key}`")
    return parsed[1]
