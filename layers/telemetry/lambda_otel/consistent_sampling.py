"""Consistent probability sampling: every stage of a trace decides alike, by one random number and one threshold.

Both travel in the `ot` member of tracestate: `th`, the part of all traces that is rejected, and `rv`, the trace's
random number, which otherwise is the last 56 bits of its id. A span is kept if its number is not below the threshold;
what was kept stands for `1 / (1 - th)` spans, whoever counts it later. Nothing is estimated here: how many traces there
are cannot be seen from one environment of many.

The SDK (1.45) has samplers for this in a private module. They are not used: its tracer does not hand them the parent's
tracestate, so that they never see a threshold, and they lose the attributes a span is started with.

Source: OpenTelemetry specification, `trace/tracestate-probability-sampling.md` and `trace/tracestate-handling.md`.
"""

from math import frexp
from typing import NamedTuple

from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import SpanContext, TraceFlags, TraceState

from lambda_otel.sampling import ParentSampler

_BITS = 56
_DIGITS = 14
_RANDOM_BITS = (1 << _BITS) - 1
_PRECISION = 4  # significant digits of a threshold, as recommended for SDKs
_MAX_PRECISION = 12
_KEY = "ot"
_MAX_LENGTH = 256
_HEX = frozenset("0123456789abcdefABCDEF")


class OtState(NamedTuple):
    """The `ot` member of a tracestate.

    Attributes
    ----------
    threshold : int or None
        `th`, of 56 bits; None: absent or invalid.
    randomness : int or None
        `rv`, of 56 bits; likewise.
    others : tuple of str
        All other sub-keys with their values, and a valid `rv`, as they came.
    """

    threshold: int | None
    randomness: int | None
    others: tuple[str, ...]


def parse_ot(text: str) -> OtState:
    """What an `ot` member says; invalid parts of it are as absent ones."""
    threshold = randomness = None
    others = []
    for member in text.split(";") if text and len(text) <= _MAX_LENGTH else ():
        key, _, value = member.partition(":")
        is_hex = bool(value) and _HEX.issuperset(value)
        if key == "th":
            threshold = int(value.ljust(_DIGITS, "0"), 16) if is_hex and len(value) <= _DIGITS else None
        elif key != "rv":
            others.append(member)
        elif is_hex and len(value) == _DIGITS:
            randomness = int(value, 16)
            others.append(member)
    return OtState(threshold, randomness, tuple(others))


def threshold_of(probability: float) -> int:
    """The threshold of a probability, to four significant digits.

    Parameters
    ----------
    probability : float
        Above 0, at most 1.
    """
    # digits that are all `f` come first where the probability is small, and are not significant
    precision = max(1, min(_MAX_PRECISION, _PRECISION + frexp(probability)[1] // -4))
    unit = 1 << 4 * (_DIGITS - precision)
    exact = (1 << _BITS) - round(probability * (1 << _BITS))
    return min((exact + unit // 2) // unit * unit, (1 << _BITS) - unit)


def threshold_text(threshold: int) -> str:
    """A threshold as the value of `th`."""
    return f"{threshold:014x}".rstrip("0") or "0"


class ConsistentThreshold(ParentSampler):
    """Keeps a span if its trace's random number is not below the threshold in its parent's tracestate.

    Where the parent has none, its sampled flag decides, and how many spans such a span stands for stays unknown. A root
    gets the threshold of a probability, and passes it on.

    Parameters
    ----------
    probability : float
        Of roots, 0 to 1.
    is_parent_based : bool
        Follow the parent's sampled flag in any case, and pass its threshold on only if that agrees with the flag.
    """

    def __init__(self, probability: float, *, is_parent_based: bool) -> None:
        self._probability, self._is_parent_based = probability, is_parent_based
        self._root = threshold_of(probability) if probability > 0 else None
        self._root_state = TraceState([(_KEY, f"th:{threshold_text(self._root)}")]) if self._root is not None else None
        # of the last span with a parent: all of an invocation have the same trace, and so are decided alike
        self._last: tuple[int, int, TraceState | None, Decision, TraceState | None] = 0, 0, None, Decision.DROP, None

    def decide(self, parent: SpanContext, trace_id: int) -> tuple[Decision, TraceState | None]:
        """As the class says."""
        _, _, _, flags, state, is_valid = parent
        if not is_valid:
            if self._root is not None and trace_id & _RANDOM_BITS >= self._root:
                return Decision.RECORD_AND_SAMPLE, self._root_state
            return Decision.DROP, None
        last_id, last_flags, last_state, decision, own_state = self._last
        if last_id != trace_id or last_flags != flags or last_state is not state:
            decision, own_state = self._of_child(trace_id, flags, state)
            self._last = trace_id, flags, state, decision, own_state
        return decision, own_state

    def get_description(self) -> str:
        """The class and its probability."""
        prefix = "ParentBased" if self._is_parent_based else ""
        return f"{prefix}ConsistentThreshold{{{self._probability}}}"

    def _of_child(self, trace_id: int, flags: int, state: TraceState | None) -> tuple[Decision, TraceState | None]:
        """Whether to keep the child of a parent, and the child's tracestate."""
        ot = parse_ot(state.get(_KEY, "") if state else "")
        is_kept, is_by_threshold = bool(flags & TraceFlags.SAMPLED), False
        if ot.threshold is not None:
            randomness = trace_id & _RANDOM_BITS if ot.randomness is None else ot.randomness
            is_above = randomness >= ot.threshold
            is_kept = is_kept if self._is_parent_based else is_above
            is_by_threshold = is_kept and is_above
        decision = Decision.RECORD_AND_SAMPLE if is_kept else Decision.DROP
        return decision, state if is_by_threshold else _without_threshold(state, ot)


def _without_threshold(state: TraceState | None, ot: OtState) -> TraceState | None:
    """A tracestate that says nothing of how many spans a span stands for; itself, if it does not."""
    if state is None or _KEY not in state or state[_KEY] == (text := ";".join(ot.others)):
        return state
    entries = [(key, value) for key, value in state.items() if key != _KEY]
    return TraceState([(_KEY, text), *entries] if text else entries)
