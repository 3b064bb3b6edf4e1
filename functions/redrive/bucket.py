"""The bucket of undelivered telemetry. No other file spells a key of it.

<prefix>/<function>/<date>/<time>-<instance>.otlp.gz   handed over by an environment   -> triggers redrive
<prefix>/....rest.gz      what is left of it when a backend took a part only; the schedule finds it
<prefix>/....refused.gz   what a backend refused, by an environment or by redrive: for a person
poison/<prefix>/...       what cannot be read: for a person

Poison is moved, not tagged: where it lies it is not listed again at every schedule, it triggers nothing, and a rule of
the bucket can keep it for its own time.
"""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from io import BufferedRandom
from typing import Any, BinaryIO

from pipeline.logs import quiet_sdk
from redrive.settings import Source, source

HANDED_OVER = ".otlp.gz"
REST = ".rest.gz"
REFUSED = ".refused.gz"
POISON = "poison/"

_MISSING = frozenset({"NoSuchKey", "404"})
_MAX_LISTED = 10_000


class TelemetryBucket:
    """Undelivered telemetry, by a boto3 client, whose errors are those of boto3.

    Every write may be repeated, and a deletion may find nothing: two invocations may be at one object.
    """

    def __init__(self, s3: Any, place: Source) -> None:
        self._s3, self._place = s3, place

    def is_ours(self, bucket: str, key: str) -> bool:
        """Whether an object is handed-over telemetry."""
        is_here = bucket == self._place.bucket and key.startswith(self._place.prefix) and not key.startswith(POISON)
        return is_here and key.endswith((HANDED_OVER, REST))

    def waiting(self) -> list[str]:
        """Keys of what waits, oldest first; of the first 10 000 objects."""
        found = sorted(self._listed())
        return [key for _, key in found]

    def _listed(self) -> Iterator[tuple[Any, str]]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._place.bucket, Prefix=self._place.prefix, PaginationConfig={"MaxItems": _MAX_LISTED}
        )
        for page in pages:
            for entry in page.get("Contents", ()):
                if self.is_ours(self._place.bucket, entry["Key"]):
                    yield entry["LastModified"], entry["Key"]

    def fetch(self, key: str, into: BinaryIO, max_bytes: int) -> int | None:
        """Copy an object into a file; its size, or None if it is gone. One larger than `max_bytes` is not read."""
        from botocore.exceptions import ClientError

        try:
            answer = self._s3.get_object(Bucket=self._place.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise
        size: int = answer["ContentLength"]
        with closing(answer["Body"]) as body:
            if size <= max_bytes:
                for chunk in body.iter_chunks(2**16):
                    into.write(chunk)
        return size

    def delete(self, key: str) -> None:
        """Remove an object, or find it removed."""
        self._s3.delete_object(Bucket=self._place.bucket, Key=key)

    def set_aside(self, key: str) -> str:
        """Move an object to the poison; where it is then."""
        from botocore.exceptions import ClientError

        to = POISON + key
        try:
            self._s3.copy({"Bucket": self._place.bucket, "Key": key}, self._place.bucket, to)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _MISSING:  # a twin has moved it
                raise
        self.delete(key)
        return to

    def keep_rest(self, key: str, rest: BinaryIO) -> str:
        """Put what is left of an object in its place; where it is then."""
        to = _stem(key) + REST
        self._put(to, rest)
        if to != key:
            self.delete(key)
        return to

    def keep_refused(self, key: str, refused: BufferedRandom) -> str:
        """Keep what a backend refused of an object; where it is then.

        The name tells the content, so that a repetition writes the same and another part of the object does not.
        """
        digest = hashlib.file_digest(refused, "sha256").hexdigest()[:12]
        refused.seek(0)
        to = f"{_stem(key)}-{digest}{REFUSED}"
        self._put(to, refused)
        return to

    def _put(self, key: str, body: BinaryIO) -> None:
        self._s3.put_object(Bucket=self._place.bucket, Key=key, Body=body, ContentType="application/gzip")


def _stem(key: str) -> str:
    return key.removesuffix(HANDED_OVER).removesuffix(REST)


@cache
def telemetry_bucket() -> TelemetryBucket:
    """The bucket of this process; its client is made when first asked for."""
    import boto3
    from botocore.config import Config

    quiet_sdk()
    patience = Config(connect_timeout=3, read_timeout=20, retries={"mode": "standard", "max_attempts": 3})
    return TelemetryBucket(boto3.client("s3", config=patience), source())
