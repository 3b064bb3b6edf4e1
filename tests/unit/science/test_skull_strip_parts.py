"""skull_strip._coarse, ._refine, ._checks: what comes before and after the surface."""

import numpy as np
import pytest

from neuro_preprocess.phantom import head_phantom
from neuro_preprocess.skull_strip import SelfCheck
from neuro_preprocess.skull_strip._checks import border_check, shape_checks, surroundings_checks
from neuro_preprocess.skull_strip._coarse import Coarse, coarsen, refined_grid
from neuro_preprocess.skull_strip._refine import refine


def a_coarse(shape, factors, first_slice=0) -> Coarse:
    return Coarse(np.zeros(shape, np.float32), tuple(2.0 for _ in shape), factors, first_slice)


def box_mask(shape, box) -> np.ndarray:
    mask = np.zeros(shape, bool, order="F")
    mask[box] = True
    return mask


@pytest.mark.parametrize(
    ("size_mm", "factors"), [((1.0, 1.0, 1.0), (2, 2, 2)), ((0.94, 0.94, 1.1), (2, 2, 1)), ((0.5, 1.0, 3.0), (4, 2, 1))]
)
def test_coarsen_comes_near_two_millimetres(size_mm, factors) -> None:
    volume = np.asfortranarray(np.random.default_rng(0).random((40, 44, 36), dtype=np.float32))
    coarse = coarsen(volume, size_mm)
    assert coarse is not None
    assert coarse.factors == factors
    assert coarse.voxel_size_mm == pytest.approx(tuple(s * f for s, f in zip(size_mm, factors, strict=True)))


def test_coarsen_cuts_off_the_neck() -> None:
    volume = np.zeros((40, 44, 150), np.float32, order="F")
    volume[8:32, 8:36, :140] = 100
    coarse = coarsen(volume, (2.0, 2.0, 2.0))
    assert coarse is not None
    assert coarse.first_slice == 140 - 83
    assert coarse.volume.shape == (40, 44, 93)


def test_coarsen_keeps_all_of_a_head_without_neck() -> None:
    coarse = coarsen(np.asfortranarray(head_phantom((60, 80, 62), 2.5).image.data), (2.5, 2.5, 2.5))
    assert coarse is not None
    assert coarse.first_slice == 0


def test_coarsen_smooths_only_what_is_noisy() -> None:
    quiet, noisy = (head_phantom((60, 72, 70), 2.5, noise=noise).image.data for noise in (0.01, 0.2))
    for volume, is_smoothed in ((quiet, False), (noisy, True)):
        coarse = coarsen(volume, (2.5, 2.5, 2.5))
        assert coarse is not None
        assert (not np.array_equal(coarse.volume, volume[:, :, coarse.first_slice :])) == is_smoothed


def test_coarsen_has_no_use_for_a_uniform_volume() -> None:
    assert coarsen(np.full((7, 8, 9), 3, np.float32), (1.0, 1.0, 1.0)) is None


@pytest.mark.parametrize("shape", [(14, 16, 18), (15, 17, 19)])
def test_refined_grid_puts_each_block_where_its_voxels_were(shape) -> None:
    coarse = a_coarse((7, 8, 7), (2, 2, 2), first_slice=2)
    fine = refined_grid(box_mask((7, 8, 7), np.s_[1:6, 2:7, 1:6]), coarse, shape)
    assert fine.shape == shape
    assert fine.flags.f_contiguous
    inner, outer = np.s_[3:11, 5:13, 7:15], np.s_[2:12, 4:14, 6:16]
    assert fine[inner].all()
    assert not np.any(fine & ~box_mask(shape, outer))


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_refined_grid_keeps_the_centre_of_what_it_refines(factor: int) -> None:
    coarse = a_coarse((17, 18, 19), (factor, factor, factor))
    fine = refined_grid(
        box_mask((17, 18, 19), np.s_[4:11, 5:13, 6:15]), coarse, (17 * factor, 18 * factor, 19 * factor)
    )
    centre = np.argwhere(fine).mean(axis=0) + 0.5
    np.testing.assert_allclose(centre, np.array([7.5, 9, 10.5]) * factor, atol=1e-6)


def test_refined_grid_reaches_the_far_end_where_blocks_did_not() -> None:
    fine = refined_grid(np.ones((7, 8, 9), bool, order="F"), a_coarse((7, 8, 9), (2, 2, 2)), (15, 17, 19))
    assert fine.all()


def test_refined_grid_of_an_empty_mask_is_empty() -> None:
    assert not refined_grid(np.zeros((7, 8, 9), bool), a_coarse((7, 8, 9), (1, 1, 1)), (7, 8, 9)).any()


