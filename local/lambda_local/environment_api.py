"""What `AWS_LAMBDA_RUNTIME_API` names: the Runtime, Extensions and Telemetry APIs of one environment, over HTTP."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

from lambda_local._http import Handler, StoppableServer
from lambda_local.extensions_api import ExtensionsSession
from lambda_local.resources import FunctionSpec
from lambda_local.runtime_api import ProtocolError, RuntimeAnswer, RuntimeSession
from lambda_local.telemetry_api import TelemetryFeed


class EnvironmentApi(StoppableServer):
    """Serves the sessions of one start of an environment at `address`.

    Parameters
    ----------
    function : FunctionSpec
    runtime : RuntimeSession
    extensions : ExtensionsSession
    telemetry : TelemetryFeed
    on_subscribed : callable
        Gets an extension's name and the types of its subscription.
    host : str
        The environment's own address.
    """

    def __init__(
        self,
        function: FunctionSpec,
        runtime: RuntimeSession,
        extensions: ExtensionsSession,
        telemetry: TelemetryFeed,
        *,
        on_subscribed: Callable[[str, tuple[str, ...]], None],
        host: str,
    ) -> None:
        self.function = function
        self.runtime = runtime
        self.extensions = extensions
        self.telemetry = telemetry
        self.on_subscribed = on_subscribed
        super().__init__(_Handler, host)


class _Handler(Handler):
    server: EnvironmentApi

    def handle_request(self) -> None:
        began_s = time.monotonic()
        body = self.read_body()
        try:
            for route_method, pattern, action in _ROUTES:
                match = pattern.fullmatch(self.path)
                if match and self.command == route_method:
                    action(self, body, began_s, *match.groups())
                    return
            raise ProtocolError(404, "NotFound", f"no such path: {self.command} {self.path}")
        except ProtocolError as error:
            self.reply_json(error.status, {"errorMessage": str(error), "errorType": error.error_type})

    # The Runtime API.

    def _next(self, _body: bytes, _began_s: float) -> None:
        taken = self.server.runtime.next()
        if taken is None:
            self.close_connection = True
            return
        invocation, headers = taken
        self.reply(200, invocation.payload, headers)

    def _respond(self, body: bytes, began_s: float, request_id: str) -> None:
        self.server.runtime.post_answer(request_id, RuntimeAnswer(body, None, began_s, time.monotonic()))
        self._accept()

    def _fail(self, body: bytes, began_s: float, request_id: str) -> None:
        self.server.runtime.post_answer(request_id, self._error(body, began_s))
        self._accept()

    def _fail_init(self, body: bytes, began_s: float) -> None:
        self.server.runtime.post_init_error(self._error(body, began_s))
        self._accept()

    def _error(self, body: bytes, began_s: float) -> RuntimeAnswer:
        error_type = self.headers.get("Lambda-Runtime-Function-Error-Type") or _error_type(body)
        return RuntimeAnswer(body, error_type, began_s, time.monotonic())

    # The Extensions API.

    def _register(self, body: bytes, _began_s: float) -> None:
        name = self.headers.get("Lambda-Extension-Name")
        if not name:
            raise ProtocolError(403, "Extension.InvalidExtensionName", "the header `Lambda-Extension-Name` is missing")
        extension = self.server.extensions.register(name, _event_kinds(body))
        function = self.server.function
        content = {"functionName": function.name, "functionVersion": "$LATEST", "handler": function.handler}
        features = self.headers.get("Lambda-Extension-Accept-Feature", "")
        if "accountId" in (feature.strip() for feature in features.split(",")):
            content["accountId"] = function.arn.split(":")[4]
        self.reply_json(200, content, {"Lambda-Extension-Identifier": extension.identifier})

    def _next_event(self, _body: bytes, _began_s: float) -> None:
        identifier = self._identifier()
        event = self.server.extensions.next(identifier)
        if event is None:
            self.close_connection = True
            return
        self.reply_json(200, event, {"Lambda-Extension-Event-Identifier": identifier})

    def _fail_extension(self, _body: bytes, _began_s: float, phase: str) -> None:
        error_type = self.headers.get("Lambda-Extension-Function-Error-Type")
        if not error_type:
            message = "the header `Lambda-Extension-Function-Error-Type` is missing"
            raise ProtocolError(403, "Extension.MissingHeader", message)
        self.server.extensions.fail(self._identifier(), f"Extension.{phase.title()}Error", error_type)
        self._accept()

    # The Telemetry API.

    def _subscribe(self, body: bytes, _began_s: float) -> None:
        extension = self.server.extensions.named(self._identifier())
        if extension is None:
            raise ProtocolError(403, "Extension.UnknownExtensionIdentifier", "no such extension")
        if not self.server.telemetry.is_supported:
            # What emulators answer: a client must understand it as no.
            content = {"errorType": "Telemetry.NotSupported", "errorMessage": "Telemetry API is not supported"}
            self.reply_json(202, content)
            return
        subscription = self.server.telemetry.subscribe(extension.name, body)
        self.server.on_subscribed(extension.name, subscription.types)
        self.reply(200, b"OK", {"Content-Type": "text/plain"})

    def _identifier(self) -> str:
        return str(self.headers.get("Lambda-Extension-Identifier") or "")

    def _accept(self) -> None:
        self.reply_json(202, {"status": "OK"})


def _error_type(body: bytes) -> str:
    """The type an error tells of itself: the Python runtime leaves the header out."""
    try:
        return str(json.loads(body)["errorType"])
    except (ValueError, KeyError, TypeError):
        return "Unhandled"


def _event_kinds(body: bytes) -> list[str]:
    try:
        events = json.loads(body or b"{}").get("events") or []
    except (ValueError, AttributeError) as exc:
        raise ProtocolError(403, "InvalidRequestFormat", "expected an object with `events`") from exc
    if not isinstance(events, list) or not all(isinstance(event, str) for event in events):
        raise ProtocolError(403, "InvalidRequestFormat", f"`events` is `{events}`; expected a list of names")
    return events


_EXTENSION = "/2020-01-01/extension"
_ROUTES: tuple[tuple[str, re.Pattern[str], Callable[..., Any]], ...] = (
    ("GET", re.compile(r"/2018-06-01/runtime/invocation/next"), _Handler._next),
    ("POST", re.compile(r"/2018-06-01/runtime/invocation/([^/]+)/response"), _Handler._respond),
    ("POST", re.compile(r"/2018-06-01/runtime/invocation/([^/]+)/error"), _Handler._fail),
    ("POST", re.compile(r"/2018-06-01/runtime/init/error"), _Handler._fail_init),
    ("POST", re.compile(f"{_EXTENSION}/register"), _Handler._register),
    ("GET", re.compile(f"{_EXTENSION}/event/next"), _Handler._next_event),
    ("POST", re.compile(f"{_EXTENSION}/(init|exit)/error"), _Handler._fail_extension),
    ("PUT", re.compile(r"/2022-07-01/telemetry/?"), _Handler._subscribe),
)
