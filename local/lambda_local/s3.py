"""S3 on this machine: moto behind an HTTP endpoint that behaves like S3 where moto does not.

Put right: events come after the object is complete, one for a multipart upload, with every field, the key's slashes
kept, and sequencers that order them; conditional writes are atomic; an upload that breaks off stores nothing; a wrong
`Content-MD5` is refused, and so is more user metadata than S3 takes; a missing key is `AccessDenied` to who may not
list. The notifications are the template's; `PutBucketNotificationConfiguration` is refused.
"""

import base64
import hashlib
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from lambda_local._http import Handler, StoppableServer, reset_at_close
from lambda_local.notifications import S3Event
from lambda_local.resources import BucketSpec
from lambda_local.s3_faults import Fault, Faults, S3Request

if TYPE_CHECKING:
    from lambda_local._moto import Happening

_logger = logging.getLogger(__name__)
_CALLER = re.compile(r"Credential=([^/]+)/")
_METADATA_PREFIX = "x-amz-meta-"
_MAX_METADATA_BYTES = 2048
_XML = {"Content-Type": "application/xml"}
_MESSAGES = {
    "AccessDenied": "Access Denied",
    "BadDigest": "The Content-MD5 you specified did not match what we received.",
    "MetadataTooLarge": "Your metadata headers exceed the maximum allowed metadata size",
    "InternalError": "We encountered an internal error. Please try again.",
    "SlowDown": "Please reduce your request rate.",
    "NotImplemented": "Notifications are those of the template; they cannot be configured here.",
}


