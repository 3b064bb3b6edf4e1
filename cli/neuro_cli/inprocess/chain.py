"""All stages in one process: the science of the functions, with their spans and metrics, and no bucket between."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TypeAlias

import numpy as np

from neuro_cli.inprocess.machine import available_memory_bytes
from neuro_cli.inprocess.preprocessed import ChainOptions, Preprocessed, Step
from neuro_cli.inprocess.scan_file import LIMITS, UNLIMITED, open_scan, size_of
from neuro_preprocess.bias_correct import bias_correct
from neuro_preprocess.bids import BidsName
from neuro_preprocess.conform import conform, plan_conform
from neuro_preprocess.errors import InvalidInputError, PipelineError
from neuro_preprocess.facts import bias_correct_facts, conform_facts, skull_strip_facts
from neuro_preprocess.image import Image, Mask, Notice
from neuro_preprocess.memory import check_fits
from neuro_preprocess.nifti import NiftiHeader, NiftiReader, Scan
from neuro_preprocess.normalize import normalize
from neuro_preprocess.quality import measure_quality
from neuro_preprocess.quality.verdict import judge
from neuro_preprocess.report.mosaic import render_mosaic
from neuro_preprocess.skull_strip import skull_strip
from pipeline import telemetry

OnStep: TypeAlias = Callable[[str], None]

# A brain fills at most half of the box around it (an ellipsoid, 0.52); what fills more of its volume is no brain alone.
_LARGEST_BRAIN_SHARE = 0.6

_log = logging.getLogger(__name__)


class NotApplicableError(PipelineError):
    """An option does not go with the scan."""

    code = "NOT_APPLICABLE"


class Chain:
    """One scan's way from file to result.

    Parameters
    ----------
    name : BidsName
    options : ChainOptions
    on_step : callable
        Is told the name of each step as it begins.

    Attributes
    ----------
    step : str
        The step that is under way, or went wrong.
    seconds : dict
        Wall time of each step that is done.
    """

    def __init__(self, name: BidsName, options: ChainOptions, on_step: OnStep) -> None:
        self.step: Step = "read"
        self.seconds: dict[str, float] = {}
        self._name, self._options, self._on_step = name, options, on_step

    def run(self, path: Path) -> Preprocessed:
        """Result of all steps but the writing.

        Raises
        ------
        InvalidInputError, StageError, UnreadableError
        """
        made = Preprocessed(self._name, self._options)
        made.notices.extend(self._name.notices)
        header, scan = self._read(path)
        with telemetry.step("process_image", attributes={"modality": self._name.contrast}):
            self._conform(made, header, scan)
            self._find_brain(made, scan)
            del scan
            self._correct_bias(made)
            self._normalize(made)
            self._judge(made)
        return made

    @contextmanager
    def timed(self, step: Step) -> Iterator[None]:
        """Around a step: tell that it begins, keep its time, count how it ended."""
        self.step = step
        self._on_step(step)
        _log.info("Starting %s", step)
        instruments, labels = telemetry.instruments(), {"stage": step}
        started, outcome = perf_counter(), "failed"
        instruments.processing_current.add(1, labels)
        try:
            yield
            outcome = "ok"
        except InvalidInputError:
            outcome = "rejected"
            raise
        finally:
            self.seconds[step] = perf_counter() - started
            instruments.processing_current.add(-1, labels)
            instruments.stages_executed.add(1, {"stage": step, "outcome": outcome})
            _log.info("Completed %s: %s in %.3f s", step, outcome, self.seconds[step])

    @contextmanager
    def _processing(self, step: Step, operation: str) -> Iterator[None]:
        with (
            self.timed(step),
            telemetry.step(operation, telemetry.instruments().stage_process_duration, self.labels(step)),
        ):
            yield

    def labels(self, step: Step) -> dict[str, str]:
        """Attributes of a step's spans and metrics."""
        return {"stage": step, "modality": self._name.contrast}

    def _read(self, path: Path) -> tuple[NiftiHeader, Scan]:
        limits = LIMITS if self._options.is_validated else UNLIMITED
        instruments = telemetry.instruments()
        with (
            self.timed("read"),
            telemetry.step("load_file", instruments.stage_load_duration, self.labels("read")) as load,
        ):
            with open_scan(path, limits) as reader:
                if self._options.is_validated:
                    with telemetry.step("validate_data", attributes=self.labels("read")):
                        self._check_fits(reader)
                scan = reader.read()
            header = reader.header
            load.span.set_attributes({"image.shape": header.shape, "image.dtype": header.dtype.name})
        labels = {"file.format": "nifti", "modality": self._name.contrast}
        instruments.load_duration.record(load.seconds, labels)
        instruments.load_file_size.record(size_of(path), labels)
        return header, scan

    def _check_fits(self, reader: NiftiReader) -> None:
        header = reader.header
        plan = plan_conform(header.shape, header.affine, voxel_size_mm=self._options.voxel_size_mm)
        available_bytes = available_memory_bytes() // self._options.memory_shares
        check_fits(plan, available_bytes=available_bytes)

    def _conform(self, made: Preprocessed, header: NiftiHeader, scan: Scan) -> None:
        with self._processing("conform", "conform"):
            conformed = conform(scan.image, voxel_size_mm=self._options.voxel_size_mm)
        made.conformed = conformed.image
        made.notices.extend((*scan.notices, *conformed.notices))
        made.facts["conform"] = conform_facts(header, scan, conformed)
        telemetry.instruments().voxels_processed.record(conformed.image.data.size, self.labels("conform"))

    def _find_brain(self, made: Preprocessed, scan: Scan) -> None:
        if not self._options.strips_skull:
            made.mask = self._given_brain(made, scan)
            return
        head = made.conformed
        with self._processing("skull_strip", "skull_strip"):
            brain = skull_strip(
                head.data, head.voxel_size_mm, contrast=self._name.contrast, fraction=self._options.brain_fraction
            )
        made.mask, made.checks = brain.mask, brain.checks
        made.facts["skull_strip"] = skull_strip_facts(brain)

    def _given_brain(self, made: Preprocessed, scan: Scan) -> Mask:
        """Where the scan is not 0: the brain, if someone has stripped it before."""
        source = scan.image
        nonzero = Image((source.data != 0).astype(np.float32, order="F"), source.affine, source.xform_code)
        mask = conform(nonzero, voxel_size_mm=self._options.voxel_size_mm).image.data > 0.5
        if mask.mean() > _LARGEST_BRAIN_SHARE:
            made.notices.append(
                Notice("NOT_STRIPPED", "the brain was not looked for and the scan is not 0 around it: all of it counts")
            )
        return mask

    def _correct_bias(self, made: Preprocessed) -> None:
        head = made.conformed
        made.corrected = head
        if not self._options.corrects_bias:
            return
        with self._processing("bias_correct", "bias_correction"):
            corrected = bias_correct(head.data, made.mask, head.voxel_size_mm, contrast=self._name.contrast)
        made.corrected = replace(head, data=corrected.volume)
        made.facts["bias_correct"] = bias_correct_facts(corrected)

    def _normalize(self, made: Preprocessed) -> None:
        head = made.corrected
        if not self._options.normalizes:
            made.volume = replace(head, data=np.where(made.mask, head.data, np.float32(0)))
            return
        if self._options.normalization == "white-matter" and self._name.contrast != "T1w":
            raise NotApplicableError("expected a T1w scan to normalise by white matter, got a T2w one")
        with self._processing("normalize", "normalization"):
            normalized = normalize(
                head.data, made.mask, method=self._options.normalization, contrast=self._name.contrast
            )
        made.volume, made.parameters = replace(head, data=normalized.volume), normalized.parameters

    def _judge(self, made: Preprocessed) -> None:
        volumes = (made.conformed.data, made.corrected.data, made.mask, made.conformed.voxel_size_mm)
        contrast = self._name.contrast
        with self._processing("report", "quality_control"):
            made.measures = measure_quality(*volumes, contrast=contrast)
            made.verdict = judge(made.measures, made.checks, made.notices, contrast=contrast)
            made.picture = render_mosaic(*volumes, title=f"{self._name.stem} {contrast}")
