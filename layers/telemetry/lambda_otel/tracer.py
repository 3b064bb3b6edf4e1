"""The SDK's tracer, with a cheaper `start_as_current_span`.

The SDK's is two generators inside each other, 2.5 us of the 15 that a span costs before the response. What it does is
done here by a plain context manager, which the tests hold to the SDK's behaviour; the spans are the SDK's own.
"""

from collections.abc import Callable, Sequence
from functools import cache
from types import TracebackType
from typing import Any

from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.util.types import Attributes

from lambda_otel.sdk import is_sdk_known


class LambdaTracerProvider(TracerProvider):
    """The SDK's provider, whose tracers are `LambdaTracer`."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
        """A tracer of the SDK; one that does nothing stays what it is."""
        tracer = super().get_tracer(*args, **kwargs)
        if type(tracer) is Tracer:  # the SDK has no way to say which class to make
            tracer.__class__ = tracer_class()
        return tracer


class LambdaTracer(Tracer):
    """The SDK's tracer."""

    def start_as_current_span(  # type: ignore[override]  # noqa: PLR0917  the API's signature; it serves as both, too
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> "_CurrentSpan":
        """A span that is current within a `with`, or within every call of a decorated function."""
        arguments = name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
        return _CurrentSpan(self, arguments, end_on_exit=end_on_exit)


@cache
def tracer_class() -> type[LambdaTracer]:
    """What the provider's tracers are."""
    if not is_sdk_known():
        return LambdaTracer
    from lambda_otel.lean_spans import LeanTracer

    return LeanTracer


class _CurrentSpan:
    __slots__ = ("_arguments", "_end_on_exit", "_span", "_token", "_tracer")

    def __init__(self, tracer: LambdaTracer, arguments: tuple[Any, ...], *, end_on_exit: bool) -> None:
        self._tracer, self._arguments, self._end_on_exit = tracer, arguments, end_on_exit

    def __enter__(self) -> Span:
        span = self._tracer.start_span(*self._arguments)
        self._token = attach(set_span_in_context(span))
        self._span = span
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        span = self._span
        detach(self._token)
        # what is no `Exception`, such as the end of a generator, is no error
        if isinstance(error, Exception) and span.is_recording():
            *_, record_exception, set_status_on_exception = self._arguments
            try:
                if record_exception:
                    span.record_exception(error)
                if set_status_on_exception:
                    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
            except Exception:  # noqa: BLE001  an error that cannot tell its message; it goes on as it is
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        if self._end_on_exit:
            span.end()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """As a decorator: the SDK's own, which knows coroutines."""
        own: Any = Tracer.start_as_current_span
        decorated: Callable[..., Any] = own(self._tracer, *self._arguments, self._end_on_exit)(function)
        return decorated
