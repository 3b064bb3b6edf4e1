"""_otsu: thresholds between classes of intensity."""

import itertools

import numpy as np
import pytest

from neuro_preprocess._otsu import otsu_thresholds
from neuro_preprocess.errors import InputFault, InvalidInputError


def mixture(means: tuple[float, ...], sizes: tuple[int, ...], sigma: float = 5.0) -> np.ndarray:
    rng = np.random.default_rng(11)
    return np.concatenate([rng.normal(mean, sigma, size) for mean, size in zip(means, sizes, strict=True)])


def within_class_scatter(values: np.ndarray, thresholds: tuple[float, ...]) -> float:
    classes = np.digitize(values, thresholds)
    return sum(float(np.square(part - part.mean()).sum()) for k in set(classes) for part in [values[classes == k]])


@pytest.mark.parametrize(
    ("means", "sizes"), [((30, 100), (500, 900)), ((30, 70, 110), (300, 900, 800)), ((0, 100, 130), (900, 200, 400))]
)
def test_otsu_thresholds_leave_the_least_scatter_of_any_on_a_grid(means, sizes) -> None:
    values = mixture(means, sizes)
    found = otsu_thresholds(values, classes=len(means))
    grid = np.linspace(values.min(), values.max(), 60)[1:-1]
    best = min(within_class_scatter(values, cuts) for cuts in itertools.combinations(grid, len(means) - 1))
    assert within_class_scatter(values, found) <= 1.001 * best
    assert found == tuple(sorted(found))


def test_otsu_thresholds_stand_in_the_middle_of_a_gap() -> None:
    values = np.repeat([10.0, 50.0, 200.0], [40, 30, 30])
    assert otsu_thresholds(values, classes=3, bins=256) == pytest.approx((30, 125), abs=1)


def test_otsu_thresholds_part_values_of_three_kinds_exactly() -> None:
    values = np.repeat([3, 4, 9], [5, 80, 2])
    low, high = otsu_thresholds(values, classes=3)
    assert 3 < low <= 4 < high <= 9


def test_otsu_thresholds_do_not_depend_on_the_order_or_the_type() -> None:
    values = np.rint(mixture((30, 70, 110), (300, 900, 800))).astype(np.int16)
    shuffled = np.random.default_rng(0).permutation(values).reshape(40, 50).astype(np.float32)
    assert otsu_thresholds(values, classes=3) == otsu_thresholds(shuffled, classes=3)


def test_otsu_thresholds_follow_scale_and_offset() -> None:
    values = mixture((30, 70, 110), (300, 900, 800))
    expected = np.array(otsu_thresholds(values, classes=3)) * 1e4 - 3e5
    assert otsu_thresholds(values * 1e4 - 3e5, classes=3) == pytest.approx(expected, rel=1e-6)


def test_otsu_thresholds_are_not_moved_by_a_few_extreme_values() -> None:
    values = mixture((30, 70, 110), (3000, 9000, 8000))
    spoilt = np.concatenate([values, [1e6] * 4, [-1e6] * 4])
    assert otsu_thresholds(spoilt, classes=3) == pytest.approx(otsu_thresholds(values, classes=3), abs=2)


def test_otsu_thresholds_see_a_class_smaller_than_the_tail_when_there_is_nothing_else() -> None:
    values = np.zeros(100_000)
    values[:10] = 5.0
    assert 0 < otsu_thresholds(values, classes=2)[0] < 5


@pytest.mark.parametrize(("values", "classes"), [([], 2), ([1.0] * 9, 2), ([1.0, 2.0], 3), ([0.0, 0.0, 1.0, 1.0], 3)])
def test_otsu_thresholds_refuse_fewer_kinds_of_values_than_classes(values: list[float], classes: int) -> None:
    with pytest.raises(InvalidInputError) as caught:
        otsu_thresholds(np.array(values), classes=classes)
    assert caught.value.fault is InputFault.NO_SIGNAL


@pytest.mark.parametrize("classes", [0, 1, 4])
def test_otsu_thresholds_know_two_and_three_classes_only(classes: int) -> None:
    with pytest.raises(ValueError, match="2 or 3"):
        otsu_thresholds(np.arange(10), classes=classes)
