"""Volumes in the file formats that people ask for, and what each of them cannot hold."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from neuro_preprocess.image import Image
from neuro_preprocess.nifti import encode_nifti

FormatName: TypeAlias = Literal["nifti", "mgz", "analyze"]
# Extension to content: a format may take two files.
Files: TypeAlias = Mapping[str, bytes]


@dataclass(frozen=True)
class VolumeFormat:
    """A file format of volumes.

    Attributes
    ----------
    extensions : tuple of str
        Names that say it; the first is of the compressed form, the last of the plain one.
    loses : str
        What of a scan's place in space does not survive; empty: nothing.
    encode : callable
        Image and whether to compress, to files.
    """

    extensions: tuple[str, ...]
    loses: str
    encode: Callable[[Image, bool], Files]


def _encode_nifti(image: Image, is_compressed: bool) -> Files:
    return {".nii.gz" if is_compressed else ".nii": encode_nifti(image, compress=is_compressed)}


def _encode_mgh(image: Image, is_compressed: bool) -> Files:
    from nibabel.freesurfer.mghformat import MGHImage

    picture: Any = MGHImage(_storable(image), image.affine.astype(np.float32))  # type: ignore[no-untyped-call]
    content: bytes = picture.to_bytes()
    if not is_compressed:
        return {".mgh": content}
    from isal import igzip

    return {".mgz": igzip.compress(content, 1, mtime=0)}


def _encode_analyze(image: Image, is_compressed: bool) -> Files:  # noqa: ARG001  there is no compressed Analyze
    from nibabel.analyze import AnalyzeImage

    # Readers take Analyze as stored from right to left, since nothing in the file could tell them otherwise.
    picture: Any = AnalyzeImage(_storable(image)[::-1], None)  # type: ignore[no-untyped-call]
    picture.header.set_zooms(image.voxel_size_mm)
    parts = {".hdr": io.BytesIO(), ".img": io.BytesIO()}
    picture.file_map["header"].fileobj, picture.file_map["image"].fileobj = parts[".hdr"], parts[".img"]
    picture.to_file_map()
    return {extension: part.getvalue() for extension, part in parts.items()}


def _storable(image: Image) -> npt.NDArray[Any]:
    return image.data.astype(np.uint8) if image.data.dtype == np.bool_ else image.data


FORMATS: dict[FormatName, VolumeFormat] = {
    "nifti": VolumeFormat((".nii.gz", ".nii"), "", _encode_nifti),
    "mgz": VolumeFormat((".mgz", ".mgh"), "the name of its space (scanner, MNI, ...)", _encode_mgh),
    "analyze": VolumeFormat(
        (".img", ".hdr"),
        "its orientation, its origin and any rotation: left and right by convention only",
        _encode_analyze,
    ),
}


def split_extension(name: str) -> tuple[str, FormatName | None, bool]:
    """A file name's stem, the format its extension says (None: none), and whether that is the plain form.

    Examples
    --------
    >>> split_extension("sub-01_T1w.nii.gz")
    ('sub-01_T1w', 'nifti', False)
    """
    for format_name, volume_format in FORMATS.items():
        for extension in volume_format.extensions:
            if name.lower().endswith(extension):
                is_plain = extension == volume_format.extensions[-1]
                return name[: -len(extension)], format_name, is_plain
    return name, None, False
