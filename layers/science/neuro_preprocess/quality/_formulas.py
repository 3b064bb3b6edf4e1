"""The formulas of the quality measures, each after its paper; what a sample leaves undefined is NaN."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from neuro_preprocess.image import Mask, Volume

Values: TypeAlias = npt.NDArray[np.float32]

_MAD_TO_SIGMA = 1.4826
# Noise of deviation s on both channels makes, without signal, a Rayleigh distribution of deviation s * this.
_RAYLEIGH_DEVIATION = math.sqrt((4 - math.pi) / 2)
_FWHM_PER_SIGMA = math.sqrt(8 * math.log(2))


@dataclass(frozen=True)
class TissueSummary:
    """Intensities of one class.

    Attributes
    ----------
    mean, median, stdv, mad, p05, p95 : float
        `mad` is the median absolute deviation times 1.4826, a robust `stdv`. NaN where the class is empty.
    n : int
        Voxels.
    """

    mean: float
    median: float
    stdv: float
    mad: float
    p05: float
    p95: float
    n: int


def summarize(values: Values) -> TissueSummary:
    """Summary of a class's intensities."""
    if values.size == 0:
        return TissueSummary(*(math.nan,) * 6, n=0)
    p05, median, p95 = (float(p) for p in np.percentile(values, [5, 50, 95]))
    return TissueSummary(
        mean=float(values.mean(dtype=np.float64)),
        median=median,
        stdv=float(values.std(dtype=np.float64)),
        mad=_MAD_TO_SIGMA * float(np.median(np.abs(values - np.float32(median)))),
        p05=p05,
        p95=p95,
        n=values.size,
    )


def snr(tissue: TissueSummary) -> float:
    """Signal to noise within a class, the noise being all that makes it vary."""
    if tissue.n < 2:
        return math.nan
    return ratio(tissue.median, tissue.stdv * math.sqrt(tissue.n / (tissue.n - 1)))


def snrd(tissue: TissueSummary, air: TissueSummary) -> float:
    """Signal to noise by the air's Rayleigh deviation.

    Dietrich O et al. J Magn Reson Imaging 26:375-385, 2007, equation A.12.
    """
    return _RAYLEIGH_DEVIATION * ratio(tissue.median, air.mad)


def cnr(grey: TissueSummary, white: TissueSummary, air: TissueSummary) -> float:
    """Contrast to noise: Magnotta VA, Friedman L. J Digit Imaging 19:140-147, 2006. Without air, its noise is 0."""
    air_stdv = air.stdv if air.n else 0.0
    return ratio(abs(white.median - grey.median), math.hypot(air_stdv, white.stdv, grey.stdv))


def cjv(grey: TissueSummary, white: TissueSummary) -> float:
    """Coefficient of joint variation: Ganzetti M et al. Front Neuroinform 10:10, 2016."""
    return ratio(white.stdv + grey.stdv, abs(white.median - grey.median))


def efc(sample: Values, volume_size: int) -> float:
    """Entropy focus criterion: Atkinson D et al. IEEE Trans Med Imaging 16:903-910, 1997.

    MRIQC's normalisation, -sum(x/b ln(x/b)) / (sqrt(N) ln(sqrt(N))) with b the root of the summed squares, written in
    means, so that a sample's are as good as the volume's, while N is the volume's.
    """
    if volume_size < 2 or sample.size == 0:
        return math.nan
    rms = math.sqrt(float(np.square(sample).mean(dtype=np.float64)))
    if rms == 0:
        return math.nan
    relative = np.maximum(sample / np.float32(rms), 0)
    entropy = relative * np.log(relative, out=np.zeros_like(relative), where=relative > 0)
    return float(relative.mean(dtype=np.float64) - 2 * entropy.mean(dtype=np.float64) / math.log(volume_size))


def fber(head: Values, air: Values) -> float:
    """Foreground to background energy: Shehzad Z et al. Front Neurosci Conference Abstract: Neuroinformatics, 2015."""
    return ratio(percentile(np.square(head), 50), percentile(np.square(air), 50))


def inu(before: Values, after: Values) -> tuple[float, float, float, float]:
    """Smallest, largest and median field, and its range from the 5th to the 95th percentile."""
    known = after > 0
    if not known.any():
        return (math.nan,) * 4
    p0, p05, p50, p95, p100 = (float(p) for p in np.percentile(before[known] / after[known], [0, 5, 50, 95, 100]))
    return p0, p100, p50, p95 - p05


def fwhm_mm(volume: Volume, inside: Mask, voxel_size_mm: Sequence[float]) -> list[float]:
    """Smoothness along x, y and z, from the variance of neighbours' differences.

    Forman SD et al. Magn Reson Med 33:636-647, 1995. The volume and the mask are transposed, z first.
    """
    variance = float(volume[inside].var(dtype=np.float64)) if inside.any() else 0.0
    if variance == 0:
        return [math.nan] * 3
    return [_axis_fwhm(volume, inside, 2 - axis, variance) * voxel_size_mm[axis] for axis in range(3)]


def _axis_fwhm(volume: Volume, inside: Mask, axis: int, variance: float) -> float:
    before = (slice(None),) * axis
    near, far = (*before, slice(None, -1)), (*before, slice(1, None))
    both = inside[near] & inside[far]
    if not both.any():
        return math.nan
    difference = volume[far][both] - volume[near][both]
    uncorrelated = float(difference.var(dtype=np.float64)) / (2 * variance)
    if uncorrelated >= 1:
        return 0.0
    return _FWHM_PER_SIGMA / math.sqrt(-4 * math.log1p(-uncorrelated)) if uncorrelated > 0 else math.inf


def variation(values: Values) -> float:
    """Coefficient of variation."""
    if values.size == 0:
        return math.nan
    return ratio(float(values.std(dtype=np.float64)), float(values.mean(dtype=np.float64)))


def percentile(values: Values, percent: float) -> float:
    """Percentile of values, or NaN of none."""
    return float(np.percentile(values, percent)) if values.size else math.nan


def mean(values: Sequence[float]) -> float:
    """Mean, NaN where one is."""
    return sum(values) / len(values)


def ratio(numerator: float, denominator: float) -> float:
    """Quotient, or NaN where the denominator is not positive."""
    return numerator / denominator if denominator > 0 else math.nan
