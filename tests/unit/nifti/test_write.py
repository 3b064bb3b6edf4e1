import gzip

import nibabel as nib
import numpy as np
import pytest

from neuro_preprocess.image import Image
from neuro_preprocess.nifti import encode_nifti

AFFINES = {
    "RAS": np.diag([1.0, 1, 1, 1]),
    "LPS": np.diag([-0.8, -0.9, 1.5, 1]),
    "LAS": np.array([[-1, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1.0]]),
    "LIA": np.array([[-1, 0, 0, 128], [0, 0, 1, -128], [0, -1, 0, 128], [0, 0, 0, 1.0]]),
    "oblique": np.array([[0.8, -0.36, 0.96, 9], [0.6, 0.48, -1.28, 8], [0, 0.8, 1.2, 7], [0, 0, 0, 1.0]]),
}


def image_of(dtype=np.float32, affine=None, code=1, order="F"):
    data = np.random.default_rng(6).normal(0, 3, (7, 8, 9)) if dtype == np.float32 else np.indices((7, 8, 9)).sum(0) % 2
    return Image(np.asarray(data, dtype, order), AFFINES["RAS"] if affine is None else affine, code)


def load(content):
    return nib.Nifti1Image.from_bytes(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)


@pytest.mark.parametrize("axes", AFFINES)
@pytest.mark.parametrize("compress", [True, False])
def test_encode_nifti_is_read_alike_by_nibabel(axes, compress):
    image = image_of(affine=AFFINES[axes], code=4)
    loaded = load(encode_nifti(image, cal_min=-3, cal_max=3, compress=compress))
    header = loaded.header
    assert np.array_equal(np.asanyarray(loaded.dataobj), image.data)
    assert header.get_data_dtype() == np.dtype("<f4")
    assert np.allclose(loaded.affine, image.affine, atol=1e-6)
    assert np.allclose(header.get_qform(), image.affine, atol=1e-5)
    assert (int(header["sform_code"]), int(header["qform_code"])) == (4, 4)
    assert np.allclose(header.get_zooms(), image.voxel_size_mm)
    assert header.get_xyzt_units()[0] == "mm"
    assert (loaded.dataobj.slope, loaded.dataobj.inter) == (1, 0)
    assert (header["cal_min"], header["cal_max"]) == (-3, 3)
    assert loaded.dataobj.offset == 352
    assert not header.extensions


@pytest.mark.parametrize("axes", AFFINES)
@pytest.mark.parametrize("compress", [True, False])
def test_encode_nifti_is_read_back_by_the_reader(read, axes, compress):
    image = image_of(affine=AFFINES[axes], code=5)
    scan = read(encode_nifti(image, compress=compress))
    assert np.array_equal(scan.image.data, image.data)
    assert np.allclose(scan.image.affine, image.affine, atol=1e-6)
    assert scan.image.xform_code == 5
    assert scan.notices == ()


def test_encode_nifti_passes_nibabel_checks():
    content = encode_nifti(image_of(affine=AFFINES["oblique"]), compress=False)
    assert nib.Nifti1Header.diagnose_binaryblock(content[:348]) == ""


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_])
def test_encode_nifti_stores_a_mask_as_uint8(dtype):
    image = image_of(dtype)
    loaded = load(encode_nifti(image))
    assert loaded.header.get_data_dtype() == np.uint8
    assert np.array_equal(np.asanyarray(loaded.dataobj), image.data.astype(np.uint8))


def test_encode_nifti_gives_the_same_bytes_for_the_same_image():
    first, second = encode_nifti(image_of()), encode_nifti(image_of(order="C"))
    assert first == second
    # gzip: no flags (so no name), no time.
    assert first[:8] == b"\x1f\x8b\x08\0\0\0\0\0"


def test_encode_nifti_does_not_touch_the_image():
    image = image_of(order="C")
    before = image.data.copy()
    encode_nifti(image)
    assert np.array_equal(image.data, before)
    assert image.data.flags.c_contiguous


def test_encode_nifti_writes_no_qform_for_a_sheared_affine(read):
    sheared = np.diag([1.0, 1, 1, 1])
    sheared[0, 1] = 0.2
    content = encode_nifti(image_of(affine=sheared), compress=False)
    header = load(content).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 0)
    assert np.allclose(read(content).image.affine, sheared)


def test_encode_nifti_carries_no_text_over(read, build, extension):
    content = build(descrip=b"DOE^JANE", aux_file=b"DOE^JANE", extensions=extension(2, b"DOE^JANE"))
    assert b"DOE" not in encode_nifti(read(content).image, compress=False)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image(np.zeros((7, 8, 9), np.float64), np.eye(4)), "float64"),
        (Image(np.zeros((7, 8, 9), np.int16), np.eye(4)), "int16"),
        (Image(np.zeros((7, 8), np.float32), np.eye(4)), "3-D"),
        (Image(np.zeros((7, 0, 9), np.float32), np.eye(4)), "3-D"),
        (Image(np.zeros((1, 1, 32768), np.uint8), np.eye(4)), "32767"),
        (Image(np.zeros((7, 8, 9), np.float32), np.diag([1.0, 1, 0, 1])), "affine"),
        (Image(np.zeros((7, 8, 9), np.float32), np.full((4, 4), np.nan)), "affine"),
        (Image(np.zeros((7, 8, 9), np.float32), np.eye(4), 0), "code"),
    ],
)
def test_encode_nifti_refuses_what_nifti1_cannot_say(image, message):
    with pytest.raises(ValueError, match=message):
        encode_nifti(image)
