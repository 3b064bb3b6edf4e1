"""botocore: a span for every AWS request, retries included, by the conventions for AWS SDKs.

What is an error follows the conventions for HTTP clients: a request that fails is one, unless the caller has asked
whether something is so, and the answer is no. That is a `Head...` answered 404, and a request with a condition
(`IfNoneMatch`, `IfMatch`, ...) answered 304 or 412. The status code tells of those; were they errors, a guarded write
that finds its work done would colour every trace. Exceptions are told by their kind alone: messages of AWS name keys
and callers, and whoever catches the exception can say more.
"""

import logging
from collections.abc import Mapping
from functools import wraps
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,
    _SUPPRESS_INSTRUMENTATION_KEY,
    attach,
    detach,
    get_current,
    get_value,
    set_value,
)
from opentelemetry.propagate import inject
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from lambda_otel.aws._service import Params, Service
from lambda_otel.export.drops import Drops

_logger = logging.getLogger("lambda_otel")

# By the names that clients are made with; loaded with a client's first request.
_MODULES = {
    "s3": "s3",
    "sqs": "sqs",
    "sns": "sns",
    "lambda": "lambda_invoke",
    "events": "eventbridge",
}
_MARK = "_lambda_otel"
_PORTS = {"https": 443, "http": 80}
_CONDITIONS = ("If", "CopySourceIf")
# beside the SDK's own key, the name that instrumentations have used since before there was one
_PLAIN_SUPPRESS_KEY = "suppress_instrumentation"


def hook(module: Any, tracer: Tracer, drops: Drops, injected: tuple[str, ...]) -> None:
    """Have every request of the clients of `botocore.client` make a span; one, however often this is called.

    Parameters
    ----------
    module : module
    tracer : Tracer
    drops : Drops
    injected : tuple of str
        Services, by the names that clients are made with, to which the context is sent.
    """
    base: Any = module.BaseClient
    original = base._make_api_call
    if hasattr(original, _MARK):
        return
    requests = _Requests(tracer, drops, frozenset(injected))

    @wraps(original)
    def _make_api_call(self: Any, operation_name: str, api_params: Any) -> Any:
        request = requests.begin(self, operation_name, api_params)
        try:
            answer = original(self, operation_name, request.params if request else api_params)
        except BaseException as error:
            if request:
                requests.fail(request, error)
            # without our frame in it, the stack trace is the one the function would have had without us
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
            raise
        if request:
            requests.succeed(request, answer)
        return answer

    setattr(_make_api_call, _MARK, True)
    base._make_api_call = _make_api_call


class _Client:
    """What all requests of a client have in common."""

    def __init__(self, client: Any) -> None:
        meta = client.meta
        name = meta.service_model.service_name
        self.service = service_of(name)
        self.injectors = self.service.injectors
        self.name = name
        self._service_id = str(meta.service_model.service_id)
        url = urlsplit(meta.endpoint_url)
        common = {
            "rpc.system": "aws-api",
            "rpc.service": self._service_id,
            "cloud.region": meta.region_name,
            "server.address": url.hostname,
            "server.port": url.port or _PORTS.get(url.scheme),
        }
        self._common = {attribute: value for attribute, value in common.items() if value is not None}
        self._operations: dict[str, tuple[str, SpanKind, dict[str, Any]]] = {}

    def of(self, operation: str) -> tuple[str, SpanKind, dict[str, Any]]:
        """Name, kind and attributes of every request of an operation."""
        found = self._operations.get(operation)
        if found is None:
            kind = SpanKind.PRODUCER if operation in self.service.producers else SpanKind.CLIENT
            attributes = {**self._common, "rpc.method": operation}
            found = self._operations[operation] = f"{self._service_id}.{operation}", kind, attributes
        return found


def service_of(name: str) -> Service:
    """What is particular to a service, by the name that its clients are made with."""
    if name in _MODULES:
        own: Service = import_module(f"lambda_otel.aws.{_MODULES[name]}").SERVICE
        return own
    from lambda_otel.aws.others import SERVICES

    return SERVICES.get(name) or Service()


