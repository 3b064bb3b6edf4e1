"""What the hook knows of one AWS service: the form that `s3`, `sqs` and their like fill in."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from opentelemetry.trace import Span

from lambda_otel.export.drops import Drops

Params = Mapping[str, Any]
Fields = Mapping[str, str]
# Parameters of a call and the fields of a context: the parameters with it, or the same ones if it has no place there.
# Never changes what the caller handed in.
Injector = Callable[[Params, Fields, Drops], Params]


def _nothing(operation: str, params: Params) -> dict[str, Any]:  # noqa: ARG001  the form's signature
    return {}


class Service(NamedTuple):
    """What is particular to a service.

    Attributes
    ----------
    describe : callable
        Operation and parameters to attributes; None as a value is left out.
    conclude : callable or None
        Called with the span, the operation and what the service answered.
    producers : frozenset of str
        Operations that send messages.
    injectors : mapping
        Operation to what puts a context into its parameters.
    """

    describe: Callable[[str, Params], dict[str, Any]] = _nothing
    conclude: Callable[[Span, str, Mapping[str, Any]], None] | None = None
    producers: frozenset[str] = frozenset()
    injectors: Mapping[str, Injector] = {}


def text(value: Any) -> str | None:
    """A parameter if it is text: a caller's mistake is told by botocore, not by us."""
    return value if isinstance(value, str) else None
