"""Every bad input we know of, by the name of its fault; what is accepted with a notice stands beside it."""

import io
import struct
import zlib

import numpy as np
import pytest

from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.nifti import Limits, NiftiNotice, NiftiReader

NAN, INF = float("nan"), float("inf")
DIM = (3, 7, 8, 9, 1, 1, 1, 1)


def message_of(content):
    with pytest.raises(InvalidInputError) as caught:
        NiftiReader(io.BytesIO(content), len(content))
    return str(caught.value)


class UnreadableStream:
    def read(self, size):
        raise AssertionError("nothing should be read")


# The file as a whole


def test_reader_refuses_an_empty_object(fault, pack):
    assert fault(b"") is InputFault.EMPTY
    assert fault(pack(b"")) is InputFault.EMPTY


def test_reader_refuses_a_gzip_stream_cut_in_half(fault, build, pack):
    packed = pack(build())
    assert fault(packed[: len(packed) // 2]) is InputFault.TRUNCATED


@pytest.mark.parametrize("cut", [1, 4, 5, 8])
def test_reader_refuses_a_gzip_stream_without_its_trailer(fault, build, pack, cut):
    assert fault(pack(build())[:-cut]) is InputFault.TRUNCATED


@pytest.mark.parametrize("position", [-8, -5, -4, -1], ids=["crc", "crc end", "length", "length end"])
def test_reader_refuses_a_wrong_checksum_or_length(fault, build, pack, position):
    packed = bytearray(pack(build()))
    packed[position] ^= 1
    assert fault(bytes(packed)) is InputFault.CORRUPT


def test_reader_refuses_a_flipped_byte_that_still_inflates(fault, build):
    # Stored blocks: every payload byte may change without the stream noticing, only the checksum does.
    compressor = zlib.compressobj(0, wbits=31)
    packed = bytearray(compressor.compress(build()) + compressor.flush())
    packed[-100] ^= 0x10
    assert fault(bytes(packed)) is InputFault.CORRUPT


def test_reader_stops_at_the_first_byte_too_many(build):
    # 50 MB of zeros behind a small volume: 50 kB as gzip, were they all sent.
    compressor = zlib.compressobj(1, wbits=31)
    parts = [compressor.compress(build()), *(compressor.compress(bytes(1 << 20)) for _ in range(50))]
    packed = b"".join((*parts, compressor.flush()))
    stream = io.BytesIO(packed)
    reader = NiftiReader(stream, len(packed))
    with pytest.raises(InvalidInputError) as caught:
        reader.read()
    assert caught.value.fault is InputFault.TOO_MUCH_DATA
    assert stream.tell() <= 1 << 18


@pytest.mark.parametrize("is_size_known", [True, False])
def test_reader_refuses_bytes_after_the_voxels_of_a_plain_file(fault, build, is_size_known):
    assert fault(build(tail=b"\0"), is_size_known=is_size_known) is InputFault.TOO_MUCH_DATA


def test_reader_refuses_a_volume_beyond_the_limit_from_its_header_alone(build):
    content = build(dim=(3, 2000, 2000, 2000, 1, 1, 1, 1))
    with pytest.raises(InvalidInputError) as caught:
        NiftiReader(io.BytesIO(content))
    assert caught.value.fault is InputFault.TOO_LARGE


def test_reader_counts_the_volume_as_float32_and_as_stored(build):
    count = 7 * 8 * 9
    narrow, wide = build(np.ones((7, 8, 9), np.uint8)), build(np.ones((7, 8, 9), np.float64))
    for content, needed in ((narrow, 4 * count), (wide, 8 * count)):
        NiftiReader(io.BytesIO(content), limits=Limits(max_volume_bytes=needed))
        with pytest.raises(InvalidInputError) as caught:
            NiftiReader(io.BytesIO(content), limits=Limits(max_volume_bytes=needed - 1))
        assert caught.value.fault is InputFault.TOO_LARGE


@pytest.mark.parametrize("garbage", [b"\0", b"garbage", bytes(1 << 20)], ids=["a byte", "text", "padding"])
def test_reader_refuses_garbage_after_the_gzip_stream(fault, build, pack, garbage):
    assert fault(pack(build()) + garbage) is InputFault.CORRUPT


def test_reader_refuses_a_second_gzip_member(fault, build, pack):
    content = build()
    assert fault(pack(content) + pack(b"more")) is InputFault.TOO_MUCH_DATA
    assert fault(pack(content[:700]) + pack(content[700:])) is InputFault.TOO_MUCH_DATA


def test_reader_refuses_a_wrong_magic(fault, build):
    assert fault(build(magic=b"nii\0")) is InputFault.NOT_NIFTI
    assert fault(build(version=2, magic=b"n+1\0\r\n\x1a\n")) is InputFault.NOT_NIFTI


def test_reader_refuses_a_nifti2_magic_with_translated_line_ends(fault, build):
    assert fault(build(version=2, magic=b"n+2\0\n\x1a\n\0")) is InputFault.CORRUPT


def test_reader_refuses_the_magic_of_a_pair_in_a_single_file(fault, build):
    assert fault(build(magic=b"ni1\0")) is InputFault.PAIR_UNSUPPORTED
    assert fault(build(version=2, magic=b"ni2\0\r\n\x1a\n")) is InputFault.PAIR_UNSUPPORTED


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (bytes(128) + b"DICM" + bytes(400), "a DICOM file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(400), "a PNG picture"),
        (b"\0\0\0\x01" + bytes(400), "an MGH file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(400), "an HDF5 file"),
        (b"NRRD0005\n", "an NRRD file"),
        (b"PK\x03\x04" + bytes(400), "a ZIP archive"),
        (bytes(257) + b"ustar" + bytes(400), "a TAR archive"),
        (b"\n<!DOCTYPE html><title>Sign in</title>", "an HTML page"),
        (b"<HTML><body>502 Bad Gateway</body></HTML>", "an HTML page"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML document"),
        (b'{"Modality": "MR"}' * 100, "a JSON document"),
        ("the scan of café no. 1, page ".encode() * 20, "a text file"),
        (bytes(range(256)) * 4, "something else"),
        (b"\xff", "something else"),
    ],
)
def test_reader_names_what_another_file_looks_like(content, name, fault, pack):
    assert fault(content) is InputFault.NOT_NIFTI
    assert f"it looks like {name}" in message_of(content)
    assert f"it looks like {name}" in message_of(pack(content))


def test_reader_says_when_gzip_is_packed_twice(build, pack):
    assert "a gzip file within a gzip file" in message_of(pack(pack(build())))


@pytest.mark.parametrize(("name", "is_packed"), [("sub-01_T1w.nii.gz", False), ("SUB-01.NII", True)])
def test_reader_goes_by_content_and_notes_a_name_that_says_otherwise(read, build, pack, codes, name, is_packed):
    content = pack(build()) if is_packed else build()
    assert codes(read(content, name=name)) == {NiftiNotice.NAME_MISMATCH}
    assert "sub" not in str(read(content, name=name).notices).lower()


@pytest.mark.parametrize(("name", "is_packed"), [("a.nii.gz", True), ("a.nii", False), ("", True), ("a.img", True)])
def test_reader_gives_no_notice_of_a_name_that_fits(read, build, pack, codes, name, is_packed):
    assert codes(read(pack(build()) if is_packed else build(), name=name)) == set()


@pytest.mark.parametrize("is_size_known", [True, False])
def test_reader_refuses_a_truncated_plain_file(fault, build, is_size_known):
    content = build()
    for length in (len(content) - 1, 353, 352):
        assert fault(content[:length], is_size_known=is_size_known) is InputFault.TRUNCATED


@pytest.mark.parametrize(("version", "length"), [(1, 1), (1, 3), (1, 347), (1, 348), (1, 351), (2, 4), (2, 541)])
@pytest.mark.parametrize("order", "<>")
def test_reader_refuses_a_truncated_header(fault, build, pack, version, length, order):
    start = build(version=version, order=order)[:length]
    assert fault(start) is InputFault.TRUNCATED
    assert fault(pack(start)) is InputFault.TRUNCATED


def test_reader_refuses_a_stub_of_a_gzip_stream(fault, build, pack):
    packed = pack(build())
    for length in (1, 2, 9, 11):
        assert fault(packed[:length]) is InputFault.TRUNCATED


def test_reader_refuses_an_object_too_small_for_its_volume_before_making_room(build, pack):
    content = build(dim=(3, 600, 600, 600, 1, 1, 1, 1))
    for stored in (content, pack(content)):
        with pytest.raises(InvalidInputError) as caught:
            NiftiReader(io.BytesIO(stored), len(stored))
        assert caught.value.fault is InputFault.TRUNCATED


def test_reader_refuses_a_large_object_before_reading():
    with pytest.raises(InvalidInputError) as caught:
        NiftiReader(UnreadableStream(), object_bytes=1001, limits=Limits(max_object_bytes=1000))
    assert caught.value.fault is InputFault.TOO_LARGE


def test_reader_refuses_a_large_object_of_unknown_size_while_reading(fault, build, pack):
    for content in (build(), pack(build())):
        limits = Limits(max_object_bytes=len(content) - 1)
        assert fault(content, limits=limits, is_size_known=False) is InputFault.TOO_LARGE


# Shape and type


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "dim", [(3, -7, 8, 9, 1, 1, 1, 1), (3, 7, 8, -9, 1, 1, 1, 1), (5, 7, 8, 9, 1, -1, 1, 1), (3, 7, 0, 9, 1, 1, 1, 1)]
)
def test_reader_refuses_sizes_that_are_not_positive(fault, build, version, dim):
    assert fault(build(version=version, dim=dim)) is InputFault.BAD_DIM


@pytest.mark.parametrize("count", [-1, 0, 8, 9, 32767])
def test_reader_refuses_an_impossible_number_of_axes(fault, build, count):
    assert fault(build(dim=(count, *DIM[1:]))) is InputFault.BAD_DIM


def test_reader_ignores_sizes_of_axes_that_are_not_there(read, build):
    assert read(build(dim=(3, 7, 8, 9, 0, -5, 0, 0))).image.data.shape == (7, 8, 9)


@pytest.mark.parametrize("shape", [(63, 8), (504,), (7, 72, 1), (1, 63, 8), (1, 1, 504), (1, 1, 1), (7, 8, 1, 9)])
def test_reader_refuses_a_single_slice(fault, build, shape):
    assert fault(build(np.ones(shape, np.int16))) is InputFault.NOT_3D


@pytest.mark.parametrize("shape", [(7, 8, 3, 3), (7, 8, 3, 1, 3), (2, 2, 2, 2, 2, 2, 2)])
def test_reader_refuses_more_than_one_volume(fault, build, shape):
    assert fault(build(np.ones(shape, np.int16))) is InputFault.NOT_3D


@pytest.mark.parametrize("shape", [(7, 8, 9, 1), (7, 8, 9, 1, 1, 1, 1)])
def test_reader_drops_trailing_axes_of_length_one(read, build, voxels, shape):
    assert np.array_equal(read(build(voxels.reshape(shape, order="F"))).image.data, voxels)


@pytest.mark.parametrize("datatype", [32, 128, 1280, 1536, 1792, 2048, 2304])
def test_reader_refuses_types_that_hold_no_intensity(fault, build, datatype):
    assert fault(build(datatype=datatype)) is InputFault.BAD_DTYPE


@pytest.mark.parametrize("datatype", [-4, 0, 1, 3, 5, 9999])
def test_reader_refuses_unknown_types(fault, build, datatype):
    assert fault(build(datatype=datatype)) is InputFault.BAD_DTYPE


def test_reader_notes_a_bitpix_that_disagrees_with_the_type(read, build, voxels, codes):
    scan = read(build(bitpix=8))
    assert codes(scan) == {NiftiNotice.BITPIX_MISMATCH}
    assert np.array_equal(scan.image.data, voxels)


# Place in space


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("position", [0, 3, 11])
def test_reader_refuses_an_sform_that_is_not_finite(fault, build, version, value, position):
    srow = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
    srow[position] = value
    assert fault(build(version=version, srow=tuple(srow))) is InputFault.BAD_AFFINE


@pytest.mark.parametrize(
    "srow", [(0,) * 12, (1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0), (1, 1, 0, 0, 0, 1e-3, 0, 0, 0, 0, 1, 0)]
)
def test_reader_refuses_a_singular_sform(fault, build, srow):
    assert fault(build(srow=srow)) is InputFault.BAD_AFFINE


@pytest.mark.parametrize("quatern", [(1, 1, 0), (0.9, 0.9, 0.9), (NAN, 0, 0), (0, INF, 0)])
def test_reader_refuses_an_impossible_quaternion(fault, build, quatern):
    assert fault(build(quatern=quatern, sform_code=0)) is InputFault.BAD_AFFINE
    assert fault(build(quatern=quatern)) is InputFault.BAD_AFFINE


def test_reader_refuses_a_handedness_that_is_no_number(fault, build):
    assert fault(build(pixdim=(NAN, 1, 1, 1, 1, 1, 1, 1))) is InputFault.BAD_AFFINE


@pytest.mark.parametrize("change", [{"sform_code": -1}, {"qform_code": 6}, {"sform_code": 300}])
def test_reader_refuses_an_unknown_space(fault, build, change):
    assert fault(build(**change)) is InputFault.BAD_AFFINE


@pytest.mark.parametrize("far", [1e30, -1e5])
def test_reader_refuses_a_volume_that_lies_outside_any_scanner(fault, build, far):
    assert fault(build(srow=(1, 0, 0, far, 0, 1, 0, 0, 0, 0, 1, 0))) is InputFault.BAD_AFFINE
    assert fault(build(qoffset=(0, far, 0), sform_code=0)) is InputFault.BAD_AFFINE


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("size", [0.0, -1.0, NAN, INF])
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_reader_refuses_a_voxel_size_that_is_not_positive(fault, build, version, size, axis):
    pixdim = [1.0] * 8
    pixdim[axis] = size
    for change in ({}, {"qform_code": 0}):
        assert fault(build(version=version, pixdim=tuple(pixdim), **change)) is InputFault.BAD_VOXEL_SIZE


@pytest.mark.parametrize("size", [50.0, 5.01, 0.19, 0.001])
def test_reader_refuses_voxels_of_no_head_scan(fault, build, size):
    by_qform = build(pixdim=(1, 1, size, 1, 1, 1, 1, 1), sform_code=0)
    by_sform = build(srow=(size, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0), qform_code=0)
    assert fault(by_qform) is InputFault.BAD_VOXEL_SIZE
    assert fault(by_sform) is InputFault.BAD_VOXEL_SIZE


@pytest.mark.parametrize("size", [0.2, 5.0])
def test_reader_accepts_voxels_at_the_bounds(read, build, size):
    assert read(build(pixdim=(1, size, 1, 1, 1, 1, 1, 1), sform_code=0)).image.voxel_size_mm[0] == pytest.approx(size)


@pytest.mark.parametrize(("unit", "per_mm"), [(1, 0.001), (2, 1.0), (3, 1000.0), (1 | 8, 0.001)])
def test_reader_applies_the_unit_of_length(read, build, unit, per_mm):
    edges_mm, origin_mm = (1.0, 2.0, 3.0), (-10.0, 20.0, 30.0)
    lengths = {
        "xyzt_units": unit,
        "pixdim": (1, *(edge * per_mm for edge in edges_mm), 1, 1, 1, 1),
        "qoffset": tuple(x * per_mm for x in origin_mm),
    }
    srow = np.column_stack([np.diag(edges_mm), origin_mm]) * per_mm
    for content in (build(**lengths, sform_code=0), build(**lengths, srow=tuple(srow.ravel()))):
        image = read(content).image
        assert image.voxel_size_mm == pytest.approx(edges_mm)
        assert image.affine[:3, 3] == pytest.approx(origin_mm)


def test_reader_refuses_millimetres_called_metres(fault, build):
    assert fault(build(xyzt_units=1)) is InputFault.BAD_VOXEL_SIZE


def test_reader_refuses_an_unknown_unit_and_notes_a_missing_one(fault, read, build, codes):
    assert fault(build(xyzt_units=5)) is InputFault.BAD_VOXEL_SIZE
    assert codes(read(build(xyzt_units=0))) == {NiftiNotice.UNITS_UNKNOWN}


def test_reader_refuses_to_guess_left_and_right(fault, build):
    assert fault(build(sform_code=0, qform_code=0)) is InputFault.NO_ORIENTATION


@pytest.mark.parametrize("shape", [(2, 2, 2), (7, 8, 9)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_reader_refuses_forms_that_disagree_on_left(fault, build, shape, axis):
    # About the middle of the volume, so that as little as can be moves.
    flipped = np.eye(3, 4)
    flipped[axis, axis], flipped[axis, 3] = -1, shape[axis] - 1
    stored = np.random.default_rng(1).integers(0, 99, shape).astype(np.int16)
    content = build(stored, srow=tuple(flipped.ravel()), qoffset=(0, 0, 0))
    assert fault(content) is InputFault.XFORM_CONFLICT
    assert "which side is left" in message_of(content)


@pytest.mark.parametrize(("shift_mm", "is_refused"), [(0.4, False), (0.6, True)])
def test_reader_allows_forms_to_differ_by_half_a_voxel(fault, read, build, shift_mm, is_refused):
    content = build(srow=(1, 0, 0, -3 + shift_mm, 0, 1, 0, -20, 0, 0, 1, 11))
    if is_refused:
        assert fault(content) is InputFault.XFORM_CONFLICT
    else:
        assert read(content).image.affine[0, 3] == pytest.approx(-3 + shift_mm)


def test_reader_refuses_forms_that_differ_by_a_rotation(fault, build):
    half_angle = np.radians(6) / 2
    assert fault(build(quatern=(0, 0, np.sin(half_angle)))) is InputFault.XFORM_CONFLICT


def test_reader_notes_a_sheared_sform_and_keeps_it(read, build, codes):
    sheared = (1, 0.2, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    scan = read(build(srow=sheared, qform_code=0))
    assert NiftiNotice.SHEARED in codes(scan)
    assert scan.image.affine[0, 1] == pytest.approx(0.2)


# Intensities


@pytest.mark.parametrize("value", [0, 37])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_reader_refuses_a_volume_of_one_value(fault, build, value, dtype):
    assert fault(build(np.full((7, 8, 9), value, dtype))) is InputFault.NO_SIGNAL


def test_reader_refuses_a_volume_that_is_constant_but_for_what_float32_drops(fault, build):
    nearly = np.full((7, 8, 9), 100.0)
    nearly[3, 3, 3] += 1e-9
    assert fault(build(nearly)) is InputFault.NO_SIGNAL


def test_reader_refuses_a_constant_volume_with_a_hole(fault, build):
    holed = np.full((10, 11, 12), 5, np.float32)
    holed[3, 3, 3] = NAN
    assert fault(build(holed)) is InputFault.NO_SIGNAL


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("slope", [1, 2])
def test_reader_zeroes_and_counts_a_few_voxels_that_are_not_finite(read, build, codes, dtype, order, slope):
    volume = np.random.default_rng(3).normal(100, 10, (20, 21, 22)).astype(dtype)
    volume[1, 2, 3], volume[4, 5, 6], volume[7, 8, 9] = NAN, INF, -INF
    scan = read(build(volume, order=order, scl_slope=slope, scl_inter=slope - 1))
    assert scan.nonfinite_voxels == 3
    assert codes(scan) == {NiftiNotice.NONFINITE_ZEROED}
    expected = np.where(np.isfinite(volume), volume * float(slope) + (slope - 1), 0).astype(np.float32)
    assert np.array_equal(scan.image.data, expected)


@pytest.mark.parametrize(("count", "is_refused"), [(9, False), (10, True)])
def test_reader_refuses_more_than_a_thousandth_of_voxels_not_finite(fault, read, build, count, is_refused):
    volume = np.random.default_rng(3).normal(100, 10, (20, 21, 22)).astype(np.float32)
    volume.reshape(-1)[:: volume.size // count][:count] = NAN
    content = build(volume)
    if is_refused:
        assert fault(content) is InputFault.NONFINITE
    else:
        assert read(content).nonfinite_voxels == count


def test_reader_refuses_a_volume_without_one_finite_voxel(fault, build):
    assert fault(build(np.full((7, 8, 9), NAN, np.float32))) is InputFault.NONFINITE


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("slope", [0.0, -0.0, NAN])
def test_reader_notes_a_slope_that_says_nothing(read, build, voxels, codes, version, slope):
    scan = read(build(version=version, scl_slope=slope, scl_inter=NAN))
    assert codes(scan) == {NiftiNotice.SLOPE_IGNORED}
    assert np.array_equal(scan.image.data, voxels)


@pytest.mark.parametrize("slope", [INF, -INF, 1e30, -1e30, 1e-30])
def test_reader_refuses_an_absurd_slope(fault, build, slope):
    assert fault(build(scl_slope=slope)) is InputFault.BAD_SCALE


@pytest.mark.parametrize("intercept", [NAN, INF, -1e30])
def test_reader_refuses_an_absurd_intercept(fault, build, intercept):
    assert fault(build(scl_slope=2, scl_inter=intercept)) is InputFault.BAD_SCALE


@pytest.mark.parametrize(
    ("extreme", "dtype", "slope"),
    [(1e300, "f8", 1), (1e300, "f8", 1e15), (-1e39, "f8", 1), (1e16, "f4", 1), (2**62, "i8", 1), (30000, "i2", 1e12)],
)
def test_reader_refuses_intensities_too_large_to_reckon_with(fault, build, extreme, dtype, slope):
    volume = np.ones((7, 8, 9), dtype)
    volume[4, 5, 6] = extreme
    assert fault(build(volume, scl_slope=slope)) is InputFault.BAD_SCALE


def test_reader_refuses_intensities_too_small_to_reckon_with(fault, build):
    volume = np.random.default_rng(3).random((7, 8, 9)) * 1e-30
    assert fault(build(volume)) is InputFault.BAD_SCALE
    assert fault(build(volume.astype(np.float32))) is InputFault.BAD_SCALE


# Variants, offsets, extensions


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("is_packed", [False, True])
def test_reader_accepts_either_version_and_byte_order(read, build, pack, voxels, codes, version, order, is_packed):
    content = build(version=version, order=order)
    scan = read(pack(content) if is_packed else content)
    assert np.array_equal(scan.image.data, voxels)
    assert scan.image.affine[:3, 3].tolist() == [-3, -20, 11]
    assert codes(scan) == set()


def test_reader_refuses_the_header_of_a_pair(fault, build):
    pair = build(magic=b"ni1\0", vox_offset=0)[:348]
    analyze = build(magic=b"\0\0\0\0", vox_offset=0, regular=b"r")[:348]
    analyze_with_smin = build(magic=struct.pack("<i", 12), vox_offset=0, regular=b"r")[:348]
    for content in (pair, analyze, analyze_with_smin):
        assert fault(content) is InputFault.PAIR_UNSUPPORTED


def test_reader_refuses_the_image_of_a_pair(fault, voxels):
    assert fault(voxels.tobytes(order="F")) is InputFault.NOT_NIFTI


@pytest.mark.parametrize("is_size_known", [True, False])
def test_reader_refuses_voxels_that_begin_past_the_end(fault, build, pack, is_size_known):
    content = build(vox_offset=20_000)
    assert fault(content, is_size_known=is_size_known) is InputFault.BAD_OFFSET
    assert fault(pack(content), is_size_known=is_size_known) is InputFault.BAD_OFFSET


@pytest.mark.parametrize("offset", [1e9, INF, NAN, 3e38])
def test_reader_refuses_an_absurd_offset(fault, build, offset):
    assert fault(build(vox_offset=offset)) is InputFault.BAD_OFFSET


@pytest.mark.parametrize(("version", "offset"), [(1, 0), (1, 348), (1, 351), (1, -352), (1, 352.5), (2, 352), (2, 543)])
def test_reader_refuses_voxels_that_begin_within_the_header(fault, build, version, offset):
    assert fault(build(version=version, vox_offset=offset)) is InputFault.BAD_OFFSET


@pytest.mark.parametrize("size", [1 << 30, -16, 1, 7, 33])
def test_reader_refuses_an_extension_that_does_not_fit(fault, build, size):
    extension = struct.pack("<ii", size, 6) + bytes(24)
    assert fault(build(extensions=extension)) is InputFault.BAD_EXTENSION


def test_reader_refuses_the_second_extension_too(fault, build, extension):
    assert fault(build(extensions=extension(6, b"x") + struct.pack("<ii", 999, 6))) is InputFault.BAD_EXTENSION


def test_reader_ignores_room_before_the_voxels(read, build, voxels, codes):
    assert codes(read(build(extensions=bytes(160)))) == set()
    without_flag = build(extensions=b"\xff" * 5, extender=b"\0\0\0\0")
    assert np.array_equal(read(without_flag).image.data, voxels)


@pytest.mark.parametrize("order", "<>")
def test_reader_names_dropped_text_but_never_quotes_it(read, build, extension, order):
    content = build(
        order=order,
        descrip=b"DOE^JANE",
        db_name=b"DOE^JANE",
        data_type=b"DOE^JANE",
        aux_file=b"DOE^JANE.txt",
        intent_name=b"DOE^JANE",
        extensions=extension(2, b"DOE^JANE", order) + extension(6, b"DOE^JANE", order),
    )
    (notice,) = read(content).notices
    assert notice.code == NiftiNotice.TEXT_DROPPED
    for name in ("descrip", "db_name", "data_type", "aux_file", "intent_name"):
        assert f"`{name}`" in notice.message
    assert "codes 2, 6" in notice.message
    assert "DOE" not in notice.message


def test_reader_names_dropped_text_of_nifti2(read, build):
    (notice,) = read(build(version=2, intent_name=b"DOE", unused_str=b"\0DOE", aux_file=b"   ")).notices
    assert notice.message.endswith("`intent_name`, `unused_str`")
