"""bias_correct on a real head and on a phantom: what is taken away is the field that was put on, and nothing else."""

import numpy as np
import pytest
from scipy import ndimage

from neuro_preprocess._otsu import otsu_thresholds
from neuro_preprocess.bias_correct import BiasCorrection, bias_correct
from neuro_preprocess.image import Mask, Volume
from neuro_preprocess.phantom import Tissue, add_rician_noise, bias_field, head_phantom

VOXEL_SIZE_MM = (1.0, 1.0, 1.0)
FIELDS = [(0.4, 0), (0.4, 8), (0.4, 21), (0.2, 4), (0.8, 9)]


def variation(volume: Volume, tissue: Mask) -> float:
    values = volume[tissue].astype(np.float64)
    return float(values.std() / values.mean())


def field_of(correction: BiasCorrection, mask: Mask) -> np.ndarray:
    return np.log(correction.field()[mask]).astype(np.float64)


@pytest.fixture(scope="module")
def white_matter(colin27) -> Mask:
    """Voxels that are white matter beyond doubt on the clean scan: whoever corrects it is judged on the same ones."""
    threshold = otsu_thresholds(colin27.volume[colin27.bet_mask], classes=3)[1]
    return ndimage.binary_erosion(colin27.bet_mask & (colin27.volume > threshold), iterations=2)


@pytest.fixture(scope="module")
def clean(colin27) -> BiasCorrection:
    return bias_correct(colin27.volume, colin27.bet_mask, VOXEL_SIZE_MM)


def test_bias_correct_does_not_spoil_a_clean_head(colin27, clean, white_matter) -> None:
    assert variation(clean.volume, white_matter) <= variation(colin27.volume, white_matter)


@pytest.mark.parametrize(("amplitude", "seed"), FIELDS)
def test_bias_correct_finds_the_field_that_was_put_on(
    colin27, clean, white_matter, amplitude: float, seed: int
) -> None:
    """Less what is found on the clean scan, which has shading of its own, and anatomy that looks like it."""
    field = bias_field(colin27.volume.shape, amplitude, seed=seed)
    biased = colin27.volume * field
    found = bias_correct(biased, colin27.bet_mask, VOXEL_SIZE_MM)
    difference = field_of(found, colin27.bet_mask) - field_of(clean, colin27.bet_mask)
    assert np.corrcoef(difference, np.log(field[colin27.bet_mask]))[0, 1] >= 0.98
    assert variation(found.volume, white_matter) <= 0.9 * variation(colin27.volume, white_matter)
    assert found.white_matter_cv_after < found.white_matter_cv_before


@pytest.mark.parametrize("snr", [20, 10])
def test_bias_correct_finds_the_field_under_noise(colin27, white_matter, snr: float) -> None:
    field = bias_field(colin27.volume.shape, 0.4, seed=17)
    noisy = add_rician_noise(colin27.volume * field, 116 / snr, seed=snr)
    found = bias_correct(noisy, colin27.bet_mask, VOXEL_SIZE_MM)
    # Noise cannot be corrected: what is left must be no more than noise and anatomy together.
    alone = np.hypot(variation(colin27.volume, white_matter), 1 / snr)
    assert variation(found.volume, white_matter) <= 1.05 * alone


@pytest.fixture(scope="module")
def uniform():
    """A phantom without any shading: tissues of one intensity each, noise of SNR 30."""
    phantom = head_phantom(noise=0, bias=0)
    signal = np.zeros(phantom.tissue.shape, np.float32, order="F")
    for tissue, value in ((Tissue.CSF, 30), (Tissue.GREY_MATTER, 75), (Tissue.WHITE_MATTER, 100)):
        signal[phantom.tissue == tissue] = value
    # Half a voxel of blur: as in a scanner, voxels at borders hold some of either tissue.
    signal = ndimage.gaussian_filter(signal, 0.5)
    return phantom, add_rician_noise(signal, 100 / 30, seed=30)


@pytest.fixture(scope="module")
def unshaded(uniform) -> BiasCorrection:
    phantom, scan = uniform
    return bias_correct(scan, phantom.brain_mask, VOXEL_SIZE_MM)


@pytest.mark.parametrize("tissue", [Tissue.WHITE_MATTER, Tissue.GREY_MATTER])
def test_bias_correct_leaves_a_uniform_phantom_nearly_as_it_is(uniform, unshaded, tissue: Tissue) -> None:
    phantom, scan = uniform
    voxels = ndimage.binary_erosion(phantom.tissue == tissue)
    assert variation(unshaded.volume, voxels) <= 1.1 * variation(scan, voxels)


@pytest.mark.parametrize(("amplitude", "seed"), [(0.4, 2), (0.8, 3)])
def test_bias_correct_restores_a_shaded_phantom(uniform, unshaded, amplitude: float, seed: int) -> None:
    phantom, scan = uniform
    field = bias_field(scan.shape, amplitude, seed=seed)
    found = bias_correct(scan * field, phantom.brain_mask, VOXEL_SIZE_MM)
    voxels = ndimage.binary_erosion(phantom.tissue == Tissue.WHITE_MATTER)
    assert variation(found.volume, voxels) <= 1.1 * variation(scan, voxels)
    difference = field_of(found, phantom.brain_mask) - field_of(unshaded, phantom.brain_mask)
    assert np.corrcoef(difference, np.log(field[phantom.brain_mask]))[0, 1] >= 0.97
