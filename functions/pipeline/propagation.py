"""Trace context and baggage in an object's user metadata: one trace from a scan's upload to its report."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.trace import Link

from pipeline.logs import logger

# S3's limit on the names and values of user metadata together.
MAX_METADATA_BYTES = 2048


@contextmanager
def carried_context(metadata: Mapping[str, str]) -> Iterator[list[Link]]:
    """Make what an object's metadata carries current; spans started within are children of what wrote the object.

    Yields
    ------
    list of Link
        A link to the invocation's span where that is in another trace. Where it is in the same trace, or the metadata
        carries none, the invocation's span stays the parent and there is nothing to link.
    """
    current = otel_context.get_current()
    invocation = trace.get_current_span(current)
    invoked = invocation.get_span_context()
    carried = propagate.extract(dict(metadata), context=current)
    is_same_trace = trace.get_current_span(carried).get_span_context().trace_id == invoked.trace_id
    token = otel_context.attach(trace.set_span_in_context(invocation, carried) if is_same_trace else carried)
    try:
        yield [Link(invoked)] if invoked.is_valid and not is_same_trace else []
    finally:
        otel_context.detach(token)


def inject_context(metadata: dict[str, str], *, reserved_bytes: int = 0) -> None:
    """Add the current span's context and the baggage to what an object is to carry.

    What does not fit S3's limit is left out, the baggage first: a scan that goes on without it beats one that cannot be
    stored.

    Parameters
    ----------
    metadata : dict
        What the object carries already.
    reserved_bytes : int
        To be left free for what is added later.
    """
    carried: dict[str, str] = {}
    propagate.inject(carried)
    free = MAX_METADATA_BYTES - reserved_bytes - _size(metadata)
    for field in ("baggage", "tracestate", "traceparent"):
        if _size(carried) > free and carried.pop(field, None) is not None:
            logger().warning("Context left out", field=field, free_bytes=free)
    metadata.update(carried)


def _size(metadata: Mapping[str, str]) -> int:
    return sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
