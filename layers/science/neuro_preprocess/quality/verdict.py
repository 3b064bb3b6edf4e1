"""The verdict on a scan: whether its derivatives can be used, should be looked at first, or are of no use."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from neuro_preprocess.image import Contrast, Notice
from neuro_preprocess.quality import QualityMeasures
from neuro_preprocess.quality.measure_table import LIMITS, range_text

Status: TypeAlias = Literal["pass", "warn", "fail"]

# Self-checks that decide alone: a mask of such a size is not a brain's. The others are reasons to look at it.
FATAL_CHECKS = frozenset({"volume_ml", "largest_extent_mm"})

# Notices about the file that cannot have changed a voxel's value or place.
HARMLESS_NOTICES = frozenset({"NAME_MISMATCH", "BITPIX_MISMATCH", "SLOPE_IGNORED", "TEXT_DROPPED", "UNITS_UNKNOWN"})


# Noise alone makes a corrected scan's white matter vary a little more or less than before.
_LARGEST_CV_GROWTH = 1.1


class SelfCheck(Protocol):
    """What `neuro_preprocess.skull_strip` says of its own mask, one figure at a time."""

    @property
    def name(self) -> str:
        """What was looked at."""

    @property
    def value(self) -> float:
        """What was found."""

    @property
    def low(self) -> float | None:
        """Smallest value that passes."""

    @property
    def high(self) -> float | None:
        """Largest value that passes."""

    @property
    def is_passed(self) -> bool:
        """Whether the value lies within."""


@dataclass(frozen=True)
class Reason:
    """Why a scan did not simply pass.

    Attributes
    ----------
    status : {"warn", "fail"}
        What this reason alone would make of the scan.
    code : str
        Stable name, upper case.
    message : str
        One sentence for a person; no patient data.
    value : float or None
        What was measured, where it is a number.
    """

    status: Status
    code: str
    message: str
    value: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What to do with a scan's derivatives.

    Attributes
    ----------
    status : {"pass", "warn", "fail"}
        Use them; look at them first; do not use them.
    reasons : tuple of Reason
        The gravest first; empty if it passed.
    """

    status: Status
    reasons: tuple[Reason, ...]


def judge(
    measures: QualityMeasures,
    checks: Iterable[SelfCheck],
    notices: Iterable[Notice],
    *,
    contrast: Contrast = "T1w",
) -> Verdict:
    """Verdict on a scan, with every reason there is.

    Parameters
    ----------
    measures : QualityMeasures
    checks : iterable of SelfCheck
        Of the brain mask.
    notices : iterable of Notice
        Of all stages.
    contrast : {"T1w", "T2w"}, default="T1w"

    Returns
    -------
    Verdict
    """
    reasons = [
        *_unusable(measures),
        *(_failed_check(check) for check in checks if not check.is_passed),
        *_outside_limits(measures, contrast),
        *_doubts(measures, contrast),
        *(Reason("warn", notice.code, notice.message) for notice in notices if notice.code not in HARMLESS_NOTICES),
    ]
    reasons.sort(key=lambda reason: reason.status)  # "fail" sorts before "warn", and the order is else kept
    return Verdict(reasons[0].status if reasons else "pass", tuple(reasons))


def _unusable(measures: QualityMeasures) -> Iterable[Reason]:
    if measures.brain_volume_ml == 0:
        yield Reason("fail", "EMPTY_MASK", "expected a brain mask with voxels in it, got an empty one", 0.0)
    elif not math.isfinite(measures.cjv):
        yield Reason("fail", "NO_TISSUES", "expected three kinds of tissue inside the mask, got fewer")


def _failed_check(check: SelfCheck) -> Reason:
    status: Status = "fail" if check.name in FATAL_CHECKS else "warn"
    message = f"the mask's {check.name} should be {range_text(check.low, check.high)}, and is {check.value:.4g}"
    return Reason(status, f"MASK_{check.name.upper()}", message, check.value)


def _outside_limits(measures: QualityMeasures, contrast: Contrast) -> Iterable[Reason]:
    for limit in LIMITS:
        value = getattr(measures, limit.measure)
        # What is not defined is outside no limit; `_unusable` has seen to it.
        if contrast in limit.contrasts and (value < limit.low or value > limit.high):
            message = (
                f"{limit.measure} should be {range_text(limit.low, limit.high)}, and is {value:.4g}: {limit.sentence}"
            )
            yield Reason("warn", limit.code, message, float(value))


def _doubts(measures: QualityMeasures, contrast: Contrast) -> Iterable[Reason]:
    if contrast == "T2w":
        message = "masks of T2w scans agree with references less well (Dice about 0.9): look at the edge"
        yield Reason("warn", "LOW_CONFIDENCE", message)
    elif measures.wm_cv_after > _LARGEST_CV_GROWTH * measures.wm_cv_before:
        growth = measures.wm_cv_after / measures.wm_cv_before
        message = f"white matter varies {growth:.2f} times as much after bias correction as before: look at the field"
        yield Reason("warn", "BIAS_CORRECTION_HARMED", message, growth)
