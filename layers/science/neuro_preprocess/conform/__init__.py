"""The first stage: any scan to one frame, RAS axes and isotropic float32 voxels, with its place in space kept."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuro_preprocess.conform._orientation import Canonical, closest_canonical, shear_cosine
from neuro_preprocess.conform._resample import (
    axis_weights,
    resample_axes,
    resample_axes_peak_bytes,
    resample_oblique,
    resample_oblique_peak_bytes,
)
from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.image import Affine, Image, Notice

# Voxels this close to the wanted size stay as they are: resampling would cost sharpness and change nothing else.
VOXEL_SIZE_TOLERANCE_MM = 0.05
# Cosine between two voxel axes. The rounding of a header makes 1e-6; this is 0.06 degrees, 0.26 mm across a head.
_SHEAR_TOLERANCE = 1e-3
# Rounding of the header must not add a slice to a field of view that is a whole number of voxels.
_EXTENT_TOLERANCE_VOXELS = 0.01


@dataclass(frozen=True)
class ConformPlan:
    """What `conform` will make of a scan, known from its header alone.

    Attributes
    ----------
    source_shape : (3,) tuple of int
    source_orientation : str
        Where the source's axes point, as "LPS": to the left, to the back, upwards.
    shape : (3,) tuple of int
    affine : (4, 4) ndarray of float64
        Voxel indices to world coordinates, RAS+, in mm, of the result.
    xform_code : int
        NIfTI code of that space; as the source's, since nothing moves in space.
    is_resampled : bool
        False where reordering the axes is all there is to do.
    is_sheared : bool
        The source's axes are not perpendicular, so the full matrix is needed.
    peak_bytes : int
        What `conform` holds at its peak, result included, beyond the source's voxels.
    """

    source_shape: tuple[int, int, int]
    source_orientation: str
    shape: tuple[int, int, int]
    affine: Affine
    xform_code: int
    is_resampled: bool
    is_sheared: bool
    peak_bytes: int


@dataclass(frozen=True)
class Conformed:
    """A scan in the frame that every later stage works in.

    Attributes
    ----------
    image : Image
        (X, Y, Z) float32, Fortran-ordered, x to the right, y to the front, z upwards, as nearly as rotation allows.
    plan : ConformPlan
    notices : tuple of Notice
    """

    image: Image
    plan: ConformPlan
    notices: tuple[Notice, ...] = ()


def plan_conform(
    shape: tuple[int, int, int], affine: Affine, *, voxel_size_mm: float = 1.0, xform_code: int = 1
) -> ConformPlan:
    """Shape, place and cost of the conformed scan, before any voxel is read.

    Parameters
    ----------
    shape : (3,) tuple of int
    affine : (4, 4) ndarray of float64
        Voxel indices to world coordinates, RAS+, in mm.
    voxel_size_mm : float, default=1.0
        Edge of the isotropic voxels wanted.
    xform_code : int, default=1

    Raises
    ------
    InvalidInputError
        `BAD_DIM`: not three axes of at least one voxel. `BAD_AFFINE`: not finite, or it takes the volume to a plane.
    """
    return _plan(closest_canonical(shape, affine), shape, voxel_size_mm, xform_code)


def conform(image: Image, *, voxel_size_mm: float = 1.0) -> Conformed:
    """Scan with RAS axes, isotropic voxels and float32 values.

    The axes are reordered and reversed to the nearest of RAS; an oblique scan keeps its rotation. The field of view is
    kept whole, and its centre stays where it was; it grows by less than a voxel where it is not a multiple of one.
    Interpolation is by cubic B-splines along each axis, clipped to the scan's own range. Voxels much smaller than those
    wanted are averaged first, so that detail which the new grid cannot carry does not come back as false detail.

    Where every edge is within `VOXEL_SIZE_TOLERANCE_MM` of the wanted one, no voxel is resampled and the affine goes on
    saying the true size: calling a 0.96 mm voxel 1 mm would add an eighth to every volume measured later.

    How the volume is stored does not show: all 48 orders of its axes give the same voxels, byte by byte.

    Parameters
    ----------
    image : Image
        Finite values of any real type. Not changed, but where there is nothing to do the result shares its memory.
    voxel_size_mm : float, default=1.0

    Returns
    -------
    Conformed
        With the notice `SHEARED_AFFINE` where the source's axes are not perpendicular; those scans are resampled by the
        full matrix onto an unrotated grid that holds their whole field of view.

    Raises
    ------
    InvalidInputError
        As `plan_conform`; and `NONFINITE`: there are values that are not finite.
    """
    source = closest_canonical(image.data.shape, image.affine)
    plan = _plan(source, image.data.shape, voxel_size_mm, image.xform_code)
    view = source.view(image.data)
    notices: tuple[Notice, ...] = ()
    if not plan.is_resampled:
        data = np.asarray(view, dtype=np.float32, order="F")
    elif plan.is_sheared:
        data = resample_oblique(view, source.affine[:3, :3], plan.shape, plan.affine[:3, :3])
        notices = (Notice("SHEARED_AFFINE", _shear_message(source.affine)),)
    else:
        steps = voxel_size_mm / np.linalg.norm(source.affine[:3, :3], axis=0)
        x, y, z = (axis_weights(*lengths) for lengths in zip(source.shape, plan.shape, steps, strict=True))
        data = resample_axes(view, (x, y, z))
    if not np.isfinite(data.min()) or not np.isfinite(data.max()):
        raise InvalidInputError(InputFault.NONFINITE, "expected finite voxels, got some that are NaN or infinite")
    return Conformed(Image(data, plan.affine, plan.xform_code), plan, notices)


def _plan(source: Canonical, source_shape: tuple[int, ...], voxel_size_mm: float, xform_code: int) -> ConformPlan:
    if not voxel_size_mm > 0:
        raise ValueError(f"expected a positive voxel size in mm, got {voxel_size_mm}")
    edges_mm = np.linalg.norm(source.affine[:3, :3], axis=0)
    is_sheared = shear_cosine(source.affine) > _SHEAR_TOLERANCE
    is_resampled = is_sheared or bool(np.any(np.abs(edges_mm - voxel_size_mm) > VOXEL_SIZE_TOLERANCE_MM))
    if not is_resampled:
        shape, affine, peak_bytes = source.shape, source.affine, 4 * math.prod(source.shape)
    elif is_sheared:
        # The box around a sheared field of view: each world axis sees the sum of what the three edges extend along it.
        extent_mm = np.abs(source.affine[:3, :3]) @ source.shape
        shape, affine = _grid(source, extent_mm, np.eye(3), voxel_size_mm)
        peak_bytes = resample_oblique_peak_bytes(source.shape, shape)
    else:
        shape, affine = _grid(source, edges_mm * source.shape, source.affine[:3, :3] / edges_mm, voxel_size_mm)
        peak_bytes = resample_axes_peak_bytes(source.shape, shape)
    return ConformPlan(
        source_shape=(source_shape[0], source_shape[1], source_shape[2]),
        source_orientation=source.stored_as,
        shape=shape,
        affine=affine,
        xform_code=xform_code,
        is_resampled=is_resampled,
        is_sheared=is_sheared,
        peak_bytes=peak_bytes,
    )


def _grid(
    source: Canonical, extent_mm: npt.NDArray[np.float64], directions: npt.NDArray[np.float64], voxel_size_mm: float
) -> tuple[tuple[int, int, int], Affine]:
    """Smallest grid along `directions` that covers `extent_mm` around the centre of the source."""
    x, y, z = (max(math.ceil(e / voxel_size_mm - _EXTENT_TOLERANCE_VOXELS), 1) for e in extent_mm)
    centre_mm = source.affine[:3, :3] @ ((np.array(source.shape) - 1) / 2) + source.affine[:3, 3]
    affine = np.eye(4)
    affine[:3, :3] = directions * voxel_size_mm
    affine[:3, 3] = centre_mm - affine[:3, :3] @ ((np.array([x, y, z]) - 1) / 2)
    return (x, y, z), affine


def _shear_message(affine: Affine) -> str:
    degrees = math.degrees(math.asin(shear_cosine(affine)))
    return f"the axes are not perpendicular, by up to {degrees:.1f} degrees; resampled onto an unrotated RAS grid"
