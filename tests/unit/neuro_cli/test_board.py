import json
from datetime import UTC, datetime

import pytest
from rich.console import Console

from lambda_local.events import InvocationEnded, LogLine, ObjectCreated, Outcome, RetryScheduled
from neuro_cli.deployed.runs import run_id_of_version
from neuro_cli.local.board import Board, End, Place
from neuro_cli.local.reporter import LineReporter
from neuro_cli.terminal.live_table import LiveTable
from pipeline.keys import STAGES

RAW, DERIVATIVES, KEY = "raw", "derivatives", "sub-01/anat/sub-01_T1w.nii.gz"
RUN = run_id_of_version(RAW, KEY, "v1")


def uploaded(key=KEY, version_id="v1"):
    return ObjectCreated(RAW, key, 10, version_id, "ObjectCreated:Put")


def line(message, stage="conform", request_id="r1", **fields):
    content = {"message": message, "stage": stage, "run_id": RUN, "file_path": KEY, **fields}
    return LogLine("Conform", "e1", request_id, json.dumps(content), False, datetime.now(UTC))


def stored(key):
    return ObjectCreated(DERIVATIVES, key, 10, None, "ObjectCreated:Put")


def ended(outcome, request_id="r1"):
    return InvocationEnded("Conform", request_id, 1, "e1", outcome, True, 1.0, None, 10, "Runtime.ExitError")


@pytest.fixture
def board():
    return Board(RAW, DERIVATIVES)


def feed(board, *events):
    for event in events:
        board.take(event)
    return board.scans[RUN]


def test_upload_waits_for_the_first_stage(board):
    scan = feed(board, uploaded())
    assert (scan.label, scan.end, scan.next_stage) == (KEY, None, "conform")


def test_upload_without_a_version_is_known_from_its_first_log_line(board):
    board.take(uploaded(version_id=None))
    assert board.scans == {}
    assert feed(board, line("Processing file")).label == KEY


def test_stage_runs_and_ends(board):
    scan = feed(board, uploaded(), line("Processing file"))
    assert scan.stages["conform"].place is Place.RUNNING
    assert scan.next_stage is None
    feed(board, line("Completed", outcome="ok", duration_seconds=1.5))
    assert (scan.stages["conform"].place, scan.stages["conform"].seconds) == (Place.DONE, 1.5)
    assert scan.next_stage == "skull_strip"
    assert scan.end is None


def test_scan_is_done_with_its_last_stage(board):
    for stage in STAGES:
        scan = feed(board, line("Processing file", stage), line("Completed", stage, outcome="ok", duration_seconds=1))
    assert scan.end is End.DONE
    assert board.wait_for({RUN}, timeout_s=0)


def test_second_delivery_changes_nothing(board):
    scan = feed(board, line("Processing file"), line("Completed", outcome="ok", duration_seconds=1.5))
    feed(board, line("Processing file", request_id="r2"), line("Completed", outcome="skipped", duration_seconds=0.1))
    assert (scan.stages["conform"].place, scan.stages["conform"].seconds) == (Place.DONE, 1.5)


def test_refused_scan_ends_with_its_error_file(board):
    scan = feed(
        board,
        uploaded(),
        line("Processing file"),
        stored(f"errors/{RUN}.error.json"),
        line("File failed validation", error_type="NOT_NIFTI", error_message="expected a NIfTI file"),
        line("Completed", outcome="rejected", duration_seconds=0.1),
    )
    assert scan.end is End.REJECTED
    assert scan.stages["conform"].place is Place.REJECTED
    assert scan.message == "NOT_NIFTI: expected a NIfTI file"


@pytest.mark.parametrize(("outcome", "word"), [(Outcome.TIMEOUT, "ran out of time"), (Outcome.CRASH, "died")])
def test_killed_stage_is_tried_again_and_fails_with_its_failure_file(board, outcome, word):
    scan = feed(board, uploaded(), line("Processing file"), ended(outcome), RetryScheduled("Conform", "r1", 2, 60))
    assert scan.stages["conform"].place is Place.RETRYING
    assert word in scan.message
    feed(board, stored(f"errors/{RUN}.failure.json"))
    assert scan.end is End.FAILED
    assert scan.stages["conform"].place is Place.FAILED


@pytest.mark.parametrize("text", ["not json", "[1]", '"text"', '{"stage": "conform"}', '{"message": "x", "stage": 3}'])
def test_other_lines_are_ignored(board, text):
    board.take(LogLine("Conform", "e1", "r1", text, False, datetime.now(UTC)))
    board.take(LogLine("Conform", "e1", "r1", "START RequestId: r1", True, datetime.now(UTC)))
    assert board.scans == {}


def test_events_of_unknown_requests_and_other_buckets_are_ignored(board):
    for event in (
        ended(Outcome.CRASH, "r9"),
        RetryScheduled("Conform", "r9", 2, 60),
        ObjectCreated("work", "errors/x.error.json", 1, None, "ObjectCreated:Put"),
        stored("sub-01/anat/sub-01_desc-brain_T1w.nii.gz"),
    ):
        assert board.on_event(event) is None
    assert board.scans == {}


def test_waiting_for_a_scan_that_does_not_end_gives_up(board):
    feed(board, uploaded())
    assert not board.wait_for({RUN}, timeout_s=0)
    assert not board.wait_for({"0" * 24}, timeout_s=0)


def drawn(renderable):
    console = Console(width=120, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_table_shows_each_stage(board):
    table = LiveTable(board)
    feed(board, uploaded(), line("Processing file"), line("Completed", outcome="ok", duration_seconds=1.5))
    feed(board, line("Processing file", "skull_strip"))
    text = drawn(table)
    assert "sub-01_T1w" in text
    assert "\N{CHECK MARK} 1.5 s" in text
    feed(board, line("Completed", "skull_strip", outcome="failed", duration_seconds=2.5))
    assert "\N{BALLOT X} 2.5 s" in drawn(table)


def test_reporter_prints_a_line_for_each_change(board):
    console = Console(width=200, force_terminal=False)
    reporter = LineReporter(board, console)
    with console.capture() as capture:
        for event in (
            uploaded(),
            line("Processing file"),
            line("File failed validation", error_type="EMPTY", error_message="[no] bytes"),
            line("Completed", outcome="rejected", duration_seconds=0.1),
            stored(f"errors/{RUN}.error.json"),
        ):
            reporter(event)
    lines = [text.split("  ", 1)[1] for text in capture.get().splitlines()]
    assert lines == [
        f"{KEY}  uploaded",
        f"{KEY}  conform  started",
        f"{KEY}  conform  rejected in 0.1 s: EMPTY: [no] bytes",
        f"{KEY}  rejected, see `s3://derivatives/errors/{RUN}.error.json`",
    ]
