"""Histogram sharpening: what the intensities would be, had no smooth field widened the histogram's peaks."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

_BINS = 200
_WIENER_NOISE = 0.01


def sharpened(log_values: npt.NDArray[Any], full_width: float) -> Floats:
    """Expected true log intensity of each voxel, given its observed one.

    The histogram is deconvolved (Wiener) by a Gaussian, the assumed histogram of the log field itself; each observed
    value is then replaced by the mean of the true values that the Gaussian would have carried there.

    Parameters
    ----------
    log_values : (N,) ndarray of float64
    full_width : float
        Full width at half maximum of the Gaussian, in units of the logarithm.

    Returns
    -------
    (N,) ndarray of float64
        The values themselves where all are equal.

    References
    ----------
    Sled JG, Zijdenbos AP, Evans AC. A nonparametric method for automatic correction of intensity nonuniformity in MRI
    data. IEEE Trans Med Imaging 17:87-97, 1998.
    """
    low, high = float(log_values.min()), float(log_values.max())
    step = (high - low) / (_BINS - 1)
    if step <= np.finfo(np.float64).eps * max(abs(low), abs(high)):
        return np.asarray(log_values, np.float64)
    position = (log_values - low) / step
    below = np.minimum(position.astype(np.intp), _BINS - 2)
    share_above = position - below
    expected = _expected_values(_histogram(below, share_above), low, step, full_width)
    return np.asarray(expected[below] * (1 - share_above) + expected[below + 1] * share_above)


def _histogram(below: npt.NDArray[np.intp], share_above: Floats) -> Floats:
    """Histogram in which each value is shared by its two nearest bins, as a linear interpolation."""
    counts = np.bincount(below, 1 - share_above, _BINS) + np.bincount(below + 1, share_above, _BINS)
    return np.asarray(counts, np.float64)


def _expected_values(counts: Floats, low: float, step: float, full_width: float) -> Floats:
    """Expected true value for an observation in each bin."""
    # Twice the bins, in a power of two: the convolution must not wrap round.
    size = 1 << (2 * _BINS - 1).bit_length()
    offset = (size - _BINS) // 2
    padded = np.zeros(size)
    padded[offset : offset + _BINS] = counts
    values = low + (np.arange(size) - offset) * step

    distance = np.minimum(np.arange(size), size - np.arange(size)) * step
    gaussian = np.exp(-4 * np.log(2) * (distance / full_width) ** 2)
    blur = np.fft.rfft(gaussian / gaussian.sum())
    wiener = np.conj(blur) / (np.abs(blur) ** 2 + _WIENER_NOISE)
    true_counts = np.maximum(np.fft.irfft(np.fft.rfft(padded) * wiener, size), 0)

    blurred_values = np.fft.irfft(np.fft.rfft(values * true_counts) * blur, size)
    blurred_counts = np.fft.irfft(np.fft.rfft(true_counts) * blur, size)
    is_reached = blurred_counts > 1e-9 * blurred_counts.max()
    expected = np.where(is_reached, blurred_values / np.where(is_reached, blurred_counts, 1), values)
    return np.asarray(expected[offset : offset + _BINS])
