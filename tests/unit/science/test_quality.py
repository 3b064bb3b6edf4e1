import json
import math
from dataclasses import fields

import numpy as np
import pytest
from scipy import ndimage

from neuro_preprocess.phantom import add_rician_noise
from neuro_preprocess.quality import QualityMeasures, measure_quality
from neuro_preprocess.quality.measure_table import LIMITS, MEASURES

pytestmark = pytest.mark.filterwarnings("error")

SHAPE = (41, 45, 43)
CENTRE = np.array([20, 22, 21])
T1W = {"wm": 100, "gm": 70, "csf": 30, "scalp": 60}
T2W = {"wm": 40, "gm": 70, "csf": 120, "scalp": 60}


def radius():
    return np.sqrt(sum((g - c) ** 2 for g, c in zip(np.indices(SHAPE), CENTRE, strict=True)))


def head(signal=T1W, *, noise=0.0):
    """Shells of tissue about a centre, and which voxels are of which."""
    r = radius()
    parts = {"wm": r < 7, "gm": (r >= 7) & (r < 10), "csf": (r >= 10) & (r < 12), "scalp": (r >= 12) & (r < 14)}
    volume = np.zeros(SHAPE, np.float32, order="F")
    for name, part in parts.items():
        volume[part] = signal[name]
    if noise:
        volume = add_rician_noise(volume, noise)
    return volume, np.asfortranarray(r < 12), parts


def measure(volume, mask, corrected=None, voxel_size_mm=(1, 1, 1), **options):
    return measure_quality(volume, volume if corrected is None else corrected, mask, voxel_size_mm, **options)


@pytest.mark.parametrize(("contrast", "signal"), [("T1w", T1W), ("T2w", T2W)])
def test_measure_quality_knows_tissues_by_contrast(contrast, signal):
    volume, mask, parts = head(signal, noise=2)

    measures = measure(volume, mask, contrast=contrast)

    for tissue in ("csf", "gm", "wm"):
        share = parts[tissue].sum() / mask.sum()
        assert getattr(measures, f"icvs_{tissue}") == pytest.approx(share, abs=0.01)
        assert measures.summary[tissue].median == pytest.approx(signal[tissue], rel=0.02)
    assert measures.summary["wm"].n < parts["wm"].sum()  # its rim is left out


def test_measure_quality_follows_the_formulas():
    volume, mask, parts = head(noise=3)

    measures = measure(volume, mask)

    white, grey = volume[ndimage.binary_erosion(parts["wm"])], volume[parts["gm"]]
    spread = white.std() * math.sqrt(white.size / (white.size - 1))
    assert measures.snr_wm == pytest.approx(np.median(white) / spread, rel=0.02)
    assert measures.cjv == pytest.approx((white.std() + grey.std()) / (np.median(white) - np.median(grey)), rel=0.02)
    assert measures.cnr == pytest.approx(
        (np.median(white) - np.median(grey)) / math.sqrt(white.var() + grey.var() + (0.655 * 3) ** 2), rel=0.05
    )
    assert measures.snr_total == pytest.approx((measures.snr_csf + measures.snr_gm + measures.snr_wm) / 3)
    assert measures.wm2max == pytest.approx(np.median(white) / np.percentile(volume, 99.95), rel=1e-3)


@pytest.mark.parametrize("noise", [2.0, 8.0])
def test_measure_quality_finds_the_noise_of_the_air(noise):
    volume, mask, _ = head(noise=noise)

    measures = measure(volume, mask)

    assert measures.snrd_wm == pytest.approx(100 / noise, rel=0.04)
    # Of Rayleigh noise, the median square is 2 ln 2 of its variance parameter.
    assert measures.fber == pytest.approx(
        np.median(np.square(volume[radius() < 14])) / (2 * math.log(2) * noise**2), rel=0.1
    )


def mriqc_efc(volume):
    n = volume.size
    b = math.sqrt(float(np.square(volume, dtype=np.float64).sum()))
    return float(np.sum(volume / b * np.log((volume + 1e-16) / b)) / (math.sqrt(n) * math.log(1 / math.sqrt(n))))


def test_efc_is_mriqcs():
    volume, mask, _ = head(noise=2)

    assert measure(volume, mask).efc == pytest.approx(mriqc_efc(volume), rel=1e-5)


def test_efc_of_a_sampled_volume_is_nearly_that_of_all_of_it():
    rng = np.random.default_rng(0)
    volume = rng.gamma(0.1, 50.0, (127, 126, 128)).astype(np.float32, order="F")
    assert volume.size > 2_000_000
    mask = np.zeros(volume.shape, bool, order="F")
    mask[50:60, 50:60, 50:60] = True
    by_the_samples_size = mriqc_efc(volume[3::7])

    efc = measure(volume, mask).efc

    assert efc == pytest.approx(mriqc_efc(volume), rel=0.005)
    assert efc != pytest.approx(by_the_samples_size, rel=0.01)


def test_air_begins_where_the_head_no_longer_smears_into_it():
    volume, mask, _ = head(noise=2)
    clean = measure(volume, mask)
    volume[(radius() >= 14) & (radius() < 17)] += 12  # too dark to be head, too bright to be noise

    smeared = measure(volume, mask)

    assert smeared.snrd_wm == pytest.approx(clean.snrd_wm, rel=0.02)
    assert smeared.summary["bg"].p95 == pytest.approx(clean.summary["bg"].p95, rel=0.02)


