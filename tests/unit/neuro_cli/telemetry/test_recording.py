import pytest

from neuro_cli.telemetry.recording import load_recording

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_span_that_came_twice_is_one(record, writer):
    body = writer().span("x", "1", 0, 5)
    assert record(traces=[body, body]).span_count == 1


def test_open_span_gives_way_to_the_ended_one_in_either_order(record, writer, tmp_path):
    still_open, ended = writer().span("x", "1", 0, None), writer().span("x", "1", 0, 5)
    for number, bodies in enumerate(([still_open, ended], [ended, still_open], [still_open, ended, still_open])):
        recording = record(traces=bodies, folder=tmp_path / str(number))
        assert recording.traces[TRACE]["0000000000000001"].seconds == 0.005


def test_span_that_did_not_end_has_no_length(record, writer):
    (span,) = record(traces=[writer().span("x", "1", 0, None)]).spans()
    assert (span.end_ns, span.seconds) == (0, 0.0)


def test_everything_a_span_says_is_kept(record, writer):
    body = writer(version="2").span(
        "x", "a1", 0, 5, "b2", error="TimeoutError", links=[(TRACE, "c3")], kind=3, n=3, f=0.5, b=True, many=["p", "q"]
    )
    (span,) = record(traces=[body]).spans()
    assert (span.trace_id, span.span_id, span.parent_id) == (TRACE, "00000000000000a1", "00000000000000b2")
    assert dict(span.attributes) == {"n": 3, "f": 0.5, "b": True, "many": ["p", "q"], "error.type": "TimeoutError"}
    assert (span.kind, span.is_error, span.links[0].span_id) == ("client", True, "00000000000000c3")
    assert (span.writer, span.resource["version"]) == ("Conform", "2")


@pytest.mark.parametrize(
    ("error", "raised", "told"),
    [
        ("", "", ""),
        ("", "ValueError", ""),  # it was raised and dealt with
        ("NO_BRAIN", "a.b.InvalidInputError", "NO_BRAIN"),
        ("untold", "a.b.InvalidInputError", "InvalidInputError"),
        ("untold", "", "error"),
    ],
)
def test_error_is_told_in_a_word(record, writer, error, raised, told):
    (span,) = record(traces=[writer().span("x", "1", 0, 5, error=error, raised=raised)]).spans()
    assert span.error_type == told


def test_logs_are_sorted_by_trace_and_time_and_each_is_one(record, writer):
    other = "f" * 32
    bodies = [
        writer().log("late", 9),
        writer().log("early", 1),
        writer().log("late", 9),
        writer().log("of another trace", 5, trace=other),
    ]
    recording = record(logs=bodies)
    assert [log.body for log in recording.logs[TRACE]] == ["early", "late"]
    assert [log.body for log in recording.logs[other]] == ["of another trace"]
    assert recording.log_count == 3


def test_equal_lines_of_two_environments_are_two(record, writer):
    bodies = [writer(instance=name).log("same", 1) for name in ("env-1", "env-2")]
    assert record(logs=bodies).log_count == 2


def test_folder_that_is_not_there_is_an_empty_recording(tmp_path):
    assert load_recording(tmp_path / "none").span_count == 0
