"""conform: one frame for every scan, however it is stored."""

import itertools
import math
import tracemalloc
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from neuro_preprocess.conform import Conformed, ConformPlan, conform, plan_conform
from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.image import Affine, Image

SHAPE = (7, 8, 9)

# Each of the 48 ways to store a volume: which canonical axis each stored axis is, and which of them run backwards.
STORAGES = [
    (axes, signs) for axes in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]


def volume(shape: tuple[int, int, int] = SHAPE, dtype: str = "<i2", seed: int = 0) -> npt.NDArray[Any]:
    values = np.random.default_rng(seed).integers(0, 1000, shape)
    return np.asarray(values, dtype=dtype, order="F")


def rotation(degrees: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    a, b, c = np.radians(degrees)
    about_x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    about_y = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    about_z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def affine_of(linear: npt.ArrayLike, origin_mm: tuple[float, float, float] = (-8.5, 16.25, -3.0)) -> Affine:
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = origin_mm
    return affine


def stored(image: Image, axes: tuple[int, int, int], signs: tuple[int, int, int]) -> Image:
    """The same scan with its axes in another order and direction."""
    data = image.data.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]
    to_canonical = np.zeros((4, 4))
    to_canonical[3, 3] = 1
    for new, (old, sign) in enumerate(zip(axes, signs, strict=True)):
        to_canonical[old, new] = sign
        to_canonical[old, 3] = 0 if sign > 0 else image.data.shape[old] - 1
    return Image(np.asfortranarray(data), image.affine @ to_canonical, image.xform_code)


def world_centre_mm(affine: Affine, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    return affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3]


@pytest.mark.parametrize(
    "linear",
    [
        pytest.param(np.diag([1.0, 1.0, 1.0]), id="isotropic"),
        pytest.param(np.diag([0.75, 1.25, 2.5]), id="anisotropic"),
        pytest.param([[1, 0.25, 0], [0, 0.75, 0], [0, 0, 1.5]], id="sheared"),
        pytest.param([[0.9375, -0.34375, 0], [0.34375, 0.9375, 0], [0, 0, 1.75]], id="oblique"),
    ],
)
def test_conform_gives_the_same_bytes_for_all_48_storages_of_a_volume(linear: npt.ArrayLike) -> None:
    # The affines are sums of powers of two, so that moving the origin to another corner rounds nothing.
    scan = Image(volume(), affine_of(linear), xform_code=2)
    expected = conform(scan)
    for axes, signs in STORAGES:
        result = conform(stored(scan, axes, signs))
        assert result.image.data.tobytes(order="F") == expected.image.data.tobytes(order="F"), (axes, signs)
        assert result.image.affine.tobytes() == expected.image.affine.tobytes(), (axes, signs)
        assert result.image.data.flags.f_contiguous, (axes, signs)


def test_conform_gives_the_same_voxels_for_all_48_storages_when_the_affine_is_rounded() -> None:
    scan = Image(volume(), affine_of(rotation((7, -11, 23)) @ np.diag([0.7, 1.3, 1.1]), (-81.3, 40.7, 12.1)))
    expected = conform(scan)
    for axes, signs in STORAGES:
        result = conform(stored(scan, axes, signs))
        assert result.image.data.tobytes(order="F") == expected.image.data.tobytes(order="F"), (axes, signs)
        np.testing.assert_allclose(result.image.affine, expected.image.affine, atol=1e-12)


def test_plan_conform_names_the_orientation_of_all_48_storages_as_nibabel_does() -> None:
    scan = Image(volume(), affine_of(rotation((7, -11, 23)) @ np.diag([0.7, 1.3, 1.1])))
    for axes, signs in STORAGES:
        image = stored(scan, axes, signs)
        plan = plan_conform(SHAPE, image.affine)
        assert plan.source_orientation == "".join(nibabel.aff2axcodes(image.affine))


