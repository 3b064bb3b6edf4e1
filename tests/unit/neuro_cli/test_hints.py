import pytest

from neuro_cli.hints import hint_for
from neuro_preprocess.errors import InputFault
from neuro_preprocess.nifti.header import MAX_VOXEL_SIZE_MM, MIN_VOXEL_SIZE_MM


@pytest.mark.parametrize("fault", InputFault)
def test_every_fault_has_a_hint(fault):
    assert hint_for(str(fault)) != ""


@pytest.mark.parametrize(
    ("fault", "truth"),
    [
        (InputFault.NO_SIGNAL, "no voxel of the brain is brighter than 0"),
        (InputFault.BAD_VOXEL_SIZE, f"{MIN_VOXEL_SIZE_MM:g} to {MAX_VOXEL_SIZE_MM:g} mm"),
    ],
)
def test_hint_fits_every_scan_that_the_fault_is_told_of(fault, truth):
    assert truth in hint_for(str(fault))


def test_unknown_code_has_none():
    assert hint_for("TransientError") == ""
