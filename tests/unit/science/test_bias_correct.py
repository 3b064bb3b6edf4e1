"""bias_correct: a known field found and taken away, its size reported, nothing done where there is none."""

import numpy as np
import pytest

from neuro_preprocess._field.wiener import wiener_damping
from neuro_preprocess.bias_correct import BiasCorrection, bias_correct
from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.image import Volume
from neuro_preprocess.phantom import Phantom, Tissue, bias_field, head_phantom

SHAPE = (88, 108, 104)
VOXEL_SIZE_MM = (2.0, 2.0, 2.0)

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def plain() -> Phantom:
    return head_phantom(SHAPE, VOXEL_SIZE_MM, seed=5, bias=0)


@pytest.fixture(scope="module")
def shaded(plain) -> tuple[Volume, Volume, BiasCorrection]:
    field = bias_field(SHAPE, 0.8, seed=11)
    volume = plain.image.data * field
    return volume, field, bias_correct(volume, plain.brain_mask, VOXEL_SIZE_MM)


def white_matter_variation(volume: Volume, phantom: Phantom) -> float:
    values = volume[phantom.tissue == Tissue.WHITE_MATTER]
    return float(values.std() / values.mean())


def test_bias_correct_finds_the_field_and_takes_it_away(plain, shaded) -> None:
    volume, field, found = shaded
    inside = plain.brain_mask
    assert np.corrcoef(np.log(found.field()[inside]), np.log(field[inside]))[0, 1] >= 0.98
    clean = white_matter_variation(plain.image.data, plain)
    assert white_matter_variation(volume, plain) > 1.5 * clean
    assert white_matter_variation(found.volume, plain) < 1.1 * clean


def test_bias_correct_measures_the_white_matter_before_and_after(shaded) -> None:
    _, _, found = shaded
    assert found.white_matter_cv_after < 0.7 * found.white_matter_cv_before
    assert found.white_matter_fits > 0
    assert found.n4_iterations > 0


def test_bias_correct_divides_the_whole_head_by_the_field_it_reports(plain, shaded) -> None:
    volume, _, found = shaded
    field = found.field()
    np.testing.assert_allclose(found.volume * field, volume, rtol=1e-5)
    inside = field[plain.brain_mask]
    assert found.field_min == pytest.approx(inside.min())
    assert found.field_max == pytest.approx(inside.max())
    assert found.field_median == pytest.approx(np.median(inside))
    assert found.spread == pytest.approx(np.log(inside).std(), rel=1e-3)
    assert np.log(inside).mean() == pytest.approx(0, abs=1e-4)
    assert 0.8 < found.damping < 1


def test_bias_correct_returns_float32_in_nifti_order(shaded) -> None:
    _, _, found = shaded
    assert found.volume.dtype == found.field().dtype == np.float32
    assert found.volume.flags.f_contiguous


def test_bias_correct_gives_the_same_bytes_again_and_leaves_its_input_alone(plain, shaded) -> None:
    volume, _, found = shaded
    copy = np.array(volume, order="F")
    again = bias_correct(copy, plain.brain_mask, VOXEL_SIZE_MM)
    assert again.volume.tobytes("F") == found.volume.tobytes("F")
    np.testing.assert_array_equal(copy, volume)


@pytest.mark.parametrize("gain", [1e-6, 1e6])
def test_bias_correct_does_not_depend_on_the_scale(plain, shaded, gain: float) -> None:
    volume, _, found = shaded
    scaled = bias_correct(volume * np.float32(gain), plain.brain_mask, VOXEL_SIZE_MM)
    np.testing.assert_allclose(scaled.field(), found.field(), rtol=2e-2)


def test_bias_correct_leaves_an_unshaded_head_nearly_as_it_is(plain) -> None:
    found = bias_correct(plain.image.data, plain.brain_mask, VOXEL_SIZE_MM)
    assert found.damping < 0.6
    before, after = (white_matter_variation(v, plain) for v in (plain.image.data, found.volume))
    assert after <= 1.1 * before


def test_bias_correct_of_t2w_has_no_white_matter_step() -> None:
    phantom = head_phantom(SHAPE, VOXEL_SIZE_MM, seed=5, bias=0.8, contrast="T2w")
    found = bias_correct(phantom.image.data, phantom.brain_mask, VOXEL_SIZE_MM, contrast="T2w")
    assert found.white_matter_fits == 0
    assert np.isnan(found.white_matter_cv_before)
    assert np.isnan(found.white_matter_cv_after)
    inside = phantom.brain_mask
    assert np.corrcoef(np.log(found.field()[inside]), np.log(phantom.bias[inside]))[0, 1] >= 0.9


def test_bias_correct_takes_nothing_from_a_uniform_block() -> None:
    volume = np.full((17, 18, 19), 50, np.float32, order="F")
    found = bias_correct(volume, np.ones(volume.shape, bool, order="F"), VOXEL_SIZE_MM)
    assert found.damping == 0
    np.testing.assert_array_equal(found.volume, volume)


ODD_VOLUMES = {
    "noise": lambda rng, shape: rng.standard_normal(shape),
    "huge": lambda rng, shape: 1e6 * np.abs(rng.standard_normal(shape)),
    "tiny": lambda rng, shape: 1e-6 * np.abs(rng.standard_normal(shape)),
    "nearly-uniform": lambda rng, shape: 1e6 + 0.1 * rng.random(shape),
    "one-positive-voxel": lambda rng, shape: np.where(np.arange(np.prod(shape)).reshape(shape) == 30, 1, -1),
}


@pytest.mark.parametrize("contrast", ["T1w", "T2w"])
@pytest.mark.parametrize("shape", [(7, 8, 9), (40, 3, 1), (33, 41, 25)])
@pytest.mark.parametrize("name", ODD_VOLUMES)
def test_bias_correct_of_an_odd_volume_stays_finite(name: str, shape, contrast) -> None:
    rng = np.random.default_rng(3)
    volume = np.asfortranarray(ODD_VOLUMES[name](rng, shape), np.float32)
    found = bias_correct(volume, np.ones(shape, bool, order="F"), VOXEL_SIZE_MM, contrast=contrast)
    assert np.isfinite(found.volume).all()
    assert np.isfinite([found.field_min, found.field_max, found.field_median, found.spread]).all()


def test_bias_correct_refuses_an_empty_mask() -> None:
    with pytest.raises(InvalidInputError, match="mask") as caught:
        bias_correct(np.ones((7, 8, 9), np.float32), np.zeros((7, 8, 9), bool), VOXEL_SIZE_MM)
    assert caught.value.fault is InputFault.NO_BRAIN


def test_bias_correct_refuses_a_brain_without_signal() -> None:
    with pytest.raises(InvalidInputError, match="positive") as caught:
        bias_correct(np.full((7, 8, 9), -1, np.float32), np.ones((7, 8, 9), bool), VOXEL_SIZE_MM)
    assert caught.value.fault is InputFault.NO_SIGNAL


def test_bias_correct_refuses_a_mask_of_another_shape() -> None:
    with pytest.raises(ValueError, match="shape"):
        bias_correct(np.ones((7, 8, 9), np.float32), np.ones((9, 8, 7), bool), VOXEL_SIZE_MM)


@pytest.mark.parametrize(("spread", "damping"), [(0, 0), (0.02, 0), (0.04, 0.75), (0.2, 0.99)])
def test_wiener_damping_believes_a_field_by_how_far_it_exceeds_the_error(spread: float, damping: float) -> None:
    assert wiener_damping(spread, 0.02) == pytest.approx(damping)
