"""How noisy a volume is, from the voxels themselves."""

import math

import numpy as np

from neuro_preprocess.image import Mask, Volume

# Deviation of white noise after three second differences (1, -2, 1), one along each axis.
_GAIN = math.sqrt(6.0**3)
_MAD_TO_SIGMA = 1.4826


def noise_sigma(volume: Volume, mask: Mask) -> float:
    """Standard deviation of the noise in a region, by the median of the volume's third mixed second differences.

    Anatomy is smooth on the scale of a voxel, noise is not; the median leaves out the edges. Interpolated volumes
    have smoothed noise, which this underrates.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray of float32
    mask : (X, Y, Z) ndarray of bool
        Where to look. Voxels on the volume's border are left out.

    Returns
    -------
    float
        In the volume's units; 0 where no voxel has all its neighbours.
    """
    if min(volume.shape) < 3:
        return 0.0
    core = mask[1:-1, 1:-1, 1:-1]
    if not core.any():
        return 0.0
    differences = volume
    for axis in (2, 1, 0):
        differences = _second_differences(differences, axis)
    return float(_MAD_TO_SIGMA * np.median(np.abs(differences[core])) / _GAIN)


def _second_differences(volume: Volume, axis: int) -> Volume:
    before = (slice(None),) * axis
    middle = volume[(*before, slice(1, -1))]
    out = volume[(*before, slice(None, -2))] - middle
    out -= middle
    out += volume[(*before, slice(2, None))]
    return out