class S3Endpoint:
    """An S3 endpoint, of which a process can have one at a time.

    Parameters
    ----------
    on_event : callable
        Called with each event of an object, in the thread of its request, before the request is answered.
    region : str
    host : str
    port : int
        0: any free one.
    missing_key_is_403 : bool
        Answer for a missing key as S3 does to who has no `s3:ListBucket`; else 404.

    Attributes
    ----------
    faults : Faults
        What goes wrong on purpose.
    """

    def __init__(
        self,
        on_event: Callable[[S3Event], None],
        *,
        region: str = "us-east-1",
        host: str = "127.0.0.1",
        port: int = 0,
        missing_key_is_403: bool = False,
    ) -> None:
        from lambda_local._moto import MotoS3

        self.faults = Faults()
        self.region = region
        self._on_event = on_event
        self._missing_key_is_403 = missing_key_is_403
        self._sequence = 0
        self._sequence_lock = threading.Lock()
        self._stopping = threading.Event()
        self._moto = MotoS3(region)
        try:
            self._server = _S3Server(self, host, port)
        except OSError:
            self._moto.close()
            raise

    @property
    def url(self) -> str:
        """What clients are given as `endpoint_url`."""
        return f"http://{self._server.address}"

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    def stop(self) -> None:
        """Stop serving and forget all objects."""
        self._stopping.set()
        self._server.stop()
        self._moto.close()

    def create_bucket(self, spec: BucketSpec) -> None:
        """Make a bucket."""
        self._moto.create_bucket(spec)

    def client(self, caller: str = "local-user") -> Any:
        """A boto3 client of this endpoint; `caller` is its access key id."""
        from boto3.session import Session

        return Session(region_name=self.region).client(
            "s3", endpoint_url=self.url, aws_access_key_id=caller, aws_secret_access_key=caller
        )

    # In the threads of requests.

    def serve(self, handler: "_S3Handler") -> None:
        """Read, handle and answer one request."""
        body = handler.read_body()  # the whole of it first, so that one that breaks off has no effect
        request = _request_of(handler)
        fault = self.faults.chosen(request)
        if fault is not None:
            if fault.is_after_effect:
                self._handle(handler, request, body, _new_ids())
            self._fail(handler, fault)
            return
        ids = _new_ids()
        status, headers, content = self._handle(handler, request, body, ids)
        handler.reply(status, content, headers | ids)

    def _handle(
        self, handler: "_S3Handler", request: S3Request, body: bytes, ids: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        if request.method == "PUT" and "notification" in request.query:
            return _error(501, "NotImplemented")
        expected_md5 = handler.headers.get("Content-MD5")
        if (
            expected_md5
            and "aws-chunked" not in handler.headers.get("Content-Encoding", "")
            and expected_md5 != _md5(body)
        ):
            return _error(400, "BadDigest")
        if _metadata_bytes(handler) > _MAX_METADATA_BYTES:
            return _error(400, "MetadataTooLarge")
        try:
            response = self._moto.call(
                request.method, handler.path, handler.headers.items(), body, handler.client_address[0]
            )
        except Exception:  # a fault of moto's is S3's internal error
            _logger.exception("moto failed on %s %s", request.method, handler.path)
            return _error(500, "InternalError")
        for happening in response.happenings:
            self._on_event(self._event(happening, request, ids, handler.client_address[0]))
        is_missing_key = response.status == 404 and request.key and self._moto.has_bucket(request.bucket)
        if is_missing_key and request.method in ("GET", "HEAD") and self._missing_key_is_403:
            return _error(403, "AccessDenied")
        # Told by `x-amz-request-id`, which the event of the request bears too.
        headers = {name: value for name, value in response.headers.items() if name.lower() != "x-amzn-requestid"}
        return response.status, headers, response.body

    def _event(self, happening: "Happening", request: S3Request, ids: dict[str, str], client: str) -> S3Event:
        return S3Event(
            name=happening.name,
            bucket=happening.bucket,
            key=happening.key,
            size_bytes=happening.size_bytes,
            etag=happening.etag,
            version_id=happening.version_id,
            sequencer=self._next_sequencer(),
            at=datetime.now(UTC),
            request_id=ids["x-amz-request-id"],
            extended_request_id=ids["x-amz-id-2"],
            source_ip=client,
            principal=request.caller,
        )

    def _next_sequencer(self) -> str:
        # By the clock, so that the order also holds between one run of the service and the next.
        with self._sequence_lock:
            self._sequence = max(self._sequence + 1, time.time_ns())
            return f"{self._sequence:018X}"

    def _fail(self, handler: "_S3Handler", fault: Fault) -> None:
        if fault.hang_s:
            self._stopping.wait(fault.hang_s)
        if fault.status:
            status, headers, content = _error(fault.status, fault.code)
            handler.reply(status, content, headers | _new_ids())
        else:
            reset_at_close(handler.connection)
            handler.close_connection = True


class _S3Server(StoppableServer):
    def __init__(self, endpoint: S3Endpoint, host: str, port: int) -> None:
        self.endpoint = endpoint
        super().__init__(_S3Handler, host, port)


class _S3Handler(Handler):
    server: _S3Server

    def handle_request(self) -> None:
        self.server.endpoint.serve(self)


def _request_of(handler: _S3Handler) -> S3Request:
    path, _, query = handler.path.partition("?")
    bucket, _, key = path.lstrip("/").partition("/")
    caller = _CALLER.search(handler.headers.get("Authorization", ""))
    return S3Request(
        method=handler.command,
        bucket=unquote(bucket),
        key=unquote(key),
        query=dict(parse_qsl(query, keep_blank_values=True)),
        caller=caller.group(1) if caller else "anonymous",
    )


def _metadata_bytes(handler: _S3Handler) -> int:
    """Size of the user metadata, names without their prefix."""
    # The characters of a header are its bytes: it was read as Latin-1, whatever the client meant by it.
    return sum(
        len(name) - len(_METADATA_PREFIX) + len(value)
        for name, value in handler.headers.items()
        if name.lower().startswith(_METADATA_PREFIX)
    )


def _new_ids() -> dict[str, str]:
    extended = base64.b64encode(secrets.token_bytes(56)).decode()
    return {"x-amz-request-id": secrets.token_hex(8).upper(), "x-amz-id-2": extended}


def _error(status: int, code: str) -> tuple[int, dict[str, str], bytes]:
    error = f"<Error><Code>{escape(code)}</Code><Message>{escape(_MESSAGES.get(code, code))}</Message></Error>"
    return status, dict(_XML), f'<?xml version="1.0" encoding="UTF-8"?>\n{error}'.encode()


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
