"""N4 on a coarse grid: sharpen the histogram, smooth what that changes into a spline, repeat on finer meshes."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neuro_preprocess._blocks import block_sums
from neuro_preprocess._field.log_field import Extent, Floats, LogField, SplineFit, tensor_product
from neuro_preprocess._field.sharpen import sharpened
from neuro_preprocess._voxels import bounding_box
from neuro_preprocess.image import Mask, Volume

GRID_MM = 4.0

_FULL_WIDTH = 0.1
_ITERATIONS = 50
# Coefficient of variation of an iteration's correction below which there is nothing more to come.
_TOLERANCE = 1e-3
_STIFFNESS = 1e-3
# Of a block's voxels, those inside the mask, below which its mean is not trusted.
_SMALLEST_SHARE = 0.5


def n4_log_field(
    volume: Volume, mask: Mask, voxel_size_mm: Sequence[float], *, meshes: Sequence[int]
) -> tuple[LogField, int]:
    """Smooth log field inside a mask, its mean there 0, and the number of iterations that it took.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray of float32
        Voxels that are not positive are left out.
    mask : (X, Y, Z) ndarray of bool
    voxel_size_mm : (3,) sequence of float
    meshes : sequence of int
        Spline intervals across the mask's bounding box, for each level from coarse to fine.

    Returns
    -------
    LogField
        Zero everywhere where there is too little to estimate from.
    int

    References
    ----------
    Tustison NJ, Avants BB, Cook PA, et al. N4ITK: improved N3 bias correction. IEEE Trans Med Imaging 29:1310-1320,
    2010.
    """
    factors = grid_factors(voxel_size_mm)
    corner, box = gridded_box(mask, factors)
    inside = mask[corner] & (volume[corner] > 0)
    counts = block_sums(inside, factors)
    is_used = counts >= _SMALLEST_SHARE * math.prod(factors)
    if np.count_nonzero(is_used) < 2:
        return LogField(box, (np.zeros((meshes[0] + 3,) * 3),)), 0
    sums = block_sums(np.where(inside, volume[corner], np.float32(0)), factors)
    log_values = np.log(sums[is_used].astype(np.float64) / counts[is_used])

    total = np.zeros_like(log_values)
    layers: list[Floats] = []
    iterations = 0
    on_grid = np.zeros(is_used.shape)
    for mesh in meshes:
        fit = SplineFit(is_used, mesh, _STIFFNESS)
        layer = np.zeros((mesh + 3,) * 3)
        for _ in range(_ITERATIONS):
            current = log_values - total
            on_grid[is_used] = current - sharpened(current, _FULL_WIDTH)
            step = fit.solve(on_grid)
            change = tensor_product(fit.bases, step)[is_used]
            layer += step
            total += change
            iterations += 1
            if _variation(change) < _TOLERANCE:
                break
        layers.append(layer)
    return LogField(box, tuple(layers)).shifted(-float(total.mean())), iterations


def grid_factors(voxel_size_mm: Sequence[float]) -> tuple[int, int, int]:
    """Voxels along each axis that make a block of about `GRID_MM`."""
    x, y, z = (max(1, round(GRID_MM / size)) for size in voxel_size_mm)
    return x, y, z


def gridded_box(mask: Mask, factors: Sequence[int]) -> tuple[tuple[slice, slice, slice], tuple[Extent, Extent, Extent]]:
    """Bounding box of a mask, and the same in whole blocks: the last ones may reach past the volume."""
    box = bounding_box(mask)
    x, y, z = (
        Extent(part.start, -(-(part.stop - part.start) // factor) * factor)
        for part, factor in zip(box, factors, strict=True)
    )
    return box, (x, y, z)


def _variation(log_change: npt.NDArray[np.float32]) -> float:
    ratio = np.exp(log_change - log_change.mean())
    return float(ratio.std() / ratio.mean())
