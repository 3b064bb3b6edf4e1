"""What a NIfTI header says, once it has been checked."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.image import Affine, Notice
from neuro_preprocess.nifti import _layout
from neuro_preprocess.nifti._identify import Format
from neuro_preprocess.nifti.affine import is_sheared, place, voxel_edges
from neuro_preprocess.nifti.limits import Limits
from neuro_preprocess.nifti.notices import NiftiNotice

MIN_VOXEL_SIZE_MM = 0.2
MAX_VOXEL_SIZE_MM = 5.0
MAX_INTENSITY = 1e15
"""Squares of larger values, summed over 10^8 voxels, leave float32; below its inverse they vanish."""

_MAX_DATA_OFFSET = 64 << 20
_MAX_DIMENSIONS = 7
_SIZE_TOLERANCE = 1e-4
_PIXDIM_TOLERANCE = 0.01


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """The geometry and storage of one 3-D scan.

    Attributes
    ----------
    version : int
        1 or 2.
    is_gzipped : bool
    is_big_endian : bool
    shape : (3,) tuple of int
        Trailing axes of length 1 are dropped.
    dtype : dtype
        Type of the voxels as stored, with its byte order.
    affine : (4, 4) ndarray of float64
        Voxel indices to world coordinates, RAS+ mm, whatever unit the file uses.
    xform_code : int
        NIfTI code of that space, 1 to 5.
    slope, intercept : float
        Intensity = stored value * slope + intercept; 1 and 0 when the file does not scale.
    data_offset : int
        Position of the first voxel in the (decompressed) file.
    notices : tuple of Notice
        What was odd so far; codes of `NiftiNotice`.
    """

    version: Literal[1, 2]
    is_gzipped: bool
    is_big_endian: bool
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    affine: Affine
    xform_code: int
    slope: float
    intercept: float
    data_offset: int
    notices: tuple[Notice, ...]

    @property
    def voxel_size_mm(self) -> tuple[float, float, float]:
        """Edge lengths of a voxel along its three axes, in mm."""
        x, y, z = voxel_edges(self.affine)
        return float(x), float(y), float(z)

    @property
    def is_scaled(self) -> bool:
        """Whether stored values differ from intensities."""
        return (self.slope, self.intercept) != (1.0, 0.0)

    @property
    def stored_bytes(self) -> int:
        """Size of the voxels in the (decompressed) file."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def volume_bytes(self) -> int:
        """Size of the volume as float32: what `NiftiReader.read` takes, but for about 2 MB."""
        return math.prod(self.shape) * np.dtype(np.float32).itemsize


# Absurd numbers overflow on the way to being refused, which is nothing to warn of.
@np.errstate(over="ignore", invalid="ignore")
def parse_header(raw: bytes, form: Format, *, is_gzipped: bool, limits: Limits) -> NiftiHeader:
    """Header from its bytes, every field that counts checked.

    Parameters
    ----------
    raw : bytes
        The fixed header, `form.header_bytes` long.
    form : Format
        Its version and byte order.
    is_gzipped : bool
        Passed on to the result.
    limits : Limits

    Raises
    ------
    InvalidInputError
        `BAD_DIM`, `NOT_3D`, `BAD_DTYPE`, `BAD_OFFSET`, `TOO_LARGE`, `BAD_VOXEL_SIZE`, `BAD_AFFINE`,
        `NO_ORIENTATION`, `XFORM_CONFLICT`, `BAD_SCALE`.
    """
    layout = _layout.NIFTI1_LAYOUT if form.version == 1 else _layout.NIFTI2_LAYOUT
    fields: Any = np.frombuffer(raw, layout.newbyteorder(form.byte_order))[0]
    notices: list[Notice] = []

    shape = _shape(fields)
    dtype = _dtype(fields, notices).newbyteorder(form.byte_order)
    offset = _data_offset(fields, form)
    _check_volume_size(shape, dtype, limits)
    mm_per_unit = _mm_per_unit(fields, notices)
    pixdim_mm = fields["pixdim"][1:4].astype(np.float64) * mm_per_unit
    _check_voxel_size("pixdim", pixdim_mm)
    affine, xform_code, is_sform = place(fields, shape, mm_per_unit)
    edges_mm = voxel_edges(affine)
    if is_sform:
        _check_voxel_size("sform", edges_mm)
    if not np.allclose(edges_mm, pixdim_mm, rtol=_PIXDIM_TOLERANCE, atol=0):
        notices.append(Notice(NiftiNotice.PIXDIM_MISMATCH, _sizes("pixdim", pixdim_mm, "the sform", edges_mm)))
    if is_sheared(affine):
        notices.append(Notice(NiftiNotice.SHEARED, "the axes of the volume are not at right angles"))
    slope, intercept = _scale(fields, notices)
    return NiftiHeader(
        version=form.version,
        is_gzipped=is_gzipped,
        is_big_endian=form.byte_order == ">",
        shape=shape,
        dtype=dtype,
        affine=affine,
        xform_code=xform_code,
        slope=slope,
        intercept=intercept,
        data_offset=offset,
        notices=tuple(notices),
    )


