"""The official instrumentations in place of our own: `OTEL_LAMBDA_INSTRUMENTATION=contrib`.

`opentelemetry-instrumentation-aws-lambda` makes the span of an invocation and `opentelemetry-instrumentation-botocore`
those of AWS requests; providers, queues and exports stay ours. Importing this module needs their packages: the optional
layer `layers/telemetry-contrib`, or the function, brings them.

Two of the instrumentation's ways are not followed:

- It replaces the handler in the function's own module, by its name in `ORIG_HANDLER`. It is given `run` of this module
  instead, which calls the handler: so a handler that is decorated in code is instrumented as well, and the function's
  module stays as it is.
- It flushes its providers before it returns, with the caller waiting. It is given stand-ins for ours whose
  `force_flush` does nothing: every invocation ends with an export anyway, after the response. `force_flush` of the
  providers that the function itself uses means what it always does.

What it does not survive, such as a context without an ARN, is not the function's business: the outcome of an invocation
is what the handler did.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from time import time_ns
from types import TracebackType
from typing import Any

from opentelemetry.context import Context, attach, create_key, detach, get_value, set_value
from opentelemetry.instrumentation.aws_lambda import (  # type: ignore[import-not-found, unused-ignore]
    AwsLambdaInstrumentor,
    _default_event_context_extractor,
)
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import Span, TracerProvider, get_current_span

from lambda_otel.aws.client import service_of
from lambda_otel.export.drops import Drops

_logger = logging.getLogger("lambda_otel")

_NAME = "ORIG_HANDLER"
_PARENT = create_key("lambda-otel-parent")

Handler = Callable[[Any, Any], Any]
# finds the parent's context, and attributes that the function knows better than the event
Hook = Callable[[Any, Any], tuple[Context | None, Mapping[str, Any]]]


class Outcome:
    """What a handler did, once it has been called.

    Attributes
    ----------
    is_called : bool
    result : Any
    error : BaseException or None
    traceback : TracebackType or None
        Of the error: the handler's own frames.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.is_called = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.traceback: TracebackType | None = None

    def find(self, event: Any, context: Any) -> None:
        """Call the handler."""
        self.is_called = True
        try:
            self.result = self._handler(event, context)
        except BaseException as error:
            self.error, self.traceback = error, error.__traceback__ and error.__traceback__.tb_next
            raise


def run(event: Any, context: Any, outcome: Outcome, before: Callable[[], None]) -> Any:
    """What is instrumented. The instrumentation looks at the first two arguments, and passes on all of them."""
    before()
    outcome.find(event, context)
    return outcome.result


class Contrib:
    """The official instrumentations, on a given provider.

    Parameters
    ----------
    tracers : TracerProvider
    hook : callable or None
        See `OTEL_LAMBDA_EVENT_CONTEXT`.
    on_start : callable
        Called within the invocation's span, with it, before the handler.

    Raises
    ------
    RuntimeError
        The instrumentation declined to instrument, as it does outside Lambda.
    """

    def __init__(self, tracers: TracerProvider, hook: Hook | None, on_start: Callable[[Span], None]) -> None:
        self._hook, self._on_start = hook, on_start
        with _named(f"{__name__}.{run.__name__}"):
            AwsLambdaInstrumentor().instrument(
                skip_dep_check=True,  # the pins of the layer are one release; the check reads all installed packages
                # a tracer is asked for in every invocation
                tracer_provider=_Unflushed(cache(tracers.get_tracer)),
                meter_provider=_Unflushed(),
                event_context_extractor=_extract,
            )
        if not hasattr(run, "__wrapped__"):
            raise RuntimeError("expected `AWS_LAMBDA_FUNCTION_NAME` to be set, without which nothing is instrumented")

    def invoke(self, handler: Handler, event: Any, context: Any) -> Outcome:
        """Have a handler called within the span of its invocation. What it raises is in the outcome, and not raised."""
        outcome, began_ns = Outcome(handler), time_ns()
        parent, attributes = self._hook(event, context) if self._hook else (None, {})

        def before() -> None:
            span = get_current_span()
            if self._hook and isinstance(span, SdkSpan):
                span._start_time = began_ns  # the instrumentation cannot be told, and the hook is part of it
                span.set_attributes(attributes)
            self._on_start(span)

        token = attach(set_value(_PARENT, parent))
        try:
            run(event, context, outcome, before)
        except Exception as error:
            if error is not outcome.error:
                _logger.exception("the instrumentation failed; the handler's outcome is not affected")
        except BaseException as error:
            if error is not outcome.error:
                raise
        finally:
            detach(token)
        if not outcome.is_called:
            with suppress(BaseException):  # it is in the outcome
                outcome.find(event, context)
        return outcome


class _Unflushed:
    """Stands for a provider that is exported at the end of the invocation, whether its holder flushes it or not."""

    def __init__(self, get_tracer: Callable[..., Any] | None = None) -> None:
        self.get_tracer = get_tracer

    def force_flush(self, timeout_millis: float = 30_000) -> bool:  # noqa: ARG002  the SDK's signature
        return True


def _extract(event: Any) -> Context:
    """The parent's context: what the function's own hook found, else what the instrumentation finds."""
    found = get_value(_PARENT)
    context: Context = found if isinstance(found, Context) else _default_event_context_extractor(event)
    return context


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Have the variable by which the instrumentation finds the handler name another one."""
    before = os.environ.get(_NAME)
    os.environ[_NAME] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ[_NAME]
        else:
            os.environ[_NAME] = before


def botocore_hook(injected: Iterable[str], drops: Drops) -> Callable[[Any], None]:
    """What instruments botocore, once that is imported.

    The instrumentation makes the spans. It sends a context to fewer services than the layer does: where it does not,
    its request hook lets the layer do so.

    Parameters
    ----------
    injected : iterable of str
        See `OTEL_LAMBDA_AWS_INJECT`.
    drops : Drops
    """
    services = frozenset(injected)

    def request_hook(_span: Span, service: str, operation: str, params: Any) -> None:
        try:
            injector = service_of(service).injectors.get(operation) if service in services else None
            if injector is not None:
                fields: dict[str, str] = {}
                inject(fields)
                params.update(injector(params, fields, drops))  # it is what botocore is about to send
        except Exception:
            _logger.exception("the request goes without a context")

    def hook(_module: Any) -> None:
        from opentelemetry.instrumentation.botocore import (  # type: ignore[import-not-found, unused-ignore]
            BotocoreInstrumentor,
        )

        BotocoreInstrumentor().instrument(skip_dep_check=True, request_hook=request_hook)

    return hook
