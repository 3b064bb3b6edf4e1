"""normalize: intensities that can be compared, and the way back."""

import numpy as np
import pytest

from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.image import Mask, Volume
from neuro_preprocess.normalize import NormalizationMethod, denormalize, normalize

SHAPE = (27, 28, 29)


def brain(offset: float = 0.0, contrast: float = 1.0, seed: int = 0) -> tuple[Volume, Mask]:
    """Fluid, grey and white matter around 250, 700 and 1000 in a box, and a bright scalp outside it."""
    rng = np.random.default_rng(seed)
    volume = np.full(SHAPE, 2500, np.float32, order="F")
    mask = np.zeros(SHAPE, bool, order="F")
    mask[4:-3, 3:-5, 5:-4] = True
    tissue = rng.choice([250.0, 700.0, 1000.0], size=int(mask.sum()), p=[0.15, 0.45, 0.4])
    volume[mask] = offset + contrast * (tissue + rng.normal(0, 30, tissue.size))
    return volume, mask


# Far from zero the contrast must still be worth some steps of float32, which near 1.6e7 are of 1.
@pytest.mark.parametrize(("offset", "contrast"), [(0, 1), (-500, 1), (1e6, 0.1), (1.6e7, 0.01), (0, 1e-6), (0, 1e12)])
def test_normalize_by_zscore_gives_mean_0_and_deviation_1_in_the_mask(offset: float, contrast: float) -> None:
    volume, mask = brain(offset, contrast)
    result = normalize(volume, mask)
    inside = result.volume[mask].astype(np.float64)
    assert abs(inside.mean()) < 1e-3
    assert abs(inside.std() - 1) < 1e-3


def test_normalize_ignores_and_blanks_what_is_outside_the_mask() -> None:
    volume, mask = brain()
    louder = np.where(mask, volume, 1e9).astype(np.float32)
    result, other = normalize(volume, mask), normalize(louder, mask)
    assert result.parameters == other.parameters
    np.testing.assert_array_equal(result.volume, other.volume)
    assert np.all(result.volume[~mask] == 0)
    assert result.volume.dtype == np.float32
    assert result.volume.flags.f_contiguous


def test_normalize_by_white_matter_gives_its_median_1_and_keeps_zero() -> None:
    volume, mask = brain()
    result = normalize(volume, mask, method="white-matter")
    white = result.volume[mask & (volume > 850)]
    assert np.median(white) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(result.volume[mask], volume[mask] / result.parameters.scale, rtol=1e-6)
    assert result.parameters.shift == 0
    assert result.parameters.white_matter_median == pytest.approx(1000, abs=5)


def test_normalize_by_white_matter_is_not_moved_by_a_few_bright_vessels() -> None:
    volume, mask = brain()
    inside = np.flatnonzero(mask.ravel(order="F"))
    vessels = volume.copy(order="F")
    vessels.ravel(order="F")[inside[:3]] = 40_000
    result = normalize(vessels, mask, method="white-matter")
    assert result.parameters.white_matter_median == pytest.approx(1000, abs=5)


@pytest.mark.parametrize("method", ["zscore", "white-matter"])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_denormalize_undoes_normalize(method: NormalizationMethod, offset: float) -> None:
    volume, mask = brain(offset)
    result = normalize(volume, mask, method=method)
    undone = denormalize(result.volume, mask, result.parameters)
    np.testing.assert_allclose(undone[mask], volume[mask], rtol=1e-6, atol=1e-3)
    assert np.all(undone[~mask] == 0)
    assert undone.flags.f_contiguous


def test_normalize_reports_the_figures_of_the_brain_before() -> None:
    volume, mask = brain()
    parameters = normalize(volume, mask).parameters
    inside = volume[mask].astype(np.float64)
    assert parameters.method == "zscore"
    assert (parameters.mean, parameters.std) == pytest.approx((inside.mean(), inside.std()))
    assert (parameters.shift, parameters.scale) == (parameters.mean, parameters.std)
    assert (parameters.p01, parameters.p50, parameters.p99) == pytest.approx(np.percentile(inside, [1, 50, 99]))
    assert parameters.white_matter_median is None


@pytest.mark.parametrize("method", ["zscore", "white-matter"])
def test_normalize_does_not_change_its_input(method: NormalizationMethod) -> None:
    volume, mask = brain()
    before = volume.copy()
    normalize(volume, mask, method=method)
    np.testing.assert_array_equal(volume, before)


@pytest.mark.parametrize("method", ["zscore", "white-matter"])
def test_normalize_refuses_an_empty_mask(method: NormalizationMethod) -> None:
    volume, mask = brain()
    with pytest.raises(InvalidInputError) as caught:
        normalize(volume, np.zeros_like(mask), method=method)
    assert caught.value.fault is InputFault.NO_BRAIN


@pytest.mark.parametrize("value", [0.0, 7.0, 1e7 / 3])
@pytest.mark.parametrize("method", ["zscore", "white-matter"])
def test_normalize_refuses_a_uniform_brain(value: float, method: NormalizationMethod) -> None:
    _, mask = brain()
    volume = np.full(SHAPE, value, np.float32)
    volume[~mask] = 1
    with pytest.raises(InvalidInputError) as caught:
        normalize(volume, mask, method=method)
    assert caught.value.fault is InputFault.NO_SIGNAL


def test_normalize_refuses_a_brain_whose_values_differ_by_rounding_only() -> None:
    _, mask = brain()
    volume = np.full(SHAPE, 1000, np.float32)
    volume[::2] = np.nextafter(volume[::2], np.float32(np.inf))
    with pytest.raises(InvalidInputError) as caught:
        normalize(volume, mask)
    assert caught.value.fault is InputFault.NO_SIGNAL


def test_normalize_refuses_white_matter_that_is_not_positive() -> None:
    volume, mask = brain(offset=-2000)
    with pytest.raises(InvalidInputError) as caught:
        normalize(volume, mask, method="white-matter")
    assert caught.value.fault is InputFault.NO_SIGNAL


def test_normalize_refuses_white_matter_on_t2w() -> None:
    volume, mask = brain()
    assert normalize(volume, mask, contrast="T2w").parameters.method == "zscore"
    with pytest.raises(ValueError, match="`T2w`"):
        normalize(volume, mask, method="white-matter", contrast="T2w")


def test_normalize_refuses_a_mask_of_another_shape() -> None:
    volume, mask = brain()
    with pytest.raises(ValueError, match="shape"):
        normalize(volume, mask[:-1])
