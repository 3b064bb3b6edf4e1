"""skull_strip: a phantom's brain found, and every odd volume ends in a mask or in a clean refusal."""

import dataclasses

import numpy as np
import pytest

from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.image import Mask, Volume
from neuro_preprocess.phantom import Phantom, head_phantom
from neuro_preprocess.skull_strip import BrainExtraction, SelfCheck, skull_strip
from neuro_preprocess.skull_strip import _attempt as attempts
from neuro_preprocess.skull_strip._coarse import coarsen

SHAPE = (88, 108, 104)
VOXEL_SIZE_MM = (2.0, 2.0, 2.0)
STRONG_FIELD = np.linspace(1.5, 0.5, SHAPE[2], dtype=np.float32)

pytestmark = pytest.mark.filterwarnings("error")


def dice(a: Mask, b: Mask) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return head_phantom(SHAPE, VOXEL_SIZE_MM, seed=3)


@pytest.fixture(scope="module")
def found(phantom) -> BrainExtraction:
    return skull_strip(phantom.image.data, VOXEL_SIZE_MM)


def test_skull_strip_finds_the_brain_of_a_phantom(phantom, found) -> None:
    assert dice(found.mask, phantom.brain_mask) >= 0.95
    assert found.fraction == 0.5
    assert found.attempts == 1


def test_skull_strip_returns_a_mask_on_the_volumes_grid_in_nifti_order(found) -> None:
    assert found.mask.shape == SHAPE
    assert found.mask.dtype == np.bool_
    assert found.mask.flags.f_contiguous
    assert found.volume_ml == pytest.approx(np.count_nonzero(found.mask) * 8 / 1000)


def test_skull_strip_reports_each_check_by_name(found) -> None:
    assert [check.name for check in found.checks] == [
        "volume_ml",
        "largest_extent_mm",
        "smallest_extent_mm",
        "box_fill",
        "border_contact_mm2",
        "edge_contrast_ratio",
        "surrounding_zero_share",
    ]
    assert found.is_low_confidence == (not all(check.is_passed for check in found.checks))


def test_skull_strip_gives_the_same_bytes_again(phantom, found) -> None:
    volume = np.array(phantom.image.data, order="F")
    assert skull_strip(volume, VOXEL_SIZE_MM).mask.tobytes("F") == found.mask.tobytes("F")


def test_skull_strip_does_not_touch_its_input(phantom) -> None:
    volume = np.array(phantom.image.data, order="F")
    skull_strip(volume, VOXEL_SIZE_MM)
    np.testing.assert_array_equal(volume, phantom.image.data)


@pytest.mark.parametrize(("gain", "offset"), [(1e6, 0), (1e-6, 0), (0.5, 300), (0.5, -2000)])
def test_skull_strip_does_not_depend_on_scale_and_offset(phantom, found, gain: float, offset: float) -> None:
    volume = np.asfortranarray(phantom.image.data * np.float32(gain) + np.float32(offset))
    assert dice(skull_strip(volume, VOXEL_SIZE_MM).mask, found.mask) >= 0.99


def test_skull_strip_makes_a_larger_brain_with_a_smaller_fraction(phantom, found) -> None:
    assert skull_strip(phantom.image.data, VOXEL_SIZE_MM, fraction=0.4).volume_ml > found.volume_ml


def test_skull_strip_marks_t2w_as_low_confidence() -> None:
    phantom = head_phantom(SHAPE, VOXEL_SIZE_MM, seed=3, contrast="T2w")
    found = skull_strip(phantom.image.data, VOXEL_SIZE_MM, contrast="T2w")
    assert dice(found.mask, phantom.brain_mask) >= 0.85
    assert found.is_low_confidence
    assert "edge_contrast_ratio" not in [check.name for check in found.checks]


def test_skull_strip_grows_the_surface_again_under_a_strong_field(phantom, found) -> None:
    second = skull_strip(phantom.image.data * STRONG_FIELD, VOXEL_SIZE_MM)
    assert second.used_second_pass
    assert not found.used_second_pass
    assert dice(second.mask, phantom.brain_mask) >= 0.95


def test_without_shading_takes_out_a_strong_field_and_leaves_a_weak_one(phantom) -> None:
    volume, brain = phantom.image.data, phantom.brain_mask
    flat, spread = attempts._without_shading(volume, brain, VOXEL_SIZE_MM)
    assert flat is volume
    assert spread < 0.05
    flat, spread = attempts._without_shading(volume * STRONG_FIELD, brain, VOXEL_SIZE_MM)
    assert spread > 0.1
    left = np.log(flat[brain] / volume[brain])
    assert left.std() < 0.35 * np.log(STRONG_FIELD * np.ones(SHAPE))[brain].std()


@pytest.mark.parametrize(("contrast", "threshold"), [("T1w", 0.5), ("T2w", 0.3)])
def test_attempt_takes_a_lower_threshold_on_t2w(phantom, monkeypatch, contrast: str, threshold: float) -> None:
    asked = []
    monkeypatch.setattr(attempts, "grow_surface", lambda volume, size_mm, fraction: asked.append(fraction))
    attempts._attempt(coarsen(phantom.image.data, VOXEL_SIZE_MM), contrast, 0.5)
    assert asked == [pytest.approx(threshold)]