def text_fields(raw: bytes, form: Format) -> list[str]:
    """Names of the header's text fields that hold anything; never what they hold."""
    layout = _layout.NIFTI1_LAYOUT if form.version == 1 else _layout.NIFTI2_LAYOUT
    fields: Any = np.frombuffer(raw, layout)[0]
    return [name for name in _layout.TEXT_FIELDS if name in (layout.names or ()) and bytes(fields[name]).strip(b"\0 ")]


def _shape(fields: Any) -> tuple[int, int, int]:
    count, *sizes = (int(size) for size in fields["dim"])
    if not 1 <= count <= _MAX_DIMENSIONS:
        raise InvalidInputError(InputFault.BAD_DIM, f"`dim[0]` is {count}, expected 1 to {_MAX_DIMENSIONS}")
    sizes = sizes[:count]
    if min(sizes) < 1:
        raise InvalidInputError(InputFault.BAD_DIM, f"the shape is {_product(sizes)}, expected sizes above 0")
    if count < 3 or min(sizes[:3]) == 1 or any(size > 1 for size in sizes[3:]):
        raise InvalidInputError(
            InputFault.NOT_3D, f"the shape is {_product(sizes)}, expected one volume of more than one slice"
        )
    x, y, z = sizes[:3]
    return x, y, z


def _dtype(fields: Any, notices: list[Notice]) -> np.dtype[Any]:
    code, bits = int(fields["datatype"]), int(fields["bitpix"])
    dtype = _layout.SCALAR_TYPES.get(code)
    if dtype is None:
        name = _layout.REFUSED_TYPES.get(code, "unknown")
        raise InvalidInputError(
            InputFault.BAD_DTYPE,
            f"`datatype` is {code} ({name}), expected integers of up to 32 bits, int64, float32 or float64",
        )
    if bits != 8 * dtype.itemsize:
        notices.append(Notice(NiftiNotice.BITPIX_MISMATCH, f"`bitpix` is {bits}, `datatype` says {8 * dtype.itemsize}"))
    return dtype


def _data_offset(fields: Any, form: Format) -> int:
    offset = fields["vox_offset"].item()
    first = form.header_bytes + _layout.EXTENDER_BYTES
    # NIfTI-1 keeps it as a float, so it may be a fraction or not a number, too.
    if not first <= offset <= _MAX_DATA_OFFSET or offset != int(offset):
        raise InvalidInputError(
            InputFault.BAD_OFFSET,
            f"`vox_offset` is {offset:g}, expected a whole number from {first} to {_MAX_DATA_OFFSET}",
        )
    return int(offset)


def _check_volume_size(shape: tuple[int, int, int], dtype: np.dtype[Any], limits: Limits) -> None:
    volume_bytes = math.prod(shape) * max(dtype.itemsize, np.dtype(np.float32).itemsize)
    if volume_bytes > limits.max_volume_bytes:
        raise InvalidInputError(
            InputFault.TOO_LARGE,
            f"a volume of {_product(shape)} voxels takes {volume_bytes} bytes, expected at most "
            f"{limits.max_volume_bytes}",
        )


def _mm_per_unit(fields: Any, notices: list[Notice]) -> float:
    unit = int(fields["xyzt_units"]) & _layout.UNIT_BITS
    if unit not in _layout.MM_PER_UNIT:
        raise InvalidInputError(
            InputFault.BAD_VOXEL_SIZE, f"`xyzt_units` gives unit {unit}, expected 1 (m), 2 (mm) or 3 (micron)"
        )
    if unit == 0:
        notices.append(Notice(NiftiNotice.UNITS_UNKNOWN, "the header names no unit of length; mm are assumed"))
    return _layout.MM_PER_UNIT[unit]


def _check_voxel_size(source: str, sizes_mm: Affine) -> None:
    low, high = MIN_VOXEL_SIZE_MM * (1 - _SIZE_TOLERANCE), MAX_VOXEL_SIZE_MM * (1 + _SIZE_TOLERANCE)
    # Written so that a NaN fails.
    if not np.all((sizes_mm >= low) & (sizes_mm <= high)):
        raise InvalidInputError(
            InputFault.BAD_VOXEL_SIZE,
            f"the voxels are {_product(sizes_mm)} mm by `{source}`, expected {MIN_VOXEL_SIZE_MM:g} to "
            f"{MAX_VOXEL_SIZE_MM:g} mm a side",
        )


def _scale(fields: Any, notices: list[Notice]) -> tuple[float, float]:
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or math.isnan(slope):
        notices.append(Notice(NiftiNotice.SLOPE_IGNORED, f"`scl_slope` is {slope:g}; the voxels are not scaled"))
        return 1.0, 0.0
    if not 1 / MAX_INTENSITY <= abs(slope) <= MAX_INTENSITY or not abs(intercept) <= MAX_INTENSITY:
        raise InvalidInputError(
            InputFault.BAD_SCALE,
            f"`scl_slope` is {slope:g} and `scl_inter` {intercept:g}, expected magnitudes up to {MAX_INTENSITY:g}",
        )
    return slope, intercept


def _sizes(first: str, first_mm: Affine, second: str, second_mm: Affine) -> str:
    return f"the voxels are {_product(first_mm)} mm by `{first}`, {_product(second_mm)} mm by {second}, which counts"


def _product(sizes: Any) -> str:
    return " x ".join(f"{size:g}" if isinstance(size, float) else str(size) for size in sizes)
