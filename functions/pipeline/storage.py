"""S3 as the functions see it: bounded reads, writes that happen once, errors told apart by their fate."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any

from pipeline.errors import ConfigError, MissingObjectError, StageError, TransientError
from pipeline.keys import telemetry_key
from pipeline.logs import quiet_sdk

ORDER_FIELD = "neuro-order"
RUN_FIELD = "neuro-run-id"

_MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "404"})
_REFUSED = frozenset(
    {"AccessDenied", "AllAccessDisabled", "NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"}
    | {"InvalidBucketName", "PermanentRedirect", "403", "301", "KMS.DisabledException", "KMS.NotFoundException"}
)
_TRANSIENT = frozenset(
    {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "RequestTimeTooSkewed", "Throttling"}
    | {"ThrottlingException", "RequestLimitExceeded", "OperationAborted", "ConditionalRequestConflict"}
)


class Stored(Enum):
    """What became of a guarded write."""

    NOW = "now"
    BEFORE = "before"  # by this run, or for `create` by a twin of it
    SUPERSEDED = "superseded"  # a newer run has written there


@dataclass(frozen=True)
class Opened:
    """An object whose bytes are still to be read.

    Attributes
    ----------
    stream : object with `read(n)`
    metadata : dict
        User metadata, keys in lower case.
    size_bytes : int
    etag : str
    """

    stream: Any
    metadata: Mapping[str, str]
    size_bytes: int
    etag: str

    def read(self) -> bytes:
        """All bytes."""
        content: bytes = self.stream.read()
        return content


@dataclass(frozen=True)
class Item:
    """What to write: the bytes and what S3 should know of them."""

    content: bytes
    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict)


class Storage:
    """S3, by a boto3 client.

    Every method raises `MissingObjectError`, `TransientError`, `ConfigError` or `StageError` when S3 refuses.
    """

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def open(self, bucket: str, key: str, version_id: str | None = None) -> Opened:
        """Ask for an object; its bytes come as they are read."""
        version = {} if version_id is None else {"VersionId": version_id}
        with _told_apart(bucket, key):
            answer = self._s3.get_object(Bucket=bucket, Key=key, **version)
        return Opened(
            stream=_Stream(answer["Body"], bucket, key),
            metadata=answer.get("Metadata", {}),
            size_bytes=answer["ContentLength"],
            etag=answer["ETag"],
        )

    def metadata(self, bucket: str, key: str) -> Mapping[str, str] | None:
        """User metadata of an object, or None where there is no object."""
        head = self._head(bucket, key)
        return None if head is None else head.get("Metadata", {})

    def create(self, bucket: str, key: str, item: Item) -> Stored:
        """Write an object unless there is one: of all twins and repeats of a run, one writes."""
        return Stored.NOW if self._put(bucket, key, item, IfNoneMatch="*") else Stored.BEFORE

    def replace_older(self, bucket: str, key: str, item: Item) -> Stored:
        """Write an object unless a newer run has written there, by the `neuro-order` of both."""
        order = item.metadata[ORDER_FIELD]
        for _ in range(8):
            if self._put(bucket, key, item, IfNoneMatch="*"):  # as it mostly is: nothing is there
                return Stored.NOW
            head = self._head(bucket, key)
            if head is None:  # deleted meanwhile
                continue
            theirs = head.get("Metadata", {}).get(ORDER_FIELD, "")
            if theirs >= order:
                return Stored.BEFORE if theirs == order else Stored.SUPERSEDED
            if self._put(bucket, key, item, IfMatch=head["ETag"]):
                return Stored.NOW
        raise TransientError(f"`s3://{bucket}/{telemetry_key(key)}` was changed by others at every try to replace it")

    def _head(self, bucket: str, key: str) -> Any:
        try:
            with _told_apart(bucket, key):
                return self._s3.head_object(Bucket=bucket, Key=key)
        except MissingObjectError:
            return None

    def _put(self, bucket: str, key: str, item: Item, **condition: str) -> bool:
        from botocore.exceptions import ClientError

        with _told_apart(bucket, key):
            try:
                self._s3.put_object(
                    Bucket=bucket,
                    Key=key,
                    Body=item.content,
                    ContentType=item.content_type,
                    Metadata=dict(item.metadata),
                    **condition,
                )
            except ClientError as error:
                if error.response["Error"]["Code"] in ("PreconditionFailed", "412"):
                    return False
                raise
        return True


class _Stream:
    """A body whose read errors are told apart like those of requests; a cut connection is no truncated scan."""

    def __init__(self, body: Any, bucket: str, key: str) -> None:
        self._body, self._bucket, self._key = body, bucket, key

    def read(self, size: int | None = None) -> bytes:
        with _told_apart(self._bucket, self._key):
            chunk: bytes = self._body.read(size)
        return chunk


@contextmanager
def _told_apart(bucket: str, key: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
    from botocore.exceptions import ConnectionError as NoConnectionError
    from urllib3.exceptions import HTTPError

    where = f"`s3://{bucket}/{telemetry_key(key)}`"
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in ("PreconditionFailed", "412"):
            raise
        if code in _MISSING:
            raise MissingObjectError(f"{where} does not exist") from error
        if code in _REFUSED:
            raise ConfigError(f"S3 refuses {where} with `{code}`: check the bucket and the function's role") from error
        if code in _TRANSIENT or status >= 500:
            raise TransientError(f"S3 answered `{code}` for {where}") from error
        raise StageError(f"S3 answered `{code}` for {where}") from error
    except (NoConnectionError, HTTPClientError, IncompleteReadError, HTTPError, OSError) as error:
        raise TransientError(f"S3 did not answer for {where}: {type(error).__name__}") from error
    except BotoCoreError as error:
        raise ConfigError(f"no request could be made for {where}: {type(error).__name__}") from error


@cache
def storage() -> Storage:
    """The storage of this process; its client is made when first asked for and kept while the environment is warm."""
    import boto3
    from botocore.config import Config

    quiet_sdk()
    patience = Config(connect_timeout=3, read_timeout=20, retries={"mode": "standard", "max_attempts": 4})
    return Storage(boto3.client("s3", config=patience))
