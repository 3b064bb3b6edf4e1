"""What is known of each quality measure: its unit, what it tells, and the range in which nothing needs to be said."""

import math
from dataclasses import dataclass

from neuro_preprocess.image import Contrast


@dataclass(frozen=True)
class Measure:
    """A measure as a person reads it.

    Attributes
    ----------
    name : str
        Field of `QualityMeasures`.
    title : str
    unit : str
        Empty for a ratio.
    meaning : str
        What it tells, and which way is better.
    """

    name: str
    title: str
    unit: str
    meaning: str


MEASURES = (
    Measure("brain_volume_ml", "Brain volume", "mL", "Volume of the mask, ventricles and sulci included."),
    Measure("icvs_csf", "CSF share", "", "Share of the brain in the Otsu class of cerebrospinal fluid."),
    Measure("icvs_gm", "GM share", "", "Share of the brain in the Otsu class of grey matter."),
    Measure("icvs_wm", "WM share", "", "Share of the brain in the Otsu class of white matter."),
    Measure("snr_csf", "SNR, CSF", "", "Median over deviation within cerebrospinal fluid; higher is better."),
    Measure("snr_gm", "SNR, GM", "", "Median over deviation within grey matter; higher is better."),
    Measure("snr_wm", "SNR, WM", "", "Median over deviation within white matter; higher is better."),
    Measure("snrd_wm", "SNRd, WM", "", "White matter over the noise of the air (Dietrich); higher is better."),
    Measure("cnr", "CNR", "", "Difference of grey and white matter over their noise; higher is better."),
    Measure("cjv", "CJV", "", "Spread of grey and white matter over their difference; lower is better."),
    Measure("efc", "EFC", "", "Entropy focus criterion: ghosting and blurring by motion; lower is better."),
    Measure("fber", "FBER", "", "Energy of the head over that of the air; higher is better, -1 if the air is zero."),
    Measure("wm2max", "WM2MAX", "", "White matter over the brightest of the volume; low with bright fat or vessels."),
    Measure("fwhm_avg", "FWHM", "mm", "Smoothness of the corrected brain; lower is sharper, or noisier."),
    Measure("inu_min", "INU, smallest", "", "Smallest value of the bias field in the brain; nearer to 1 is better."),
    Measure("inu_med", "INU, median", "", "Median of the bias field in the brain."),
    Measure("inu_max", "INU, largest", "", "Largest value of the bias field in the brain; nearer to 1 is better."),
    Measure("inu_range", "INU, range", "", "Bias field from the 5th to the 95th percentile; lower is better."),
    Measure("wm_cv_before", "WM CV, before", "", "Variation of white matter before bias correction; lower is better."),
    Measure("wm_cv_after", "WM CV, after", "", "Variation of the same voxels after it."),
    Measure("clipped_voxels", "Clipped voxels", "voxels", "Voxels of the brain at the volume's maximum."),
)


@dataclass(frozen=True)
class Limit:
    """Range of a measure within which nothing needs to be said.

    Attributes
    ----------
    measure : str
        Field of `QualityMeasures`.
    low, high : float
        Infinite where there is no limit.
    code : str
        Of the `Reason` it gives.
    sentence : str
        What it means to be outside.
    source : str
        Where the limit comes from.
    contrasts : frozenset of {"T1w", "T2w"}
        What it is known for.
    """

    measure: str
    low: float
    high: float
    code: str
    sentence: str
    source: str
    contrasts: frozenset[Contrast]


_T1W: frozenset[Contrast] = frozenset({"T1w"})
_BOTH: frozenset[Contrast] = frozenset({"T1w", "T2w"})

LIMITS = (
    Limit(
        "snr_wm",
        9.0,
        math.inf,
        "LOW_SNR",
        "the white matter is noisy, and the mask's edge with it",
        "Colin27 with Rician noise: 11.7 at a nominal signal to noise of 10, 8.6 at 5, where the mask begins to suffer",
        _T1W,
    ),
    Limit(
        "cnr",
        1.5,
        math.inf,
        "LOW_CONTRAST",
        "grey and white matter can hardly be told apart",
        "Colin27 with Rician noise: 1.9 at a nominal signal to noise of 10, 1.5 at 5",
        _T1W,
    ),
    Limit(
        "cjv",
        -math.inf,
        0.75,
        "HIGH_JOINT_VARIATION",
        "tissues vary more than they differ: noise, motion, or a bias field that was not removed",
        "Colin27: 0.42 as it is, 0.62 at a nominal signal to noise of 10, 0.71 at 5, 0.56 with an 80 % field left in",
        _T1W,
    ),
    Limit(
        "inu_range",
        -math.inf,
        0.3,
        "STRONG_BIAS",
        "the bias field was strong; look at what is left of it",
        "fields of 40 % by BrainWeb's convention give 0.14 on Colin27, of 80 %, twice the worst it offers, 0.35",
        _BOTH,
    ),
    Limit(
        "icvs_wm",
        0.2,
        0.6,
        "ODD_TISSUE_SHARES",
        "the classes are not what they should be: a mask with other tissue in it, a lesion, or poor contrast",
        "Colin27: 0.29 to 0.43 over all degradations tried, and as much again on either side",
        _T1W,
    ),
    Limit(
        "icvs_csf",
        0.02,
        0.4,
        "ODD_TISSUE_SHARES",
        "the classes are not what they should be: a mask with other tissue in it, atrophy, or poor contrast",
        "Colin27: 0.11 to 0.25 over all degradations tried, and as much again on either side",
        _T1W,
    ),
    Limit(
        "clipped_voxels",
        -math.inf,
        1000,
        "CLIPPED",
        "the brain reaches the scanner's maximum, and what was brighter is lost",
        "1 mL at 1 mm: a vessel may, a tissue must not",
        _BOTH,
    ),
)


def limit_of(measure: str, contrast: Contrast) -> Limit | None:
    """Limit of a measure on scans of a contrast, or None."""
    return next((limit for limit in LIMITS if limit.measure == measure and contrast in limit.contrasts), None)


def range_text(low: float | None, high: float | None) -> str:
    """Range in words: `at least 9`, `from 0.2 to 0.6`; None and infinity are no limit."""
    has_low = low is not None and math.isfinite(low)
    has_high = high is not None and math.isfinite(high)
    if has_low and has_high:
        return f"from {low:g} to {high:g}"
    if has_low:
        return f"at least {low:g}"
    return f"at most {high:g}" if has_high else "any"
