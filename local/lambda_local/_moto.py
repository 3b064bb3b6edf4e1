"""moto's S3, called in this process: one request at a time, with what happened to objects noted beside the answer.

What moto does differently from S3 is put right here and in `s3.py`; tests/integration/lambda_local/test_s3.py shows
each fault in plain moto. Importing this module imports moto, which takes a while: only `s3.py` does, when an endpoint
is made.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import unquote

from moto.backends import get_backend
from moto.core.request import PRESERVED_HEADER_NAMES_ENVIRON_KEY
from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3 import notifications
from moto.s3.exceptions import S3ClientError

from lambda_local.errors import LambdaLocalError, TemplateError
from lambda_local.resources import BucketSpec

_ACCOUNT_ID = "123456789012"  # moto's own
_in_use = threading.Lock()


@dataclass(frozen=True)
class Happening:
    """Something that a request did to an object: `ObjectCreated:Put` and the like."""

    name: str
    bucket: str
    key: str
    size_bytes: int
    etag: str
    version_id: str | None


@dataclass(frozen=True)
class MotoResponse:
    """An answer of moto's, and what its request did."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    happenings: tuple[Happening, ...]


class MotoS3:
    """moto's S3 backend.

    moto keeps its state in globals, so there can be one at a time in a process.

    Raises
    ------
    LambdaLocalError
        There is another.
    """

    def __init__(self, region: str) -> None:
        if not _in_use.acquire(blocking=False):
            raise LambdaLocalError("this process already has an S3 endpoint; moto cannot hold two apart")
        self._region = region
        # One request at a time makes each of them atomic: an object appears with its metadata, a conditional write
        # checks and writes undisturbed, a listing is not torn. moto is pure Python, so little would run side by side
        # anyway.
        self._lock = threading.Lock()
        self._noted = threading.local()
        self._backends: Any = get_backend("s3")
        self._app = create_backend_app("s3")
        self._send_event = notifications.send_event
        notifications.send_event = self._note

    def close(self) -> None:
        """Forget all objects and leave moto as it was."""
        notifications.send_event = self._send_event
        with self._lock:
            self._backends.reset()
        _in_use.release()

    def create_bucket(self, spec: BucketSpec) -> None:
        """Make a bucket.

        Raises
        ------
        TemplateError
            There is one already, or the name is not one S3 would take.
        """
        with self._lock:
            backend = self._backends[_ACCOUNT_ID]["aws"]
            try:
                backend.create_bucket(spec.name, self._region)
            except S3ClientError as exc:
                raise TemplateError(f"bucket `{spec.name}` cannot be made: {exc}") from exc
            if spec.is_versioned:
                backend.put_bucket_versioning(spec.name, "Enabled")

    def has_bucket(self, name: str) -> bool:
        """Whether there is a bucket of that name."""
        return bool(name in self._backends.bucket_accounts)

    def call(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes, client: str
    ) -> MotoResponse:
        """Handle one request.

        Parameters
        ----------
        method, target : str
            As in the request line.
        headers : iterable of (str, str)
        body : bytes
            Without transfer encoding.
        client : str
            Address of the client.
        """
        started: dict[str, Any] = {}

        def start_response(status: str, response_headers: list[tuple[str, str]], *_: Any) -> Any:
            started.update(status=int(status.split(maxsplit=1)[0]), headers=dict(response_headers))

        environ = _wsgi_environ(method, target, headers, body, client)
        with self._lock:
            noted: list[tuple[str, Any, Any]] = []
            self._noted.items = noted
            try:
                content = b"".join(self._app(environ, start_response))
            finally:
                del self._noted.items
            # Only now is an object complete: moto notifies before it stores the metadata.
            happenings = _happenings(noted)
        return MotoResponse(started["status"], started["headers"], content, happenings)

    def _note(self, account_id: str, event_name: Any, bucket: Any, key: Any) -> None:
        """Stands in for moto's `send_event`."""
        items = getattr(self._noted, "items", None)
        if items is None:  # someone else uses moto in this process
            self._send_event(account_id, event_name, bucket, key)
        elif key is not None:
            items.append((event_name.value.removeprefix("s3:"), bucket, key))


def _happenings(noted: list[tuple[str, Any, Any]]) -> tuple[Happening, ...]:
    names = {name for name, _, _ in noted}
    # A multipart upload is one event; moto tells of the `Put` it is made of as well.
    is_multipart = "ObjectCreated:CompleteMultipartUpload" in names
    return tuple(
        Happening(
            name=name,
            bucket=bucket.name,
            key=key.name,
            size_bytes=key.size,
            etag=key.etag.strip('"'),
            version_id=None if key.version_id in (None, "null") else key.version_id,
        )
        for name, bucket, key in noted
        if name.startswith(("ObjectCreated:", "ObjectRemoved:")) and not (is_multipart and name == "ObjectCreated:Put")
    )


def _wsgi_environ(
    method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes, client: str
) -> dict[str, Any]:
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path).encode().decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": target,
        "REQUEST_URI": target,
        "REMOTE_ADDR": client,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    spellings = {}
    for name, value in headers:
        field = "HTTP_" + name.upper().replace("-", "_")
        environ[field] = f"{environ[field]},{value}" if field in environ else value
        if "_" in name:  # WSGI cannot tell `x-amz-meta-a_b` from `x-amz-meta-a-b`; moto looks here
            spellings[field] = name
    environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = spellings
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    return environ
