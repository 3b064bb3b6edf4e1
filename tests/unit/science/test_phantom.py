"""phantom: a head that software can take for one, and the faults put on it."""

import numpy as np
import pytest

from neuro_preprocess._voxels import bounding_box, largest_component
from neuro_preprocess.image import Contrast
from neuro_preprocess.phantom import Phantom, Tissue, add_rician_noise, bias_field, head_phantom

# The whole default field of view at 2 mm: eight times as quick.
SHAPE_2MM = (88, 108, 104)


@pytest.fixture(scope="module")
def clean() -> Phantom:
    return head_phantom(SHAPE_2MM, 2.0, seed=1, noise=0, bias=0)


def median_of(phantom: Phantom, tissue: Tissue) -> float:
    return float(np.median(phantom.image.data[phantom.tissue == tissue]))


@pytest.mark.parametrize("seed", range(5))
def test_head_phantom_has_a_brain_of_adult_size_in_one_piece(seed: int) -> None:
    phantom = head_phantom(SHAPE_2MM, 2.0, seed=seed)
    assert 1250 < phantom.brain_mask.sum() * 8 / 1000 < 1550
    np.testing.assert_array_equal(largest_component(phantom.brain_mask), phantom.brain_mask)
    extent_mm = [2 * (s.stop - s.start) for s in bounding_box(phantom.brain_mask)]
    assert extent_mm == pytest.approx([132, 168, 140], abs=12)


def test_head_phantom_has_the_whole_brain_within_its_field_of_view(clean: Phantom) -> None:
    inside = bounding_box(clean.brain_mask, margin=3)
    assert all(s.start > 0 and s.stop < n for s, n in zip(inside, SHAPE_2MM, strict=True))


def test_head_phantom_brain_is_grey_and_white_matter_and_fluid(clean: Phantom) -> None:
    tissues = clean.tissue[clean.brain_mask]
    share = {tissue: float((tissues == tissue).mean()) for tissue in Tissue}
    assert 0.35 < share[Tissue.GREY_MATTER] < 0.6
    assert 0.3 < share[Tissue.WHITE_MATTER] < 0.55
    assert 0.05 < share[Tissue.CSF] < 0.2
    assert sum(share[tissue] for tissue in (Tissue.CSF, Tissue.GREY_MATTER, Tissue.WHITE_MATTER)) == 1


def test_head_phantom_has_every_tissue(clean: Phantom) -> None:
    assert set(np.unique(clean.tissue)) == set(Tissue)


@pytest.mark.parametrize(
    ("contrast", "darker_to_brighter"),
    [
        ("T1w", [Tissue.AIR, Tissue.BONE, Tissue.CSF, Tissue.GREY_MATTER, Tissue.WHITE_MATTER, Tissue.FAT]),
        ("T2w", [Tissue.AIR, Tissue.BONE, Tissue.WHITE_MATTER, Tissue.GREY_MATTER, Tissue.CSF]),
    ],
)
def test_head_phantom_tissues_rank_as_the_contrast_says(contrast: Contrast, darker_to_brighter: list[Tissue]) -> None:
    phantom = head_phantom(SHAPE_2MM, 2.0, seed=1, noise=0, bias=0, contrast=contrast)
    medians = [median_of(phantom, tissue) for tissue in darker_to_brighter]
    assert medians == sorted(medians)
    assert len(set(medians)) == len(medians)


def test_head_phantom_lies_in_the_world_as_its_affine_says() -> None:
    """Eyes to the front of and below the anterior commissure, one on each side, whatever the grid."""
    for shape, size_mm in (((88, 108, 104), (2.0, 2.0, 2.0)), ((120, 70, 100), (1.5, 3.0, 2.0))):
        phantom = head_phantom(shape, size_mm, seed=1)
        eyes = np.argwhere(phantom.tissue == Tissue.VITREOUS)
        x, y, z = (phantom.image.affine @ np.c_[eyes, np.ones(len(eyes))].T)[:3]
        assert np.mean(x > 0) == pytest.approx(0.5, abs=0.02)
        assert np.median(np.abs(x)) == pytest.approx(32, abs=3)
        assert (np.median(y), np.median(z)) == pytest.approx((59, -28), abs=5)
        assert phantom.image.voxel_size_mm == size_mm


@pytest.mark.parametrize("seed", range(4))
def test_head_phantom_wraps_the_brain_in_fluid_skull_and_scalp(seed: int) -> None:
    phantom = head_phantom((8, 8, 208), 1.0, seed=seed)
    upwards = phantom.tissue[2, 2, np.flatnonzero(phantom.brain_mask[2, 2])[-1] + 1 :]
    layers = [Tissue(value) for value in upwards[np.flatnonzero(np.diff(upwards, prepend=-1))]]
    skull = [Tissue.BONE, Tissue.MARROW, Tissue.BONE]
    assert layers in (
        [Tissue.CSF, *skull, *scalp, Tissue.FAT, Tissue.SKIN, Tissue.AIR] for scalp in ([], [Tissue.MUSCLE])
    )
    thickness_mm = {kind: int(np.isin(upwards, kinds).sum()) for kind, kinds in _WRAPPINGS.items()}
    assert 1 <= thickness_mm["fluid"] <= 6
    assert 3 <= thickness_mm["skull"] <= 9
    assert 3 <= thickness_mm["scalp"] <= 12


