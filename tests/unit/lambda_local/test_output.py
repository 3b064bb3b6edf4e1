import json
import logging
import os
import random

import pytest
from awslambdaric.bootstrap import FramedTelemetryLogSink
from awslambdaric.lambda_runtime_log_utils import _JSON_FRAME_TYPES, _TEXT_FRAME_TYPES

from lambda_local._output import MAX_RECORD_BYTES, FrameReader, LineReader, OutputPipe

JSON_INFO = _JSON_FRAME_TYPES[logging.INFO]
TIME = bytes(8)


def frame(message, kind=JSON_INFO, length=None):
    return kind + (len(message) if length is None else length).to_bytes(4) + TIME + message


@pytest.fixture
def records():
    return []


@pytest.fixture
def frames(records):
    return FrameReader(records.append)


# lines


def test_lines_are_handed_on_when_they_end(records):
    lines = LineReader(records.append)
    lines.feed(b"one\ntw")
    lines.feed(b"o\n\nthree")
    assert records == ["one", "two", ""]
    lines.flush()
    lines.flush()
    assert records == ["one", "two", "", "three"]


def test_lines_joined_by_carriage_returns_are_one_record(records):
    LineReader(records.append).feed(b"[ERROR] no\rTraceback\r  File\n")
    assert records == ["[ERROR] no\nTraceback\n  File"]


def test_line_that_does_not_end_comes_in_pieces(records):
    lines = LineReader(records.append)
    for _ in range(12):
        lines.feed(b"x" * (MAX_RECORD_BYTES // 4))
    assert len(records) == 2
    lines.flush()
    assert sum(map(len, records)) == 3 * MAX_RECORD_BYTES


# frames


@pytest.mark.parametrize("kind", [*_JSON_FRAME_TYPES.values(), *_TEXT_FRAME_TYPES.values()])
def test_frames_of_every_level_and_format_are_one_record_each(frames, records, kind):
    frames.feed(frame(b'{"a": 1}\n', kind) + frame("two\nlines, café".encode(), kind))
    assert records == ['{"a": 1}', "two\nlines, café"]


def test_frames_are_those_of_the_runtime(frames, records):
    read_end, write_end = os.pipe()
    with FramedTelemetryLogSink(write_end) as sink, os.fdopen(read_end, "rb", 0) as pipe:
        sink.log('{"level": "INFO"}\n', JSON_INFO)
        sink.log_error(["[ERROR] no", "Traceback", "  File"])
        frames.feed(pipe.read(4096))
    assert records == ['{"level": "INFO"}', "[ERROR] no\nTraceback\n  File"]


@pytest.mark.parametrize("seed", range(20))
def test_records_do_not_depend_on_how_the_bytes_come(frames, records, seed):
    chance = random.Random(seed)
    wanted = ["", "a", "b\nc", "x" * 5000, json.dumps({"café": 1}, ensure_ascii=False)] * 3
    stream = b"".join(frame(message.encode()) for message in wanted)
    while stream:
        size = chance.choice([1, 3, 16, 17, 700])
        frames.feed(stream[:size])
        stream = stream[size:]
    assert records == wanted


def test_frame_that_promises_more_than_comes_ends_at_the_flush_and_the_next_is_whole(frames, records):
    frames.feed(frame(b"short", length=100))
    assert records == []
    frames.flush()
    frames.feed(frame(b"next"))
    assert records == ["short", "next"]


def test_frame_of_a_huge_length_comes_in_pieces_and_keeps_nothing(frames, records):
    frames.feed(frame(b"", length=0xFFFF_FFFF))
    for _ in range(64):
        frames.feed(b"x" * 65536)
        assert len(frames._buffer) <= MAX_RECORD_BYTES + 65536
    assert [len(record) for record in records] == [MAX_RECORD_BYTES] * 16
    frames.feed(b"rest")
    frames.flush()
    assert records[-1] == "rest"
    frames.feed(frame(b"next"))
    assert records[-1] == "next"


def test_message_longer_than_a_record_comes_in_pieces_and_whole(frames, records):
    frames.feed(frame(b"y" * (MAX_RECORD_BYTES + 3)) + frame(b"next"))
    assert [len(record) for record in records] == [MAX_RECORD_BYTES, 3, 4]


@pytest.mark.parametrize("magic", [b"\x00\x00\x00\x00", b"\xa5\x5a\x01\x02", b"\xff\xff\xff\xff", b"text"])
def test_bytes_that_are_no_frame_are_lines_up_to_the_next_frame(frames, records, magic):
    frames.feed(frame(b"before") + magic + b" a line\nand half a" + frame(b"after"))
    told = (magic + b" a line").decode("utf-8", "replace")
    assert records == ["before", told, "and half a", "after"]


@pytest.mark.parametrize("size", range(1, 16))
def test_half_a_header_is_told_at_the_end_and_waited_for_before(frames, records, size):
    whole = frame(b"next")
    frames.feed(whole[:size])
    assert records == []
    frames.feed(whole[size:])
    assert records == ["next"]
    frames.feed(whole[:size])
    frames.flush()
    assert len(records) == 2
    frames.feed(whole)
    assert records[-1] == "next"


@pytest.mark.parametrize("seed", range(50))
def test_hostile_bytes_raise_nothing_and_are_not_kept(frames, records, seed):
    chance = random.Random(seed)
    parts = [
        lambda: chance.randbytes(chance.randrange(40)),
        lambda: b"\xa5\x5a\x00" + chance.randbytes(chance.randrange(20)),
        lambda: frame(b"good", length=chance.choice([0, 1, 4, 5, 100, 1 << 31, 0xFFFF_FFFF])),
        lambda: b"\n",
    ]
    for _ in range(200):
        frames.feed(chance.choice(parts)())
        if chance.random() < 0.1:
            frames.flush()
    frames.flush()
    assert not frames._buffer
    frames.feed(frame(b"good"))
    assert records[-1] == "good"


# pipes


def test_pipe_is_read_without_waiting_and_ends_with_its_writers(records):
    pipe = OutputPipe(LineReader(records.append))
    assert pipe.read()
    os.write(pipe.write_end, b"one\nhalf")
    assert pipe.read()
    assert records == ["one"]
    pipe.read_all()
    assert records == ["one", "half"]
    pipe.close_write_end()
    assert not pipe.read()
    pipe.close()
    pipe.close()
    assert not pipe.read()
