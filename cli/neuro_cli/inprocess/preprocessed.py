"""What is asked of the chain, and what comes out of it."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from neuro_preprocess.bids import BidsName
from neuro_preprocess.image import Image, Mask, Notice
from neuro_preprocess.normalize import NormalizationMethod, NormalizationParameters
from neuro_preprocess.quality import QualityMeasures
from neuro_preprocess.quality.verdict import SelfCheck, Verdict
from neuro_preprocess.report.canvas import Picture

Step: TypeAlias = Literal["read", "conform", "skull_strip", "bias_correct", "normalize", "report", "write"]


@dataclass(frozen=True)
class ChainOptions:
    """What to do to a scan.

    Attributes
    ----------
    voxel_size_mm, brain_fraction, normalization
        As the functions' settings of these names.
    strips_skull, corrects_bias, normalizes : bool
        Whether the step is done.
    is_validated : bool
        Whether sizes are held to the functions' limits and to this machine's memory.
    memory_shares : int
        How many processes share the machine's memory.
    """

    voxel_size_mm: float = 1.0
    brain_fraction: float = 0.5
    normalization: NormalizationMethod = "zscore"
    strips_skull: bool = True
    corrects_bias: bool = True
    normalizes: bool = True
    is_validated: bool = True
    memory_shares: int = 1

    @property
    def is_whole_chain(self) -> bool:
        """Whether no step is left out, so that the results are those of the functions."""
        return self.strips_skull and self.corrects_bias and self.normalizes

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that will be done, in order."""
        chosen = {"skull_strip": self.strips_skull, "bias_correct": self.corrects_bias, "normalize": self.normalizes}
        steps: tuple[Step, ...] = ("read", "conform", "skull_strip", "bias_correct", "normalize", "report", "write")
        return tuple(step for step in steps if chosen.get(step, True))


@dataclass
class Preprocessed:
    """A scan on its way through the chain; all of it is set once the chain has ended.

    Attributes
    ----------
    name : BidsName
    options : ChainOptions
        What was asked for.
    conformed, corrected, volume : Image
        The head, the head without its bias field, and the result: the normalised brain, or what the steps that were
        done make of it.
    mask : (X, Y, Z) ndarray of bool
        The brain.
    parameters : NormalizationParameters or None
        None: the intensities are the scan's own.
    checks : tuple of SelfCheck
        Of the mask.
    measures, verdict, picture
        Of quality control.
    notices : list of Notice
    facts : dict
        What each stage found, as the functions write it into sidecars.
    """

    name: BidsName
    options: ChainOptions
    conformed: Image = field(init=False)
    corrected: Image = field(init=False)
    volume: Image = field(init=False)
    mask: Mask = field(init=False)
    parameters: NormalizationParameters | None = None
    checks: tuple[SelfCheck, ...] = ()
    measures: QualityMeasures = field(init=False)
    verdict: Verdict = field(init=False)
    picture: Picture = field(init=False)
    notices: list[Notice] = field(default_factory=list)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def desc(self) -> str:
        """What BIDS calls the result: `brain`, or `preproc` where the brain was not taken out."""
        return "brain" if self.options.strips_skull else "preproc"

    def sidecar_fields(self) -> dict[str, Any]:
        """Fields of the result's sidecar that say what was done and what was not."""
        done = ["conformed"]
        done += ["bias-corrected"] if self.options.corrects_bias else []
        done += [] if self.parameters is None else [f"normalised ({self.parameters.method})"]
        what = "Brain" if self.options.strips_skull else "Scan, its brain not taken out"
        fields = {
            "Description": f"{what}; {', '.join(done)}",
            "ProcessingFacts": self.facts,
            "SkullStripped": self.options.strips_skull,
        }
        if self.parameters is None:
            return fields
        undo = "value * scale + shift, inside the mask"
        return fields | {"IntensityNormalization": {"undo": undo, **asdict(self.parameters)}}