def head_of_layers() -> tuple[np.ndarray, np.ndarray]:
    """A brain of three tissues with an eye on a thin stalk beside it, and a region that holds both."""
    x, y, z = np.ogrid[-40:40, -40:40, -35:35]
    radius = np.sqrt(x**2 + y**2 + z**2)
    volume = np.where(radius < 12, 40.0, np.where(radius < 20, 100.0, np.where(radius < 25, 75.0, 5.0)))
    volume += 2 * np.random.default_rng(1).standard_normal(volume.shape)
    eye = (x - 34) ** 2 + y**2 + z**2 < 16
    stalk = (x > 24) & (x < 32) & (abs(y) < 2) & (abs(z) < 2)
    volume[eye | stalk] = 75
    return np.asfortranarray(volume, np.float32), np.asfortranarray((radius < 29) | eye | stalk)


def test_refine_cuts_loose_what_hangs_on_by_a_thread() -> None:
    volume, region = head_of_layers()
    brain = refine(volume, region, (1.0, 1.0, 1.0), "T1w")
    x, y, z = np.ogrid[-40:40, -40:40, -35:35]
    radius = np.sqrt(x**2 + y**2 + z**2)
    assert brain[radius < 24].all()
    assert not brain[radius > 29].any()


def test_refine_of_nothing_is_nothing() -> None:
    volume, region = head_of_layers()
    assert not refine(volume, np.zeros_like(region), (1.0, 1.0, 1.0), "T1w").any()


def test_refine_finds_no_brain_without_tissue_classes() -> None:
    _, region = head_of_layers()
    assert not refine(np.full(region.shape, 5, np.float32), region, (1.0, 1.0, 1.0), "T1w").any()


def failed(checks: tuple[SelfCheck, ...]) -> list[str]:
    return [check.name for check in checks if not check.is_passed]


def ellipsoid(radii_mm, shape=(100, 120, 100)) -> np.ndarray:
    axes = np.ogrid[tuple(slice(-n, n, n * 1j) for n in shape)]
    return np.asfortranarray(sum((axis / radius) ** 2 for axis, radius in zip(axes, radii_mm, strict=True)) < 1)


@pytest.mark.parametrize(
    ("radii_mm", "names"),
    [
        ((68, 85, 62), []),
        ((45, 60, 55), ["volume_ml", "smallest_extent_mm"]),
        ((88, 105, 88), ["volume_ml", "largest_extent_mm"]),
        ((60, 102, 60), ["largest_extent_mm"]),
    ],
)
def test_shape_checks_know_a_brain_by_its_size(radii_mm, names) -> None:
    assert failed(shape_checks(ellipsoid(radii_mm), (2.0, 2.0, 2.0))) == names


def test_shape_checks_know_a_mask_with_tentacles() -> None:
    mask = ellipsoid((56, 62, 56))
    mask[50, :97, 50] = mask[:84, 60, 50] = mask[50, 60, :84] = True
    assert "box_fill" in failed(shape_checks(mask, (2.0, 2.0, 2.0)))


def test_border_check_measures_what_is_cut_off() -> None:
    mask = box_mask((7, 8, 9), np.s_[:, 2:5, 8:])
    check = border_check(mask, (1.0, 2.0, 3.0))
    assert check.value == 2 * 3 * 6 + 7 * 3 * 2
    assert not check.is_passed
    assert border_check(box_mask((7, 8, 9), np.s_[1:6, 1:7, 1:8]), (1.0, 2.0, 3.0)).is_passed


@pytest.mark.parametrize(
    ("outside", "names"), [(30, []), (80, ["edge_contrast_ratio"]), (0, ["surrounding_zero_share"])]
)
def test_surroundings_checks_look_at_both_sides_of_the_edge(outside: float, names) -> None:
    mask = box_mask((30, 32, 34), np.s_[10:20, 10:20, 10:20])
    volume = np.where(mask, 100, outside).astype(np.float32)
    volume[0] = 1
    assert failed(surroundings_checks(volume, mask, (2.0, 2.0, 2.0), "T1w")) == names


def test_surroundings_checks_do_not_depend_on_an_offset() -> None:
    mask = box_mask((30, 32, 34), np.s_[10:20, 10:20, 10:20])
    volume = np.where(mask, 100, 60).astype(np.float32)
    volume[:, :, :3] = 1
    plain, raised = (surroundings_checks(v, mask, (2.0, 2.0, 2.0), "T1w")[0] for v in (volume, volume + 500))
    assert plain.value == pytest.approx(raised.value)
