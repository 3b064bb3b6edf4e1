"""skull_strip on a real head: the masks' quality, clean and under each degradation that scans suffer."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from neuro_preprocess._blocks import block_means
from neuro_preprocess.conform import conform
from neuro_preprocess.image import Image, Mask, Volume
from neuro_preprocess.phantom import add_rician_noise, bias_field
from neuro_preprocess.skull_strip import BrainExtraction, skull_strip

VOXEL_SIZE_MM = (1.0, 1.0, 1.0)
# Of Colin27, for signal to noise ratios.
WHITE_MATTER = 116.0


@dataclass(frozen=True)
class Case:
    volume: Volume
    reference: Mask
    voxel_size_mm: tuple[float, float, float] = VOXEL_SIZE_MM

    def strip(self) -> BrainExtraction:
        return skull_strip(np.asfortranarray(self.volume), self.voxel_size_mm)


def dice(a: Mask, b: Mask) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def biased(volume: Volume, amplitude: float, seed: int) -> Volume:
    return volume * bias_field(volume.shape, amplitude, seed=seed)


def thick_slices(volume: Volume) -> Volume:
    return block_means(volume, (1, 1, 3))


def resampled_thick_slices(volume: Volume, mask: Mask) -> Case:
    thick = Image(thick_slices(volume), np.diag([1.0, 1.0, 3.0, 1.0]))
    return Case(conform(thick, voxel_size_mm=1.0).image.data, mask[:, :, : volume.shape[2] // 3 * 3])


def rotated(array: np.ndarray, degrees: float) -> np.ndarray:
    """Turned about the left-right axis, with room for the corners: a nod."""
    angle = math.radians(degrees)
    matrix = np.array(
        [[1, 0, 0], [0, math.cos(angle), -math.sin(angle)], [0, math.sin(angle), math.cos(angle)]], np.float64
    )
    padded = np.pad(array, 20).astype(np.float32)
    centre = (np.array(padded.shape) - 1) / 2
    return ndimage.affine_transform(padded, matrix, centre - matrix @ centre, order=1)


def padded_to(array: np.ndarray, length: int) -> np.ndarray:
    return np.pad(array, [((length - n) // 2, length - n - (length - n) // 2) for n in array.shape])


DEGRADATIONS: dict[str, tuple[float, Callable[[Volume, Mask], Case]]] = {
    "noise-snr10": (0.96, lambda v, m: Case(add_rician_noise(v, WHITE_MATTER / 10, seed=1), m)),
    "noise-snr5": (0.95, lambda v, m: Case(add_rician_noise(v, WHITE_MATTER / 5, seed=2), m)),
    "bias-40": (0.96, lambda v, m: Case(biased(v, 0.4, 3), m)),
    "bias-40-other": (0.96, lambda v, m: Case(biased(v, 0.4, 14), m)),
    "bias-40-noise-snr20": (
        0.96,
        lambda v, m: Case(add_rician_noise(biased(v, 0.4, 5), WHITE_MATTER / 20, seed=5), m),
    ),
    "bias-80": (0.95, lambda v, m: Case(biased(v, 0.8, 6), m)),
    "bias-80-other": (0.95, lambda v, m: Case(biased(v, 0.8, 13), m)),
    "bias-150": (0.95, lambda v, m: Case(biased(v, 1.5, 6), m)),
    "slices-3mm": (0.96, lambda v, m: Case(thick_slices(v), m[:, :, 1:-1:3], (1.0, 1.0, 3.0))),
    "slices-3mm-resampled": (0.96, resampled_thick_slices),
    "rotated-20": (0.96, lambda v, m: Case(rotated(v, 20), rotated(m, 20) > 0.5)),
    "rotated-back-20": (0.96, lambda v, m: Case(rotated(v, -20), rotated(m, -20) > 0.5)),
    "bottom-22mm-cut": (0.96, lambda v, m: Case(v[:, :, 22:], m[:, :, 22:])),
    "top-30mm-cut": (0.96, lambda v, m: Case(v[:, :, :-30], m[:, :, :-30])),
    "padded-256": (0.96, lambda v, m: Case(padded_to(v, 256), padded_to(m, 256))),
    "size-80": (0.96, lambda v, m: Case(v, m, (0.8, 0.8, 0.8))),
    "voxels-2mm": (0.96, lambda v, m: Case(v[::2, ::2, ::2], m[::2, ::2, ::2], (2.0, 2.0, 2.0))),
    "gain-and-offset": (0.96, lambda v, m: Case(v * np.float32(1e-4) + np.float32(3e-3), m)),
    "stripped": (0.97, lambda v, m: Case(np.where(m, v, np.float32(0)), m)),
}


@pytest.fixture(scope="module")
def clean(colin27) -> BrainExtraction:
    return skull_strip(colin27.volume, VOXEL_SIZE_MM)


def test_skull_strip_agrees_with_both_references(colin27, clean) -> None:
    assert dice(clean.mask, colin27.bet_mask) >= 0.97
    assert dice(clean.mask, colin27.better_mask) >= 0.97


def test_skull_strip_loses_little_brain(colin27, clean) -> None:
    lost_ml = np.count_nonzero(colin27.bet_mask & ~clean.mask) / 1000
    assert lost_ml <= 60


def test_skull_strip_passes_its_own_checks_on_a_good_scan(clean) -> None:
    assert [check.name for check in clean.checks if not check.is_passed] == []
    assert not clean.is_low_confidence
    assert not clean.used_second_pass
    assert clean.attempts == 1


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_skull_strip_withstands(colin27, name: str) -> None:
    bar, degrade = DEGRADATIONS[name]
    case = degrade(colin27.volume, colin27.bet_mask)
    found = case.strip()
    assert found.mask.shape == case.volume.shape
    assert dice(found.mask, case.reference) >= bar


def test_skull_strip_grows_the_surface_again_under_strong_bias(colin27) -> None:
    assert skull_strip(biased(colin27.volume, 0.8, 6), VOXEL_SIZE_MM).used_second_pass


def test_skull_strip_sees_that_a_scan_was_stripped_before(colin27) -> None:
    found = Case(np.where(colin27.bet_mask, colin27.volume, np.float32(0)), colin27.bet_mask).strip()
    assert [check.name for check in found.checks if not check.is_passed] == ["surrounding_zero_share"]


def test_skull_strip_sees_that_the_brain_is_cut_off(colin27) -> None:
    found = Case(colin27.volume[:, :, 40:], colin27.bet_mask[:, :, 40:]).strip()
    assert "border_contact_mm2" in [check.name for check in found.checks if not check.is_passed]


# The same voxels in the order that other scanners and programs store them in; each with the affine that goes with it.
STORED_AS: dict[str, Callable[[Volume], Volume]] = {
    "LPS": lambda v: v[::-1, ::-1, :],
    "LIA": lambda v: v[::-1, :, ::-1].transpose(0, 2, 1),
    "ASL": lambda v: v[::-1].transpose(1, 2, 0),
}


@pytest.mark.parametrize("orientation", STORED_AS)
def test_skull_strip_gives_the_same_bytes_however_a_scan_is_stored(colin27, clean, orientation: str) -> None:
    indices = np.arange(colin27.volume.size).reshape(colin27.volume.shape, order="F")
    stored = STORED_AS[orientation](indices)
    corners = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    world = [colin27.affine @ [*np.unravel_index(stored[c], colin27.volume.shape, order="F"), 1] for c in corners]
    affine = np.eye(4)
    affine[:, 3] = world[0]
    for axis in range(3):
        affine[:, axis] = world[axis + 1] - world[0]
    image = conform(Image(STORED_AS[orientation](colin27.volume), affine), voxel_size_mm=1.0).image
    assert skull_strip(image.data, image.voxel_size_mm).mask.tobytes("F") == clean.mask.tobytes("F")


def test_skull_strip_of_t2w_is_usable_and_marked_as_less_certain(colin27) -> None:
    """A T2w look-alike: contrast inverted in the brain, fluid bright, fat and muscle dim. Real ones give about 0.9."""
    brain = ndimage.gaussian_filter(colin27.bet_mask.astype(np.float32), 0.7)
    inside = np.clip(230 - 1.75 * colin27.volume, 20, 200)
    outside = np.where(colin27.volume > 125, 110, colin27.volume * 0.5)
    found = skull_strip(
        np.asfortranarray(brain * inside + (1 - brain) * outside, np.float32), VOXEL_SIZE_MM, contrast="T2w"
    )
    assert dice(found.mask, colin27.bet_mask) >= 0.85
    assert found.is_low_confidence