_WRAPPINGS = {
    "fluid": [Tissue.CSF],
    "skull": [Tissue.BONE, Tissue.MARROW],
    "scalp": [Tissue.MUSCLE, Tissue.FAT, Tissue.SKIN],
}


def test_head_phantom_has_a_ventricle_in_each_hemisphere(clean: Phantom) -> None:
    to_voxel = np.linalg.inv(clean.image.affine)
    for side in (-1, 1):
        i, j, k = np.rint(to_voxel @ (side * 9, -12, 20, 1))[:3].astype(int)
        assert clean.tissue[i, j, k] == Tissue.CSF


def test_head_phantom_is_the_same_for_a_seed_and_another_for_another() -> None:
    first, again, other = (head_phantom((44, 54, 52), 4.0, seed=seed) for seed in (5, 5, 6))
    assert first.image.data.tobytes(order="F") == again.image.data.tobytes(order="F")
    np.testing.assert_array_equal(first.brain_mask, again.brain_mask)
    assert np.any(first.brain_mask != other.brain_mask)
    assert np.any(first.bias != other.bias)
    corner_of_air = np.s_[:8, :8, -8:]
    noise = [phantom.image.data[corner_of_air].ravel() for phantom in (first, other)]
    assert abs(np.corrcoef(noise)[0, 1]) < 0.2


def test_head_phantom_cut_by_a_small_field_of_view_is_a_part_of_the_whole() -> None:
    whole = head_phantom((44, 54, 52), 4.0, seed=2, noise=0, bias=0)
    part = head_phantom((44, 54, 20), 4.0, seed=2, noise=0, bias=0)
    np.testing.assert_array_equal(part.brain_mask, whole.brain_mask[:, :, 16:36])
    np.testing.assert_allclose(part.image.data, whole.image.data[:, :, 16:36], atol=0.5)


def test_head_phantom_signal_is_multiplied_by_its_field_before_the_noise(clean: Phantom) -> None:
    biased = head_phantom(SHAPE_2MM, 2.0, seed=1, noise=0, bias=0.4)
    np.testing.assert_allclose(biased.image.data, clean.image.data * biased.bias, rtol=1e-5, atol=1e-3)


def test_head_phantom_noise_is_a_share_of_the_white_matter(clean: Phantom) -> None:
    noisy = head_phantom(SHAPE_2MM, 2.0, seed=1, noise=0.05, bias=0)
    difference = (noisy.image.data - clean.image.data)[clean.tissue == Tissue.WHITE_MATTER]
    assert difference.std() == pytest.approx(0.05 * median_of(clean, Tissue.WHITE_MATTER), rel=0.03)


def test_head_phantom_arrays_are_fortran_ordered_and_of_their_types(clean: Phantom) -> None:
    arrays = {"image": clean.image.data, "brain": clean.brain_mask, "tissue": clean.tissue, "bias": clean.bias}
    assert all(array.flags.f_contiguous and array.shape == SHAPE_2MM for array in arrays.values())
    assert [str(array.dtype) for array in arrays.values()] == ["float32", "bool", "uint8", "float32"]


@pytest.mark.parametrize("amplitude", [0.0, 0.2, 0.8])
def test_bias_field_spans_its_amplitude_around_1_smoothly(amplitude: float) -> None:
    field = bias_field((31, 33, 29), amplitude, seed=4)
    assert (field.min(), field.max()) == pytest.approx((1 - amplitude / 2, 1 + amplitude / 2), abs=1e-6)
    assert field.dtype == np.float32
    steps = [np.abs(np.diff(field, axis=axis)).max() for axis in range(3)]
    assert max(steps) <= amplitude / 8


def test_bias_field_differs_between_seeds_and_not_within_one() -> None:
    first, again, other = (bias_field((7, 8, 9), 0.4, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.05


def test_bias_field_varies_along_every_axis() -> None:
    field = bias_field((7, 8, 9), 0.4, seed=0)
    assert all(np.abs(np.diff(field, axis=axis)).max() > 0.005 for axis in range(3))


def test_add_rician_noise_is_rayleigh_in_air_and_nearly_gaussian_in_signal() -> None:
    sigma = 20.0
    volume = np.zeros((60, 62, 64), np.float32, order="F")
    volume[30:] = 1000
    noisy = add_rician_noise(volume, sigma, seed=9)
    assert noisy[:30].mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.01)
    assert noisy[:30].std() == pytest.approx(sigma * np.sqrt(2 - np.pi / 2), rel=0.01)
    assert noisy[30:].mean() == pytest.approx(np.hypot(1000, sigma), abs=0.5)
    assert noisy[30:].std() == pytest.approx(sigma, rel=0.01)
    assert np.all(volume[:30] == 0)
    assert noisy.flags.f_contiguous


def test_add_rician_noise_is_the_same_for_a_seed_whatever_the_memory_order() -> None:
    volume = np.random.default_rng(0).random((7, 8, 9), dtype=np.float32)
    first = add_rician_noise(volume, 0.1, seed=3)
    np.testing.assert_array_equal(first, add_rician_noise(np.asfortranarray(volume), 0.1, seed=3))
    assert np.any(first != add_rician_noise(volume, 0.1, seed=4))
