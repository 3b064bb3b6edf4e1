"""What was made against what arrived, span by span."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .sink import count_spans


@dataclass(frozen=True)
class Balance:
    """An account of spans.

    Attributes
    ----------
    promised : int
        That had to arrive.
    missing : frozenset of str
        Of them, those that did not.
    at_risk : int
        Made, but never acknowledged by the Collector: with these a process may have taken its own with it.
    survived : int
        Of them, those that arrived all the same.
    repeated : int
        Arrived more than once.
    """

    promised: int
    missing: frozenset[str]
    at_risk: int
    survived: int
    repeated: int

    def __str__(self) -> str:
        return (
            f"{self.promised} promised, {len(self.missing)} missing, {self.repeated} came more than once; "
            f"{self.at_risk} never handed over, {self.survived} of these came all the same"
        )


def balance(promised: Iterable[str], made: Iterable[str], arrived: Mapping[str, int]) -> Balance:
    """Compare.

    Parameters
    ----------
    promised : iterable of str
        Ids of the spans that were acknowledged.
    made : iterable of str
        Ids of all spans.
    arrived : mapping
        How often each id arrived, wherever.
    """
    promised, made = set(promised), set(made)
    at_risk = made - promised
    return Balance(
        promised=len(promised),
        missing=frozenset(span for span in promised if not arrived.get(span)),
        at_risk=len(at_risk),
        survived=sum(1 for span in at_risk if arrived.get(span)),
        repeated=sum(1 for span in made | promised if arrived.get(span, 0) > 1),
    )


def read_bundle(content: bytes) -> dict[int, list[bytes]]:
    """A handed-over object taken apart, requests by field number; shares no code with what reads it in the project."""
    rest = gzip.decompress(content)
    requests: dict[int, list[bytes]] = {}
    at = 0
    while at < len(rest):
        field, at = rest[at] >> 3, at + 1
        size = shift = 0
        while True:
            byte, at = rest[at], at + 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        requests.setdefault(field, []).append(rest[at : at + size])
        at += size
    return requests


def bucket_span_counts(s3: Any, bucket: str, suffix: str = ".otlp.gz") -> Counter[str]:
    """How often each span is in the objects of a bucket."""
    counts: Counter[str] = Counter()
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", ()):
            if entry["Key"].endswith(suffix):
                content = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                counts += count_spans(read_bundle(content).get(1, []))
    return counts
