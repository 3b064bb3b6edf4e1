import math
from dataclasses import replace

import numpy as np
import pytest

from neuro_preprocess.image import Notice
from neuro_preprocess.quality import QualityMeasures
from neuro_preprocess.quality.measure_table import LIMITS, range_text
from neuro_preprocess.quality.verdict import FATAL_CHECKS, judge
from neuro_preprocess.skull_strip import SelfCheck
from neuro_preprocess.skull_strip._checks import shape_checks

GOOD = QualityMeasures(
    snr_csf=4.4,
    snr_gm=11.7,
    snr_wm=19.8,
    snr_total=12.0,
    snrd_csf=8.0,
    snrd_gm=20.0,
    snrd_wm=27.7,
    snrd_total=18.6,
    cnr=2.9,
    cjv=0.47,
    efc=0.58,
    fber=287.0,
    wm2max=0.54,
    inu_min=0.88,
    inu_max=1.11,
    inu_med=0.96,
    inu_range=0.14,
    icvs_csf=0.11,
    icvs_gm=0.47,
    icvs_wm=0.42,
    fwhm_x=3.6,
    fwhm_y=3.6,
    fwhm_z=3.6,
    fwhm_avg=3.6,
    brain_volume_ml=1737.0,
    wm_cv_before=0.065,
    wm_cv_after=0.051,
    clipped_voxels=0,
    summary={},
)


def codes(verdict):
    return [reason.code for reason in verdict.reasons]


def test_judge_passes_a_good_scan():
    verdict = judge(GOOD, [SelfCheck("volume_ml", 1737, 900, 2000)], [])

    assert (verdict.status, verdict.reasons) == ("pass", ())


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: f"{limit.measure}-{limit.low}-{limit.high}")
def test_judge_warns_outside_each_limit_and_not_at_it(limit):
    for bound, beyond in ((limit.low, -1), (limit.high, 1)):
        if not math.isfinite(bound):
            continue
        at_it, outside = (replace(GOOD, **{limit.measure: bound + step}) for step in (0, 1e-6 * beyond))
        assert judge(at_it, [], []).status == "pass"

        (reason,) = judge(outside, [], []).reasons

        assert (reason.status, reason.code, reason.value) == ("warn", limit.code, getattr(outside, limit.measure))
        assert limit.measure in reason.message
        assert limit.sentence in reason.message


def test_judge_fails_an_empty_mask():
    verdict = judge(replace(GOOD, brain_volume_ml=0.0, cjv=math.nan, snr_wm=math.nan), [], [])

    assert verdict.status == "fail"
    assert codes(verdict) == ["EMPTY_MASK"]


def test_judge_fails_a_brain_without_tissues():
    assert codes(judge(replace(GOOD, cjv=math.nan), [], [])) == ["NO_TISSUES"]


def test_judge_fails_an_implausible_volume():
    verdict = judge(GOOD, [SelfCheck("volume_ml", 2731, 900, 2000)], [])

    (reason,) = verdict.reasons
    assert (verdict.status, reason.code, reason.value) == ("fail", "MASK_VOLUME_ML", 2731)
    assert "from 900 to 2000" in reason.message


def test_judge_fails_a_mask_too_small_to_be_a_brain():
    checks = shape_checks(np.ones((7, 8, 9), bool), (1, 1, 1))

    assert {check.name for check in checks} >= FATAL_CHECKS
    assert [reason.status for reason in judge(GOOD, checks, []).reasons] == ["fail", "fail", "warn"]


def test_judge_warns_of_another_failed_check():
    verdict = judge(GOOD, [SelfCheck("ring_ratio", 1.1, 1.3, math.inf)], [])

    assert verdict.status == "warn"
    assert "at least 1.3" in verdict.reasons[0].message


def test_judge_puts_what_fails_first():
    checks = [SelfCheck("ring_ratio", 1.1, 1.3, math.inf), SelfCheck("volume_ml", 2731, 900, 2000)]

    verdict = judge(replace(GOOD, snr_wm=5.0), checks, [])

    assert verdict.status == "fail"
    assert codes(verdict) == ["MASK_VOLUME_ML", "MASK_RING_RATIO", "LOW_SNR"]


@pytest.mark.parametrize(("code", "status"), [("TEXT_DROPPED", "pass"), ("SHEARED", "warn"), ("NEW_ONE", "warn")])
def test_judge_warns_of_notices_unless_they_are_known_to_be_harmless(code, status):
    assert judge(GOOD, [], [Notice(code, "a sentence")]).status == status


def test_judge_trusts_no_t2w_mask_and_knows_no_tissue_limits_for_it():
    verdict = judge(replace(GOOD, snr_wm=1.0, cjv=3.0, wm_cv_after=1.0), [], [], contrast="T2w")

    assert codes(verdict) == ["LOW_CONFIDENCE"]


def test_judge_warns_of_a_bias_correction_that_did_harm():
    verdict = judge(replace(GOOD, wm_cv_before=0.05, wm_cv_after=0.056), [], [])

    assert codes(verdict) == ["BIAS_CORRECTION_HARMED"]
    assert judge(replace(GOOD, wm_cv_before=0.05, wm_cv_after=0.054), [], []).status == "pass"


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (1, None, "at least 1"),
        (None, 0.5, "at most 0.5"),
        (1, 2, "from 1 to 2"),
        (-math.inf, math.inf, "any"),
        (0, math.inf, "at least 0"),
    ],
)
def test_range_text_leaves_out_what_is_no_limit(low, high, text):
    assert range_text(low, high) == text