def test_measure_quality_of_a_zero_background_leaves_the_air_out():
    volume, mask, _ = head()
    rng = np.random.default_rng(0)
    volume[mask] += rng.normal(0, 2, mask.sum()).astype(np.float32)

    measures = measure(volume, mask)

    assert measures.fber == -1
    assert math.isnan(measures.snrd_wm)
    assert measures.cnr > 5


def test_measure_quality_without_any_air_leaves_it_out():
    rng = np.random.default_rng(0)
    volume = np.asfortranarray(rng.choice([30, 70, 100], SHAPE) + rng.normal(0, 2, SHAPE)).astype(np.float32)
    mask = np.ones(SHAPE, bool, order="F")

    measures = measure(volume, mask)

    assert measures.summary["bg"].n == 0
    assert measures.fber == -1
    assert math.isfinite(measures.cnr)


def test_measure_quality_describes_the_field():
    after, mask, _ = head(noise=2)
    field = np.asfortranarray(np.broadcast_to(np.linspace(0.5, 1.5, SHAPE[0])[:, None, None], SHAPE), np.float32)

    measures = measure(after * field, mask, after)

    inside = field[mask & (after > 0)]
    assert (measures.inu_min, measures.inu_max) == pytest.approx((inside.min(), inside.max()), rel=1e-5)
    assert measures.inu_med == pytest.approx(np.median(inside), rel=1e-5)
    assert measures.inu_range == pytest.approx(np.subtract(*np.percentile(inside, [95, 5])), rel=1e-5)
    assert measures.wm_cv_after < 0.5 * measures.wm_cv_before


def test_fwhm_is_that_of_the_smoothing_along_each_axis():
    rng = np.random.default_rng(0)
    sigmas, voxel_size_mm = (1.0, 1.5, 2.0), (1.0, 0.8, 2.0)
    volume = ndimage.gaussian_filter(rng.normal(0, 1, (70, 72, 74)), sigmas).astype(np.float32, order="F")
    mask = np.ones(volume.shape, bool, order="F")

    measures = measure(volume, mask, voxel_size_mm=voxel_size_mm)

    expected = [math.sqrt(8 * math.log(2)) * s * v for s, v in zip(sigmas, voxel_size_mm, strict=True)]
    assert [measures.fwhm_x, measures.fwhm_y, measures.fwhm_z] == pytest.approx(expected, rel=0.05)
    assert measures.fwhm_avg == pytest.approx(sum(expected) / 3, rel=0.05)


def test_brain_volume_is_in_ml():
    volume, mask, _ = head()

    assert measure(volume, mask, voxel_size_mm=(1, 2, 3)).brain_volume_ml == pytest.approx(mask.sum() * 6 / 1000)


def test_clipped_voxels_are_those_of_the_brain_at_the_volumes_maximum():
    volume, mask, _ = head(noise=2)
    np.minimum(volume, 100, out=volume)
    clipped = int((volume[mask] == 100).sum())
    assert clipped > 100

    assert measure(volume, mask).clipped_voxels == clipped
    volume[0, 0, 0] = 101
    assert measure(volume, mask).clipped_voxels == 0


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 4), (7, 8, 9), (1, 9, 3)])
@pytest.mark.parametrize("brain_voxels", [0, 1, 2, 1000])
def test_measure_quality_of_next_to_nothing_is_quiet(shape, brain_voxels):
    rng = np.random.default_rng(0)
    for volume in (np.zeros(shape), np.full(shape, 5), rng.random(shape), -rng.random(shape)):
        mask = (np.arange(volume.size) < brain_voxels).reshape(shape, order="F")

        measures = measure(volume.astype(np.float32, order="F"), mask)

        json.dumps(measures.to_dict(), allow_nan=False)
        assert measures.brain_volume_ml == min(brain_voxels, volume.size) / 1000


def test_measure_quality_of_an_empty_mask_defines_nothing():
    volume, mask, _ = head(noise=2)

    values = measure(volume, np.zeros_like(mask)).to_dict()

    assert values["snr_wm"] is values["cjv"] is values["inu_med"] is values["fwhm_avg"] is values["icvs_wm"] is None
    assert values["brain_volume_ml"] == 0


def test_measure_quality_does_not_depend_on_the_memory_layout():
    volume, mask, _ = head(noise=2)

    measures = measure(np.ascontiguousarray(volume), np.ascontiguousarray(mask))

    assert measures.to_dict() == measure(volume, mask).to_dict()


def test_measure_quality_refuses_unequal_shapes():
    volume, mask, _ = head()

    with pytest.raises(ValueError, match="equal shapes"):
        measure(volume, mask[:-1])


def test_to_dict_is_flat_and_rounded():
    volume, mask, _ = head(noise=2)

    values = measure(volume, mask).to_dict()

    assert "summary" not in values
    assert isinstance(values["clipped_voxels"], int)
    assert values["summary_wm_median"] == pytest.approx(100, rel=0.02)
    assert all(float(f"{value:.6g}") == value for value in values.values() if isinstance(value, float))


def test_measure_table_speaks_of_measures_that_exist():
    names = {field.name for field in fields(QualityMeasures)}

    assert {measure.name for measure in MEASURES} <= names
    assert {limit.measure for limit in LIMITS} <= {measure.name for measure in MEASURES}
    assert all(limit.low < limit.high for limit in LIMITS)
