"""The one request that the extension signs itself is one that S3 takes: moto and other local S3s do not look."""

from __future__ import annotations

import http.client
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .brief_lambda import BriefLambda
from .reconcile import count_spans, read_bundle
from .sink import ExportTraceServiceRequest
from .verifying_s3 import SignatureError, VerifyingS3, verify

REGION = "eu-west-1"
RIGHT = Credentials("an-id", "a/secret+with=signs", "a-token/of+a=session")
# An address of this run alone, since the extension listens on ports that are always the same.
HOST = f"127.77.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"


@pytest.fixture
def s3() -> Iterator[VerifyingS3]:
    server = VerifyingS3(RIGHT, REGION)
    yield server
    server.close()


@pytest.fixture
def platform() -> Iterator[BriefLambda]:
    server = BriefLambda()
    yield server
    server.close()


@pytest.fixture
def end_with_backend_down(
    extension: Path, platform: BriefLambda, s3: VerifyingS3, tmp_path: Path
) -> Callable[..., str]:
    """The life of an extension that takes one span and cannot deliver it; what it printed."""

    def live(credentials: Credentials, bucket: str = "telemetry-of-ours", function: str = "a-function_1") -> str:
        variables = {
            "AWS_LAMBDA_RUNTIME_API": platform.address,
            "AWS_LAMBDA_FUNCTION_NAME": function,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_SESSION_TOKEN": credentials.token,
            "AWS_ENDPOINT_URL_S3": s3.url,
            "AWS_SAM_LOCAL": "true",
            "OTEL_LAMBDA_COLLECTOR_HOST": HOST,
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
            "OTEL_LAMBDA_HANDOFF_URI": f"s3://{bucket}/telemetry",
            "OTEL_LAMBDA_SPOOL_DIR": str(tmp_path / "spool"),
        }
        process = subprocess.Popen(
            [extension], env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            assert platform.is_waiting.wait(10)
            connection = http.client.HTTPConnection(HOST, 4318, timeout=5)
            request = ExportTraceServiceRequest()
            request.resource_spans.add().scope_spans.add().spans.add(
                name="kept", trace_id=b"1" * 16, span_id=b"12345678", start_time_unix_nano=1, end_time_unix_nano=2
            )
            connection.request(
                "POST", "/v1/traces", request.SerializeToString(), {"Content-Type": "application/x-protobuf"}
            )
            assert connection.getresponse().status == 200
            connection.close()
            platform.is_over.set()
            return process.communicate(timeout=10)[0]
        finally:
            process.kill()

    return live


def test_object_is_signed_as_s3_wants_it(end_with_backend_down, s3):
    printed = end_with_backend_down(RIGHT)

    assert s3.refusals == [], printed
    ((path, content),) = s3.objects.items()
    assert path.startswith("/telemetry-of-ours/telemetry/a-function_1/")
    assert count_spans(read_bundle(content)[1])[b"12345678".hex()] == 1


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (Credentials("an-id", "another secret", RIGHT.token), "SignatureDoesNotMatch"),
        (Credentials("another-id", RIGHT.secret_key, RIGHT.token), "InvalidAccessKeyId"),
        (Credentials("an-id", RIGHT.secret_key, "another-token"), "InvalidToken"),
    ],
    ids=["secret", "id", "token"],
)
def test_wrong_credentials_are_refused_and_said_once(end_with_backend_down, s3, wrong, code):
    printed = end_with_backend_down(wrong)

    assert set(s3.refusals) == {code}
    assert s3.objects == {}
    assert printed.count(code) == 1
    assert "another" not in printed, "no credential is printed"


def test_verification_takes_what_botocore_signs_and_nothing_changed():
    request = AWSRequest("PUT", "http://s3.local/bucket/a/key.gz", headers={"Content-Type": "x"}, data=b"content")
    S3SigV4Auth(RIGHT, "s3", REGION).add_auth(request)
    headers = {name.lower(): value for name, value in request.headers.items()} | {"host": "s3.local"}

    def check(path="/bucket/a/key.gz", body=b"content", **changed):
        sent = headers | {name.replace("_", "-"): value for name, value in changed.items()}
        verify("PUT", "s3.local", path, sent, body, RIGHT, REGION)

    check()
    for change in (
        {"path": "/bucket/a/other.gz"},
        {"body": b"other"},
        {"content_type": "y"} if "content-type" in headers["authorization"] else {"path": "/"},
        {"x_amz_date": "20200101T000000Z"},
        {"authorization": headers["authorization"].replace(REGION, "us-east-1")},
        {"authorization": headers["authorization"][:-1] + ("0" if headers["authorization"][-1] != "0" else "1")},
        {"authorization": ""},
    ):
        with pytest.raises(SignatureError):
            check(**change)
