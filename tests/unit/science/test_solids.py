"""_solids: distances that the phantom is carved from."""

import numpy as np
import pytest

from neuro_preprocess.phantom._solids import Box, Waves, union


def box_of(nx: int = 21, ny: int = 25, nz: int = 23) -> Box:
    return Box.of(np.arange(nx) - 10.0, np.arange(ny) - 12.0, np.arange(nz) - 11.0)


def points(box: Box) -> np.ndarray:
    z, y, x = np.broadcast_arrays(box.z, box.y, box.x)
    return np.stack([x, y, z], axis=-1).astype(np.float64)


def test_ellipsoid_of_equal_radii_is_a_sphere_exactly() -> None:
    box = box_of()
    expected = np.linalg.norm(points(box) - (1.5, -2, 3), axis=-1) - 6
    np.testing.assert_allclose(box.ellipsoid((1.5, -2, 3), (6, 6, 6)), expected, atol=1e-4)


def test_ellipsoid_is_right_at_its_surface_and_its_slope_is_1_there() -> None:
    box = Box.of(np.linspace(-9, 9, 181), np.array([0.0]), np.array([0.0]))
    distance = box.ellipsoid((0, 0, 0), (7, 4, 5)).ravel()
    near = np.abs(np.abs(box.x.ravel()) - 7) < 0.3
    np.testing.assert_allclose(distance[near], np.abs(box.x.ravel()[near]) - 7, atol=0.02)


def test_capsule_is_the_distance_to_a_segment() -> None:
    box, start, end = box_of(), np.array([-4.0, 1, 2]), np.array([5.0, -6, 4])
    along = np.clip((points(box) - start) @ (end - start) / np.square(end - start).sum(), 0, 1)
    expected = np.linalg.norm(points(box) - (start + along[..., None] * (end - start)), axis=-1) - 2.5
    found = box.capsule((-4, 1, 2), (5, -6, 4), 2.5)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_union_holds_both_solids_and_fills_the_crease_only() -> None:
    box = box_of()
    left, right = box.ellipsoid((-4, 0, 0), (5, 5, 5)), box.ellipsoid((4, 0, 0), (5, 5, 5))
    joined = union(left, right, 4)
    assert np.all(joined <= np.minimum(left, right) + 1e-6)
    apart = np.abs(left - right) >= 4
    np.testing.assert_array_equal(joined[apart], np.minimum(left, right)[apart])
    assert (joined < 0).sum() > (np.minimum(left, right) < 0).sum()


def test_slab_and_around_know_which_voxels_of_the_volume_they_are() -> None:
    whole = box_of()
    distance = whole.ellipsoid((0, 0, 0), (6, 5, 7))
    part = whole.around((-3.5, -20, 2), (4, 3, 40)).slab(2, 6)
    assert part.shape == tuple(s.stop - s.start for s in part.slices) == (4, 15, 7)
    np.testing.assert_array_equal(part.ellipsoid((0, 0, 0), (6, 5, 7)), distance[part.slices])


def test_around_is_empty_where_the_corners_lie_outside() -> None:
    outside = box_of().around((100, 0, 0), (120, 5, 5))
    assert 0 in outside.shape
    assert outside.capsule((0, 0, 0), (1, 1, 1), 2).size == 0


def test_waves_are_the_same_on_a_box_and_at_its_points() -> None:
    waves, box = Waves.draw(np.random.default_rng(2), wavelength=15, count=7), box_of()
    x, y, z = np.moveaxis(points(box).astype(np.float32), -1, 0)
    np.testing.assert_allclose(waves.over(box), waves.at(x, y, z), atol=1e-4)


@pytest.mark.parametrize("count", [3, 12])
def test_waves_have_mean_0_and_deviation_1_and_their_wavelength(count: int) -> None:
    box = Box.of(np.arange(90.0), np.arange(90.0), np.arange(90.0))
    values = Waves.draw(np.random.default_rng(1), wavelength=12, count=count).over(box)
    assert values.mean() == pytest.approx(0, abs=0.1)
    assert values.std() == pytest.approx(1, abs=0.1)
    gradient = np.stack(np.gradient(values))
    assert np.sqrt(np.square(gradient).sum(axis=0).mean()) == pytest.approx(2 * np.pi / 12, rel=0.15)
