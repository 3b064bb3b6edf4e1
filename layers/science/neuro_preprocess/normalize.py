"""Intensities made comparable between scans: by the brain's own mean and spread, or by its white matter."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from neuro_preprocess._otsu import otsu_thresholds
from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.image import Contrast, Mask, Volume

NormalizationMethod: TypeAlias = Literal["zscore", "white-matter"]

# A spread below what float32 can tell apart at the mean is rounding, not signal.
_SMALLEST_RELATIVE_STD = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class NormalizationParameters:
    """How a brain was normalised: enough to undo it, and the figures of the brain before.

    Attributes
    ----------
    method : {"zscore", "white-matter"}
    shift, scale : float
        `normalised = (value - shift) / scale` inside the mask.
    mean, std : float
    p01, p50, p99 : float
        Percentiles.
    white_matter_median : float or None
        None where the method has no use for it.
    """

    method: NormalizationMethod
    shift: float
    scale: float
    mean: float
    std: float
    p01: float
    p50: float
    p99: float
    white_matter_median: float | None = None


@dataclass(frozen=True)
class Normalized:
    """A normalised brain.

    Attributes
    ----------
    volume : (X, Y, Z) ndarray of float32
        Exactly 0 outside the mask.
    parameters : NormalizationParameters
    """

    volume: Volume
    parameters: NormalizationParameters


def normalize(
    volume: Volume, mask: Mask, *, method: NormalizationMethod = "zscore", contrast: Contrast = "T1w"
) -> Normalized:
    """Brain with intensities that can be compared with another's.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray of float32
        Finite; any scale and offset.
    mask : (X, Y, Z) ndarray of bool
        The brain.
    method : {"zscore", "white-matter"}, default="zscore"
        "zscore": mean 0 and standard deviation 1 inside the mask, the method that varies least between scanners and
        noise levels. "white-matter": the median of white matter, the brightest of three classes by Otsu, is 1 and the
        zero stays where it was, so that ratios keep their meaning.
    contrast : {"T1w", "T2w"}, default="T1w"
        On T2w no class of three is white matter alone (cerebrospinal fluid takes the bright ones), so only "zscore"
        will do there.

    Raises
    ------
    InvalidInputError
        `NO_BRAIN`: the mask is empty. `NO_SIGNAL`: the brain is uniform, or its white matter is not positive.
    ValueError
        The shapes differ, or "white-matter" is asked for on T2w.
    """
    if volume.shape != mask.shape:
        raise ValueError(f"expected a mask of the volume's shape {volume.shape}, got {mask.shape}")
    if method == "white-matter" and contrast != "T1w":
        raise ValueError(f"expected `T1w` for the method `white-matter`, got `{contrast}`")
    if not mask.any():
        raise InvalidInputError(InputFault.NO_BRAIN, "expected a brain mask with voxels in it, got an empty one")
    values = volume[mask]
    parameters = _parameters(values, method)
    out = np.zeros_like(volume, dtype=np.float32)
    # In float64 and only then rounded, or else an offset far above the contrast would eat the contrast's digits.
    out[mask] = (values.astype(np.float64) - parameters.shift) / parameters.scale
    return Normalized(out, parameters)


def denormalize(volume: Volume, mask: Mask, parameters: NormalizationParameters) -> Volume:
    """Brain with the intensities that it had before `normalize`; 0 outside the mask.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray of float32
    mask : (X, Y, Z) ndarray of bool
    parameters : NormalizationParameters

    Returns
    -------
    (X, Y, Z) ndarray of float32
    """
    out = np.zeros_like(volume, dtype=np.float32)
    out[mask] = volume[mask].astype(np.float64) * parameters.scale + parameters.shift
    return out


def _parameters(values: npt.NDArray[np.float32], method: NormalizationMethod) -> NormalizationParameters:
    mean = float(values.mean(dtype=np.float64))
    std = float(values.std(dtype=np.float64))
    if std <= _SMALLEST_RELATIVE_STD * abs(mean):
        raise InvalidInputError(
            InputFault.NO_SIGNAL,
            f"expected intensities that differ inside the brain mask, got a standard deviation of {std}",
        )
    p01, p50, p99 = (float(p) for p in np.percentile(values, [1, 50, 99]))
    white_matter_median = _white_matter_median(values) if method == "white-matter" else None
    shift, scale = (mean, std) if white_matter_median is None else (0.0, white_matter_median)
    return NormalizationParameters(method, shift, scale, mean, std, p01, p50, p99, white_matter_median)


def _white_matter_median(values: npt.NDArray[np.float32]) -> float:
    _, threshold = otsu_thresholds(values, classes=3)
    median = float(np.median(values[values >= threshold]))
    if median <= 0:
        raise InvalidInputError(
            InputFault.NO_SIGNAL, f"expected white matter of positive intensity, got a median of {median}"
        )
    return median
