"""Otsu's thresholds for two and three classes, shared by the stages that part tissues."""

from typing import Any

import numpy as np
import numpy.typing as npt

from neuro_preprocess.errors import InputFault, InvalidInputError

# A few voxels of a vessel or of an artefact, ten times as bright as the brain, would leave it a handful of bins.
_TAIL_PERCENT = 0.05


def otsu_thresholds(values: npt.NDArray[Any], *, classes: int, bins: int = 256) -> tuple[float, ...]:
    """Thresholds that part intensities into classes of the greatest between-class variance.

    The search over the histogram is exhaustive, hence deterministic. Where the classes are parted by empty bins, a
    threshold stands in the middle of the gap.

    Parameters
    ----------
    values : ndarray
        Intensities, finite, any shape. Values beyond the outermost 0.05 % count into the first and last bin.
    classes : {2, 3}
    bins : int, default=256

    Returns
    -------
    tuple of float
        `classes - 1` thresholds, ascending. A value below the first is of the first class, and so on.

    Raises
    ------
    InvalidInputError
        `NO_SIGNAL`: the values are fewer than the classes, or too uniform to be parted.

    References
    ----------
    Otsu N. A threshold selection method from gray-level histograms. IEEE Trans Syst Man Cybern 9:62-66, 1979.
    """
    if classes not in (2, 3):
        raise ValueError(f"expected 2 or 3 classes, got {classes}")
    counts, edges = _histogram(values, bins)
    occupied = np.flatnonzero(counts)
    if occupied.size < classes:
        raise InvalidInputError(
            InputFault.NO_SIGNAL,
            f"expected intensities of at least {classes} kinds to part into classes, got {occupied.size}",
        )
    last_bins = _best_cuts(counts[occupied], (edges[occupied] + edges[occupied + 1]) / 2, classes)
    return tuple(float((edges[occupied[k] + 1] + edges[occupied[k + 1]]) / 2) for k in last_bins)


def _histogram(values: npt.NDArray[Any], bins: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if values.size == 0:
        return np.zeros(bins), np.zeros(bins + 1)
    low, high = np.percentile(values, [_TAIL_PERCENT, 100 - _TAIL_PERCENT])
    if low == high:
        low, high = float(values.min()), float(values.max())
    # Values that differ by rounding alone are one kind: there is no room for bins between them.
    resolution = np.spacing(np.asarray(max(abs(low), abs(high)), np.result_type(values, np.float32)))
    if high - low <= bins * resolution:
        return np.append(np.float64(values.size), np.zeros(bins - 1)), np.full(bins + 1, low)
    counts, edges = np.histogram(np.clip(values, low, high), bins=bins, range=(low, high))
    return counts.astype(np.float64), edges.astype(np.float64)


def _best_cuts(counts: npt.NDArray[np.float64], centres: npt.NDArray[np.float64], classes: int) -> tuple[int, ...]:
    """Index of the last bin of each class but the highest; every bin is occupied, so no class is ever empty."""
    # Between-class variance is, up to a constant, the sum over the classes of (sum of values)^2 / count.
    count = np.cumsum(counts)
    total = np.cumsum(counts * (centres - np.average(centres, weights=counts)))
    first = total[:-1] ** 2 / count[:-1]
    last = (total[-1] - total[:-1]) ** 2 / (count[-1] - count[:-1])
    if classes == 2:
        return (int(np.argmax(first + last)),)
    i, j = np.triu_indices(count.size - 1, 1)
    middle = (total[j] - total[i]) ** 2 / (count[j] - count[i])
    best = int(np.argmax(first[i] + middle + last[j]))
    return int(i[best]), int(j[best])
