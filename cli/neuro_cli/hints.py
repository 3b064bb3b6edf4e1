"""What may help with a scan that was refused, by the code of its fault."""

from neuro_preprocess.errors import InputFault

_COPY_AGAIN = "the file is incomplete or damaged: copy or export it again"
_EXPORT_AGAIN = "the header is wrong: convert it again from the DICOM files, for example with `dcm2niix`"

_HINTS: dict[InputFault, str] = {
    InputFault.EMPTY: _COPY_AGAIN,
    InputFault.TRUNCATED: _COPY_AGAIN,
    InputFault.CORRUPT: _COPY_AGAIN,
    InputFault.TOO_MUCH_DATA: "the file holds more than its header says: convert it again",
    InputFault.TOO_LARGE: "ask for larger voxels, run on a machine with more memory, or crop the scan to the head",
    InputFault.NOT_NIFTI: "convert it to NIfTI (`.nii` or `.nii.gz`), for example with `dcm2niix`",
    InputFault.BAD_DIM: _EXPORT_AGAIN,
    InputFault.NOT_3D: "give one 3-D volume: split a series, for example with `fslsplit` or `mrconvert`",
    InputFault.BAD_DTYPE: "store the voxels as numbers of one component: 8 to 64 bit integers, or floats",
    InputFault.BAD_AFFINE: _EXPORT_AGAIN,
    InputFault.BAD_VOXEL_SIZE: (
        # Written out, since the constants' module would bring numpy to commands that need none.
        f"voxels from 0.2 to 5 mm a side are taken, thicker slices are not; if the scan's are within, {_EXPORT_AGAIN}"
    ),
    InputFault.NO_ORIENTATION: "left and right cannot be told apart: set the sform, or convert it again from DICOM",
    InputFault.XFORM_CONFLICT: "decide which of the sform and the qform is right, and copy it over the other",
    InputFault.NO_SIGNAL: "the volume is uniform, or no voxel of the brain is brighter than 0: look at it in a viewer",
    InputFault.NONFINITE: "replace NaN and infinite voxels before you upload the scan",
    InputFault.BAD_SCALE: _EXPORT_AGAIN,
    InputFault.PAIR_UNSUPPORTED: "merge `.hdr` and `.img` into one `.nii`, for example with `nib-convert`",
    InputFault.BAD_OFFSET: _EXPORT_AGAIN,
    InputFault.BAD_EXTENSION: _EXPORT_AGAIN,
    InputFault.NO_BRAIN: "look at the scan in a viewer: is it a head, and is its orientation right?",
    InputFault.VANISHED: "upload it again",
}


def hint_for(code: str) -> str:
    """A sentence on what to do about a fault; empty for a code that is none of `InputFault`."""
    try:
        return _HINTS[InputFault(code)]
    except ValueError:
        return ""
