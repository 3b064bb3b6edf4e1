"""From the inside of the surface to the brain: by intensity, cut loose where it only hangs on by a thread."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from neuro_preprocess._otsu import otsu_thresholds
from neuro_preprocess._voxels import (
    bounding_box,
    close_mm,
    dilate_mm,
    erode_mm,
    largest_component,
    open_mm,
    robust_range,
)
from neuro_preprocess.errors import InvalidInputError
from neuro_preprocess.image import Contrast, Mask, Volume
from neuro_preprocess.skull_strip._mesh import fill_holes

# Deeper than this below the surface there is brain and its ventricles, nothing else.
_CORE_DEPTH_MM = 8.0
# T1w: marrow, fat and vessels are brighter than this many times the brightest white matter.
_T1W_CEILING = 1.15
# T2w: skull, dura and air are darker than this share of the core's median; white matter, which may be too, lies inside.
_T2W_FLOOR = 0.6
_SMOOTHING_MM = 2.0


class _Cut(NamedTuple):
    """How far to erode before the largest piece is taken, how much more to grow back, what folds to close."""

    erosion_mm: float
    regrowth_mm: float
    closing_mm: float


# T2w keeps the fluid around the brain: there is more to cut through, and no open folds to close.
_CUTS: dict[Contrast, _Cut] = {"T1w": _Cut(2.5, 4.0, 8.0), "T2w": _Cut(5.0, 6.5, 4.0)}


def refine(volume: Volume, region: Mask, voxel_size_mm: Sequence[float], contrast: Contrast) -> Mask:
    """Brain inside a region that holds it and too much besides.

    BET's surface is smooth: it bridges folds and takes in dura and marrow. Voxels of the brain's intensities are kept,
    bridges thinner than 5 mm (T2w: 10 mm) are cut, the largest piece is grown back to where it was, and its folds are
    closed.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray of float32
    region : (X, Y, Z) ndarray of bool
    voxel_size_mm : (3,) sequence of float
    contrast : {"T1w", "T2w"}

    Returns
    -------
    (X, Y, Z) ndarray of bool
        Empty where the region is, or shows no tissue classes.
    """
    out = np.zeros_like(region)
    if not region.any():
        return out
    box = bounding_box(region, margin=4)
    values, region = volume[box], region[box]
    thresholds = _tissue_thresholds(values, region, voxel_size_mm, contrast)
    if thresholds is None:
        return out
    low, high = thresholds
    cut = _CUTS[contrast]
    tissue = fill_holes(region & (values > np.float32(low)) & (values < np.float32(high)))
    piece = largest_component(erode_mm(tissue, cut.erosion_mm, voxel_size_mm))
    brain = dilate_mm(piece, cut.regrowth_mm, voxel_size_mm) & tissue
    brain = fill_holes(close_mm(brain, cut.closing_mm, voxel_size_mm) & region)
    out[box] = largest_component(open_mm(brain, _SMOOTHING_MM, voxel_size_mm))
    return out


def _tissue_thresholds(
    values: Volume, region: Mask, voxel_size_mm: Sequence[float], contrast: Contrast
) -> tuple[float, float] | None:
    core = values[erode_mm(region, _CORE_DEPTH_MM, voxel_size_mm)]
    if not core.size:
        return None
    background = robust_range(values)[0]
    if contrast == "T2w":
        return background + _T2W_FLOOR * (float(np.median(core)) - background), float("inf")
    try:
        grey_from, _ = otsu_thresholds(core, classes=3, bins=128)
    except InvalidInputError:
        return None
    bright = float(np.percentile(core, 99.5))
    return grey_from, background + _T1W_CEILING * (bright - background)
