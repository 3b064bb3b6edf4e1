"""The bytes of a NIfTI header, field by field.

Field names are the format's own. Sources: the `nifti1.h` of the NIfTI-1.1 standard and the `nifti2.h` of NIfTI-2
(nifti.nimh.nih.gov).
"""

from typing import Any

import numpy as np

NIFTI1_BYTES = 348
NIFTI2_BYTES = 540
EXTENDER_BYTES = 4
"""Four bytes after the header; the first says whether extensions follow."""

NIFTI1_MAGIC = b"n+1\0"
NIFTI1_PAIR_MAGIC = b"ni1\0"
NIFTI2_MAGIC = b"n+2\0\r\n\x1a\n"
NIFTI2_PAIR_MAGIC = b"ni2\0\r\n\x1a\n"

NIFTI1_LAYOUT = np.dtype(
    [
        ("sizeof_hdr", "<i4"),
        ("data_type", "S10"),
        ("db_name", "S18"),
        ("extents", "<i4"),
        ("session_error", "<i2"),
        ("regular", "S1"),
        ("dim_info", "u1"),
        ("dim", "<i2", (8,)),
        ("intent_p", "<f4", (3,)),
        ("intent_code", "<i2"),
        ("datatype", "<i2"),
        ("bitpix", "<i2"),
        ("slice_start", "<i2"),
        ("pixdim", "<f4", (8,)),
        ("vox_offset", "<f4"),
        ("scl_slope", "<f4"),
        ("scl_inter", "<f4"),
        ("slice_end", "<i2"),
        ("slice_code", "u1"),
        ("xyzt_units", "u1"),
        ("cal_max", "<f4"),
        ("cal_min", "<f4"),
        ("slice_duration", "<f4"),
        ("toffset", "<f4"),
        ("glmax", "<i4"),
        ("glmin", "<i4"),
        ("descrip", "S80"),
        ("aux_file", "S24"),
        ("qform_code", "<i2"),
        ("sform_code", "<i2"),
        ("quatern", "<f4", (3,)),
        ("qoffset", "<f4", (3,)),
        ("srow", "<f4", (3, 4)),
        ("intent_name", "S16"),
        ("magic", "S4"),
    ]
)

NIFTI2_LAYOUT = np.dtype(
    [
        ("sizeof_hdr", "<i4"),
        ("magic", "S8"),
        ("datatype", "<i2"),
        ("bitpix", "<i2"),
        ("dim", "<i8", (8,)),
        ("intent_p", "<f8", (3,)),
        ("pixdim", "<f8", (8,)),
        ("vox_offset", "<i8"),
        ("scl_slope", "<f8"),
        ("scl_inter", "<f8"),
        ("cal_max", "<f8"),
        ("cal_min", "<f8"),
        ("slice_duration", "<f8"),
        ("toffset", "<f8"),
        ("slice_start", "<i8"),
        ("slice_end", "<i8"),
        ("descrip", "S80"),
        ("aux_file", "S24"),
        ("qform_code", "<i4"),
        ("sform_code", "<i4"),
        ("quatern", "<f8", (3,)),
        ("qoffset", "<f8", (3,)),
        ("srow", "<f8", (3, 4)),
        ("slice_code", "<i4"),
        ("xyzt_units", "<i4"),
        ("intent_code", "<i4"),
        ("intent_name", "S16"),
        ("dim_info", "u1"),
        ("unused_str", "S15"),
    ]
)

TEXT_FIELDS = ("data_type", "db_name", "descrip", "aux_file", "intent_name", "unused_str")
"""Fields of either layout that may hold words, hence a name."""

SCALAR_TYPES: dict[int, np.dtype[Any]] = {
    2: np.dtype("u1"),
    4: np.dtype("<i2"),
    8: np.dtype("<i4"),
    16: np.dtype("<f4"),
    64: np.dtype("<f8"),
    256: np.dtype("i1"),
    512: np.dtype("<u2"),
    768: np.dtype("<u4"),
    1024: np.dtype("<i8"),
}
"""`datatype` codes that may hold an intensity."""

REFUSED_TYPES = {
    1: "1-bit",
    32: "complex64",
    128: "RGB",
    1280: "uint64",
    1536: "float128",
    1792: "complex128",
    2048: "complex256",
    2304: "RGBA",
}
"""`datatype` codes that exist but hold no intensity, or none that tools agree on."""

MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""Low three bits of `xyzt_units`: unknown (mm by custom), metre, mm, micron."""
UNIT_BITS = 0x07
UNIT_MM = 2
