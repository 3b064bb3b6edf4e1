"""Volumes in blocks: the coarse grids on which the slow parts of the science are done."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neuro_preprocess.image import Volume


def block_sums(volume: npt.NDArray[Any], factors: Sequence[int]) -> Volume:
    """Sums over blocks of voxels; blocks that reach past the end hold what there is.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray of a real type or bool
    factors : (3,) sequence of int
        Voxels in a block along each axis.

    Returns
    -------
    (ceil(X / factors[0]), ...) ndarray of float32, Fortran-ordered
    """
    # Slowest axis of the memory first: whole slices are added to each other, and each later axis has less to do.
    sums = volume.T
    for axis, factor in zip((0, 1, 2), reversed(factors), strict=True):
        sums = _summed_along(sums, axis, factor)
    return np.asarray(sums.T)


def block_means(volume: Volume, factors: Sequence[int]) -> Volume:
    """Means over whole blocks of voxels; what is left over at the far ends is dropped.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray of float32
    factors : (3,) sequence of int

    Returns
    -------
    (X // factors[0], ...) ndarray of float32, Fortran-ordered
    """
    whole = tuple(slice(n - n % factor) for n, factor in zip(volume.shape, factors, strict=True))
    return block_sums(volume[whole], factors) / np.float32(np.prod(factors))


def _summed_along(array: npt.NDArray[Any], axis: int, factor: int) -> npt.NDArray[Any]:
    if factor == 1 and array.dtype == np.float32:
        return array
    before = (slice(None),) * axis
    sums = array[(*before, slice(0, None, factor))].astype(np.float32)
    for offset in range(1, factor):
        part = array[(*before, slice(offset, None, factor))]
        sums[(*before, slice(part.shape[axis]))] += part
    return sums
