"""Masks in millimetres: boxes, components, and morphology whose radius is a length and not a count of voxels.

Each operation works on the mask's bounding box, widened as far as it can reach, so that its cost is that of the object
and not of the field of view. Balls are exact: made by Euclidean distance transforms that know the voxel size.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neuro_preprocess.image import Mask

# Percentiles of a large volume are as good from a seventh of it, and seven times as cheap.
_SAMPLE_ABOVE_VOXELS = 2_000_000
_SAMPLE_STEP = 7
# A voxel exactly on the radius belongs to the ball, whichever way its distance was rounded.
_ROUNDING_MM = 1e-6


def bounding_box(mask: Mask, *, margin: int = 0) -> tuple[slice, slice, slice]:
    """Smallest box that holds a mask, widened by `margin` voxels where the volume allows it.

    Raises
    ------
    ValueError
        The mask is empty.
    """
    columns: Mask = np.any(mask, axis=2)
    if not columns.any():
        raise ValueError("expected a mask with at least one voxel, got an empty one")
    return (
        _extent(np.any(columns, axis=1), margin),
        _extent(np.any(columns, axis=0), margin),
        _extent(np.any(mask, axis=(0, 1)), margin),
    )


def _extent(occupied: npt.NDArray[np.bool_], margin: int) -> slice:
    found = np.flatnonzero(occupied)
    return slice(max(int(found[0]) - margin, 0), min(int(found[-1]) + 1 + margin, occupied.size))


def largest_component(mask: Mask) -> Mask:
    """Largest part of a mask that hangs together by faces; of equal ones, the first. Empty if the mask is."""
    labels = np.empty_like(mask, dtype=np.int32)
    count = ndimage.label(mask, output=labels)
    if count <= 1:
        return mask.copy(order="K")
    sizes = np.bincount(labels.ravel(order="K"))
    return np.asarray(labels == sizes[1:].argmax() + 1)


def dilate_mm(mask: Mask, radius_mm: float, voxel_size_mm: Sequence[float]) -> Mask:
    """Voxels whose centre is at most `radius_mm` from a voxel of the mask."""
    if radius_mm <= 0 or not mask.any():
        return mask.copy(order="K")
    box = bounding_box(mask, margin=_reach(radius_mm, voxel_size_mm))
    out = np.zeros_like(mask)
    out[box] = _distance_mm(~mask[box], voxel_size_mm) <= radius_mm + _ROUNDING_MM
    return out


def erode_mm(mask: Mask, radius_mm: float, voxel_size_mm: Sequence[float]) -> Mask:
    """Voxels of the mask whose centre is farther than `radius_mm` from every voxel outside it.

    What lies beyond the volume does not erode it: a brain cut off by the field of view goes on there.
    """
    if radius_mm <= 0 or not mask.any():
        return mask.copy(order="K")
    # One voxel of margin is enough: in each direction the nearest voxel outside the mask is not beyond the box's rim.
    box = bounding_box(mask, margin=1)
    out = np.zeros_like(mask)
    out[box] = _distance_mm(mask[box], voxel_size_mm) > radius_mm + _ROUNDING_MM
    return out


def close_mm(mask: Mask, radius_mm: float, voxel_size_mm: Sequence[float]) -> Mask:
    """Mask with gaps and folds narrower than twice `radius_mm` filled; it keeps all it had.

    There is nothing of the mask beyond the volume: a gap that opens on the border is filled as one at the surface.
    """
    if radius_mm <= 0 or not mask.any():
        return mask.copy(order="K")
    # Room for the dilation beyond the volume, or else the erosion after it would leave a skin on the volume's border.
    box = bounding_box(mask)
    room = _reach(radius_mm, voxel_size_mm) + 1
    padded = np.pad(mask[box], room)
    closed = erode_mm(dilate_mm(padded, radius_mm, voxel_size_mm), radius_mm, voxel_size_mm)
    out = np.zeros_like(mask)
    out[box] = closed[room:-room, room:-room, room:-room]
    return out


def open_mm(mask: Mask, radius_mm: float, voxel_size_mm: Sequence[float]) -> Mask:
    """Mask without the parts that a ball of `radius_mm` does not fit into."""
    return dilate_mm(erode_mm(mask, radius_mm, voxel_size_mm), radius_mm, voxel_size_mm)


def robust_range(volume: npt.NDArray[Any], low: float = 2, high: float = 98) -> tuple[float, float]:
    """Percentiles `low` and `high` of a volume's intensities; its minimum and maximum where those two coincide."""
    step = _SAMPLE_STEP if volume.size > _SAMPLE_ABOVE_VOXELS else 1
    bottom, top = np.percentile(volume.ravel(order="K")[::step], [low, high])
    if bottom == top:
        bottom, top = volume.min(), volume.max()
    return float(bottom), float(top)


def _reach(radius_mm: float, voxel_size_mm: Sequence[float]) -> int:
    return math.ceil((radius_mm + _ROUNDING_MM) / min(voxel_size_mm))


def _distance_mm(inside: Mask, voxel_size_mm: Sequence[float]) -> npt.NDArray[np.float64]:
    """Distance of each voxel of `inside` to the nearest voxel that is not; infinite where there is none."""
    if inside.all():
        return np.full(inside.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(inside, sampling=tuple(voxel_size_mm)))
