"""What may be odd about a NIfTI file without stopping it."""

from enum import StrEnum


class NiftiNotice(StrEnum):
    """Codes of the notices a reader gives, part of the contract like `InputFault`."""

    NAME_MISMATCH = "NAME_MISMATCH"
    """The name says gzip or plain, the content is the other; content counts."""
    BITPIX_MISMATCH = "BITPIX_MISMATCH"
    """`bitpix` disagrees with `datatype`; `datatype` counts."""
    UNITS_UNKNOWN = "UNITS_UNKNOWN"
    """The header names no unit of length; mm are assumed."""
    PIXDIM_MISMATCH = "PIXDIM_MISMATCH"
    """`pixdim` and the sform disagree on the voxel size; the sform counts."""
    SHEARED = "SHEARED"
    """The axes are not at right angles; a resampling needs the full matrix."""
    SLOPE_IGNORED = "SLOPE_IGNORED"
    """`scl_slope` is 0 or not a number; the voxels are taken as stored, which is what the format says of 0."""
    TEXT_DROPPED = "TEXT_DROPPED"
    """Free text or extensions, which may identify a patient, are not carried over."""
    NONFINITE_ZEROED = "NONFINITE_ZEROED"
    """A few voxels were not finite and are now 0."""
