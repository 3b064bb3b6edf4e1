"""The coarse copy of the head that the brain is sought in, and the way back from it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neuro_preprocess._blocks import block_means
from neuro_preprocess._noise import noise_sigma
from neuro_preprocess._voxels import bounding_box, largest_component, robust_range
from neuro_preprocess.image import Mask, Volume

_TARGET_MM = 2.0
# Relative noise above which the surface stumbles over single voxels. Below, and with a wider Gaussian, smoothing only
# closes the gap between brain and skull.
_NOISE_TO_SMOOTH = 0.08
_SMOOTHING_VOXELS, _SMOOTHING_MM = 0.4, 0.8
# From the top of the scalp to the lowest end of the cerebellum there is less, however the head is tilted.
_HEAD_HEIGHT_MM = 165.0
_SMALLEST_TOP_MM2 = 1000.0
_UPSAMPLING_SIGMA_VOXELS = 0.6


@dataclass(frozen=True)
class Coarse:
    """A head at about 2 mm, without the neck.

    Attributes
    ----------
    volume : (X, Y, Z) ndarray of float32
    voxel_size_mm : (3,) tuple of float
    factors : (3,) tuple of int
        Voxels of the full volume along each axis of a coarse one.
    first_slice : int
        Coarse slices cut off below.
    """

    volume: Volume
    voxel_size_mm: tuple[float, float, float]
    factors: tuple[int, int, int]
    first_slice: int


def coarsen(volume: Volume, voxel_size_mm: Sequence[float]) -> Coarse | None:
    """Copy of a head at about 2 mm, reduced to the part that can hold the brain, smoothed if it is noisy.

    Averaging over blocks takes noise away and keeps edges. The neck is cut off because its muscles are as bright as
    the brain and lead the surface astray.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray of float32
        RAS+: the last axis points to the top of the head.
    voxel_size_mm : (3,) sequence of float

    Returns
    -------
    Coarse or None
        None where the volume is uniform.
    """
    # 1e-3: a voxel of 1.0002 mm, as resampled headers have them, still counts as 1 mm.
    x, y, z = (max(1, math.floor(_TARGET_MM / size + 1e-3)) for size in voxel_size_mm)
    factors = (min(x, volume.shape[0]), min(y, volume.shape[1]), min(z, volume.shape[2]))
    coarse = block_means(volume, factors)
    dx, dy, dz = (size * factor for size, factor in zip(voxel_size_mm, factors, strict=True))
    low, high = robust_range(coarse)
    if not high > low:
        return None
    is_head = coarse > np.float32(low + 0.1 * (high - low))
    if not is_head.any():
        return None
    level = float(np.median(coarse[is_head])) - low
    if noise_sigma(coarse, is_head) > _NOISE_TO_SMOOTH * level:
        sigmas = [min(_SMOOTHING_VOXELS, _SMOOTHING_MM / size) for size in (dx, dy, dz)]
        coarse = ndimage.gaussian_filter(coarse, sigmas)
    first = _first_slice(is_head, (dx, dy, dz))
    return Coarse(coarse[:, :, first:], (dx, dy, dz), factors, first)


def refined_grid(mask: Mask, coarse: Coarse, shape: tuple[int, ...]) -> Mask:
    """Coarse mask on the full grid, its steps smoothed.

    Parameters
    ----------
    mask : (X, Y, Z) ndarray of bool
        On the grid of `coarse.volume`.
    coarse : Coarse
    shape : (3,) tuple of int
        Of the full volume.

    Returns
    -------
    ndarray of bool, Fortran-ordered
    """
    out = np.zeros(shape, bool, order="F")
    if not mask.any():
        return out
    # Wide enough for what the smoothing and the interpolation reach.
    box = bounding_box(mask, margin=3)
    smooth = ndimage.gaussian_filter(mask[box].astype(np.float32), _UPSAMPLING_SIGMA_VOXELS, mode="nearest")
    starts = [part.start for part in box]
    starts[2] += coarse.first_slice
    weights: list[npt.NDArray[np.float32]] = []
    full: list[slice] = []
    for axis, (start, factor) in enumerate(zip(starts, coarse.factors, strict=True)):
        first = start * factor
        last = min((start + smooth.shape[axis]) * factor, shape[axis])
        # Coarse samples that were dropped at the far end: the last one reaches there.
        if start + smooth.shape[axis] == shape[axis] // factor:
            last = shape[axis]
        full.append(slice(first, last))
        weights.append(_linear_weights(last - first, smooth.shape[axis], factor))
    x, y, z = weights
    partial = np.tensordot(z, smooth.T, (1, 0))
    partial = np.matmul(y, partial)
    out[tuple(full)] = (partial @ x.T > np.float32(0.5)).T
    return out


def _linear_weights(length: int, samples: int, factor: int) -> npt.NDArray[np.float32]:
    """Linear interpolation between the centres of blocks, as a matrix; constant beyond the outermost."""
    place = np.clip((np.arange(length) + 0.5) / factor - 0.5, 0, samples - 1)
    below = np.minimum(place.astype(np.intp), max(samples - 2, 0))
    weights = np.zeros((length, samples), np.float32)
    rows = np.arange(length)
    weights[rows, below] = 1 - (place - below)
    weights[rows, np.minimum(below + 1, samples - 1)] += place - below
    return weights


def _first_slice(is_head: Mask, voxel_size_mm: tuple[float, float, float]) -> int:
    """Lowest slice that can still hold brain, counted from the top of the head."""
    opened = ndimage.binary_opening(is_head, iterations=2)
    # Ghosts and folded noses above the head are not the head.
    head = largest_component(opened)
    areas_mm2 = np.count_nonzero(head, axis=(0, 1)) * voxel_size_mm[0] * voxel_size_mm[1]
    slices = np.flatnonzero(areas_mm2 > _SMALLEST_TOP_MM2)
    if not slices.size:
        return 0
    return max(0, int(slices[-1]) + 1 - math.ceil(_HEAD_HEIGHT_MM / voxel_size_mm[2]))
