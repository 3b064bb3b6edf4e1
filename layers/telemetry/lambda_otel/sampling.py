"""Samplers by name, and the default one, which is asked for every span."""

from collections.abc import Callable, Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes


class ParentBasedAlwaysOn(Sampler):
    """`parentbased_always_on`, deciding as the SDK's; that looks for the parent three times, a microsecond a span."""

    def should_sample(  # noqa: PLR0917  the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,  # noqa: ARG002
        name: str,  # noqa: ARG002
        kind: SpanKind | None = None,  # noqa: ARG002
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,  # noqa: ARG002
        trace_state: TraceState | None = None,  # noqa: ARG002
    ) -> SamplingResult:
        """Yes, unless there is a parent that is not sampled."""
        parent = get_current_span(parent_context).get_span_context()
        if not parent.is_valid:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        if parent.trace_flags.sampled:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, parent.trace_state)
        return SamplingResult(Decision.DROP, None, parent.trace_state)

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
