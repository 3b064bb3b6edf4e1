import pytest

from neuro_cli.telemetry.otlp_files import OtlpFiles, Signal, decode, read_requests


@pytest.fixture
def files(tmp_path):
    files = OtlpFiles(tmp_path / "a" / "b")
    yield files
    files.close()


def names(folder):
    messages = read_requests(folder, Signal.TRACES)
    return [message.resource_spans[0].scope_spans[0].spans[0].name for message in messages]


def test_requests_come_back_in_order_while_more_are_written(files, tmp_path, writer):
    for name in ("first", "second"):
        files.append(Signal.TRACES, writer().span(name, "1", 0, 1))
    assert names(tmp_path / "a/b") == ["first", "second"]
    files.append(Signal.TRACES, writer().span("third", "1", 0, 1))
    assert names(tmp_path / "a/b") == ["first", "second", "third"]


def test_requests_have_the_framing_of_the_collector_s_file_exporter(files, tmp_path, writer):
    body = writer().span("x", "1", 0, 1)
    files.append(Signal.TRACES, body)
    assert (tmp_path / "a/b/traces.binpb").read_bytes() == len(body).to_bytes(4, "big") + body


def test_oldest_requests_go_when_a_signal_s_room_is_used_up(tmp_path, writer):
    body = len(writer().span("0", "1", 0, 1)) + 4
    files = OtlpFiles(tmp_path, max_signal_bytes=6 * body)
    for number in range(8):
        files.append(Signal.TRACES, writer().span(str(number), "1", 0, 1))
    files.close()
    assert names(tmp_path) == ["3", "4", "5", "6", "7"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 6 * body


def test_request_larger_than_its_file_is_kept_alone(tmp_path, writer):
    files = OtlpFiles(tmp_path, max_signal_bytes=2)
    for name in ("a", "b", "c"):
        files.append(Signal.TRACES, writer().span(name, "1", 0, 1))
    files.close()
    assert names(tmp_path) == ["b", "c"]


@pytest.mark.parametrize("lost_bytes", [1, 30, 10_000])
def test_half_a_request_at_the_end_is_left_out(files, tmp_path, writer, lost_bytes):
    for name in ("whole", "half" + "x" * 10_000):
        files.append(Signal.TRACES, writer().span(name, "1", 0, 1))
    path = tmp_path / "a/b/traces.binpb"
    path.write_bytes(path.read_bytes()[:-lost_bytes])
    assert names(tmp_path / "a/b") == ["whole"]


def test_what_a_damaged_disc_gives_ends_the_reading(files, tmp_path, writer):
    files.append(Signal.TRACES, writer().span("good", "1", 0, 1))
    path = tmp_path / "a/b/traces.binpb"
    path.write_bytes(path.read_bytes() + b"\0\0\0\3\xff\xff\xff" + b"\0\0\0\1x")
    assert names(tmp_path / "a/b") == ["good"]


def test_folder_without_files_holds_nothing(tmp_path):
    assert list(read_requests(tmp_path, Signal.LOGS)) == []


def test_body_that_is_no_request_is_refused():
    with pytest.raises(ValueError, match="expected an OTLP request for traces, got 3 bytes"):
        decode(Signal.TRACES, b"\xff\xff\xff")
