"""Scans to a bucket, with the trace and the baggage that their processing is to continue."""

import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from opentelemetry import baggage, propagate
from opentelemetry import context as otel_context
from opentelemetry.trace import SpanKind, StatusCode

from neuro_cli.dataset import LocalScan
from neuro_cli.deployed.aws import told_as_errors
from neuro_cli.deployed.runs import run_id_of_version
from neuro_cli.errors import CliError
from pipeline import telemetry
from pipeline.keys import telemetry_key

# S3's limit on user metadata, names and values together, less room for the fields that the functions add to what they
# pass on: about 200 bytes.
_S3_METADATA_BYTES = 2048
_MAX_METADATA_BYTES = 1800
OnBytes = Callable[[int], None]


@dataclass(frozen=True)
class Uploaded:
    """A scan in the bucket.

    Attributes
    ----------
    file, bucket, key : str
    version_id : str or None
        None in a bucket without versions, or whose objects one may not read.
    """

    file: str
    bucket: str
    key: str
    version_id: str | None

    @property
    def run_id(self) -> str | None:
        """Id of the run that the upload begins; None where the version is not known, since the event alone says it."""
        return None if self.version_id is None else run_id_of_version(self.bucket, self.key, self.version_id)

    @property
    def uri(self) -> str:
        """`s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"uri": self.uri, "run_id": self.run_id}


def upload_scan(
    s3: Any, scan: LocalScan, bucket: str, *, prefix: str = "", on_bytes: OnBytes | None = None
) -> Uploaded:
    """Upload a file, in parts where it is large.

    The current trace context and baggage travel in the object's user metadata, and its processing goes on in them.

    Parameters
    ----------
    s3 : boto3 client
    scan : LocalScan
    bucket : str
    prefix : str
        Before the scan's own key.
    on_bytes : callable, optional
        Is told of bytes as they leave.

    Raises
    ------
    CliError
        The bucket refuses it, the file is no regular one or cannot be read, or the metadata is too large.
    """
    key = prefix + scan.key
    # the text of an error names a path or a key, which may be a patient's name: the span says only that there was one
    with telemetry.tracer().start_as_current_span(
        "upload_file", kind=SpanKind.PRODUCER, record_exception=False, set_status_on_exception=False
    ) as span:
        metadata = carried_metadata()
        try:
            status = scan.path.stat()
            if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for whoever writes to it
                raise CliError(f"`{scan.path}` cannot be uploaded: expected a regular file")
            span.set_attributes(telemetry.file_attributes(telemetry_key(key), status.st_size))
            with told_as_errors(f"`s3://{bucket}/{key}`"):
                s3.upload_file(str(scan.path), bucket, key, ExtraArgs={"Metadata": metadata}, Callback=on_bytes)
        except CliError:
            span.set_status(StatusCode.ERROR)
            raise
        except OSError as error:
            span.set_status(StatusCode.ERROR)
            why = (error.strerror or str(error)).lower()
            raise CliError(f"`{scan.path}` cannot be read: {why}") from error
    return Uploaded(str(scan.path), bucket, key, _version_id(s3, bucket, key))


def carried_metadata() -> dict[str, str]:
    """The current trace context and baggage as an object's user metadata.

    Raises
    ------
    CliError
        It is more than the pipeline can carry to its end.
    """
    metadata: dict[str, str] = {}
    propagate.inject(metadata)
    size_bytes = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size_bytes > _MAX_METADATA_BYTES:
        raise CliError(
            f"expected at most {_MAX_METADATA_BYTES} bytes of trace context and baggage, got {size_bytes}",
            hint=f"S3 takes {_S3_METADATA_BYTES} bytes of metadata, and the functions add their own to it: carry less "
            "`--baggage`",
        )
    return metadata


def _version_id(s3: Any, bucket: str, key: str) -> str | None:
    """Version of what was just uploaded, which a managed upload does not tell; None where one may only write."""
    from botocore.exceptions import ClientError

    try:
        version_id = s3.head_object(Bucket=bucket, Key=key).get("VersionId")
    except ClientError:
        return None
    return None if version_id in (None, "null") else str(version_id)


@contextmanager
def carrying(entries: Mapping[str, str]) -> Iterator[None]:
    """Add entries to the baggage of what is done within."""
    context = otel_context.get_current()
    for name, value in entries.items():
        context = baggage.set_baggage(name, value, context)
    token = otel_context.attach(context)
    try:
        yield
    finally:
        otel_context.detach(token)