class _Request:
    """A request under way.

    Attributes
    ----------
    params : mapping
        What to send, in place of what the caller gave.
    """

    __slots__ = ("operation", "params", "service", "span", "token")

    def __init__(self, service: Service, operation: str, params: Params, span: Span, token: Any) -> None:
        self.service, self.operation, self.params = service, operation, params
        self.span, self.token = span, token


class _Requests:
    """Begins and ends the spans of requests. None of its own errors reaches the request: the first is told."""

    def __init__(self, tracer: Tracer, drops: Drops, injected: frozenset[str]) -> None:
        self._tracer, self._drops, self._injected = tracer, drops, injected
        self._has_failed = False

    def begin(self, client: Any, operation: str, params: Any) -> _Request | None:
        """Start the span of a request, make it current, and put it into what is sent; None: no span is wanted."""
        try:
            context = get_current()
            if get_value(_SUPPRESS_INSTRUMENTATION_KEY, context) or get_value(_PLAIN_SUPPRESS_KEY, context):
                return None
            known: _Client | None = vars(client).get(_MARK)
            if known is None:
                known = vars(client)[_MARK] = _Client(client)
            title, kind, common = known.of(operation)
            own = known.service.describe(operation, params)
            attributes = {**common, **{name: value for name, value in own.items() if value is not None}}
            span = self._tracer.start_span(title, context, kind, attributes)
            # the HTTP library below is not to make a second span of the same request
            inner = set_span_in_context(span, set_value(_SUPPRESS_HTTP_INSTRUMENTATION_KEY, True, context))
            if known.name in self._injected and operation in known.injectors:
                params = self._with_context(known, operation, params, inner)
            return _Request(known.service, operation, params, span, attach(inner))
        except Exception as error:  # noqa: BLE001  the boundary, as everywhere below
            self._note(error)
            return None

    def _with_context(self, client: _Client, operation: str, params: Params, context: Any) -> Params:
        try:
            fields: dict[str, str] = {}
            inject(fields, context)
            return client.injectors[operation](params, fields, self._drops) if fields else params
        except Exception as error:  # noqa: BLE001
            self._note(error)
            return params

    def succeed(self, request: _Request, answer: Any) -> None:
        """The request was answered."""
        detach(request.token)
        span = request.span
        try:
            if span.is_recording():
                self._answered(span, answer)
                if request.service.conclude is not None:
                    request.service.conclude(span, request.operation, answer)
        except Exception as error:  # noqa: BLE001
            self._note(error)
        span.end()

    def fail(self, request: _Request, error: BaseException) -> None:
        """The request raised: an error that AWS answered, or anything else."""
        detach(request.token)
        span = request.span
        try:
            if span.is_recording():
                self._failed(request, error)
        except Exception as own:  # noqa: BLE001
            self._note(own)
        span.end()

    def _answered(self, span: Span, answer: Any) -> int | None:
        metadata = answer.get("ResponseMetadata") or {}
        status, retries = metadata.get("HTTPStatusCode"), metadata.get("RetryAttempts")
        attributes = {
            "http.response.status_code": status,
            "aws.request_id": metadata.get("RequestId"),
            "aws.extended_request_id": metadata.get("HostId"),
            "http.request.resend_count": retries or None,
        }
        span.set_attributes({name: value for name, value in attributes.items() if value is not None and value != ""})
        return status if isinstance(status, int) else None

    def _failed(self, request: _Request, error: BaseException) -> None:
        span, answer = request.span, getattr(error, "response", None)
        kind: str | None = None
        if isinstance(answer, Mapping):
            status = self._answered(span, answer)
            if _is_plain_no(request, status):
                return
            kind = (answer.get("Error") or {}).get("Code")
        kind = kind or f"{type(error).__module__}.{type(error).__qualname__}"
        span.set_attribute("error.type", kind)
        span.set_status(Status(StatusCode.ERROR, kind))

    def _note(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            # without the error's text, which may quote what the function sends
            _logger.warning("an AWS request has no span, or half of one (%s); this is told once", type(error).__name__)
            _logger.debug("the error", exc_info=error)


def _is_plain_no(request: _Request, status: int | None) -> bool:
    """Whether the caller asked whether something is so, and it is not."""
    if status == 404:
        return request.operation.startswith("Head")
    return status in (304, 412) and any(name.startswith(_CONDITIONS) for name in request.params)
