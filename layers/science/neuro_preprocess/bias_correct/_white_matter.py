"""White matter is one tissue and should have one intensity: the smooth field that makes it so, on T1w."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neuro_preprocess._blocks import block_sums
from neuro_preprocess._field.log_field import LogField, SplineFit
from neuro_preprocess._field.n4 import grid_factors, gridded_box
from neuro_preprocess._noise import noise_sigma
from neuro_preprocess._otsu import otsu_thresholds
from neuro_preprocess.errors import InvalidInputError
from neuro_preprocess.image import Mask, Volume

# From coarse to fine, each mesh until the voxels taken for white matter hardly change any more: the outcome then does
# not depend on the start, and a field added to the scan is found again as it was.
_MESHES = (1, 1, 1, 2, 2, 2, 3, 3, 3, 3)
_STIFFNESS = 3e-3
# Relative noise above which single voxels no longer tell white matter from grey.
_NOISE_TO_SMOOTH = 0.04
_SMOOTHING_VOXELS = 1.0
# Distance of grey from white in log intensity: what T1w scans show, against a histogram that misleads.
_SMALLEST_GAP, _LARGEST_GAP = 0.12, 0.4
# Share of that gap within which a voxel is white matter. Less below the peak: there lie the voxels that are partly
# grey, more of them in the thin folds at the rim than at the centre, which a fit would take for a field.
_GAP_BELOW, _GAP_ABOVE = 0.35, 0.5
_RIND_MM = 2.0
_BINS = 128
_BIN_SMOOTHING = 4.0
# Fewer voxels than this are no white matter to fit a field to.
_FEWEST_VOXELS = 1000


class _White(NamedTuple):
    """White matter in the histogram: its peak and its distance from grey matter, in log intensity."""

    peak: float
    gap: float


def white_matter_log_field(
    volume: Volume, mask: Mask, voxel_size_mm: Sequence[float], start: LogField
) -> tuple[LogField, int]:
    """Log field that evens out the white matter, and the number of fits made.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray of float32
        T1w: white matter is the brightest tissue of the brain.
    mask : (X, Y, Z) ndarray of bool
        The brain.
    voxel_size_mm : (3,) sequence of float
    start : LogField
        A first estimate: the method needs one to find white matter at all under noise or a strong field.

    Returns
    -------
    LogField
        `start` where no white matter can be told.
    int
    """
    factors = grid_factors(voxel_size_mm)
    corner, box = gridded_box(mask, factors)
    inside = mask[corner] & (volume[corner] > 0)
    log_values = _log_values(volume[corner], inside)
    origin = tuple(part.start for part in corner)
    rind = max(1, round(_RIND_MM / max(voxel_size_mm)))

    field, fits = start, 0
    for mesh in _MESHES:
        flat = log_values - field.evaluate(log_values.shape, origin=origin)
        found = _find_white(flat, inside)
        if found is None:
            break
        white = _white_voxels(flat, inside, found, rind)
        counts = block_sums(white, factors)
        if counts.sum(dtype=np.float64) < _FEWEST_VOXELS:
            break
        deviations = block_sums(np.where(white, log_values - np.float32(found.peak), np.float32(0)), factors)
        layer = SplineFit(counts, mesh, _STIFFNESS).solve(deviations)
        field, fits = LogField(box, (layer,)), fits + 1
    return field, fits


def white_matter_mask(volume: Volume, mask: Mask) -> Mask:
    """Voxels of the brightest of three classes in the brain (T1w), less those that touch another class.

    Raises
    ------
    InvalidInputError
        `NO_SIGNAL`: the brain is too uniform to be parted.
    """
    _, threshold = otsu_thresholds(_sample(volume, mask), classes=3)
    return without_surface(mask & (volume >= np.float32(threshold)))


def without_surface(mask: Mask) -> Mask:
    """Mask without the voxels that have a face on its outside or on the volume's border."""
    out = np.zeros_like(mask)
    if min(mask.shape) < 3:
        return out
    inner = (slice(1, -1),) * 3
    core = out[inner]
    core[...] = mask[inner]
    for axis in range(3):
        for shift in (slice(None, -2), slice(2, None)):
            core &= mask[tuple(shift if a == axis else slice(1, -1) for a in range(3))]
    return out


def _log_values(volume: Volume, inside: Mask) -> Volume:
    """Log intensity inside the mask and 0 outside; of noisy volumes, that of a local mean over the mask."""
    values = np.where(inside, volume, np.float32(0))
    level = float(np.median(_sample(volume, inside))) if inside.any() else 0.0
    if noise_sigma(values, ndimage.binary_erosion(inside, iterations=2)) > _NOISE_TO_SMOOTH * level:
        weights = ndimage.gaussian_filter(inside.astype(np.float32), _SMOOTHING_VOXELS)
        values = ndimage.gaussian_filter(values, _SMOOTHING_VOXELS)
        np.divide(values, weights, out=values, where=inside)
    out = np.zeros_like(values)
    np.log(values, out=out, where=inside)
    return out


def _find_white(log_values: Volume, inside: Mask) -> _White | None:
    values = _sample(log_values, inside)
    try:
        grey_from, white_from = np.log(otsu_thresholds(np.exp(values), classes=3))
    except InvalidInputError:
        return None
    # The peak and not the mean: the mean shifts with the share of partly grey voxels.
    bright = values[values >= grey_from]
    counts, edges = np.histogram(bright, bins=_BINS, range=(grey_from, np.percentile(bright, 99.9)))
    centres = (edges[1:] + edges[:-1]) / 2
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), _BIN_SMOOTHING, mode="constant")
    peak = float(centres[np.argmax(np.where(centres >= white_from, smooth, -1))])
    grey = float(np.median(bright[bright < white_from]))
    return _White(peak, min(max(peak - grey, _SMALLEST_GAP), _LARGEST_GAP))


def _white_voxels(log_values: Volume, inside: Mask, found: _White, rind: int) -> Mask:
    low, high = found.peak - _GAP_BELOW * found.gap, found.peak + _GAP_ABOVE * found.gap
    white = inside & (log_values > np.float32(low)) & (log_values < np.float32(high))
    for _ in range(rind):
        white = without_surface(white)
    return white


def _sample(volume: Volume, mask: Mask) -> npt.NDArray[np.float32]:
    """Every eighth voxel inside a large mask, all of a small one: enough for a histogram."""
    step = (slice(None, None, 2 if mask.size > 1_000_000 else 1),) * 3
    return np.asarray(volume[step][mask[step]])
