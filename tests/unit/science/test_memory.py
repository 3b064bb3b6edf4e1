"""memory: what a scan will cost, from its header."""

import numpy as np
import pytest

from neuro_preprocess.conform import ConformPlan, plan_conform
from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.memory import (
    BASE_BYTES,
    MAX_AXIS_VOXELS,
    STAGES,
    Stage,
    chain_peak_bytes,
    check_fits,
    stage_peak_bytes,
)

GIB = 2**30


def plan_of(shape: tuple[int, int, int], edges_mm: tuple[float, float, float]) -> ConformPlan:
    return plan_conform(shape, np.diag([*edges_mm, 1.0]))


@pytest.mark.parametrize(
    ("shape", "edges_mm", "measured_bytes"),
    [
        ((256, 256, 176), (0.9375, 0.9375, 1.1), 366e6),
        ((188, 256, 190), (0.88, 0.88, 0.88), 244e6),
        ((320, 320, 320), (0.8, 0.8, 0.8), 546e6),
        ((400, 440, 420), (0.5, 0.5, 0.5), 561e6),
    ],
)
def test_chain_peak_bytes_is_above_what_was_measured_but_not_far(
    shape: tuple[int, int, int], edges_mm: tuple[float, float, float], measured_bytes: float
) -> None:
    """Measured: resident peak of read, all stages, quality, picture and the encoding of four volumes, x86_64."""
    estimate = chain_peak_bytes(plan_of(shape, edges_mm))
    assert measured_bytes < estimate < 1.25 * measured_bytes


@pytest.mark.parametrize("stage", STAGES)
def test_stage_peak_bytes_is_never_above_the_chains(stage: Stage) -> None:
    for plan in (plan_of((256, 256, 176), (0.94, 0.94, 1.1)), plan_of((512, 512, 512), (0.3, 0.3, 0.3))):
        whole = chain_peak_bytes(plan)
        assert BASE_BYTES < stage_peak_bytes(stage, plan) <= whole


def test_stage_peak_bytes_of_conform_holds_the_source_and_what_the_plan_says() -> None:
    plan = plan_of((512, 500, 490), (0.3, 0.3, 0.3))
    assert stage_peak_bytes("conform", plan) == BASE_BYTES + 512 * 500 * 490 * 4 + plan.peak_bytes


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "conform"])
def test_stage_peak_bytes_after_conform_depends_on_the_conformed_shape_alone(stage: Stage) -> None:
    fine, coarse = plan_of((400, 400, 400), (0.5, 0.5, 0.5)), plan_of((100, 100, 100), (2, 2, 2))
    assert fine.shape == coarse.shape
    assert stage_peak_bytes(stage, fine) == stage_peak_bytes(stage, coarse)


@pytest.mark.parametrize("stage", [None, *STAGES])
def test_check_fits_accepts_an_ordinary_scan_in_two_gibibytes(stage: Stage | None) -> None:
    check_fits(plan_of((256, 256, 176), (0.94, 0.94, 1.1)), available_bytes=2 * GIB, stage=stage)


@pytest.mark.parametrize("stage", [None, *STAGES])
def test_check_fits_refuses_from_one_byte_too_few(stage: Stage | None) -> None:
    plan = plan_of((256, 256, 176), (0.94, 0.94, 1.1))
    needed_bytes = chain_peak_bytes(plan) if stage is None else stage_peak_bytes(stage, plan)
    check_fits(plan, available_bytes=needed_bytes, stage=stage)
    with pytest.raises(InvalidInputError) as caught:
        check_fits(plan, available_bytes=needed_bytes - 1, stage=stage)
    assert caught.value.fault is InputFault.TOO_LARGE
    assert "`241x241x194`" in str(caught.value)


def test_check_fits_refuses_a_small_file_that_would_become_huge() -> None:
    with pytest.raises(InvalidInputError, match="1280x1280x1280") as caught:
        check_fits(plan_of((256, 256, 256), (5, 5, 5)), available_bytes=10**15)
    assert caught.value.fault is InputFault.TOO_LARGE


def test_check_fits_refuses_an_axis_that_no_head_has() -> None:
    longest = plan_of((MAX_AXIS_VOXELS, 8, 9), (1, 1, 1))
    check_fits(longest, available_bytes=GIB)
    with pytest.raises(InvalidInputError, match=f"at most {MAX_AXIS_VOXELS} voxels"):
        check_fits(plan_of((MAX_AXIS_VOXELS + 1, 8, 9), (1, 1, 1)), available_bytes=GIB)


def test_check_fits_refuses_a_shape_from_a_false_header_without_reading_a_voxel() -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_fits(plan_of((32767, 32767, 32767), (1, 1, 1)), available_bytes=10 * GIB)
    assert caught.value.fault is InputFault.TOO_LARGE
