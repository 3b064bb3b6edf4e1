"""Image quality measures of a scan, after those of MRIQC."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias, get_args

import numpy as np
from scipy import ndimage

from neuro_preprocess._otsu import otsu_thresholds
from neuro_preprocess._voxels import bounding_box
from neuro_preprocess.errors import InvalidInputError
from neuro_preprocess.image import Contrast, Mask, Volume
from neuro_preprocess.quality import _formulas as formulas
from neuro_preprocess.quality._formulas import TissueSummary, Values
from neuro_preprocess.quality._surroundings import sample_surroundings

Tissue: TypeAlias = Literal["csf", "gm", "wm"]

TISSUES: tuple[Tissue, ...] = get_args(Tissue)

# From dark to bright.
_TISSUE_ORDER: dict[Contrast, tuple[Tissue, Tissue, Tissue]] = {"T1w": ("csf", "gm", "wm"), "T2w": ("wm", "gm", "csf")}
# Air below this share of white matter is not noise but zeros, at most smeared by an interpolation.
_ZERO_BACKGROUND = 1e-3
_SIGNIFICANT_DIGITS = 6


@dataclass(frozen=True)
class QualityMeasures:
    """Measures of one scan, by MRIQC's names; NaN where one is not defined.

    Tissues are the three Otsu classes of the brain's intensities, not a segmentation: neither the fractions nor what
    rests on the classes can be compared with norms made by FAST, only with other scans measured in this way.

    Attributes
    ----------
    snr_csf, snr_gm, snr_wm, snr_total : float
        Median of a class over its standard deviation; `total` is the mean of the three.
    snrd_csf, snrd_gm, snrd_wm, snrd_total : float
        The same by Dietrich: over the noise of the air.
    cnr, cjv, efc, fber, wm2max : float
        Contrast to noise, coefficient of joint variation, entropy focus criterion, foreground to background energy
        ratio (-1 where the background is zero), white matter over the brightest.
    inu_min, inu_max, inu_med, inu_range : float
        Bias field in the brain; the range is from the 5th to the 95th percentile.
    icvs_csf, icvs_gm, icvs_wm : float
        Shares of the brain.
    fwhm_x, fwhm_y, fwhm_z, fwhm_avg : float
        Smoothness, in mm.
    brain_volume_ml : float
    wm_cv_before, wm_cv_after : float
        Coefficient of variation of the same white matter voxels before and after bias correction.
    clipped_voxels : int
        Voxels of the brain at the volume's very maximum; more than a few mean that the scanner's range was exceeded.
    summary : mapping of str to TissueSummary
        By tissue, and `bg` for the air.
    """

    snr_csf: float
    snr_gm: float
    snr_wm: float
    snr_total: float
    snrd_csf: float
    snrd_gm: float
    snrd_wm: float
    snrd_total: float
    cnr: float
    cjv: float
    efc: float
    fber: float
    wm2max: float
    inu_min: float
    inu_max: float
    inu_med: float
    inu_range: float
    icvs_csf: float
    icvs_gm: float
    icvs_wm: float
    fwhm_x: float
    fwhm_y: float
    fwhm_z: float
    fwhm_avg: float
    brain_volume_ml: float
    wm_cv_before: float
    wm_cv_after: float
    clipped_voxels: int
    summary: Mapping[str, TissueSummary]

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain values for JSON, to six digits; None where a measure is not defined."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "summary"}
        for name, summary in self.summary.items():
            values |= {f"summary_{name}_{field.name}": getattr(summary, field.name) for field in fields(summary)}
        return {name: _rounded(value) for name, value in values.items()}


def measure_quality(
    conformed: Volume, corrected: Volume, mask: Mask, voxel_size_mm: Sequence[float], *, contrast: Contrast = "T1w"
) -> QualityMeasures:
    """Measure a scan's image quality.

    Measures of tissue are taken from the corrected volume, those of the air and of the whole volume from the one
    before correction, whose field is known only in the brain. Whole volumes are sampled, every seventh plane.

    Parameters
    ----------
    conformed : (X, Y, Z) ndarray of float32
        The head before bias correction, finite.
    corrected : (X, Y, Z) ndarray of float32
        The same after it.
    mask : (X, Y, Z) ndarray of bool
        The brain. What an empty one leaves undefined is NaN.
    voxel_size_mm : (3,) sequence of float
    contrast : {"T1w", "T2w"}, default="T1w"
        White matter is the brightest class on T1w and the darkest on T2w.

    Returns
    -------
    QualityMeasures

    Raises
    ------
    ValueError
        The shapes differ.

    References
    ----------
    Esteban O et al. MRIQC: Advancing the automatic prediction of image quality in MRI from unseen sites. PLoS ONE
    12:e0184661, 2017; the measures' own papers are named where they are computed.
    """
    if not conformed.shape == corrected.shape == mask.shape:
        raise ValueError(f"expected equal shapes, got {conformed.shape}, {corrected.shape} and {mask.shape}")
    box = bounding_box(mask) if mask.any() else (slice(0, 0),) * 3
    # Transposed, so that Fortran-ordered volumes are walked through in the order in which they lie in memory.
    inside = mask[box].T
    before, after = conformed[box].T[inside], corrected[box].T[inside]

    classes = _classes(after, contrast)
    core = _eroded(classes["wm"], inside)
    around = sample_surroundings(conformed, mask, voxel_size_mm)
    summary = {
        "csf": formulas.summarize(after[classes["csf"]]),
        "gm": formulas.summarize(after[classes["gm"]]),
        "wm": formulas.summarize(after[core]),
        "bg": formulas.summarize(around.air),
    }
    wm_median_before = formulas.percentile(before[core], 50)
    has_background = summary["bg"].median > _ZERO_BACKGROUND * wm_median_before
    snr = [formulas.snr(summary[tissue]) for tissue in TISSUES]
    snrd = [formulas.snrd(summary[tissue], summary["bg"]) if has_background else math.nan for tissue in TISSUES]
    inu_min, inu_max, inu_med, inu_range = formulas.inu(before, after)
    fwhm = formulas.fwhm_mm(corrected[box].T, inside, voxel_size_mm)
    return QualityMeasures(
        snr_csf=snr[0],
        snr_gm=snr[1],
        snr_wm=snr[2],
        snr_total=formulas.mean(snr),
        snrd_csf=snrd[0],
        snrd_gm=snrd[1],
        snrd_wm=snrd[2],
        snrd_total=formulas.mean(snrd),
        cnr=formulas.cnr(summary["gm"], summary["wm"], summary["bg"]),
        cjv=formulas.cjv(summary["gm"], summary["wm"]),
        efc=formulas.efc(around.everywhere, conformed.size),
        fber=formulas.fber(around.head, around.air) if has_background else -1.0,
        wm2max=formulas.ratio(wm_median_before, formulas.percentile(around.everywhere, 99.95)),
        inu_min=inu_min,
        inu_max=inu_max,
        inu_med=inu_med,
        inu_range=inu_range,
        icvs_csf=formulas.ratio(int(np.count_nonzero(classes["csf"])), after.size),
        icvs_gm=formulas.ratio(int(np.count_nonzero(classes["gm"])), after.size),
        icvs_wm=formulas.ratio(int(np.count_nonzero(classes["wm"])), after.size),
        fwhm_x=fwhm[0],
        fwhm_y=fwhm[1],
        fwhm_z=fwhm[2],
        fwhm_avg=formulas.mean(fwhm),
        brain_volume_ml=after.size * math.prod(voxel_size_mm) / 1000,
        wm_cv_before=formulas.variation(before[core]),
        wm_cv_after=formulas.variation(after[core]),
        clipped_voxels=int(np.count_nonzero(before == conformed.max())) if before.size else 0,
        summary=summary,
    )


def _classes(values: Values, contrast: Contrast) -> dict[Tissue, Mask]:
    """Which values are of which tissue; none is of any where there are not three kinds."""
    try:
        low, high = otsu_thresholds(values, classes=3)
    except InvalidInputError:
        return {tissue: np.zeros(values.shape, bool) for tissue in TISSUES}
    dark, bright = values < low, values >= high
    return dict(zip(_TISSUE_ORDER[contrast], (dark, ~(dark | bright), bright), strict=True))


def _eroded(member: Mask, inside: Mask) -> Mask:
    """Members whose six neighbours are members too, so that few are partly another tissue; all if none would be left.

    Members and result are of the voxels `inside`, in their order.
    """
    volume = np.zeros_like(inside)
    volume[inside] = member
    core: Mask = ndimage.binary_erosion(volume)[inside]
    return core if core.any() else member


def _rounded(value: float) -> float | int | None:
    if isinstance(value, int):
        return value
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else None
