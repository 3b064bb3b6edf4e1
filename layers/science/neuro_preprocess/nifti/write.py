"""Writing: an image to the bytes of a NIfTI-1 file."""

import math

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from neuro_preprocess.image import Image
from neuro_preprocess.nifti import _layout
from neuro_preprocess.nifti.affine import LAST_XFORM_CODE, is_sheared, quaternion_of, voxel_edges

_COMPRESSION_LEVEL = 1
_GZIP_WBITS = 31
_CHUNK_BYTES = 1 << 20
_MAX_SIZE = np.iinfo(np.int16).max


def encode_nifti(image: Image, *, cal_min: float = 0.0, cal_max: float = 0.0, compress: bool = True) -> bytes:
    """NIfTI-1 single file of an image: little-endian, mm, nothing in it but the image.

    The header is made afresh, so no text of an input can get into it. The sform is the image's affine; the qform is the
    same, except that it has code 0 where the affine is sheared, which a qform cannot say. The same image gives the same
    bytes: the gzip header holds no time and no name.

    Parameters
    ----------
    image : Image
        `data` is (X, Y, Z) float32, uint8 or bool; a bool is stored as uint8 0 and 1. Fortran-ordered data are encoded
        without a copy.
    cal_min, cal_max : float, default=0.0
        Display window proposed to viewers; 0 and 0 propose none.
    compress : bool, default=True
        As gzip (`.nii.gz`), at isal's level 1.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        The data are of another type, not 3-D or too long for NIfTI-1 (32767 a side), the affine is not finite or is
        singular, or the code of its space is not 1 to 5.
    """
    voxels = _storable(image)
    header = _header(image, voxels.dtype, cal_min, cal_max)
    body = voxels.reshape(-1, order="F").data.cast("B")
    if not compress:
        return b"".join((header, body))
    compressor = isal_zlib.compressobj(_COMPRESSION_LEVEL, wbits=_GZIP_WBITS)
    parts = [compressor.compress(header)]
    parts += [compressor.compress(body[i : i + _CHUNK_BYTES]) for i in range(0, len(body), _CHUNK_BYTES)]
    parts.append(compressor.flush())
    return b"".join(parts)


def _storable(image: Image) -> npt.NDArray[np.float32] | npt.NDArray[np.uint8]:
    data = image.data
    if data.ndim != 3 or not 0 < min(data.shape) <= max(data.shape) <= _MAX_SIZE:
        raise ValueError(f"expected a 3-D volume of at most {_MAX_SIZE} voxels a side, got the shape {data.shape}")
    if data.dtype == np.bool_:
        return np.asfortranarray(data).view(np.uint8)
    if data.dtype in (np.dtype("<f4"), np.dtype("u1")):
        return np.asfortranarray(data)
    raise ValueError(f"expected voxels of float32, uint8 or bool, got {data.dtype}")


def _header(image: Image, dtype: np.dtype[np.float32] | np.dtype[np.uint8], cal_min: float, cal_max: float) -> bytes:
    affine = np.asarray(image.affine, np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or np.linalg.det(affine[:3, :3]) == 0:
        raise ValueError("expected a finite, invertible (4, 4) affine")
    if not 1 <= image.xform_code <= LAST_XFORM_CODE:
        raise ValueError(f"expected an xform code of 1 to {LAST_XFORM_CODE}, got {image.xform_code}")
    edges_mm = voxel_edges(affine)
    handedness = math.copysign(1.0, np.linalg.det(affine[:3, :3]))
    rotation = affine[:3, :3] / edges_mm * (1, 1, handedness)

    fields = np.zeros((), _layout.NIFTI1_LAYOUT)
    fields["sizeof_hdr"] = _layout.NIFTI1_BYTES
    # Unused by NIfTI; Analyze readers look for it.
    fields["regular"] = b"r"
    fields["dim"] = (3, *image.data.shape, 1, 1, 1, 1)
    fields["datatype"] = next(code for code, known in _layout.SCALAR_TYPES.items() if known == dtype)
    fields["bitpix"] = 8 * dtype.itemsize
    fields["pixdim"] = (handedness, *edges_mm, 1, 1, 1, 1)
    fields["vox_offset"] = _layout.NIFTI1_BYTES + _layout.EXTENDER_BYTES
    fields["scl_slope"] = 1
    fields["xyzt_units"] = _layout.UNIT_MM
    fields["cal_min"], fields["cal_max"] = cal_min, cal_max
    fields["sform_code"] = image.xform_code
    fields["qform_code"] = 0 if is_sheared(affine) else image.xform_code
    fields["quatern"] = quaternion_of(rotation)[1:]
    fields["qoffset"] = affine[:3, 3]
    fields["srow"] = affine[:3]
    fields["magic"] = _layout.NIFTI1_MAGIC
    return fields.tobytes() + bytes(_layout.EXTENDER_BYTES)
