"""_blocks, _noise, _log_field, _sharpen, _n4, _white_matter: the parts of the bias correction."""

import numpy as np
import pytest

from neuro_preprocess._blocks import block_means, block_sums
from neuro_preprocess._field.log_field import Extent, LogField, SplineFit, basis_matrix, tensor_product
from neuro_preprocess._field.n4 import grid_factors, gridded_box, n4_log_field
from neuro_preprocess._field.sharpen import sharpened
from neuro_preprocess._noise import noise_sigma
from neuro_preprocess.bias_correct._white_matter import white_matter_log_field, white_matter_mask, without_surface

SHAPE = (7, 8, 9)


def values(seed: int = 0, shape=SHAPE) -> np.ndarray:
    return np.asfortranarray(np.random.default_rng(seed).random(shape, dtype=np.float32))


@pytest.mark.parametrize("factors", [(1, 1, 1), (2, 3, 4), (7, 8, 9), (10, 1, 2)])
def test_block_sums_add_up_each_block_and_what_is_left_over(factors) -> None:
    volume = values()
    sums = block_sums(volume, factors)
    for index in np.ndindex(*sums.shape):
        block = volume[tuple(slice(i * f, (i + 1) * f) for i, f in zip(index, factors, strict=True))]
        assert sums[index] == pytest.approx(block.sum(), rel=1e-5)
    assert sums.sum() == pytest.approx(volume.sum(), rel=1e-5)


def test_block_sums_count_the_voxels_of_a_mask() -> None:
    mask = values() > 0.5
    sums = block_sums(mask, (2, 2, 2))
    assert sums.dtype == np.float32
    assert sums.sum() == np.count_nonzero(mask)


def test_block_sums_leave_the_volume_as_it_was() -> None:
    volume = values()
    block_sums(volume, (1, 2, 1))
    np.testing.assert_array_equal(volume, values())


def test_block_means_drop_what_is_left_over() -> None:
    means = block_means(values(), (2, 3, 4))
    assert means.shape == (3, 2, 2)
    assert means[1, 1, 1] == pytest.approx(values()[2:4, 3:6, 4:8].mean())


@pytest.mark.parametrize("sigma", [0.5, 20.0])
def test_noise_sigma_finds_the_noise_on_a_smooth_ground(sigma: float) -> None:
    shape = (30, 31, 32)
    ground = np.add.outer(np.add.outer(np.arange(30.0), 2 * np.arange(31.0)), 3 * np.arange(32.0))
    noisy = (ground + sigma * np.random.default_rng(1).standard_normal(shape)).astype(np.float32)
    assert noise_sigma(noisy, np.ones(shape, bool)) == pytest.approx(sigma, rel=0.05)


def test_noise_sigma_is_zero_where_there_is_nothing_to_see() -> None:
    assert noise_sigma(values(), np.zeros(SHAPE, bool)) == 0
    assert noise_sigma(values(shape=(7, 2, 9)), np.ones((7, 2, 9), bool)) == 0


@pytest.mark.parametrize("mesh", [1, 2, 5])
def test_basis_matrix_is_a_partition_of_unity(mesh: int) -> None:
    basis = basis_matrix(np.linspace(-0.2, 1.2, 50), mesh)
    assert basis.shape == (50, mesh + 3)
    np.testing.assert_allclose(basis.sum(axis=1), 1)
    assert (basis >= 0).all()


def test_tensor_product_is_the_sum_over_three_axes() -> None:
    rng = np.random.default_rng(2)
    bases = [rng.random((n, 4)) for n in SHAPE]
    coefficients = rng.random((4, 4, 4))
    expected = np.einsum("xa,yb,zc,abc->xyz", *bases, coefficients)
    found = tensor_product(bases, coefficients)
    assert found.flags.f_contiguous
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_spline_fit_recovers_a_spline_from_a_part_of_its_values() -> None:
    rng = np.random.default_rng(3)
    weights = (rng.random((14, 15, 16)) > 0.4).astype(np.float64)
    fit = SplineFit(weights, 2, stiffness=1e-9)
    coefficients = rng.standard_normal((5, 5, 5))
    truth = tensor_product(fit.bases, coefficients)
    found = tensor_product(fit.bases, fit.solve(weights * truth))
    np.testing.assert_allclose(found, truth, atol=2e-2)


def test_spline_fit_weighs_its_values() -> None:
    weights = np.where(np.arange(14)[:, None, None] < 7, 9.0, 1.0) * np.ones((14, 15, 16))
    data = np.where(np.arange(14)[:, None, None] % 2, 1.0, 0.0) * np.ones_like(weights)
    stiff = SplineFit(weights, 1, stiffness=1e6)
    level = tensor_product(stiff.bases, stiff.solve(weights * data)).mean()
    assert level == pytest.approx(np.average(data, weights=weights), abs=0.1)


def test_spline_fit_bends_less_the_stiffer_it_is() -> None:
    data = np.random.default_rng(4).standard_normal((14, 15, 16))
    bends = [
        np.abs(np.diff(tensor_product(fit.bases, fit.solve(data)), 2, axis=0)).mean()
        for fit in (SplineFit(np.ones_like(data), 4, stiffness) for stiffness in (1e-6, 1e-2, 10))
    ]
    assert bends[0] > bends[1] > bends[2]


def a_field() -> LogField:
    rng = np.random.default_rng(5)
    box = (Extent(2, 8), Extent(0, 8), Extent(-1, 12))
    return LogField(box, (rng.standard_normal((4, 4, 4)), rng.standard_normal((5, 5, 5))))


