"""What the science raises.

    PipelineError
    +- InvalidInputError   the scan cannot be processed, whoever tries and however often
    +- StageError          a stage went wrong on a scan that looked fine: a bug or a numerical failure

`pipeline.errors` draws the whole tree and says what becomes of each.
"""

from enum import StrEnum


class InputFault(StrEnum):
    """Why a scan is refused: a stable code, part of the contract with whoever reads the error files."""

    EMPTY = "EMPTY"
    TRUNCATED = "TRUNCATED"
    CORRUPT = "CORRUPT"
    TOO_MUCH_DATA = "TOO_MUCH_DATA"
    TOO_LARGE = "TOO_LARGE"
    NOT_NIFTI = "NOT_NIFTI"
    BAD_DIM = "BAD_DIM"
    NOT_3D = "NOT_3D"
    BAD_DTYPE = "BAD_DTYPE"
    BAD_AFFINE = "BAD_AFFINE"
    BAD_VOXEL_SIZE = "BAD_VOXEL_SIZE"
    NO_ORIENTATION = "NO_ORIENTATION"
    XFORM_CONFLICT = "XFORM_CONFLICT"
    NO_SIGNAL = "NO_SIGNAL"
    NONFINITE = "NONFINITE"
    BAD_SCALE = "BAD_SCALE"
    PAIR_UNSUPPORTED = "PAIR_UNSUPPORTED"
    BAD_OFFSET = "BAD_OFFSET"
    BAD_EXTENSION = "BAD_EXTENSION"
    NO_BRAIN = "NO_BRAIN"
    VANISHED = "VANISHED"


class PipelineError(Exception):
    """Any error of this project.

    Parameters
    ----------
    message : str
        What was expected, what came, which object; literals in backticks; no patient data.

    Attributes
    ----------
    code : str
        Stable name of the kind of fault.
    """

    code = "pipeline_error"


class InvalidInputError(PipelineError):
    """A scan that cannot be processed: stored as an error file, counted, never retried."""

    def __init__(self, fault: InputFault, message: str) -> None:
        super().__init__(message)
        self.fault = fault
        self.code = str(fault)

    def __reduce__(self) -> tuple[type["InvalidInputError"], tuple[InputFault, str]]:
        return type(self), (self.fault, str(self))


class StageError(PipelineError):
    """A stage failed on a scan that passed validation: a bug, or a numerical failure."""

    code = "stage_failed"
