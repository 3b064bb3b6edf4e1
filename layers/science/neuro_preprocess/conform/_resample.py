"""Resampling by cubic B-splines: one small matrix an axis where the grids are parallel, the full affine where not."""

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neuro_preprocess.image import Volume

Weights: TypeAlias = npt.NDArray[np.float32]
Axes: TypeAlias = npt.NDArray[np.float64]

# Slices taken at a time: several, since a cache line of a volume stored along another axis holds voxels of several.
_SLAB = 16


def axis_weights(source_length: int, length: int, step: float) -> Weights | None:
    """Matrix that takes samples along an axis to other samples along it, the centres of both being one point.

    Interpolation is by cubic B-splines, prefilter included, with the outermost samples repeated beyond the ends. Where
    the step is longer than a voxel, the samples are averaged first, as a voxel of that length would have averaged them.

    Parameters
    ----------
    source_length, length : int
        Samples that there are, and that there will be.
    step : float
        Distance of the new samples, in source voxels.

    Returns
    -------
    (length, source_length) ndarray of float32, or None
        None where the samples fall on each other.
    """
    first = (source_length - 1) / 2 - step * (length - 1) / 2
    if length == source_length and abs(first) < 1e-3:
        return None
    # Each column of the identity is resampled along itself: what becomes of one sample is its column of weights.
    samples = np.eye(source_length)
    if step > 1:
        samples = ndimage.gaussian_filter1d(samples, averaging_sigma(step), axis=0, mode="nearest")
    return np.asarray(
        ndimage.affine_transform(
            samples,
            [step, 1],
            [first, 0],
            output_shape=(length, source_length),
            output=np.float32,
            order=3,
            mode="nearest",
        )
    )


def averaging_sigma(step: float) -> float:
    """Deviation, in source voxels, of the Gaussian that widens a voxel of length 1 to one of length `step`.

    A voxel averages over its length: a box of variance length^2 / 12. Variances add, so the missing one is the
    difference. It is nothing where `step` is at most 1, and has no effect in float32 below 1.15.
    """
    return float(np.sqrt(max(step * step - 1, 0) / 12))


def resample_axes(volume: npt.NDArray[Any], weights: tuple[Weights | None, Weights | None, Weights | None]) -> Volume:
    """Volume resampled along each axis in turn.

    A float32 copy of the source is never made: slabs of it are converted, multiplied along x and y, and put away.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray of a real type
        Finite. May be a view with any strides; equal values give equal bytes whatever these are.
    weights : (3,) tuple of ndarray or None
        See `axis_weights`.

    Returns
    -------
    (X', Y', Z') ndarray of float32, Fortran-ordered
        Clipped to the range of `volume`: cubic splines overshoot at edges, and below zero there is no signal.
    """
    along_x, along_y, along_z = weights
    width, height, depth = volume.shape
    width = width if along_x is None else len(along_x)
    height = height if along_y is None else len(along_y)
    # Transposed, a Fortran-ordered volume is C-ordered, and each product below is handed to BLAS without a copy.
    planes = np.empty((depth, height, width), np.float32)
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for start in range(0, depth, _SLAB):
        slab = np.ascontiguousarray(volume[:, :, start : start + _SLAB].T, dtype=np.float32)
        low, high = np.minimum(low, slab.min()), np.maximum(high, slab.max())
        if along_x is not None:
            slab = np.matmul(slab, along_x.T)
        if along_y is not None:
            slab = np.matmul(along_y, slab)
        planes[start : start + _SLAB] = slab
    if along_z is not None:
        stacked = np.empty((len(along_z), height, width), np.float32)
        np.matmul(along_z, planes.reshape(depth, -1), out=stacked.reshape(len(along_z), -1))
        planes = stacked
    np.clip(planes, low, high, out=planes)
    return planes.T


def resample_axes_peak_bytes(source_shape: tuple[int, int, int], shape: tuple[int, int, int]) -> int:
    """Most that `resample_axes` holds at a time, beyond its source, and `axis_weights` before it."""
    width, height, depth = shape
    largest_plane = max(source_shape[0], width) * max(source_shape[1], height)
    volumes = 4 * (width * height * (source_shape[2] + depth) + 3 * _SLAB * largest_plane)
    # The identity that the weights are made from, smoothed and prefiltered, in float64: nothing, but for absurd axes.
    return volumes + 28 * max(source_shape) ** 2


def resample_oblique(
    volume: npt.NDArray[Any], source_axes_mm: Axes, shape: tuple[int, int, int], axes_mm: Axes
) -> Volume:
    """Volume resampled onto a grid of any axes with the same centre: slower than `resample_axes`, and hungrier.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray of a real type
        Finite. Equal values give equal bytes whatever the strides are.
    source_axes_mm, axes_mm : (3, 3) ndarray of float64
        Step from voxel to voxel along each axis, in columns, before and after.
    shape : (3,) tuple of int

    Returns
    -------
    (X', Y', Z') ndarray of float32, Fortran-ordered
        The minimum of `volume` outside its field of view; clipped to its range.
    """
    samples = np.asarray(volume, dtype=np.float32, order="F")
    low, high = samples.min(), samples.max()
    edges_mm, source_edges_mm = np.linalg.norm(axes_mm, axis=0), np.linalg.norm(source_axes_mm, axis=0)
    sigmas = [averaging_sigma(edges_mm.max() / edge) for edge in source_edges_mm]
    samples = ndimage.gaussian_filter(samples, sigmas, mode="nearest")
    samples = ndimage.spline_filter(samples, order=3, output=np.float32)
    to_source = np.linalg.solve(source_axes_mm, axes_mm)
    first = (np.array(volume.shape) - 1) / 2 - to_source @ ((np.array(shape) - 1) / 2)
    out = np.empty(shape, np.float32, order="F")
    ndimage.affine_transform(samples, to_source, first, output=out, order=3, mode="constant", cval=low, prefilter=False)
    return np.asarray(np.clip(out, low, high, out=out))


def resample_oblique_peak_bytes(source_shape: tuple[int, int, int], shape: tuple[int, int, int]) -> int:
    """Most that `resample_oblique` holds at a time, beyond its source."""
    # Smoothing and prefilter hold their input and their output; the last step, what is prefiltered and the result.
    filtering, placing = 2 * math.prod(source_shape), math.prod(source_shape) + math.prod(shape)
    return 4 * max(filtering, placing)
