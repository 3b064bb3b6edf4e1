"""What a mask says about itself: figures that a brain's mask has and most failures have not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuro_preprocess._voxels import bounding_box, dilate_mm, erode_mm, robust_range
from neuro_preprocess.image import Contrast, Mask, Volume

_RING_MM = 3.0
_SHELL_MM = 8.0
# A ratio to nothing, in a stripped scan, is infinite; a finite one can be stored as JSON.
_LARGEST_RATIO = 100.0


@dataclass(frozen=True)
class SelfCheck:
    """One figure of a mask, held to the range that brains of adults show.

    Attributes
    ----------
    name : str
        Stable name with its unit, snake case.
    value : float
    low, high : float
        Passed when `low <= value <= high`.
    """

    name: str
    value: float
    low: float
    high: float

    @property
    def is_passed(self) -> bool:
        """Whether the value is in its range."""
        return self.low <= self.value <= self.high


def shape_checks(mask: Mask, voxel_size_mm: Sequence[float]) -> tuple[SelfCheck, ...]:
    """Checks of the size and form of a mask with at least one voxel.

    They tell a brain from a head, a neck and half a brain; a loss of 3 % goes unseen.
    """
    box = bounding_box(mask)
    extents_mm = [(part.stop - part.start) * size for part, size in zip(box, voxel_size_mm, strict=True)]
    voxels = int(np.count_nonzero(mask[box]))
    return (
        SelfCheck("volume_ml", voxels * math.prod(voxel_size_mm) / 1000, 900, 2000),
        SelfCheck("largest_extent_mm", max(extents_mm), 100, 195),
        SelfCheck("smallest_extent_mm", min(extents_mm), 100, 195),
        SelfCheck("box_fill", voxels / mask[box].size, 0.37, 1),
    )


def border_check(mask: Mask, voxel_size_mm: Sequence[float]) -> SelfCheck:
    """Area of the mask on the volume's faces: where the field of view has cut the brain off."""
    area_mm2 = 0.0
    for axis, size in enumerate(voxel_size_mm):
        face_mm2 = math.prod(voxel_size_mm) / size
        for end in (0, -1):
            area_mm2 += float(np.count_nonzero(np.take(mask, end, axis=axis))) * face_mm2
    return SelfCheck("border_contact_mm2", area_mm2, 0, 0)


def surroundings_checks(
    volume: Volume, mask: Mask, voxel_size_mm: Sequence[float], contrast: Contrast
) -> tuple[SelfCheck, ...]:
    """Checks of what lies just inside and outside a mask.

    T1w brain is brighter than the fluid, dura and bone around it. On T2w fluid is bright, and only the second check is
    made: a shell of exact zeros around the mask means that the scan was stripped before.
    """
    box = bounding_box(mask, margin=math.ceil(_SHELL_MM / min(voxel_size_mm)) + 1)
    values, mask = volume[box], mask[box]
    shell = values[dilate_mm(mask, _SHELL_MM, voxel_size_mm) & ~mask]
    zero_share = float(np.count_nonzero(shell == 0)) / shell.size if shell.size else 0.0
    zeros = SelfCheck("surrounding_zero_share", zero_share, 0, 0.5)
    if contrast == "T2w":
        return (zeros,)
    inner = values[mask & ~erode_mm(mask, _RING_MM, voxel_size_mm)]
    outer = values[dilate_mm(mask, _RING_MM, voxel_size_mm) & ~mask]
    ratio = _ratio_of_medians(inner, outer, background=robust_range(volume)[0])
    return (SelfCheck("edge_contrast_ratio", ratio, 1.3, _LARGEST_RATIO), zeros)


def _ratio_of_medians(inner: Volume, outer: Volume, background: float) -> float:
    if not inner.size or not outer.size:
        return _LARGEST_RATIO
    above, below = float(np.median(inner)) - background, float(np.median(outer)) - background
    return above / below if below * _LARGEST_RATIO > above else _LARGEST_RATIO