def test_conform_without_resampling_equals_nibabels_closest_canonical() -> None:
    data = volume()
    affine = affine_of(rotation((5, -8, 12)) @ np.array([[0, -1, 0], [0, 0, 1], [-1, 0, 0]]))
    result = conform(Image(data, affine))
    expected = nibabel.as_closest_canonical(nibabel.Nifti1Image(data, affine))
    assert not result.plan.is_resampled
    np.testing.assert_array_equal(result.image.data, np.asanyarray(expected.dataobj))
    np.testing.assert_allclose(result.image.affine, expected.affine, atol=1e-12)


@pytest.mark.parametrize("edges_mm", [(1.04, 0.96, 1.0), (1.0004, 0.9996, 1.0)])
def test_conform_within_tolerance_keeps_voxels_and_their_true_size(edges_mm: tuple[float, float, float]) -> None:
    data = volume()
    result = conform(Image(data, affine_of(np.diag(edges_mm))))
    assert not result.plan.is_resampled
    assert result.plan.shape == SHAPE
    np.testing.assert_array_equal(result.image.data, data)
    assert result.image.voxel_size_mm == pytest.approx(edges_mm)


def test_conform_beyond_tolerance_along_one_axis_makes_all_voxels_isotropic() -> None:
    result = conform(Image(volume(), affine_of(np.diag([1.0, 0.97, 1.06]))))
    assert result.plan.is_resampled
    assert result.image.voxel_size_mm == pytest.approx((1, 1, 1), abs=1e-12)


def test_conform_equals_scipys_cubic_spline_clipped_to_the_range() -> None:
    data = volume((17, 22, 13))
    edges_mm = np.array([0.97, 1.2, 3.0])
    result = conform(Image(data, affine_of(np.diag(edges_mm)))).image.data
    lengths = zip(result.shape, edges_mm, data.shape, strict=True)
    along_axes = [(np.arange(m) - (m - 1) / 2) / edge_mm + (n - 1) / 2 for m, edge_mm, n in lengths]
    coordinates = np.meshgrid(*along_axes, indexing="ij")
    expected = ndimage.map_coordinates(data.astype(np.float64), coordinates, order=3, mode="nearest")
    assert expected.min() < data.min(), "the clipping would not be seen"
    np.testing.assert_allclose(result, np.clip(expected, data.min(), data.max()), atol=1e-5 * data.max())


def test_conform_leaves_an_axis_alone_whose_samples_do_not_move() -> None:
    data = volume((7, 8, 3))
    result = conform(Image(data, affine_of(np.diag([1.0, 1.0, 3.0])))).image.data
    np.testing.assert_array_equal(result[:, :, 1::3], data)


