import nibabel
import numpy as np
import pytest

from neuro_cli.inprocess.formats import FORMATS, split_extension
from neuro_preprocess.image import Image


@pytest.fixture
def image():
    """Rotated and shifted, of unequal sides."""
    rng = np.random.default_rng(1)
    affine = np.eye(4)
    angle = 0.2
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine[:3, :3] *= [0.9, 1.0, 1.2]
    affine[:3, 3] = -11, 12, 13
    return Image(rng.normal(size=(7, 8, 9)).astype(np.float32, order="F"), affine, 4)


def reopened(folder, files):
    for extension, content in files.items():
        (folder / f"volume{extension}").write_bytes(content)
    return nibabel.load(folder / f"volume{list(files)[-1]}")


@pytest.mark.parametrize(("is_compressed", "extension"), [(True, ".nii.gz"), (False, ".nii")])
def test_nifti_keeps_everything(image, tmp_path, is_compressed, extension):
    files = FORMATS["nifti"].encode(image, is_compressed)
    assert list(files) == [extension]
    back = reopened(tmp_path, files)
    np.testing.assert_array_equal(back.get_fdata(), image.data)
    np.testing.assert_allclose(back.affine, image.affine, atol=1e-5)
    assert int(back.header["sform_code"]) == 4


@pytest.mark.parametrize(("is_compressed", "extension"), [(True, ".mgz"), (False, ".mgh")])
def test_mgz_keeps_the_place(image, tmp_path, is_compressed, extension):
    files = FORMATS["mgz"].encode(image, is_compressed)
    assert list(files) == [extension]
    back = reopened(tmp_path, files)
    np.testing.assert_array_equal(back.get_fdata(), image.data)
    np.testing.assert_allclose(back.affine, image.affine, atol=1e-5)


def test_mgz_is_the_same_bytes_each_time(image):
    assert FORMATS["mgz"].encode(image, True) == FORMATS["mgz"].encode(image, True)


def test_analyze_keeps_left_and_right_by_the_readers_convention(image, tmp_path):
    files = FORMATS["analyze"].encode(image, True)
    assert sorted(files) == [".hdr", ".img"]
    back = nibabel.as_closest_canonical(reopened(tmp_path, files))
    np.testing.assert_array_equal(back.get_fdata(), image.data)
    np.testing.assert_allclose(back.header.get_zooms(), image.voxel_size_mm, rtol=1e-5)


def test_analyze_says_what_it_loses():
    assert "orientation" in FORMATS["analyze"].loses
    assert FORMATS["nifti"].loses == ""


@pytest.mark.parametrize("name", ["mgz", "analyze"])
def test_a_mask_can_be_stored(name, image, tmp_path):
    files = FORMATS[name].encode(Image(image.data > 0, image.affine), True)
    back = nibabel.as_closest_canonical(reopened(tmp_path, files))
    if name == "mgz":
        np.testing.assert_allclose(back.affine, image.affine, atol=1e-5)
    np.testing.assert_array_equal(back.get_fdata() > 0, image.data > 0)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("brain.nii.gz", ("brain", "nifti", False)),
        ("brain.nii", ("brain", "nifti", True)),
        ("BRAIN.NII.GZ", ("BRAIN", "nifti", False)),
        ("a.b.mgz", ("a.b", "mgz", False)),
        ("a.mgh", ("a", "mgz", True)),
        ("a.img", ("a", "analyze", False)),
        ("brain", ("brain", None, False)),
        ("brain.gz", ("brain.gz", None, False)),
    ],
)
def test_split_extension_finds_the_format(name, parts):
    assert split_extension(name) == parts
