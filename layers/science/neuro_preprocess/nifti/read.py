"""Reading: a stream to a header, then to an image."""

import struct
from dataclasses import dataclass, replace

from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.image import Image, Notice
from neuro_preprocess.nifti import _layout
from neuro_preprocess.nifti._identify import Format, identify
from neuro_preprocess.nifti._source import MAX_DEFLATE_RATIO, ByteSource, ReadableStream, open_source
from neuro_preprocess.nifti._voxels import check_intensities, read_voxels
from neuro_preprocess.nifti.header import NiftiHeader, parse_header, text_fields
from neuro_preprocess.nifti.limits import DEFAULT_LIMITS, Limits
from neuro_preprocess.nifti.notices import NiftiNotice

_EXTENSION_HEADER_BYTES = 8


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan as read.

    Attributes
    ----------
    image : Image
        `data` is (X, Y, Z) float32 intensities, Fortran-ordered, all finite; axes as stored.
    notices : tuple of Notice
        All that was odd, the header's included; codes of `NiftiNotice`.
    nonfinite_voxels : int
        How many voxels were not finite and are now 0.
    """

    image: Image
    notices: tuple[Notice, ...]
    nonfinite_voxels: int


class NiftiReader:
    """A NIfTI-1 or NIfTI-2 single file, plain or gzip, of either byte order.

    Making one reads and checks the header and what stands before the voxels; `read` reads the rest. Nothing larger than
    a chunk is allocated before the header has been held to the limits.

    Parameters
    ----------
    stream : object with `read(n)`
        Bytes of the file; short reads are fine. Its own exceptions pass through. Not closed.
    object_bytes : int, optional
        Size of the stored object, if known: too large a one is then refused before it is read, and one that cannot
        hold its voxels before they are.
    limits : Limits, optional
    name : str, optional
        Name of the object. The content alone decides what it is; a name that says otherwise is worth a notice.

    Attributes
    ----------
    header : NiftiHeader

    Raises
    ------
    InvalidInputError
        `EMPTY`, `TOO_LARGE`, `NOT_NIFTI`, `PAIR_UNSUPPORTED`, `TRUNCATED`, `CORRUPT`, `TOO_MUCH_DATA`,
        `BAD_EXTENSION`, and what `parse_header` raises.
    """

    def __init__(
        self,
        stream: ReadableStream,
        object_bytes: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
        *,
        name: str = "",
    ) -> None:
        if object_bytes is not None and object_bytes > limits.max_object_bytes:
            raise InvalidInputError(
                InputFault.TOO_LARGE,
                f"the object is {object_bytes} bytes, expected at most {limits.max_object_bytes}",
            )
        self._source = open_source(stream, limits.max_object_bytes)
        self._is_read = False
        form, raw, extender = _read_fixed(self._source)
        header = parse_header(raw, form, is_gzipped=self._source.is_gzipped, limits=limits)
        if object_bytes is not None:
            _check_object_size(header, object_bytes)
        extension_codes = _skip_extensions(self._source, header) if extender[0] else []
        if not self._source.skip_to(header.data_offset):
            raise _ends_before_voxels(header, self._source.position)
        notices = [
            *_name_notice(name, is_gzipped=header.is_gzipped),
            *header.notices,
            *_text_notice(text_fields(raw, form), extension_codes),
        ]
        self.header = replace(header, notices=tuple(notices))

    def read(self) -> Scan:
        """Intensities of the scan, once the last byte and the checksum are known to be good.

        Returns
        -------
        Scan

        Raises
        ------
        InvalidInputError
            `TRUNCATED`, `CORRUPT` (damaged gzip stream, wrong checksum, bytes after it), `TOO_MUCH_DATA` (more bytes
            than the header promises, a second gzip member), `TOO_LARGE`, `NONFINITE`, `BAD_SCALE`, `NO_SIGNAL`.
        RuntimeError
            It has been read before: a stream can be read once.
        """
        if self._is_read:
            raise RuntimeError("`read` was called a second time; make a new reader on a new stream")
        self._is_read = True
        volume, tally = read_voxels(self._source, self.header)
        self._source.expect_end()
        check_intensities(tally, self.header)
        notices = self.header.notices
        if tally.nonfinite:
            message = f"{tally.nonfinite} voxels were not finite and are now 0"
            notices = (*notices, Notice(NiftiNotice.NONFINITE_ZEROED, message))
        return Scan(Image(volume, self.header.affine, self.header.xform_code), notices, tally.nonfinite)


def _read_fixed(source: ByteSource) -> tuple[Format, bytes, bytes]:
    """Format of the file, its fixed header, and the four bytes that follow."""
    raw = source.read(_layout.NIFTI1_BYTES)
    extender = source.read(_layout.EXTENDER_BYTES)
    form = identify(raw, is_whole=not extender)
    if form.version == 2:
        raw += extender + source.read(_layout.NIFTI2_BYTES - _layout.NIFTI1_BYTES - _layout.EXTENDER_BYTES)
        extender = source.read(_layout.EXTENDER_BYTES)
    if len(extender) < _layout.EXTENDER_BYTES:
        raise InvalidInputError(
            InputFault.TRUNCATED, f"the file ends in its NIfTI-{form.version} header, after {source.position} bytes"
        )
    return form, raw, extender


def _check_object_size(header: NiftiHeader, object_bytes: int) -> None:
    """Hold the header's promises to the size of the object, before room is made for them."""
    file_bytes = header.data_offset + header.stored_bytes
    if header.is_gzipped:
        is_short = file_bytes > MAX_DEFLATE_RATIO * object_bytes
    elif header.data_offset > object_bytes:
        raise _ends_before_voxels(header, object_bytes)
    elif file_bytes < object_bytes:
        raise InvalidInputError(
            InputFault.TOO_MUCH_DATA, f"expected {file_bytes} bytes of header and voxels, the object has {object_bytes}"
        )
    else:
        is_short = file_bytes > object_bytes
    if is_short:
        raise InvalidInputError(
            InputFault.TRUNCATED,
            f"an object of {object_bytes} bytes cannot hold the {file_bytes} bytes its header promises",
        )