def test_conform_keeps_a_smooth_function_of_space_where_it_was() -> None:
    affine = affine_of(rotation((4, 9, -14)) @ np.diag([-0.8, 1.5, 1.2]))
    i, j, k = np.meshgrid(*(np.arange(n) for n in (30, 16, 20)), indexing="ij")

    def intensity(affine: Affine, *indices: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        x, y, z = np.einsum("ij,j...->i...", affine[:3, :3], np.stack(indices)) + affine[:3, 3].reshape(3, 1, 1, 1)
        return np.asarray(100 + 20 * np.sin(x / 5) + 10 * np.cos(y / 6) + z)

    result = conform(Image(intensity(affine, i, j, k), affine)).image
    inner = np.meshgrid(*(np.arange(4, n - 4) for n in result.data.shape), indexing="ij")
    np.testing.assert_allclose(result.data[tuple(inner)], intensity(result.affine, *inner), atol=0.05)


@pytest.mark.parametrize("linear", [np.diag([0.9375, 0.9375, 1.1]), [[0.9, 0.2, 0], [0, 1.1, 0], [0, 0, -2.0]]])
def test_conform_keeps_the_centre_and_covers_the_field_of_view(linear: npt.ArrayLike) -> None:
    affine, shape = affine_of(linear), (40, 30, 20)
    plan = plan_conform(shape, affine)
    np.testing.assert_allclose(world_centre_mm(plan.affine, plan.shape), world_centre_mm(affine, shape), atol=1e-9)
    corners = np.array(list(itertools.product(*((-0.5, n - 0.5) for n in shape))))
    as_new_voxels = np.linalg.inv(plan.affine) @ affine @ np.c_[corners, np.ones(8)].T
    low, high = as_new_voxels[:3].min(axis=1), as_new_voxels[:3].max(axis=1)
    assert np.all(low >= -0.5 - 0.01)
    assert np.all(high <= np.array(plan.shape) - 0.5 + 0.01)
    assert np.all(high - low > np.array(plan.shape) - 1), "no more voxels than it takes"


def test_plan_conform_adds_no_slice_for_the_rounding_of_a_float32_header() -> None:
    edge = float(np.float32(0.9375) * np.float32(1 + 1e-6))
    assert plan_conform((256, 256, 160), affine_of(np.diag([edge, edge, 1.0]))).shape == (240, 240, 160)


def test_conform_does_what_the_plan_said() -> None:
    for linear in (np.diag([1, 1, -1.0]), np.diag([0.9, 1.2, 2.0]), [[0.9, 0.2, 0], [0, 1.1, 0], [0, 0, 2.0]]):
        scan = Image(volume(), affine_of(linear), xform_code=4)
        planned, result = plan_conform(SHAPE, scan.affine, xform_code=4), conform(scan)
        assert result.image.data.shape == planned.shape == result.plan.shape
        assert result.image.xform_code == planned.xform_code == 4
        np.testing.assert_array_equal(result.image.affine, planned.affine)
        assert result.plan.is_resampled == planned.is_resampled
        assert result.plan.is_sheared == planned.is_sheared


@pytest.mark.parametrize("dtype", ["u1", ">i2", "<f4", ">f8"])
@pytest.mark.parametrize("edge_mm", [1.0, 0.8])
def test_conform_gives_native_fortran_float32_from_any_type(dtype: str, edge_mm: float) -> None:
    data = (volume() // 4).astype(dtype)
    result = conform(Image(data, affine_of(np.diag([edge_mm] * 3)))).image.data
    assert result.dtype == np.dtype(np.float32)
    assert result.dtype.isnative
    assert result.flags.f_contiguous
    expected = conform(Image((volume() // 4).astype(np.float32), affine_of(np.diag([edge_mm] * 3)))).image.data
    np.testing.assert_array_equal(result, expected)


def test_conform_does_not_change_its_input() -> None:
    data = volume()
    scan = Image(data.copy(order="F"), affine_of(np.diag([0.8, 1, 1])))
    conform(scan)
    np.testing.assert_array_equal(scan.data, data)


@pytest.mark.parametrize("linear", [np.diag([0.3, 0.3, 0.3]), [[0.3, 0.1, 0], [0, 0.3, 0], [0, 0, 0.3]]])
def test_conform_to_a_coarser_grid_averages_what_it_cannot_carry(linear: npt.ArrayLike) -> None:
    rng = np.random.default_rng(3)
    noise = Image(rng.normal(100, 10, (80, 66, 72)).astype(np.float32), affine_of(linear))
    result = conform(noise).image.data[8:-8, 4:-4, 4:-4]
    # A voxel that averages 37 others leaves 10 / 6 of it; points picked from the spline would leave nearly all.
    assert result.std() == pytest.approx(10 * 0.3**1.5, rel=0.15)
    assert result.mean() == pytest.approx(100, abs=0.2)


@pytest.mark.parametrize("linear", [np.diag([0.7, 1, 1]), [[0.7, 0.2, 0], [0, 1, 0], [0, 0, 1]]])
def test_conform_stays_within_the_range_of_the_scan_at_a_hard_edge(linear: npt.ArrayLike) -> None:
    data = np.zeros((20, 10, 10), np.float32, order="F")
    data[10:] = 1000
    result = conform(Image(data, affine_of(linear))).image.data
    assert result.min() == 0
    assert result.max() == 1000


def test_conform_puts_a_sheared_scan_on_an_unrotated_grid_with_a_notice() -> None:
    affine = affine_of([[1, 0.3, 0], [0, 1, 0], [0, 0, 1]])
    i, j, k = np.meshgrid(*(np.arange(n) for n in (30, 24, 20)), indexing="ij")
    x, y, z = np.einsum("ij,j...->i...", affine[:3, :3], np.stack([i, j, k])) + affine[:3, 3].reshape(3, 1, 1, 1)
    result = conform(Image((500 + 3 * x + 2 * y - z).astype(np.float32), affine))
    assert result.plan.is_sheared
    assert [notice.code for notice in result.notices] == ["SHEARED_AFFINE"]
    np.testing.assert_array_equal(result.image.affine[:3, :3], np.eye(3))
    middle = tuple(n // 2 for n in result.image.data.shape)
    world = result.image.affine @ (*middle, 1)
    assert result.image.data[middle] == pytest.approx(500 + 3 * world[0] + 2 * world[1] - world[2], abs=0.05)


def test_conform_gives_no_notice_for_perpendicular_axes() -> None:
    scan = Image(volume(), affine_of((rotation((7, -11, 23)) @ np.diag([0.7, 1.3, 1.1])).astype(np.float32)))
    assert conform(scan).notices == ()


@pytest.mark.parametrize(
    "linear",
    [
        pytest.param(np.diag([1, 1, -1]), id="reordered"),
        pytest.param(np.diag([0.9, 1.1, 1.6]), id="resampled"),
        pytest.param(np.diag([0.5, 0.5, 0.5]), id="averaged"),
        pytest.param([[0.9, 0.2, 0], [0, 1.1, 0], [0, 0, 1.6]], id="sheared"),
        pytest.param([[0.6, 0.2, 0], [0, 0.6, 0], [0, 0, 0.6]], id="sheared and averaged"),
    ],
)
def test_conform_holds_no_more_than_planned(linear: npt.ArrayLike) -> None:
    scan = Image(volume((96, 110, 84)), affine_of(linear))
    conform(scan)  # what the libraries set up once is not the scan's
    tracemalloc.start()
    plan = conform(scan).plan
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes <= plan.peak_bytes + 1_000_000
    assert peak_bytes >= 0.4 * plan.peak_bytes, "a plan of twice the truth would refuse scans that fit"


def test_conform_holds_no_more_than_planned_for_an_absurdly_long_axis() -> None:
    scan = Image(volume((1500, 8, 7)), affine_of(np.diag([0.2, 1, 1])))
    tracemalloc.start()
    plan = conform(scan).plan
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.7 * plan.peak_bytes <= peak_bytes <= plan.peak_bytes + 1_000_000


@pytest.mark.parametrize("shape", [(7, 8), (7, 8, 9, 1), (7, 0, 9)])
def test_plan_conform_refuses_a_shape_without_three_axes_of_voxels(shape: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        plan_conform(shape, np.eye(4))
    assert caught.value.fault is InputFault.BAD_DIM


@pytest.mark.parametrize("linear", [np.diag([1, 1, 0.0]), np.full((3, 3), np.nan), np.ones((3, 3))])
def test_plan_conform_refuses_an_affine_that_does_not_span_space(linear: npt.ArrayLike) -> None:
    with pytest.raises(InvalidInputError) as caught:
        plan_conform(SHAPE, affine_of(linear))
    assert caught.value.fault is InputFault.BAD_AFFINE


@pytest.mark.parametrize("edge_mm", [1.0, 0.8])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_conform_refuses_voxels_that_are_not_finite(bad: float, edge_mm: float) -> None:
    data = volume(dtype="<f4")
    data[3, 4, 5] = bad
    with pytest.raises(InvalidInputError) as caught:
        conform(Image(data, affine_of(np.diag([edge_mm] * 3))))
    assert caught.value.fault is InputFault.NONFINITE


@pytest.mark.parametrize("voxel_size_mm", [0.0, -1.0, float("nan")])
def test_conform_refuses_a_voxel_size_that_is_not_positive(voxel_size_mm: float) -> None:
    with pytest.raises(ValueError, match="positive voxel size"):
        conform(Image(volume(), np.eye(4)), voxel_size_mm=voxel_size_mm)


def test_conform_to_another_voxel_size() -> None:
    result: Conformed = conform(Image(volume((20, 22, 24)), np.eye(4)), voxel_size_mm=2.0)
    plan: ConformPlan = result.plan
    assert plan.shape == (10, 11, 12)
    assert result.image.voxel_size_mm == (2, 2, 2)
