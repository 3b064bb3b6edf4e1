"""One try at a brain, with one fraction; and the tries that follow when it is the size of something else."""

from dataclasses import dataclass

import numpy as np

from neuro_preprocess._field.n4 import n4_log_field
from neuro_preprocess._field.wiener import wiener_damping
from neuro_preprocess._voxels import erode_mm, robust_range
from neuro_preprocess.image import Contrast, Mask, Volume
from neuro_preprocess.skull_strip._checks import SelfCheck, shape_checks
from neuro_preprocess.skull_strip._coarse import Coarse
from neuro_preprocess.skull_strip._mesh import fill_surface
from neuro_preprocess.skull_strip._refine import refine
from neuro_preprocess.skull_strip._surface import grow_surface

# Each try goes on from the fraction asked for by this much more, in the direction that the first outcome calls for.
_FRACTION_STEPS = (0.1, 0.2)
_SMALLEST_FRACTION, _LARGEST_FRACTION = 0.1, 0.9

# On T2w the brain is darker than the fluid around it: the same balance needs a lower threshold.
_FRACTION_SCALES: dict[Contrast, float] = {"T1w": 1.0, "T2w": 0.6}

_FIELD_MESHES = (1, 2)
# Skin and dura of the region: their intensities say nothing about shading.
_RIND_MM = 3.0
# Spread of the log field that is found in a brain without shading, and the one from which the surface itself is off.
_SPREAD_OF_ANATOMY = 0.05
_STRONG_SPREAD = 0.1
_LARGEST_LOG_FIELD = 0.9


@dataclass(frozen=True)
class Attempt:
    """A brain found with one fraction.

    Attributes
    ----------
    mask : (X, Y, Z) ndarray of bool
        On the coarse grid; may be empty.
    fraction : float
    used_second_pass : bool
        The surface was grown again after strong shading had been removed.
    checks : tuple of SelfCheck
        Of size and form; none when the mask is empty.
    """

    mask: Mask
    fraction: float
    used_second_pass: bool
    checks: tuple[SelfCheck, ...]

    @property
    def failures(self) -> int:
        """Checks failed; an empty mask fails more than any other."""
        return sum(not check.is_passed for check in self.checks) if self.checks else 1000

    @property
    def is_too_large(self) -> bool:
        """Whether head or neck is in the mask."""
        return any(c.name in ("volume_ml", "largest_extent_mm") and c.value > c.high for c in self.checks)

    @property
    def is_too_small(self) -> bool:
        """Whether brain is missing from the mask."""
        return not self.checks or any(c.name == "volume_ml" and c.value < c.low for c in self.checks)


def find_brain(coarse: Coarse, contrast: Contrast, fraction: float) -> tuple[Attempt, int]:
    """Best of up to three attempts, and how many were made; of equally good ones the first."""
    tried = [_attempt(coarse, contrast, fraction)]
    first = tried[0]
    if first.is_too_large or first.is_too_small:
        sign = 1 if first.is_too_large else -1
        for step in _FRACTION_STEPS:
            following = round(fraction + sign * step, 6)
            if not _SMALLEST_FRACTION <= following <= _LARGEST_FRACTION:
                break
            tried.append(_attempt(coarse, contrast, following))
            if not (tried[-1].is_too_large or tried[-1].is_too_small):
                break
    return min(tried, key=lambda one: one.failures), len(tried)


def _attempt(coarse: Coarse, contrast: Contrast, fraction: float) -> Attempt:
    size_mm = coarse.voxel_size_mm
    threshold = fraction * _FRACTION_SCALES[contrast]
    region = _region(coarse.volume, size_mm, threshold)
    if region is None:
        return Attempt(np.zeros(coarse.volume.shape, bool, order="F"), fraction, False, ())
    flat, spread = _without_shading(coarse.volume, region, size_mm)
    first = _checked(refine(flat, region, size_mm, contrast), fraction, size_mm, used_second_pass=False)
    if spread < _STRONG_SPREAD:
        return first
    region = _region(flat, size_mm, threshold)
    if region is None:
        return first
    second = _checked(refine(flat, region, size_mm, contrast), fraction, size_mm, used_second_pass=True)
    return second if second.failures <= first.failures else first


def _region(volume: Volume, voxel_size_mm: tuple[float, float, float], threshold: float) -> Mask | None:
    surface = grow_surface(volume, voxel_size_mm, threshold)
    return None if surface is None else fill_surface(surface, volume.shape, voxel_size_mm)


def _without_shading(volume: Volume, region: Mask, voxel_size_mm: tuple[float, float, float]) -> tuple[Volume, float]:
    """Volume divided by the part of its field that is more than anatomy, and the field's spread in the region."""
    background = np.float32(robust_range(volume)[0])
    core = erode_mm(region, _RIND_MM, voxel_size_mm) & (volume > background)
    if not core.any():
        return volume, 0.0
    field, _ = n4_log_field(volume, core, voxel_size_mm, meshes=_FIELD_MESHES)
    log_field = field.evaluate(volume.shape)
    spread = float(log_field[core].std(dtype=np.float64))
    damping = wiener_damping(spread, _SPREAD_OF_ANATOMY)
    if damping == 0:
        return volume, spread
    log_field *= np.float32(damping)
    np.clip(log_field, -_LARGEST_LOG_FIELD, _LARGEST_LOG_FIELD, out=log_field)
    return volume / np.exp(log_field, out=log_field), spread


def _checked(
    mask: Mask, fraction: float, voxel_size_mm: tuple[float, float, float], *, used_second_pass: bool
) -> Attempt:
    return Attempt(mask, fraction, used_second_pass, shape_checks(mask, voxel_size_mm) if mask.any() else ())
