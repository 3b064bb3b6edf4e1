"""Propagators by name, without a scan of entry points, and X-Ray's header, which is only read.

Lambda stops loops of functions by the `Lineage` field of X-Ray's header, so that must reach the next service as it
came: nothing here writes it.
"""

import logging
import os
from collections.abc import Iterable, Mapping

from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, get_current_span, set_span_in_context

from lambda_otel.export.drops import Drops

_logger = logging.getLogger("lambda_otel")

XRAY_HEADER = "x-amzn-trace-id"
_XRAY_VARIABLE = "_X_AMZN_TRACE_ID"


def install_propagators(names: Iterable[str], drops: Drops) -> TextMapPropagator:
    """Make the propagators that `OTEL_PROPAGATORS` names the global ones.

    Parameters
    ----------
    names : iterable of str
    drops : Drops
        Counts the baggage that is too much to be sent.
    """
    # with the variable set, importing `propagate` searches all installed packages: 17 ms, or an error for a name
    # that none of them has
    configured = os.environ.pop("OTEL_PROPAGATORS", None)
    try:
        from opentelemetry import propagate
    finally:
        if configured is not None:
            os.environ["OTEL_PROPAGATORS"] = configured
    propagator = CompositePropagator([made for name in dict.fromkeys(names) if (made := _make(name.lower(), drops))])
    propagate.set_global_textmap(propagator)
    return propagator


def _make(name: str, drops: Drops) -> TextMapPropagator | None:
    if name == "tracecontext":
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        return TraceContextTextMapPropagator()
    if name == "baggage":
        from lambda_otel.baggage import BoundedBaggage

        return BoundedBaggage(drops)
    if name in ("xray", "xray-lambda"):
        return XRayReader(is_from_lambda=name == "xray-lambda")
    if name != "none":
        _logger.warning("`OTEL_PROPAGATORS` names `%s`, which this layer does not have; it is left out", name)
    return None


class XRayReader(TextMapPropagator):
    """Reads X-Ray's header; writes nothing.

    Parameters
    ----------
    is_from_lambda : bool
        Read Lambda's own segment too, from the environment, where no other context was found (`xray-lambda`).
    """

    def __init__(self, *, is_from_lambda: bool) -> None:
        self._is_from_lambda = is_from_lambda

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """The context in a carrier's `X-Amzn-Trace-Id`."""
        context = Context() if context is None else context
        values = getter.get(carrier, XRAY_HEADER) or getter.get(carrier, "X-Amzn-Trace-Id") or [""]
        found = parse_xray(next(iter(values), ""))
        if found is None and self._is_from_lambda and not get_current_span(context).get_span_context().is_valid:
            found = lambda_segment()
        return context if found is None else set_span_in_context(NonRecordingSpan(found), context)

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """Write nothing."""

    @property
    def fields(self) -> set[str]:
        """No field is written."""
        return set()


def parse_xray(header: str) -> SpanContext | None:
    """The span context in `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`, or None."""
    fields = dict(part.strip().partition("=")[::2] for part in header.split(";"))
    version, _, root = fields.get("Root", "").partition("-")
    try:
        trace_id, span_id = int(root.replace("-", ""), 16), int(fields.get("Parent", ""), 16)
    except ValueError:
        return None
    flags = TraceFlags(TraceFlags.SAMPLED if fields.get("Sampled") == "1" else TraceFlags.DEFAULT)
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
    return context if version == "1" and context.is_valid else None


def lambda_segment(env: Mapping[str, str] = os.environ) -> SpanContext | None:
    """X-Ray's context of this invocation, as Lambda puts it into the environment."""
    header = env.get(_XRAY_VARIABLE)
    return parse_xray(header) if header else None


def sampled_lambda_segment(env: Mapping[str, str] = os.environ) -> SpanContext | None:
    """The same, if it is recorded: the header comes with every invocation, with and without active tracing."""
    return lambda_segment(env) if "Sampled=1" in env.get(_XRAY_VARIABLE, "") else None
