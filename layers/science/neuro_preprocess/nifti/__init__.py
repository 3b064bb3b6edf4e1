"""NIfTI streams in, images out, and back: bounded, checked to the last byte, and without the patient's name.

    bytes -> `_source` (plain or gzip, bounded) -> `_identify` (is it NIfTI?) -> `header` (is it usable?)
          -> `affine` (where does it lie?) -> `read` + `_voxels` (float32) -> `Scan`

`NiftiReader` validates the header before it reads a voxel, so that a caller can decide in between whether the volume
fits. Every fault is an `InvalidInputError` with a code of `InputFault`; what is odd but harmless becomes a `Notice`
with a code of `NiftiNotice`. The header is laid out in `_layout`, straight from the format's definition, rather than
read through nibabel: nibabel mends some faults without a word (a voxel size of 0 becomes 1), and importing it costs a
cold start more than the whole of this package.
"""

from neuro_preprocess.nifti.header import NiftiHeader
from neuro_preprocess.nifti.limits import Limits
from neuro_preprocess.nifti.notices import NiftiNotice
from neuro_preprocess.nifti.read import NiftiReader, Scan
from neuro_preprocess.nifti.write import encode_nifti

__all__ = ["Limits", "NiftiHeader", "NiftiNotice", "NiftiReader", "Scan", "encode_nifti"]
