"""What became of one file, as the commands report it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neuro_cli.inprocess.faults import Fault
from neuro_preprocess.image import Notice


@dataclass(frozen=True)
class FileResult:
    """One scan that was processed, or could not be.

    Attributes
    ----------
    file, key : str
        Where it lay, and its key.
    outputs : tuple of str
        Files that were written.
    seconds : mapping of str to float
        Wall time of each step.
    brain_volume_ml : float or None
    verdict : str or None
        `pass`, `warn` or `fail`, as quality control has it.
    reasons : tuple of str
        Why it did not simply pass.
    notices : tuple of Notice
    fault : Fault or None
        Why there are no outputs.
    """

    file: str
    key: str
    outputs: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    brain_volume_ml: float | None = None
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()
    fault: Fault | None = None

    @property
    def is_failed(self) -> bool:
        """Whether the file could not be processed. A `fail` of quality control is a result, not a failure."""
        return self.fault is not None

    @property
    def total_seconds(self) -> float:
        """Wall time of all steps."""
        return sum(self.seconds.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        fault = self.fault
        return {
            "file": self.file,
            "key": self.key,
            "outcome": "failed" if self.is_failed else "ok",
            "error": None if fault is None else {"code": fault.code, "message": fault.message, "hint": fault.hint},
            "outputs": list(self.outputs),
            "seconds": {name: round(seconds, 3) for name, seconds in self.seconds.items()},
            "total_seconds": round(self.total_seconds, 3),
            "brain_volume_ml": self.brain_volume_ml,
            "qc": {"verdict": self.verdict, "reasons": list(self.reasons)},
            "notices": [{"code": notice.code, "message": notice.message} for notice in self.notices],
        }
