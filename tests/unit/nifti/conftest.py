"""NIfTI files built byte by byte, from the offsets in the standard, so that a fault is really in the file."""

import gzip
import io
import struct

import numpy as np
import pytest

from neuro_preprocess.errors import InvalidInputError
from neuro_preprocess.nifti import Limits, NiftiReader

NIFTI1_FIELDS = {
    "sizeof_hdr": (0, "i"),
    "data_type": (4, "10s"),
    "db_name": (14, "18s"),
    "regular": (38, "1s"),
    "dim": (40, "8h"),
    "datatype": (70, "h"),
    "bitpix": (72, "h"),
    "pixdim": (76, "8f"),
    "vox_offset": (108, "f"),
    "scl_slope": (112, "f"),
    "scl_inter": (116, "f"),
    "xyzt_units": (123, "B"),
    "cal_max": (124, "f"),
    "cal_min": (128, "f"),
    "descrip": (148, "80s"),
    "aux_file": (228, "24s"),
    "qform_code": (252, "h"),
    "sform_code": (254, "h"),
    "quatern": (256, "3f"),
    "qoffset": (268, "3f"),
    "srow": (280, "12f"),
    "intent_name": (328, "16s"),
    "magic": (344, "4s"),
    "extender": (348, "4s"),
}
NIFTI2_FIELDS = {
    "sizeof_hdr": (0, "i"),
    "magic": (4, "8s"),
    "datatype": (12, "h"),
    "bitpix": (14, "h"),
    "dim": (16, "8q"),
    "pixdim": (104, "8d"),
    "vox_offset": (168, "q"),
    "scl_slope": (176, "d"),
    "scl_inter": (184, "d"),
    "descrip": (240, "80s"),
    "aux_file": (320, "24s"),
    "qform_code": (344, "i"),
    "sform_code": (348, "i"),
    "quatern": (352, "3d"),
    "qoffset": (376, "3d"),
    "srow": (400, "12d"),
    "xyzt_units": (500, "i"),
    "intent_name": (508, "16s"),
    "unused_str": (525, "15s"),
    "extender": (540, "4s"),
}
DATATYPES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768, "i8": 1024}
SHAPE = (7, 8, 9)
ORIGIN_MM = (-3.0, -20.0, 11.0)


def _voxels():
    return np.random.default_rng(7).integers(0, 1000, SHAPE).astype(np.int16)


def _build(voxels=None, *, version=1, order="<", extensions=b"", tail=b"", **changes):
    """Bytes of a plain NIfTI file: 1 mm RAS, sform and qform equal, no scaling; `changes` are fields by name."""
    voxels = _voxels() if voxels is None else voxels
    fields = NIFTI1_FIELDS if version == 1 else NIFTI2_FIELDS
    header = bytearray(352 if version == 1 else 544)
    values = {
        "sizeof_hdr": 348 if version == 1 else 540,
        "dim": (voxels.ndim, *voxels.shape, *[1] * (7 - voxels.ndim)),
        "datatype": DATATYPES[voxels.dtype.str[1:]],
        "bitpix": 8 * voxels.dtype.itemsize,
        "pixdim": (1, 1, 1, 1, 1, 1, 1, 1),
        "vox_offset": len(header) + len(extensions),
        "scl_slope": 1,
        "xyzt_units": 2,
        "qform_code": 1,
        "sform_code": 1,
        "qoffset": ORIGIN_MM,
        "srow": (1, 0, 0, ORIGIN_MM[0], 0, 1, 0, ORIGIN_MM[1], 0, 0, 1, ORIGIN_MM[2]),
        "magic": b"n+1\0" if version == 1 else b"n+2\0\r\n\x1a\n",
        "extender": b"\1\0\0\0" if extensions else b"",
    }
    for name, value in (values | changes).items():
        offset, form = fields[name]
        parts = value if isinstance(value, tuple) else (value,)
        struct.pack_into(order + form, header, offset, *parts)
    stored = voxels.astype(voxels.dtype.newbyteorder(order)).tobytes(order="F")
    return bytes(header) + extensions + stored + tail


def _extension(code, content, order="<"):
    size = -(-(8 + len(content)) // 16) * 16
    return struct.pack(order + "ii", size, code) + content.ljust(size - 8, b"\0")


def _read(content, *, limits=None, name="", is_size_known=True):
    reader = NiftiReader(
        io.BytesIO(content), object_bytes=len(content) if is_size_known else None, limits=limits or Limits(), name=name
    )
    return reader.read()


def _fault(content, **options):
    with pytest.raises(InvalidInputError) as caught:
        _read(content, **options)
    return caught.value.fault


@pytest.fixture(scope="session")
def build():
    return _build


@pytest.fixture(scope="session")
def extension():
    return _extension


@pytest.fixture(scope="session")
def read():
    """Scan of a file's bytes."""
    return _read


@pytest.fixture(scope="session")
def fault():
    """Code with which a file's bytes are refused."""
    return _fault


@pytest.fixture(scope="session")
def voxels():
    """What `build` stores unless told otherwise."""
    return _voxels()


@pytest.fixture(scope="session")
def pack():
    """gzip, as other tools write it."""
    return lambda content: gzip.compress(content, 6, mtime=0)


@pytest.fixture(scope="session")
def codes():
    """Codes of a scan's or a header's notices."""
    return lambda holder: {notice.code for notice in holder.notices}
