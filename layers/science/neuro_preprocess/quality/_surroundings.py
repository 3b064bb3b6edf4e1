"""What lies around the brain: the head, the air, and samples of both for measures of the whole volume."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neuro_preprocess._blocks import block_means
from neuro_preprocess._otsu import otsu_thresholds
from neuro_preprocess._voxels import largest_component
from neuro_preprocess.errors import InvalidInputError
from neuro_preprocess.image import Mask, Volume

_COARSE_MM = 2.0
# Above this, every seventh sagittal plane is looked at: a prime, so that interpolated slices of 2 or 3 mm do not show.
_SAMPLE_ABOVE_VOXELS = 2_000_000
_PLANE_STEP = 7
# How far the head's edge lies from the background towards the threshold between dark and bright: skin is partly air.
_HEAD_LEVEL = 0.35
_CLOSING_MM = 4.0
# Ringing and motion smear the head into the air around it.
_AIR_DISTANCE_MM = 8.0


@dataclass(frozen=True)
class Surroundings:
    """Samples of a volume, whole planes of it.

    Attributes
    ----------
    everywhere, head, air : (N,) ndarray of float32
        Intensities at the sample; `head` includes the brain, and the rim between head and air is in neither.
    """

    everywhere: npt.NDArray[np.float32]
    head: npt.NDArray[np.float32]
    air: npt.NDArray[np.float32]


def sample_surroundings(volume: Volume, mask: Mask, voxel_size_mm: Sequence[float]) -> Surroundings:
    """Samples of a volume, parted into head and air.

    The head is found on a copy at about 2 mm, whose averaging makes noise harmless; the samples are of the volume
    itself, with its noise.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray of float32
    mask : (X, Y, Z) ndarray of bool
        The brain.
    voxel_size_mm : (3,) sequence of float

    Returns
    -------
    Surroundings
    """
    factors = [
        max(min(math.floor(_COARSE_MM / edge), n), 1) for edge, n in zip(voxel_size_mm, volume.shape, strict=True)
    ]
    whole = tuple(slice(0, n - n % factor, factor) for n, factor in zip(volume.shape, factors, strict=True))
    head = _head(block_means(volume, factors)) | mask[whole]
    air = ~ndimage.binary_dilation(head, iterations=round(_AIR_DISTANCE_MM / _COARSE_MM))

    step = _PLANE_STEP if volume.size > _SAMPLE_ABOVE_VOXELS else 1
    planes = volume[step // 2 :: step]
    # Of each voxel in the planes, the block that it lies in; what was left over at the far ends joins the last one.
    blocks = [
        np.minimum(np.arange(start, n, skip) // factor, length - 1)
        for start, skip, n, factor, length in zip(
            (step // 2, 0, 0), (step, 1, 1), volume.shape, factors, head.shape, strict=True
        )
    ]
    place = np.ix_(*blocks)
    return Surroundings(planes.ravel(), planes[head[place]], planes[air[place]])


def _head(coarse: Volume) -> Mask:
    """Head on the coarse grid, without its holes; all of the volume where there are not two kinds of intensity."""
    try:
        (threshold,) = otsu_thresholds(coarse, classes=2)
    except InvalidInputError:
        return np.ones(coarse.shape, bool)
    background = float(np.median(coarse[coarse < threshold]))
    head = largest_component(coarse > background + _HEAD_LEVEL * (threshold - background))
    # Padded, or else the volume's border would erode what reaches it, as the neck does.
    radius = round(_CLOSING_MM / _COARSE_MM)
    closed = ndimage.binary_closing(np.pad(head, radius), iterations=radius)[(slice(radius, -radius),) * 3]
    return np.asarray(ndimage.binary_fill_holes(closed))
