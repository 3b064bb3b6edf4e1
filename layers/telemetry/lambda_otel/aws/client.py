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
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,
    _SUPPRESS_INSTRUMENTATION_KEY,
    Context,
    attach,
    detach,
    get_current,
)
from opentelemetry.propagate import inject
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation import _SPAN_KEY

from lambda_otel.aws._service import Injector, Params, Service
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
# what an answer's metadata says, if it says anything
_ANSWERED = {
    "HTTPStatusCode": "http.response.status_code",
    "RequestId": "aws.request_id",
    "HostId": "aws.extended_request_id",
    "RetryAttempts": "http.request.resend_count",
}
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


class _Operation(NamedTuple):
    """What all requests of one operation of a client have in common.

    Attributes
    ----------
    name : str
    service : Service
    title : str
        The name of their spans.
    kind : SpanKind
    attributes : dict
    injector : callable or None
        What puts a context into their parameters, where that is wanted.
    """

    name: str
    service: Service
    title: str
    kind: SpanKind
    attributes: dict[str, Any]
    injector: Injector | None


class _Client:
    """What all requests of a client have in common."""

    def __init__(self, client: Any, injected: frozenset[str]) -> None:
        meta = client.meta
        name = meta.service_model.service_name
        self._service = service_of(name)
        self._injectors = self._service.injectors if name in injected else {}
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
        self._operations: dict[str, _Operation] = {}

    def of(self, name: str) -> _Operation:
        """What is known of an operation."""
        found = self._operations.get(name)
        if found is None:
            service = self._service
            found = self._operations[name] = _Operation(
                name,
                service,
                f"{self._service_id}.{name}",
                SpanKind.PRODUCER if name in service.producers else SpanKind.CLIENT,
                {**self._common, "rpc.method": name},
                self._injectors.get(name),
            )
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

    __slots__ = ("operation", "params", "span", "token")

    def __init__(self, operation: _Operation, params: Params, span: Span, token: Any) -> None:
        self.operation, self.params, self.span, self.token = operation, params, span, token


class _Requests:
    """Begins and ends the spans of requests. None of its own errors reaches the request: the first is told."""

    def __init__(self, tracer: Tracer, drops: Drops, injected: frozenset[str]) -> None:
        self._tracer, self._drops, self._injected = tracer, drops, injected
        self._has_failed = False

    def begin(self, client: Any, name: str, params: Any) -> _Request | None:
        """Start the span of a request, make it current, and put it into what is sent; None: no span is wanted."""
        try:
            context = get_current()
            if context.get(_SUPPRESS_INSTRUMENTATION_KEY) or context.get(_PLAIN_SUPPRESS_KEY):
                return None
            known: _Client | None = vars(client).get(_MARK)
            if known is None:
                known = vars(client)[_MARK] = _Client(client, self._injected)
            operation = known.of(name)
            attributes = operation.attributes.copy()
            for attribute, value in operation.service.describe(name, params).items():
                if value is not None:
                    attributes[attribute] = value
            span = self._tracer.start_span(operation.title, context, operation.kind, attributes)
            # the HTTP library below is not to make a second span of the same request
            inner = Context({**context, _SPAN_KEY: span, _SUPPRESS_HTTP_INSTRUMENTATION_KEY: True})
            if operation.injector is not None:
                params = self._with_context(operation.injector, params, inner)
            return _Request(operation, params, span, attach(inner))
        except Exception as error:  # noqa: BLE001  the boundary, as everywhere below
            self._note(error)
            return None

    def _with_context(self, injector: Injector, params: Params, context: Context) -> Params:
        try:
            fields: dict[str, str] = {}
            inject(fields, context)
            return injector(params, fields, self._drops) if fields else params
        except Exception as error:  # noqa: BLE001
            self._note(error)
            return params

    def succeed(self, request: _Request, answer: Any) -> None:
        """The request was answered."""
        detach(request.token)
        span, operation = request.span, request.operation
        try:
            if span.is_recording():
                self._answered(span, answer)
                if operation.service.conclude is not None:
                    operation.service.conclude(span, operation.name, answer)
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
        status = metadata.get("HTTPStatusCode")
        span.set_attributes(
            {attribute: value for field, attribute in _ANSWERED.items() if (value := metadata.get(field))}
        )
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
        return request.operation.name.startswith("Head")
    return status in (304, 412) and any(name.startswith(_CONDITIONS) for name in request.params)
