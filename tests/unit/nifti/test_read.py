import gzip
import io
import tracemalloc
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from isal import igzip_lib
from nibabel.testing import data_path

from neuro_preprocess.nifti import Limits, NiftiNotice, NiftiReader

MIB = 1 << 20


class ShortReads(io.BytesIO):
    """A stream that gives a few bytes at a time, as a socket may."""

    def __init__(self, content, most):
        super().__init__(content)
        self._sizes = np.random.default_rng(most).integers(1, most + 1, 100_000).tolist()

    def read(self, size):
        return super().read(min(size, self._sizes.pop()))


class BrokenStream:
    def read(self, size):
        raise ConnectionResetError("the peer went away")


def random_values(dtype):
    """Volume over the whole range of a type, or what of it is an intensity."""
    rng = np.random.default_rng(4)
    if dtype.kind == "f":
        return rng.normal(0, 1e6, (7, 8, 9)).astype(dtype)
    range_ = np.iinfo(dtype)
    return rng.integers(max(range_.min, -(10**15)), min(range_.max, 10**15), (7, 8, 9), dtype, endpoint=True)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize("order", "<>")
def test_reader_reads_every_type(read, build, dtype, order):
    stored = random_values(np.dtype(dtype))
    data = read(build(stored, order=order)).image.data
    assert data.dtype == np.float32
    assert data.dtype.isnative
    assert data.flags.f_contiguous
    assert data.flags.writeable
    assert np.array_equal(data, stored.astype(np.float32))


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("version", [1, 2])
def test_reader_scales_as_nibabel_does(read, build, dtype, order, version):
    stored = np.random.default_rng(4).integers(0, 200, (7, 8, 9)).astype(dtype)
    content = build(stored, order=order, version=version, scl_slope=0.1, scl_inter=-7.3)
    kind = nib.Nifti1Image if version == 1 else nib.Nifti2Image
    expected = kind.from_bytes(content).get_fdata(dtype=np.float64).astype(np.float32)
    assert np.array_equal(read(content).image.data, expected)


def test_reader_reads_many_slabs(read, build):
    stored = np.random.default_rng(4).integers(-999, 999, (71, 82, 93)).astype(np.int16)
    assert np.array_equal(read(build(stored, scl_slope=2)).image.data, 2 * stored)
    assert np.array_equal(read(build(stored.astype(np.float32), order=">")).image.data, stored)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("endianness", "<>")
def test_reader_reads_what_nibabel_writes(read, tmp_path, kind, endianness):
    rng = np.random.default_rng(8)
    affine = np.array([[0, 0, -1.2, 90], [-0.9, 0, 0, 110], [0, 1.0, 0, -60], [0, 0, 0, 1]])
    written = kind(rng.normal(300, 80, (17, 18, 19)), affine, kind.header_class(endianness=endianness))
    written.set_data_dtype(np.int16)  # so that nibabel must scale
    written.header["descrip"] = b"somebody"
    written.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"somebody else"))
    written.set_sform(affine, 2)
    written.set_qform(affine, 1)
    written.header.set_xyzt_units("mm")
    path = tmp_path / "scan.nii.gz"
    nib.save(written, path)

    scan = read(path.read_bytes(), name=path.name)

    loaded = nib.load(path)
    assert not np.isclose(loaded.dataobj.slope, 1)
    assert np.array_equal(scan.image.data, loaded.get_fdata().astype(np.float32))
    assert np.allclose(scan.image.affine, affine)
    assert scan.image.xform_code == 2
    assert [notice.code for notice in scan.notices] == [NiftiNotice.TEXT_DROPPED]


def test_reader_reads_a_real_head_as_nibabel_does(read):
    path = Path(data_path) / "anatomical.nii"
    scan, loaded = read(path.read_bytes()), nib.load(path)
    assert loaded.header.endianness == ">"
    assert np.array_equal(scan.image.data, loaded.get_fdata().astype(np.float32))
    assert np.allclose(scan.image.affine, loaded.affine)


