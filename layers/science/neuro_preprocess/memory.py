"""What a scan will cost in memory, known from its header: it is refused before it is read, not killed while it is.

A process holds its libraries, the source, and volumes on the conformed grid. What a stage needs of the last is a number
of bytes a conformed voxel: one table, from the peaks of resident memory on heads of 6 to 17 million voxels, rounded up.
"""

import math
from typing import Literal, NamedTuple, TypeAlias, get_args

from neuro_preprocess.conform import ConformPlan
from neuro_preprocess.errors import InputFault, InvalidInputError

Stage: TypeAlias = Literal["conform", "skull_strip", "bias_correct", "normalize", "report"]

STAGES: tuple[Stage, ...] = get_args(Stage)

# No head is longer: 1024 voxels are half a metre even at 0.5 mm.
MAX_AXIS_VOXELS = 1024

# The interpreter with numpy, scipy.ndimage and nibabel (70 MB), boto3 with a client (26 MB), logs and telemetry (1 MB),
# and buffers whose size the scan does not change.
BASE_BYTES = 110_000_000

_FLOAT32 = 4
_MASK = 1
# A volume's compressed form, in parts and then joined; noise does not get smaller.
_ENCODING = 8


class _Cost(NamedTuple):
    """Bytes a conformed voxel: what a stage reads, what it works with, and what it leaves."""

    inputs: int
    working: int
    outputs: int


_COSTS: dict[Stage, _Cost] = {
    # Beside its source. What the resampling takes is not in proportion to the conformed voxels; the plan knows it.
    "conform": _Cost(inputs=0, working=_ENCODING, outputs=_FLOAT32),
    # Measured 4.1.
    "skull_strip": _Cost(inputs=_FLOAT32, working=6, outputs=_MASK),
    # Measured 2.2; encoding its output takes more.
    "bias_correct": _Cost(inputs=_FLOAT32 + _MASK, working=_ENCODING, outputs=_FLOAT32),
    # Measured 1.5; but the encoded brain is kept while the head is encoded.
    "normalize": _Cost(inputs=_FLOAT32 + _MASK, working=_FLOAT32 + _ENCODING, outputs=_FLOAT32),
    # Measured 5.1.
    "report": _Cost(inputs=2 * _FLOAT32 + _MASK, working=6, outputs=0),
}


def stage_peak_bytes(stage: Stage, plan: ConformPlan) -> int:
    """Most that a process which runs one stage, as a Lambda function does, will hold.

    Parameters
    ----------
    stage : Stage
    plan : ConformPlan
        Of the scan in question.

    Returns
    -------
    int
        Resident bytes of the process, libraries included.
    """
    stage_bytes = sum(_COSTS[stage]) * math.prod(plan.shape)
    if stage == "conform":
        stage_bytes = _source_bytes(plan) + max(plan.peak_bytes, stage_bytes)
    return BASE_BYTES + stage_bytes


def chain_peak_bytes(plan: ConformPlan) -> int:
    """Most that a process will hold which runs all stages in turn and keeps the source and every output.

    Parameters and result are as those of `stage_peak_bytes`.
    """
    kept = sum(cost.outputs for cost in _COSTS.values())
    working = max(cost.working for cost in _COSTS.values())
    later_bytes = (kept + working) * math.prod(plan.shape)
    return BASE_BYTES + _source_bytes(plan) + max(plan.peak_bytes, later_bytes)


def check_fits(plan: ConformPlan, *, available_bytes: int, stage: Stage | None = None) -> None:
    """Refuse a scan that would outgrow the memory there is, or that no head can be.

    Parameters
    ----------
    plan : ConformPlan
    available_bytes : int
        What the process may take: a function's memory, less what runs beside it.
    stage : Stage, optional
        The one stage that the process runs; the whole chain by default.

    Raises
    ------
    InvalidInputError
        `TOO_LARGE`.
    """
    shape = "x".join(str(n) for n in plan.shape)
    if max(plan.shape) > MAX_AXIS_VOXELS:
        raise InvalidInputError(
            InputFault.TOO_LARGE,
            f"expected at most {MAX_AXIS_VOXELS} voxels along each axis once conformed, got `{shape}`",
        )
    needed_bytes = chain_peak_bytes(plan) if stage is None else stage_peak_bytes(stage, plan)
    if needed_bytes > available_bytes:
        raise InvalidInputError(
            InputFault.TOO_LARGE,
            f"expected a scan that can be processed in {_megabytes(available_bytes)}, got one that becomes `{shape}` "
            f"voxels once conformed and needs {_megabytes(needed_bytes)}",
        )


def _source_bytes(plan: ConformPlan) -> int:
    """Size of the source as it is read: float32, whatever it was stored as."""
    return _FLOAT32 * math.prod(plan.source_shape)


def _megabytes(size_bytes: int) -> str:
    return f"{math.ceil(size_bytes / 1e6)} MB"
