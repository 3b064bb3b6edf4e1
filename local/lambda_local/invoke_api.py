"""Lambda's Invoke API over HTTP, for boto3 and the AWS CLI with `endpoint_url`."""

import base64
import binascii
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote

from lambda_local._http import Handler, StoppableServer
from lambda_local.errors import FunctionNotFoundError, PayloadError, ServiceStoppedError, ThrottledError

_PATH = re.compile(r"/2015-03-31/functions/([^/?]+)/invocations(?:\?.*)?")
# `name`, `name:qualifier`, `account:function:name`, or an ARN, whole or with a qualifier.
_NAME = re.compile(r"(?:(?:arn:aws[\w-]*:lambda:[\w-]+:)?\d{12}:function:)?([A-Za-z0-9_-]+)(?::[A-Za-z0-9$_-]+)?")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InvokeResult:
    """The answer to a synchronous invocation.

    Attributes
    ----------
    status_code : int
        200 whenever the function ran, also when it failed.
    payload : bytes
        The function's response, or an error object.
    function_error : str or None
        `Unhandled` when it failed.
    request_id : str
    log_tail : bytes
        The last 4 KiB of its log, when asked for.
    """

    status_code: int
    payload: bytes
    function_error: str | None
    request_id: str
    log_tail: bytes = b""


class Invoker(Protocol):
    """What the API needs of the service."""

    def invoke(
        self,
        function: str,
        payload: bytes,
        *,
        client_context: str | None = None,
        trace_id: str | None = None,
        needs_log: bool = False,
    ) -> InvokeResult:
        """Run a function and wait for its answer."""

    def invoke_async(self, function: str, payload: bytes, *, trace_id: str | None = None) -> str:
        """Queue an event for a function."""

    def check_payload(self, function: str, payload: bytes, *, is_async: bool) -> None:
        """Raise what an invocation would be refused with."""


class InvokeApi(StoppableServer):
    """Serves the API at `address`; requests for anything else are told that it is not emulated."""

    def __init__(self, invoker: Invoker, host: str, port: int) -> None:
        self.invoker = invoker
        super().__init__(_InvokeHandler, host, port)


class _RefusalError(Exception):
    def __init__(self, status: int, error_type: str, message: str, **fields: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.fields = fields


class _InvokeHandler(Handler):
    server: InvokeApi

    def handle_request(self) -> None:
        try:
            self._invoke(self.read_body())
        except _RefusalError as refusal:
            self._refuse(refusal)
        except ConnectionError:
            raise
        except Exception:  # the boundary: a client gets an answer whatever happens
            _logger.exception("request failed: %s %s", self.command, self.path)
            self._refuse(_RefusalError(500, "ServiceException", "the local Lambda service failed; its log says why"))

    def _invoke(self, payload: bytes) -> None:
        match = _PATH.fullmatch(self.path)
        if match is None or self.command != "POST":
            # 400 and not 501, as SDKs would retry that.
            message = f"only S3 and the invocation of functions are emulated, not `{self.command} {self.path}`"
            raise _RefusalError(400, "NotEmulatedException", message)
        named = _NAME.fullmatch(unquote(match.group(1)))
        if named is None:
            raise _RefusalError(
                400, "ValidationException", f"`{unquote(match.group(1))}` is not the name of a function"
            )
        function, kind = named.group(1), self.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        actions: dict[str, Callable[[str, bytes], None]] = {
            "RequestResponse": self._invoke_sync,
            "Event": self._invoke_async,
            "DryRun": self._invoke_dry,
        }
        if kind not in actions:
            raise _RefusalError(400, "InvalidParameterValueException", f"`{kind}` is not an invocation type")
        try:
            actions[kind](function, payload or b"{}")
        except FunctionNotFoundError as exc:
            raise _RefusalError(404, "ResourceNotFoundException", str(exc), Type="User") from exc
        except ThrottledError as exc:
            raise _RefusalError(
                429, "TooManyRequestsException", "Rate Exceeded.", Type="User", Reason=exc.reason
            ) from exc
        except PayloadError as exc:
            status, kind = (
                (413, "RequestTooLargeException") if exc.is_too_large else (400, "InvalidRequestContentException")
            )
            raise _RefusalError(status, kind, str(exc), Type="User") from exc
        except ServiceStoppedError as exc:
            raise _RefusalError(503, "ServiceUnavailableException", str(exc)) from exc

    def _invoke_sync(self, function: str, payload: bytes) -> None:
        needs_log = self.headers.get("X-Amz-Log-Type") == "Tail"
        result = self.server.invoker.invoke(
            function,
            payload,
            client_context=self._client_context(),
            trace_id=self.headers.get("X-Amzn-Trace-Id"),
            needs_log=needs_log,
        )
        headers = {
            "Content-Type": "application/json",
            "X-Amz-Executed-Version": "$LATEST",
            "x-amzn-RequestId": result.request_id,
        }
        if result.function_error is not None:
            headers["X-Amz-Function-Error"] = result.function_error
        if needs_log:
            headers["X-Amz-Log-Result"] = base64.b64encode(result.log_tail).decode()
        self.reply(result.status_code, result.payload, headers)

    def _invoke_async(self, function: str, payload: bytes) -> None:
        request_id = self.server.invoker.invoke_async(function, payload, trace_id=self.headers.get("X-Amzn-Trace-Id"))
        self.reply(202, b"", {"x-amzn-RequestId": request_id})

    def _invoke_dry(self, function: str, payload: bytes) -> None:
        self.server.invoker.check_payload(function, payload, is_async=False)
        self.reply(204)

    def _client_context(self) -> str | None:
        encoded = self.headers.get("X-Amz-Client-Context")
        if encoded is None:
            return None
        try:
            return base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as exc:
            raise _RefusalError(
                400, "InvalidRequestContentException", "the client context is not base64 of UTF-8"
            ) from exc

    def _refuse(self, refusal: _RefusalError) -> None:
        # `__type` is where clients of other services look, which are told that these are not emulated.
        content = {"message": str(refusal), "Message": str(refusal), "__type": refusal.error_type, **refusal.fields}
        self.reply_json(refusal.status, content, {"x-amzn-ErrorType": refusal.error_type})
