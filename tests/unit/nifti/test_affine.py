import nibabel as nib
import numpy as np
import pytest

from neuro_preprocess.nifti.affine import is_sheared, quaternion_of, rotation_of
from neuro_preprocess.nifti.notices import NiftiNotice

HALF = 0.7071067811865476


def random_rotations(count):
    quaternions = np.random.default_rng(11).normal(size=(count, 4))
    return [rotation_of(quaternion / np.linalg.norm(quaternion)) for quaternion in quaternions]


def test_rotation_of_agrees_with_nibabel():
    for quaternion in np.random.default_rng(5).normal(size=(50, 4)):
        unit = quaternion / np.linalg.norm(quaternion)
        assert np.allclose(rotation_of(unit), nib.quaternions.quat2mat(unit), atol=1e-14)


@pytest.mark.parametrize(
    "rotation",
    [
        *random_rotations(20),
        np.eye(3),
        np.diag([1.0, -1, -1]),
        np.diag([-1.0, -1, 1]),
        np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]),
    ],
)
def test_quaternion_of_is_the_way_back(rotation):
    quaternion = quaternion_of(rotation)
    assert quaternion[0] >= 0
    assert np.linalg.norm(quaternion) == pytest.approx(1)
    assert np.allclose(rotation_of(quaternion), rotation, atol=1e-12)


def test_quaternion_of_takes_the_nearest_rotation():
    rotation = random_rotations(1)[0]
    off_a_little = rotation + np.random.default_rng(2).normal(0, 1e-5, (3, 3))
    assert np.allclose(rotation_of(quaternion_of(off_a_little)), rotation, atol=1e-4)


@pytest.mark.parametrize(
    ("quatern", "handedness", "axes"),
    [
        ((0, 0, 0), 1, "RAS"),
        ((0, 0, 0), 0, "RAS"),  # the standard reads 0 as 1
        ((0, 0, 1), 1, "LPS"),
        ((0, 1, 0), 1, "LAI"),
        ((0, 1, 0), -1, "LAS"),
        ((0, HALF, HALF), -1, "LSP"),
        ((-0.5, -0.5, -0.5), -4, "SRP"),  # goes by the sign, as NIfTI's own library
    ],
)
def test_reader_places_a_volume_by_its_qform(read, build, quatern, handedness, axes):
    content = build(quatern=quatern, pixdim=(handedness, 1, 2, 3, 1, 1, 1, 1), sform_code=0, qform_code=3)
    image = read(content).image
    assert "".join(nib.aff2axcodes(image.affine)) == axes
    assert image.voxel_size_mm == pytest.approx((1, 2, 3))
    assert image.xform_code == 3
    assert image.affine[:3, 3].tolist() == [-3, -20, 11]


@pytest.mark.parametrize("seed", range(8))
def test_reader_places_a_volume_as_nibabel_does(read, build, seed):
    rng = np.random.default_rng(seed)
    quaternion = rng.normal(size=4)
    quaternion /= np.linalg.norm(quaternion) * np.sign(quaternion[0])
    content = build(
        quatern=tuple(quaternion[1:]),
        pixdim=(rng.choice([-1, 1]), *rng.uniform(0.3, 4, 3), 1, 1, 1, 1),
        qoffset=tuple(rng.uniform(-200, 200, 3)),
        sform_code=0,
    )
    assert np.allclose(read(content).image.affine, nib.Nifti1Image.from_bytes(content).affine, atol=1e-5)


def test_reader_lets_the_sform_win_and_ignores_a_form_without_code(read, build):
    nonsense = {"quatern": (9, 9, 9), "qoffset": (float("nan"),) * 3, "qform_code": 0}
    oblique = (0.9, 0.1, 0, 5, -0.1, 0.9, 0, 6, 0, 0, 1, 7)
    image = read(build(srow=oblique, sform_code=4, **nonsense)).image
    assert image.affine[:3].ravel() == pytest.approx(oblique)
    assert image.xform_code == 4
    only_qform = read(build(srow=(float("nan"),) * 12, sform_code=0, qform_code=2)).image
    assert only_qform.xform_code == 2


def test_reader_takes_the_code_of_the_sform_when_both_count(read, build):
    assert read(build(sform_code=2, qform_code=1)).image.xform_code == 2


def test_reader_tolerates_a_quaternion_that_float32_made_too_long(read, build):
    content = build(quatern=(0, 0, 1 + 2e-6), sform_code=0)
    assert np.allclose(read(content).image.affine[:3, :3], np.diag([-1, -1, 1]), atol=1e-6)


def test_reader_notes_an_sform_of_another_voxel_size_than_pixdim(read, build, codes):
    enlarged = (1.1, 0, 0, 0, 0, 1.1, 0, 0, 0, 0, 1.1, 0)
    scan = read(build(srow=enlarged, qform_code=0))
    assert codes(scan) == {NiftiNotice.PIXDIM_MISMATCH}
    assert scan.image.voxel_size_mm == pytest.approx((1.1, 1.1, 1.1))


def test_is_sheared_sees_a_tilt_and_forgives_rounding():
    rotated = random_rotations(1)[0] * (0.7, 1, 3)
    affine = np.eye(4)
    affine[:3, :3] = rotated.astype(np.float32)
    assert not is_sheared(affine)
    affine[:3, 1] += 0.01 * rotated[:, 2]
    assert is_sheared(affine)