def test_log_field_evaluates_a_part_as_it_does_the_whole() -> None:
    whole = a_field().evaluate((12, 13, 14))
    part = a_field().evaluate((5, 6, 7), origin=(3, 4, 2))
    np.testing.assert_allclose(part, whole[3:8, 4:10, 2:9], atol=1e-5)


def test_log_field_stays_what_it_is_beyond_its_box() -> None:
    field = a_field().evaluate((30, 5, 5))
    np.testing.assert_allclose(field[10:], np.broadcast_to(field[10], field[10:].shape), atol=1e-5)


def test_log_field_is_scaled_and_shifted_everywhere() -> None:
    plain = a_field().evaluate(SHAPE)
    np.testing.assert_allclose(a_field().scaled(0.5).shifted(2).evaluate(SHAPE), plain / 2 + 2, atol=1e-5)


def test_sharpened_narrows_two_widened_peaks() -> None:
    rng = np.random.default_rng(6)
    truth = rng.choice([4.0, 4.5], 20_000)
    observed = truth + 0.1 * rng.standard_normal(truth.size)
    found = sharpened(observed, 0.25)
    assert np.abs(found - truth).mean() < 0.7 * np.abs(observed - truth).mean()


@pytest.mark.parametrize("count", [1, 50])
def test_sharpened_leaves_equal_values_alone(count: int) -> None:
    same = np.full(count, 3.7)
    np.testing.assert_array_equal(sharpened(same, 0.1), same)


def test_grid_factors_make_blocks_of_four_millimetres() -> None:
    assert grid_factors((1.0, 0.5, 3.0)) == (4, 8, 1)
    assert grid_factors((9.0, 2.1, 1.2)) == (1, 2, 3)


def test_gridded_box_is_made_of_whole_blocks() -> None:
    mask = np.zeros((20, 20, 20), bool)
    mask[3:10, 0:8, 11:20] = True
    box, extents = gridded_box(mask, (4, 4, 4))
    assert box == np.s_[3:10, 0:8, 11:20]
    assert extents == (Extent(3, 8), Extent(0, 8), Extent(11, 12))


def shaded_tissues(shape=(64, 72, 56)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cubes of three tissues at random, each of one intensity, under a smooth field that varies along x."""
    rng = np.random.default_rng(7)
    cubes = rng.choice([30.0, 75.0, 100.0], [n // 8 for n in shape], p=[0.1, 0.4, 0.5])
    tissue = np.kron(cubes, np.ones((8, 8, 8)))
    log_field = 0.08 * np.sin(np.linspace(-1.5, 1.5, shape[0]))[:, None, None] * np.ones(shape)
    noisy = tissue * np.exp(log_field) + rng.standard_normal(shape)
    return np.asfortranarray(noisy, np.float32), log_field, tissue == 100


def test_n4_log_field_finds_a_smooth_field() -> None:
    volume, log_field, _ = shaded_tissues()
    inside = np.ones(volume.shape, bool, order="F")
    found, iterations = n4_log_field(volume, inside, (1.0, 1.0, 1.0), meshes=(1, 2))
    estimate = found.evaluate(volume.shape)
    assert np.corrcoef(estimate.ravel(), log_field.ravel())[0, 1] > 0.99
    assert estimate.mean() == pytest.approx(0, abs=0.01)
    assert iterations > 2


def test_n4_log_field_is_zero_where_there_is_nothing_to_fit() -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[4, 4, 4] = True
    found, iterations = n4_log_field(values(shape=(9, 9, 9)), mask, (4.0, 4.0, 4.0), meshes=(1,))
    assert iterations == 0
    np.testing.assert_array_equal(found.evaluate((9, 9, 9)), 0)


def test_white_matter_log_field_evens_out_the_brightest_tissue() -> None:
    volume, log_field, white = shaded_tissues()
    inside = np.ones(volume.shape, bool, order="F")
    start, _ = n4_log_field(volume, inside, (1.0, 1.0, 1.0), meshes=(1,))
    found, fits = white_matter_log_field(volume, inside, (1.0, 1.0, 1.0), start)
    assert fits > 0
    error = (found.evaluate(volume.shape) - log_field)[white]
    assert error.std() < 0.01


def test_white_matter_log_field_keeps_its_start_where_there_is_no_white_matter() -> None:
    start = LogField((Extent(0, 8), Extent(0, 8), Extent(0, 12)), (np.zeros((4, 4, 4)),))
    found, fits = white_matter_log_field(values(), np.ones(SHAPE, bool), (1.0, 1.0, 1.0), start)
    assert found is start
    assert fits == 0


def test_white_matter_mask_is_the_brightest_class_without_its_surface() -> None:
    volume, _, white = shaded_tissues()
    found = white_matter_mask(volume, np.ones(volume.shape, bool, order="F"))
    assert np.count_nonzero(found & ~white) < 0.02 * np.count_nonzero(found)
    assert np.count_nonzero(found) > 0.3 * np.count_nonzero(white)


def test_without_surface_keeps_voxels_with_six_neighbours() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[1:6, 2:6, 3:8] = True
    expected = np.zeros(SHAPE, bool)
    expected[2:5, 3:5, 4:7] = True
    np.testing.assert_array_equal(without_surface(mask), expected)
    assert not without_surface(np.ones((1, 8, 9), bool)).any()