@pytest.mark.parametrize("flags", [0x02, 0x04, 0x08, 0x10, 0x1E])
def test_reader_reads_gzip_headers_with_every_field(read, build, voxels, flags):
    content = build()
    body = gzip.compress(content, mtime=0)[10:]
    optional = {0x04: b"\x03\0abc", 0x08: b"DOE_JANE.nii\0", 0x10: b"DOE JANE\0"}
    header = b"\x1f\x8b\x08" + bytes([flags]) + b"\x12\x34\x56\x78\0\x03"
    header += b"".join(part for flag, part in optional.items() if flags & flag)
    if flags & 0x02:
        header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    assert np.array_equal(read(header + body).image.data, voxels)


@pytest.mark.parametrize("most", [1, 3, 100])
@pytest.mark.parametrize("is_packed", [True, False])
def test_reader_takes_short_reads(build, extension, pack, voxels, most, is_packed):
    content = build(extensions=extension(6, b"x" * 99))
    stream = ShortReads(pack(content) if is_packed else content, most)
    assert np.array_equal(NiftiReader(stream).read().image.data, voxels)


def test_reader_lets_errors_of_the_stream_pass():
    with pytest.raises(ConnectionResetError):
        NiftiReader(BrokenStream())


def test_reader_reads_once(build):
    reader = NiftiReader(io.BytesIO(build()))
    reader.read()
    with pytest.raises(RuntimeError, match="second time"):
        reader.read()


def test_reader_takes_no_voxels_before_read(pack):
    stored = np.random.default_rng(1).integers(0, 1000, (128, 128, 128)).astype(np.int16)
    header = nib.Nifti1Image(stored, np.eye(4)).to_bytes()
    stream = io.BytesIO(header)
    reader = NiftiReader(stream)
    assert reader.header.shape == (128, 128, 128)
    assert stream.tell() <= MIB // 4


def test_header_says_what_is_in_the_file(build, pack):
    stored = np.ones((7, 8, 9, 1), np.int16)
    content = pack(build(stored, version=2, order=">", scl_slope=3, scl_inter=-1))
    header = NiftiReader(io.BytesIO(content)).header
    assert (header.version, header.is_gzipped, header.is_big_endian) == (2, True, True)
    assert header.shape == (7, 8, 9)
    assert header.dtype == np.dtype(">i2")
    assert header.voxel_size_mm == (1, 1, 1)
    assert (header.slope, header.intercept, header.is_scaled) == (3, -1, True)
    assert (header.data_offset, header.stored_bytes, header.volume_bytes) == (544, 1008, 2016)
    assert header.notices == ()


@pytest.mark.parametrize("stored_dtype", ["i2", "f4", "f8"])
def test_read_holds_the_volume_and_little_else(stored_dtype):
    rng = np.random.default_rng(1)
    stored = rng.integers(0, 1000, (250, 210, 190)).astype(stored_dtype)
    image = nib.Nifti1Image(stored, np.eye(4), dtype=stored.dtype)
    image.header.set_slope_inter(2, 1)
    packed = igzip_lib.compress(image.to_bytes(), 1, igzip_lib.COMP_GZIP)
    volume_bytes = 4 * stored.size
    del stored, image
    tracemalloc.start()
    scan = NiftiReader(io.BytesIO(packed), len(packed)).read()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert scan.image.data.nbytes == volume_bytes
    # The decompressor's window, a chunk in, a chunk out, a slab and its float64.
    assert peak_bytes < volume_bytes + 3 * MIB


def test_reader_with_limits_allocates_within_them(build, pack):
    content = pack(build(np.ones((100, 100, 100), np.float32)))
    tracemalloc.start()
    with pytest.raises(Exception, match="expected at most"):
        NiftiReader(io.BytesIO(content), limits=Limits(max_volume_bytes=MIB))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < MIB
