"""_voxels: masks in millimetres."""

import itertools

import numpy as np
import pytest

from neuro_preprocess import _voxels
from neuro_preprocess.image import Mask

SHAPE = (11, 14, 10)
VOXEL_SIZE_MM = (1.0, 0.8, 1.5)


def blob(seed: int = 0) -> Mask:
    """A random lump that touches the volume's border, with holes and specks."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(SHAPE, bool, order="F")
    mask[2:8, :9, 3:] = True
    mask ^= rng.random(SHAPE) < 0.06
    return mask


def near(mask: Mask, radius_mm: float) -> Mask:
    """Voxels within `radius_mm` of the mask, by looking at each pair: what the transforms must find."""
    centres = np.argwhere(np.ones(SHAPE)) * VOXEL_SIZE_MM
    inside = np.argwhere(mask) * VOXEL_SIZE_MM
    distance_mm = np.linalg.norm(centres[:, None] - inside[None], axis=2).min(axis=1)
    return (distance_mm <= radius_mm + 1e-9).reshape(SHAPE)


@pytest.mark.parametrize("radius_mm", [0.5, 0.8, 1.7, 3.0])
def test_dilate_mm_adds_what_is_within_the_radius(radius_mm: float) -> None:
    np.testing.assert_array_equal(_voxels.dilate_mm(blob(), radius_mm, VOXEL_SIZE_MM), near(blob(), radius_mm))


@pytest.mark.parametrize("radius_mm", [0.5, 0.8, 1.7, 3.0])
def test_erode_mm_takes_what_is_within_the_radius_of_the_outside(radius_mm: float) -> None:
    np.testing.assert_array_equal(_voxels.erode_mm(blob(), radius_mm, VOXEL_SIZE_MM), ~near(~blob(), radius_mm))


def test_open_mm_is_erosion_then_dilation() -> None:
    np.testing.assert_array_equal(
        _voxels.open_mm(blob(), 1.2, VOXEL_SIZE_MM),
        near(~near(~blob(), 1.2), 1.2),
    )


def test_close_mm_keeps_the_mask_and_fills_narrow_gaps() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[:4, 1:-1, 1:-1] = mask[6:, 1:-1, 1:-1] = True
    closed = _voxels.close_mm(mask, 2.0, (1, 1, 1))
    assert closed[4:6, 3:-3, 3:-3].all()
    assert not _voxels.close_mm(mask, 0.9, (1, 1, 1))[4:6].any()
    ragged = blob()
    assert np.all(_voxels.close_mm(ragged, 2.0, VOXEL_SIZE_MM)[ragged])


def test_close_mm_is_dilation_then_erosion() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[3:7, 4:10, 3:7] = blob()[3:7, 4:10, 3:7] & (np.indices((4, 6, 4)).sum(axis=0) % 3 > 0)
    np.testing.assert_array_equal(_voxels.close_mm(mask, 1.6, VOXEL_SIZE_MM), ~near(~near(mask, 1.6), 1.6))


def test_close_mm_leaves_a_convex_mask_at_the_border_alone() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[:6, :, 3:] = True
    np.testing.assert_array_equal(_voxels.close_mm(mask, 3.0, VOXEL_SIZE_MM), mask)


def test_close_mm_twice_is_once() -> None:
    once = _voxels.close_mm(blob(), 2.0, VOXEL_SIZE_MM)
    np.testing.assert_array_equal(_voxels.close_mm(once, 2.0, VOXEL_SIZE_MM), once)


@pytest.mark.parametrize("operation", [_voxels.dilate_mm, _voxels.erode_mm, _voxels.close_mm, _voxels.open_mm])
@pytest.mark.parametrize("mask", [np.zeros(SHAPE, bool), np.ones(SHAPE, bool)], ids=["empty", "full"])
def test_morphology_leaves_empty_and_full_masks_alone(operation, mask: Mask) -> None:
    np.testing.assert_array_equal(operation(mask, 2.0, VOXEL_SIZE_MM), mask)


@pytest.mark.parametrize("operation", [_voxels.dilate_mm, _voxels.erode_mm, _voxels.close_mm, _voxels.open_mm])
def test_morphology_neither_changes_nor_returns_its_input(operation) -> None:
    mask = blob()
    for radius_mm in (0.0, 1.0):
        result = operation(mask, radius_mm, VOXEL_SIZE_MM)
        assert not np.shares_memory(result, mask)
        assert result.flags.f_contiguous
        np.testing.assert_array_equal(mask, blob())


@pytest.mark.parametrize("margin", [0, 2, 50])
def test_bounding_box_holds_the_mask_and_its_margin_within_the_volume(margin: int) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[3, 9, 5] = mask[7, 4, 8] = True
    expected = tuple(
        slice(max(low - margin, 0), min(high + 1 + margin, n))
        for low, high, n in zip((3, 4, 5), (7, 9, 8), SHAPE, strict=True)
    )
    assert _voxels.bounding_box(mask, margin=margin) == expected


def test_bounding_box_refuses_an_empty_mask() -> None:
    with pytest.raises(ValueError, match="at least one voxel"):
        _voxels.bounding_box(np.zeros(SHAPE, bool))


def test_largest_component_keeps_the_biggest_part_joined_by_faces() -> None:
    mask = np.zeros(SHAPE, bool, order="F")
    mask[1:4, 1:4, 1:4] = True
    mask[4:8, 4:8, 4:7] = True  # shares a corner with the first, no face
    mask[10, 12, 9] = True
    expected = np.zeros(SHAPE, bool)
    expected[4:8, 4:8, 4:7] = True
    result = _voxels.largest_component(mask)
    np.testing.assert_array_equal(result, expected)
    assert result.flags.f_contiguous


@pytest.mark.parametrize("mask", [np.zeros(SHAPE, bool), np.ones(SHAPE, bool)], ids=["none", "one"])
def test_largest_component_of_none_or_one_is_the_mask(mask: Mask) -> None:
    result = _voxels.largest_component(mask)
    np.testing.assert_array_equal(result, mask)
    assert not np.shares_memory(result, mask)


def test_robust_range_is_that_of_the_percentiles() -> None:
    volume = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    assert _voxels.robust_range(volume) == pytest.approx(np.percentile(volume, [2, 98]))
    assert _voxels.robust_range(volume, 10, 60) == pytest.approx(np.percentile(volume, [10, 60]))


def test_robust_range_of_a_large_volume_is_that_of_the_whole() -> None:
    volume = np.random.default_rng(0).gamma(2.0, 100.0, (140, 130, 120)).astype(np.float32)
    assert _voxels.robust_range(volume) == pytest.approx(np.percentile(volume, [2, 98]), rel=0.01)


def test_robust_range_is_the_full_one_where_the_percentiles_coincide() -> None:
    volume = np.zeros(SHAPE, np.float32)
    volume[3, 4, 5] = 5
    assert _voxels.robust_range(volume) == (0, 5)
    assert _voxels.robust_range(np.full(SHAPE, 3.0)) == (3, 3)


def test_morphology_in_a_box_equals_morphology_of_the_whole() -> None:
    """Whatever part of a volume the mask takes, up to each of its borders."""
    for low, high in itertools.product((0, 3), (8, 10)):
        mask = np.zeros(SHAPE, bool)
        mask[low:high, low:high, low:high] = blob()[low:high, low:high, low:high]
        np.testing.assert_array_equal(_voxels.dilate_mm(mask, 2.4, VOXEL_SIZE_MM), near(mask, 2.4))
        np.testing.assert_array_equal(_voxels.erode_mm(mask, 1.2, VOXEL_SIZE_MM), ~near(~mask, 1.2))