def _ends_before_voxels(header: NiftiHeader, file_bytes: int) -> InvalidInputError:
    return InvalidInputError(
        InputFault.BAD_OFFSET,
        f"`vox_offset` is {header.data_offset}, expected at most the {file_bytes} bytes of the file",
    )


def _skip_extensions(source: ByteSource, header: NiftiHeader) -> list[int]:
    """Pass over the header extensions; their codes."""
    form = ">ii" if header.is_big_endian else "<ii"
    codes = []
    while header.data_offset - source.position >= _EXTENSION_HEADER_BYTES:
        begin = source.position
        raw = source.read(_EXTENSION_HEADER_BYTES)
        if len(raw) < _EXTENSION_HEADER_BYTES:
            break
        size, code = struct.unpack(form, raw)
        if size == 0:
            # Room that is kept before the voxels and never used.
            break
        if not _EXTENSION_HEADER_BYTES <= size <= header.data_offset - begin:
            raise InvalidInputError(
                InputFault.BAD_EXTENSION,
                f"a header extension claims {size} bytes, expected {_EXTENSION_HEADER_BYTES} to "
                f"{header.data_offset - begin}",
            )
        codes.append(code)
        if not source.skip_to(begin + size):
            break
    return codes


def _name_notice(name: str, *, is_gzipped: bool) -> list[Notice]:
    lowered = name.lower()
    if is_gzipped and lowered.endswith(".nii"):
        return [Notice(NiftiNotice.NAME_MISMATCH, "the name ends in `.nii`, the content is gzip")]
    if not is_gzipped and lowered.endswith(".gz"):
        return [Notice(NiftiNotice.NAME_MISMATCH, "the name ends in `.gz`, the content is not gzip")]
    return []


def _text_notice(fields: list[str], extension_codes: list[int]) -> list[Notice]:
    dropped = [f"`{field}`" for field in fields]
    if extension_codes:
        codes = ", ".join(str(code) for code in sorted(set(extension_codes)))
        dropped.append(f"header extensions (codes {codes})")
    if not dropped:
        return []
    return [Notice(NiftiNotice.TEXT_DROPPED, f"free text is not carried over from {', '.join(dropped)}")]
