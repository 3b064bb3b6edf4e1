"""The span of an invocation: what it is a child of, what it is called, what it says, and how it ends."""

import logging
import os
from collections.abc import Callable, Mapping
from time import time_ns
from typing import Any

from opentelemetry.context import Context, attach, detach
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import Link, Span, Status, StatusCode, Tracer, set_span_in_context

from lambda_otel.propagation import sampled_lambda_segment
from lambda_otel.spans import SpanQueue
from lambda_otel.triggers import trigger_of
from lambda_otel.triggers._trigger import Trigger, known

_logger = logging.getLogger("lambda_otel")

# What a hook may give: a context, or a context and attributes that it knows better than the event.
HookResult = Context | tuple[Context | None, Mapping[str, Any]] | None
Hook = Callable[[Any, Any], HookResult]


class Invocation:
    """One running invocation: its span, current until it ends."""

    def __init__(self, span: Span, token: Any, trigger: Trigger) -> None:
        self.span = span
        self._token, self._trigger = token, trigger

    def succeed(self, result: Any) -> None:
        """The handler returned."""
        try:
            if self._trigger.conclude is not None:
                self._trigger.conclude(self.span, result)
        except Exception:
            _logger.debug("the result is not what this kind of event is answered with", exc_info=True)
        self._end()

    def fail(self, error: BaseException) -> None:
        """The handler raised; so will whoever calls this."""
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        self.span.set_attribute("error.type", name)
        try:
            self.span.record_exception(error)
            self.span.set_status(Status(StatusCode.ERROR, f"{kind.__name__}: {error}"))
        except Exception:  # noqa: BLE001  an error that cannot tell its message
            self.span.set_status(Status(StatusCode.ERROR, kind.__name__))
        self._end()

    def _end(self) -> None:
        detach(self._token)
        self.span.end()


class InvocationStarter:
    """Makes the span of each invocation of this environment.

    Parameters
    ----------
    tracer : Tracer
    propagator : TextMapPropagator
    queue : SpanQueue
    hook_names : tuple of str
        `module:function`, see `OTEL_LAMBDA_EVENT_CONTEXT`; imported when first used, which is after the handler.
    is_xray_parent : bool
        Whether X-Ray's context is a parent already, and so needs no link.
    """

    def __init__(
        self,
        tracer: Tracer,
        propagator: TextMapPropagator,
        queue: SpanQueue,
        hook_names: tuple[str, ...],
        *,
        is_xray_parent: bool,
    ) -> None:
        self._tracer, self._propagator, self._queue = tracer, propagator, queue
        self._hook_names, self._is_xray_parent = hook_names, is_xray_parent
        self._hooks: dict[str, Hook] = {}
        self._is_cold = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "provisioned-concurrency"
        self._arns: dict[str, dict[str, str]] = {}

    def start(self, event: Any, context: Any) -> Invocation:
        """Start the span and make it current."""
        started_ns = time_ns()
        trigger = trigger_of(event)
        parent, attributes = self._parent(event, context, trigger)
        span = self._tracer.start_span(
            trigger.name or getattr(context, "function_name", None) or "handler",
            parent,
            trigger.kind,
            {**self._attributes(context, trigger), **attributes},
            self._links(trigger),
            started_ns,
        )
        for early in self._queue.early.adopt(span.get_span_context()):
            self._queue.put(early)
        return Invocation(span, attach(set_span_in_context(span, parent)), trigger)

    def _attributes(self, context: Any, trigger: Trigger) -> dict[str, Any]:
        attributes: dict[str, Any] = {"faas.trigger": trigger.type, "faas.coldstart": self._is_cold}
        self._is_cold = False
        if request_id := getattr(context, "aws_request_id", None):
            attributes["faas.invocation_id"] = request_id
        if arn := getattr(context, "invoked_function_arn", None):
            if arn not in self._arns:
                self._arns[arn] = _arn_attributes(arn, getattr(context, "function_version", None))
            attributes |= self._arns[arn]
        attributes |= trigger.attributes
        return attributes

    def _parent(self, event: Any, context: Any, trigger: Trigger) -> tuple[Context, Mapping[str, Any]]:
        """The parent's context, and attributes the hook gave with it."""
        found, attributes = self.ask_hook(event, context) if self._hook_names else (None, {})
        if found is not None:
            return found, attributes
        carrier = trigger.carrier if trigger.carrier is not None else _client_context(context)
        # an event may have anything where a header's text should be
        texts = {name: value for name, value in carrier.items() if isinstance(value, str)}
        return self._propagator.extract(texts, Context()), attributes

    def ask_hook(self, event: Any, context: Any) -> tuple[Context | None, Mapping[str, Any]]:
        """What the function itself knows of an event's origin; the first of its hooks that has a context ends it."""
        attributes: dict[str, Any] = {}
        token = attach(self._queue.early.begin(Context()))
        try:
            for name in self._hook_names:
                found, more = self._ask(name, event, context)
                attributes = more | attributes
                if found is not None:
                    return found, attributes
        finally:
            detach(token)
        return None, attributes

    def _ask(self, name: str, event: Any, context: Any) -> tuple[Context | None, dict[str, Any]]:
        """What one hook says. Its failure leaves the event to the next one, and at last to the triggers."""
        try:
            if name not in self._hooks:
                from lambda_otel.plugins import load

                self._hooks[name] = load(name)
            result = self._hooks[name](event, context)
            found, attributes = result if isinstance(result, tuple) else (result, {})
            return found, known(attributes or {})
        except Exception as error:
            # an error of the hook may quote the event; one of finding it says what is wrong with its name
            told = type(error).__name__ if name in self._hooks else f"{type(error).__name__}: {error}"
            _logger.warning("`%s` failed (%s); the event's own context is used", name, told)
            _logger.debug("the error", exc_info=True)
            return None, {}

    def _links(self, trigger: Trigger) -> tuple[Link, ...]:
        segment = None if self._is_xray_parent else sampled_lambda_segment()
        if segment is None:
            return trigger.links
        return (*trigger.links, Link(segment, {"source": "x-ray-env"}))


def _client_context(context: Any) -> Mapping[str, str]:
    """What the caller of a plain invocation sent along: W3C fields, as the runtime tells them or as custom fields."""
    w3c = getattr(context, "w3c", None)
    if callable(w3c) and (fields := w3c()):
        return dict(fields)
    custom = getattr(getattr(context, "client_context", None), "custom", None)
    if not isinstance(custom, Mapping):
        return {}
    return {str(name).lower(): value for name, value in custom.items()}


def _arn_attributes(arn: str, version: str | None) -> dict[str, str]:
    """Of the function invoked, `arn:aws:lambda:<region>:<account>:function:<name>[:<alias or version>]`."""
    parts = arn.split(":")
    if len(parts) < 7:
        return {}
    resource = [*parts[:7], version] if len(parts) > 7 and version else parts
    return {"cloud.account.id": parts[4], "cloud.resource_id": ":".join(resource), "aws.lambda.invoked_arn": arn}
