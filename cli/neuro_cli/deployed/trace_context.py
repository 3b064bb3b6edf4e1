"""The trace that this command is part of, as whoever called it says in its environment."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_VARIABLES = ("TRACEPARENT", "TRACESTATE", "BAGGAGE")


@contextmanager
def environment_context(env: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Make the trace context and the baggage of `TRACEPARENT`, `TRACESTATE` and `BAGGAGE` current.

    The variables are those of OpenTelemetry's "Environment Variables as Context Propagation Carriers".
    """
    from opentelemetry import context as otel_context
    from opentelemetry import propagate

    carrier = {name.lower(): env[name] for name in _VARIABLES if name in env}
    token = otel_context.attach(propagate.extract(carrier))
    try:
        yield
    finally:
        otel_context.detach(token)
