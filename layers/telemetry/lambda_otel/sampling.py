"""Samplers by name, and the default one, which is asked for every span."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision, Sampler, SamplingResult
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Link, SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.propagation import _SPAN_KEY
from opentelemetry.util.types import Attributes


def parent_of(context: Context | None) -> SpanContext:
    """The span context in a context, or in the current one: `get_current_span`, in one call and not five."""
    span: Any = (get_current() if context is None else context).get(_SPAN_KEY)
    if span is None:
        return INVALID_SPAN_CONTEXT
    try:
        parent: SpanContext = span.get_span_context()
    except AttributeError:  # it is no span: somebody put something else there
        return INVALID_SPAN_CONTEXT
    return parent


class ParentSampler(Sampler):
    """A sampler that looks at the parent and the trace's id alone, and can be asked for these without more ado."""

    @abstractmethod
    def decide(self, parent: SpanContext, trace_id: int) -> tuple[Decision, TraceState | None]:
        """Whether to keep a span, and its tracestate.

        Parameters
        ----------
        parent : SpanContext
            Invalid: the span is a root.
        trace_id : int
        """

    def should_sample(  # noqa: PLR0917  the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,  # noqa: ARG002
        kind: SpanKind | None = None,  # noqa: ARG002
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,  # noqa: ARG002
        trace_state: TraceState | None = None,  # noqa: ARG002  the SDK's tracer gives none: the parent's is meant
    ) -> SamplingResult:
        """The same, as the SDK asks for it."""
        decision, state = self.decide(parent_of(parent_context), trace_id)
        return SamplingResult(decision, None if decision is Decision.DROP else attributes, state)


class ParentBasedAlwaysOn(ParentSampler):
    """`parentbased_always_on`, deciding as the SDK's; that looks for the parent three times, a microsecond a span."""

    def decide(self, parent: SpanContext, trace_id: int) -> tuple[Decision, TraceState | None]:  # noqa: ARG002
        """Yes, unless there is a parent that is not sampled."""
        _, _, _, flags, state, is_valid = parent
        if not is_valid:
            return Decision.RECORD_AND_SAMPLE, None
        return Decision.RECORD_AND_SAMPLE if flags & TraceFlags.SAMPLED else Decision.DROP, state

    def get_description(self) -> str:
        """As the SDK's own describes itself."""
        return str(DEFAULT_ON.get_description())  # type: ignore[no-untyped-call]


def make_sampler(name: str, probability: float) -> Sampler:
    """The sampler that `OTEL_TRACES_SAMPLER` names; the specification's are the SDK's own.

    Parameters
    ----------
    name : str
        One of `settings_table.SAMPLERS`.
    probability : float
        0 to 1, for those that have one.
    """
    if name == "parentbased_always_on":
        return ParentBasedAlwaysOn()
    if name.endswith("consistent_threshold"):
        from lambda_otel.consistent_sampling import ConsistentThreshold

        return ConsistentThreshold(probability, is_parent_based=name.startswith("parentbased_"))
    from opentelemetry.sdk.trace import sampling

    made: dict[str, Callable[[], Sampler]] = {
        "always_on": lambda: sampling.ALWAYS_ON,
        "always_off": lambda: sampling.ALWAYS_OFF,
        "traceidratio": lambda: sampling.TraceIdRatioBased(probability),
        "parentbased_always_off": lambda: sampling.DEFAULT_OFF,
        "parentbased_traceidratio": lambda: sampling.ParentBased(sampling.TraceIdRatioBased(probability)),
    }
    return made[name]()
