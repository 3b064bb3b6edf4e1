"""A bucket that checks signatures as S3 does, by botocore's own account of what is to be signed."""

from __future__ import annotations

import datetime
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<id>[^/]+)/(?P<scope>[^,]+), ?SignedHeaders=(?P<signed>[^,]+), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_MAX_SKEW = datetime.timedelta(minutes=15)


class SignatureError(Exception):
    """What S3 would refuse, and its code for it."""


def verify(
    method: str, host: str, path: str, headers: dict[str, str], body: bytes, credentials: Credentials, region: str
) -> None:
    """Recompute the signature of a request.

    Raises
    ------
    SignatureError
    """
    match = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if match is None:
        raise SignatureError("AuthorizationHeaderMalformed")
    signed = match["signed"].split(";")
    sent_at = headers.get("x-amz-date", "")
    if not {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed) or sorted(signed) != signed:
        raise SignatureError("AccessDenied")
    if credentials.token and (
        "x-amz-security-token" not in signed or headers["x-amz-security-token"] != credentials.token
    ):
        raise SignatureError("InvalidToken")
    if match["id"] != credentials.access_key:
        raise SignatureError("InvalidAccessKeyId")
    if match["scope"] != f"{sent_at[:8]}/{region}/s3/aws4_request":
        raise SignatureError("AuthorizationHeaderMalformed")
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.strptime(f"{sent_at}+0000", "%Y%m%dT%H%M%SZ%z")
    if abs(age) > _MAX_SKEW:
        raise SignatureError("RequestTimeTooSkewed")
    if hashlib.sha256(body).hexdigest() != headers["x-amz-content-sha256"]:
        raise SignatureError("XAmzContentSHA256Mismatch")
    request = AWSRequest(method, f"http://{host}{path}", headers={name: headers[name] for name in signed}, data=body)
    request.context["timestamp"] = sent_at
    auth = S3SigV4Auth(credentials, "s3", region)
    ours = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    if ours != match["signature"]:
        raise SignatureError("SignatureDoesNotMatch")


class VerifyingS3:
    """Takes objects, addressed by path, from whoever signs with the right credentials."""

    def __init__(self, credentials: Credentials, region: str) -> None:
        self.objects: dict[str, bytes] = {}
        self.refusals: list[str] = []
        s3 = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): " ".join(value.split()) for name, value in self.headers.items()}
                try:
                    verify("PUT", headers["host"], self.path, headers, body, credentials, region)
                except SignatureError as error:
                    s3.refusals.append(str(error))
                    self._reply(403, f"<Error><Code>{error}</Code></Error>".encode())
                    return
                s3.objects[self.path] = body
                self._reply(200, b"")

            def _reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
