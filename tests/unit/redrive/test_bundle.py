import gzip
import io
import itertools
import random

import pytest

from redrive import bundle
from redrive.bundle import BundleWriter, PoisonError, read_requests
from redrive.wire import Signal, write_field

REQUESTS = [(Signal.TRACES, b"one"), (Signal.LOGS, b"x" * 300), (Signal.TRACES, b""), (Signal.METRICS, b"two")]


def packed(requests=REQUESTS) -> bytes:
    return gzip.compress(b"".join(write_field(signal, content) for signal, content in requests))


def read(content: bytes):
    return list(read_requests(io.BytesIO(content)))


def test_bundle_is_read_as_it_was_packed():
    assert read(packed()) == REQUESTS


def test_bundle_is_read_as_it_was_written():
    with BundleWriter() as writer:
        for signal, request in REQUESTS:
            writer.add(signal, request)

        assert writer.count == 4
        assert list(read_requests(writer.finish())) == REQUESTS


def test_bundle_written_twice_is_the_same():
    def written() -> bytes:
        with BundleWriter() as writer:
            writer.add(Signal.TRACES, b"one")
            return writer.finish().read()

    assert written() == written()


def test_bundle_of_nothing_is_empty():
    assert read(packed([])) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"no gzip", "gzip"),
        (packed()[:-1], "gzip"),
        (packed()[:-9], "gzip|ends"),
        (packed() + b"more", "gzip"),
        (gzip.compress(b"\x0a"), "within the length"),
        (gzip.compress(b"\x0a\x05abc"), "ends after 3"),
        (gzip.compress(b"\x22\x01a"), "tag 0x22 at byte 0"),
        (gzip.compress(b"\x08\x01"), "tag 0x08"),
        (gzip.compress(b"\x0a" + b"\xff" * 6), "at most 5 bytes"),
        (gzip.compress(b"\x0a\xff\xff\xff\xff\x0f"), "is of 4294967295 bytes"),
    ],
    ids=["empty", "plain", "cut", "cut-data", "trailing", "no-length", "short", "tag", "type", "varint", "huge"],
)
def test_bundle_that_is_none_is_poison(content, said):
    with pytest.raises(PoisonError, match=said):
        read(content)


def test_bundle_with_a_flipped_byte_is_poison():
    content = bytearray(packed([(Signal.TRACES, random.Random(1).randbytes(2000))]))
    content[1000] ^= 0xFF

    with pytest.raises(PoisonError):
        read(bytes(content))


def test_bundle_that_unpacks_to_too_much_is_poison(monkeypatch):
    monkeypatch.setattr(bundle, "MAX_BUNDLE_BYTES", 100_000)
    bomb = packed([(Signal.TRACES, bytes(1000))] * 200)
    assert len(bomb) < 2000

    requests = read_requests(io.BytesIO(bomb))
    assert len(list(itertools.islice(requests, 99))) == 99

    with pytest.raises(PoisonError, match="at most 100000 bytes"):
        next(requests)


def test_request_larger_than_any_of_ours_is_poison_unread(monkeypatch):
    monkeypatch.setattr(bundle, "MAX_REQUEST_BYTES", 100)
    assert read(packed([(Signal.LOGS, bytes(100))])) == [(Signal.LOGS, bytes(100))]

    with pytest.raises(PoisonError, match="of 100 bytes, but request 1 is of 101"):
        read(packed([(Signal.LOGS, bytes(101))]))


def test_bundle_of_too_many_requests_is_poison(monkeypatch):
    monkeypatch.setattr(bundle, "MAX_REQUESTS", 50)

    with pytest.raises(PoisonError, match="in 50 requests"):
        read(packed([(Signal.TRACES, b"")] * 51))


def test_bundle_of_random_damage_is_read_or_poison():
    rng = random.Random(2)
    content = packed([(Signal(rng.randint(1, 3)), rng.randbytes(rng.randint(0, 200))) for _ in range(20)])
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            read(bytes(damaged[: rng.randint(1, len(damaged))]))
        except PoisonError:
            continue
