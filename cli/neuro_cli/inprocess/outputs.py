"""What is written of a scan, and where: a BIDS derivative dataset, or one volume by a name of one's own."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isal import isal_zlib

from neuro_cli.dataset import DESCRIPTION
from neuro_cli.errors import CliError
from neuro_cli.inprocess.formats import FORMATS, FormatName
from neuro_cli.inprocess.preprocessed import Preprocessed
from neuro_preprocess.bids import derivative_path
from neuro_preprocess.derivatives import (
    DerivedFile,
    brain_files,
    dataset_files,
    origin_fields,
    quality_files,
    software_versions,
)
from neuro_preprocess.errors import PipelineError
from neuro_preprocess.nifti import encode_nifti
from neuro_preprocess.normalize import NormalizationParameters

_JSON, _BINARY = "application/json", "application/octet-stream"
_NIFTI_GZ = ".nii.gz"
_GZIP_WBITS = 31
# For the builder of the whole chain's files, where nothing was normalised; `_as_done` takes it out again.
_UNTOUCHED = NormalizationParameters("zscore", shift=0, scale=1, mean=0, std=1, p01=0, p50=0, p99=0)


class OutputError(PipelineError):
    """A result cannot be written."""

    code = "UNWRITABLE"


@dataclass(frozen=True)
class Destination:
    """Where results go, and in what form.

    Attributes
    ----------
    folder : Path
    name : str or None
        Stem of the one volume that is asked for; None: its BIDS name.
    format : {"nifti", "mgz", "analyze"} or None
        None, without a name: a BIDS derivative dataset.
    has_metadata, is_compressed, has_head : bool
        Whether to write sidecars, to compress, and to write the whole head too.
    """

    folder: Path
    name: str | None = None
    format: FormatName | None = None
    has_metadata: bool = True
    is_compressed: bool = True
    has_head: bool = False

    @property
    def is_dataset(self) -> bool:
        """Whether a BIDS derivative dataset is written."""
        return self.name is None and self.format is None

    @property
    def format_name(self) -> FormatName:
        """Format of the volumes."""
        return self.format or "nifti"

    def files(self, made: Preprocessed, seconds: Mapping[str, float], raw_uri: str) -> Iterator[DerivedFile]:
        """All files of a scan, in the order in which they are to be written: the result comes last.

        Parameters
        ----------
        made : Preprocessed
        seconds : mapping of str to float
            Wall time of each step, for the quality report.
        raw_uri : str
            The raw dataset, relative to the folder.
        """
        files = self._dataset(made, seconds, raw_uri) if self.is_dataset else self._volume(made)
        return (file for file in files if self.has_metadata or not file.path.endswith(".json"))

    def _dataset(self, made: Preprocessed, seconds: Mapping[str, float], raw_uri: str) -> Iterator[DerivedFile]:
        yield from dataset_files(raw_uri=raw_uri)
        yield from quality_files(
            made.name,
            picture=made.picture,
            measures=made.measures,
            verdict=made.verdict,
            checks=made.checks,
            notices=made.notices,
            stage_seconds=seconds,
            provenance=software_versions(),
        )
        head = made.corrected if self.has_head and made.options.strips_skull else None
        parameters = made.parameters or _UNTOUCHED
        files: Iterable[DerivedFile] = brain_files(
            made.name, made.volume, made.mask, parameters, facts=made.facts, head=head
        )
        if not made.options.is_whole_chain:
            files = _as_done(files, made)
        yield from files if self.is_compressed else map(_uncompressed, files)

    def _volume(self, made: Preprocessed) -> Iterator[DerivedFile]:
        """One volume in the format asked for, its sidecar before it."""
        chosen = FORMATS[self.format_name]
        sidecar = origin_fields(made.name) | made.sidecar_fields()
        if chosen.loses:
            sidecar["NotInThisFormat"] = chosen.loses
        stem = self.name or Path(derivative_path(made.name, made.desc, made.name.contrast, "")).name
        yield DerivedFile(f"{stem}.json", _json(sidecar), _JSON)
        for extension, content in chosen.encode(made.volume, self.is_compressed).items():
            yield DerivedFile(stem + extension, content, _BINARY)


def write_file(folder: Path, file: DerivedFile) -> Path:
    """Write one file as a whole: whoever looks sees the old one or the new one, never half of it.

    Raises
    ------
    OutputError
    """
    path = folder / file.path
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(file.content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        # Telemetry shows it, so it names no folder of this machine, not even as a cause.
        raise OutputError(f"cannot write `{file.path}` into the output folder: {why}") from None
    return path


def check_folder(destination: Destination) -> None:
    """Refuse to write derivatives among raw data, where BIDS does not have them.

    Raises
    ------
    CliError
        The folder is a raw BIDS dataset.
    """
    description = destination.folder / DESCRIPTION
    if not destination.is_dataset or not description.is_file():
        return
    try:
        kind = json.loads(description.read_text()).get("DatasetType", "raw")
    except (ValueError, AttributeError, OSError) as error:
        raise CliError(f"`{description}` cannot be read as JSON") from error
    if kind != "derivative":
        raise CliError(
            f"expected a folder for derivatives, but `{destination.folder}` is a BIDS dataset of type `{kind}`",
            hint=f"write to `{destination.folder / 'derivatives' / 'neuro-preprocess'}` instead",
        )


def _as_done(files: Iterable[DerivedFile], made: Preprocessed) -> Iterator[DerivedFile]:
    """Files of the whole chain, changed to say and to hold what was really done."""
    name, contrast = made.name, made.name.contrast

    def path(desc: str, suffix: str, extension: str) -> str:
        return derivative_path(name, desc, suffix, extension)

    masks = {path("brain", "mask", extension) for extension in (_NIFTI_GZ, ".json")}
    for file in files:
        if file.path in masks and not made.options.strips_skull:
            continue
        if file.path == path("brain", contrast, _NIFTI_GZ):
            # Encoded anew, without the display window of normalised intensities.
            volume = encode_nifti(made.volume)
            yield DerivedFile(path(made.desc, contrast, _NIFTI_GZ), volume, file.content_type)
        elif file.path == path("brain", contrast, ".json"):
            sources = [path("brain", "mask", _NIFTI_GZ)] if made.options.strips_skull else []
            sidecar = origin_fields(name, *sources) | made.sidecar_fields()
            yield DerivedFile(path(made.desc, contrast, ".json"), _json(sidecar), _JSON)
        elif file.path == path("preproc", contrast, ".json") and not made.options.corrects_bias:
            sidecar = json.loads(file.content) | {"Description": "Whole head; it shows the face"}
            yield DerivedFile(file.path, _json(sidecar), _JSON)
        else:
            yield file


def _uncompressed(file: DerivedFile) -> DerivedFile:
    """The same file without gzip; a sidecar, with the new names of the files that it speaks of."""
    if file.path.endswith(_NIFTI_GZ):
        content: bytes = isal_zlib.decompress(file.content, wbits=_GZIP_WBITS)
        return DerivedFile(file.path.removesuffix(".gz"), content, file.content_type)
    if not file.path.endswith(".json"):
        return file
    sidecar = json.loads(file.content)
    if "Sources" in sidecar:
        # `bids::` is a file of this dataset; the raw scan, `bids:raw:`, keeps its name.
        sidecar["Sources"] = [
            source.removesuffix(".gz") if source.startswith("bids::") else source for source in sidecar["Sources"]
        ]
    return DerivedFile(file.path, _json(sidecar), file.content_type)


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()
