"""Whether bytes begin a NIfTI file, and if not, what they look like."""

import codecs
from typing import Literal, NamedTuple

from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.nifti import _layout

_SIGNATURES = (
    (128, b"DICM", "a DICOM file"),
    (0, b"\x89PNG\r\n", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (257, b"ustar", "a TAR archive"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ\0", "an xz file"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (0, b"\x1f\x8b", "a gzip file within a gzip file"),
    (0, b"\x89HDF\r\n", "an HDF5 file (MINC 2, perhaps)"),
    (0, b"CDF\x01", "a NetCDF file (MINC 1, perhaps)"),
    (0, b"\0\0\0\x01", "an MGH file"),
    (0, b"NRRD", "an NRRD file"),
    (0, b"ObjectType", "a MetaImage header"),
)
_TEXT_BEGINNINGS = (
    ("<!doctype html", "an HTML page"),
    ("<html", "an HTML page"),
    ("<", "an XML document"),
    ("{", "a JSON document"),
    ("[", "a JSON document"),
)


class Format(NamedTuple):
    """Which NIfTI it is."""

    version: Literal[1, 2]
    byte_order: Literal["<", ">"]

    @property
    def header_bytes(self) -> int:
        """Length of the fixed header."""
        return _layout.NIFTI1_BYTES if self.version == 1 else _layout.NIFTI2_BYTES


_FORMATS = {
    _layout.NIFTI1_BYTES.to_bytes(4, "little"): Format(1, "<"),
    _layout.NIFTI1_BYTES.to_bytes(4, "big"): Format(1, ">"),
    _layout.NIFTI2_BYTES.to_bytes(4, "little"): Format(2, "<"),
    _layout.NIFTI2_BYTES.to_bytes(4, "big"): Format(2, ">"),
}
"""By the first field, `sizeof_hdr`."""


def identify(start: bytes, *, is_whole: bool) -> Format:
    """Version and byte order of a NIfTI single file, by content.

    Parameters
    ----------
    start : bytes
        The first 348 bytes of the (decompressed) file, or all of it if it is shorter.
    is_whole : bool
        `start` is all there is.

    Raises
    ------
    InvalidInputError
        `EMPTY`, `TRUNCATED` (it begins like NIfTI and stops in the header), `PAIR_UNSUPPORTED` (the header of a
        NIfTI or Analyze pair), `CORRUPT` (NIfTI-2 whose line ends were translated), `NOT_NIFTI`.
    """
    if not start:
        raise InvalidInputError(InputFault.EMPTY, "expected a NIfTI file, got no bytes at all")
    found = _FORMATS.get(start[:4])
    is_stump = len(start) < 4 and any(size.startswith(start) for size in _FORMATS)
    if is_stump or (found is not None and len(start) < _layout.NIFTI1_BYTES):
        raise InvalidInputError(InputFault.TRUNCATED, f"the file ends in its NIfTI header, after {len(start)} bytes")
    if found is None:
        raise InvalidInputError(
            InputFault.NOT_NIFTI, f"expected a NIfTI-1 or NIfTI-2 file; it looks like {looks_like(start)}"
        )
    if found.version == 1:
        _check_nifti1_magic(start[344:348], is_whole=is_whole)
    else:
        _check_nifti2_magic(start[4:12])
    return found


def looks_like(start: bytes) -> str:
    """Name for a person of what `start` begins: "a PNG picture"."""
    for position, signature, name in _SIGNATURES:
        if start[position:].startswith(signature):
            return name
    text = _decode(start)
    for beginning, name in _TEXT_BEGINNINGS:
        if text[: len(beginning)].lower() == beginning:
            return name
    return "a text file" if text else "something else"


def _decode(start: bytes) -> str:
    """`start` as text without leading space; empty if it is not text."""
    try:
        # Incrementally, since `start` may end within a character.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start)
    except UnicodeDecodeError:
        return ""
    is_text = all(character.isprintable() or character.isspace() for character in text)
    return text.lstrip() if is_text else ""


def _check_nifti1_magic(magic: bytes, *, is_whole: bool) -> None:
    if magic == _layout.NIFTI1_MAGIC:
        return
    # Analyze 7.5 has no magic (its last field, `smin`, stands there), and its header file ends with that field.
    is_analyze = is_whole or magic == b"\0\0\0\0"
    if is_analyze or magic == _layout.NIFTI1_PAIR_MAGIC:
        raise _pair_unsupported()
    raise _wrong_magic()


def _check_nifti2_magic(magic: bytes) -> None:
    if magic == _layout.NIFTI2_MAGIC:
        return
    if magic == _layout.NIFTI2_PAIR_MAGIC:
        raise _pair_unsupported()
    if magic[:4] == _layout.NIFTI2_MAGIC[:4]:
        raise InvalidInputError(
            InputFault.CORRUPT, "the NIfTI-2 magic is damaged, as by a transfer that translates line ends"
        )
    raise _wrong_magic()


def _pair_unsupported() -> InvalidInputError:
    return InvalidInputError(
        InputFault.PAIR_UNSUPPORTED,
        "expected a single file (.nii or .nii.gz); this is the header of a pair of files (.hdr and .img)",
    )


def _wrong_magic() -> InvalidInputError:
    return InvalidInputError(InputFault.NOT_NIFTI, "`sizeof_hdr` says NIfTI, but the `magic` string does not")