def test_skull_strip_tries_other_fractions_on_a_head_too_small_and_flags_it(phantom) -> None:
    found = skull_strip(phantom.image.data, (1.0, 1.0, 1.0))
    assert found.attempts == 3
    assert found.is_low_confidence
    assert "volume_ml" in [check.name for check in found.checks if not check.is_passed]


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_skull_strip_refuses_a_fraction_that_is_none(phantom, fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction"):
        skull_strip(phantom.image.data, VOXEL_SIZE_MM, fraction=fraction)


def ball(shape: tuple[int, int, int]) -> Volume:
    axes = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    return np.asarray(100 * (sum(axis**2 for axis in axes) < 0.6), np.float32)


def block(shape: tuple[int, int, int]) -> Volume:
    volume = np.zeros(shape, np.float32)
    volume[tuple(slice(n // 4, 3 * n // 4) for n in shape)] = 100
    return volume


def noise(shape: tuple[int, int, int]) -> Volume:
    return np.random.default_rng(7).standard_normal(shape, dtype=np.float32)


ODD_VOLUMES = {
    "zeros": lambda shape: np.zeros(shape, np.float32),
    "constant": lambda shape: np.full(shape, 7, np.float32),
    "negative": lambda shape: -1 - np.abs(noise(shape)),
    "noise": noise,
    "huge": lambda shape: np.abs(noise(shape)) * np.float32(1e6),
    "tiny": lambda shape: np.abs(noise(shape)) * np.float32(1e-6),
    "ball": ball,
    "block": block,
    "ramp": lambda shape: np.broadcast_to(np.arange(shape[0], dtype=np.float32)[:, None, None], shape),
    "two-values": lambda shape: np.float32(noise(shape) > 0),
}


@pytest.mark.parametrize("contrast", ["T1w", "T2w"])
@pytest.mark.parametrize("shape", [(7, 8, 9), (33, 41, 25), (40, 3, 1)])
@pytest.mark.parametrize("name", ODD_VOLUMES)
def test_skull_strip_of_an_odd_volume_ends_in_a_flagged_mask_or_a_refusal(name: str, shape, contrast) -> None:
    volume = np.asfortranarray(ODD_VOLUMES[name](shape))
    try:
        found = skull_strip(volume, VOXEL_SIZE_MM, contrast=contrast)
    except InvalidInputError:
        return
    assert found.mask.any()
    assert found.is_low_confidence
    assert np.isfinite([check.value for check in found.checks]).all()


@pytest.mark.parametrize("name", ["zeros", "constant"])
def test_skull_strip_finds_no_brain_in_nothing(name: str) -> None:
    with pytest.raises(InvalidInputError, match="found none") as caught:
        skull_strip(np.asfortranarray(ODD_VOLUMES[name]((17, 18, 19))), VOXEL_SIZE_MM)
    assert caught.value.fault is InputFault.NO_BRAIN


def an_attempt(fraction: float, volume_ml: float, *, failing: int = 0) -> attempts.Attempt:
    checks = [SelfCheck("volume_ml", volume_ml, 900, 2000), SelfCheck("largest_extent_mm", 170, 100, 195)]
    checks += [SelfCheck("box_fill", 0.3, 0.37, 1)] * failing
    return attempts.Attempt(np.ones((1, 1, 1), bool), fraction, False, tuple(checks))


@pytest.fixture
def outcomes(monkeypatch):
    """What each fraction gives; the surface itself is left out."""
    planned: dict[float, attempts.Attempt] = {}
    monkeypatch.setattr(attempts, "_attempt", lambda coarse, contrast, fraction: planned[fraction])
    return planned


@pytest.mark.parametrize(("first", "following"), [(2500, (0.6, 0.7)), (700, (0.4, 0.3))])
def test_find_brain_goes_on_in_the_direction_that_the_first_outcome_calls_for(outcomes, first, following) -> None:
    outcomes |= {0.5: an_attempt(0.5, first), following[0]: an_attempt(following[0], first)}
    outcomes |= {following[1]: an_attempt(following[1], 1400)}
    best, tried = attempts.find_brain(None, "T1w", 0.5)
    assert (best.fraction, tried) == (following[1], 3)


def test_find_brain_stops_at_the_first_plausible_volume(outcomes) -> None:
    outcomes |= {0.5: an_attempt(0.5, 2500), 0.6: an_attempt(0.6, 1900)}
    best, tried = attempts.find_brain(None, "T1w", 0.5)
    assert (best.fraction, tried) == (0.6, 2)


def test_find_brain_keeps_the_first_of_equally_bad_attempts(outcomes) -> None:
    outcomes |= {f: an_attempt(f, 2500) for f in (0.5, 0.6, 0.7)}
    assert attempts.find_brain(None, "T1w", 0.5)[0].fraction == 0.5


def test_find_brain_prefers_anything_to_an_empty_mask(outcomes) -> None:
    empty = dataclasses.replace(an_attempt(0.5, 0), checks=())
    outcomes |= {0.5: empty, 0.4: an_attempt(0.4, 100, failing=3), 0.3: dataclasses.replace(empty, fraction=0.3)}
    assert attempts.find_brain(None, "T1w", 0.5)[0].fraction == 0.4
