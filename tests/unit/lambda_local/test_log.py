import json

from lambda_local.destinations import RETRIES_EXHAUSTED, SUCCESS, destination_record
from lambda_local.environment import Answer
from lambda_local.events import InvocationEnded, LogLine, MessageQueued, Outcome
from lambda_local.log import LineLog, LogFiles, end_lines, start_line


def ended(outcome=Outcome.OK, init_duration_ms=None, error_type=None):
    return InvocationEnded("f", "id", 1, "env", outcome, False, 12.345, init_duration_ms, 40, error_type)


def test_platform_lines_are_lambdas():
    assert start_line("id") == "START RequestId: id Version: $LATEST"
    end, report = end_lines(ended(), 128)
    assert end == "END RequestId: id"
    assert report == (
        "REPORT RequestId: id\tDuration: 12.35 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB"
    )


def test_report_of_a_cold_start_bills_the_start():
    _, report = end_lines(ended(init_duration_ms=100.0), 128)
    assert "Billed Duration: 113 ms" in report
    assert report.endswith("Init Duration: 100.00 ms")


def test_report_tells_of_a_timeout_but_not_of_an_error_of_the_function():
    assert end_lines(ended(Outcome.TIMEOUT, error_type="Sandbox.Timedout"), 128)[1].endswith(
        "Status: timeout\tError Type: Sandbox.Timedout"
    )
    assert "Status" not in end_lines(ended(Outcome.ERROR, error_type="ValueError"), 128)[1]


def test_line_log_attributes_lines_and_keeps_the_tail():
    told = []
    log = LineLog("f", "env", told.append, tail_bytes=12)
    log.write("before")
    log.begin("id")
    log.write("first line", is_platform=True)
    log.write("second")
    log.end()
    log.write("after")
    assert [(line.request_id, line.message, line.is_platform) for line in told] == [
        (None, "before", False),
        ("id", "first line", True),
        ("id", "second", False),
        (None, "after", False),
    ]
    assert log.tail() == b"line\nsecond\n"


def test_log_files_keep_a_file_a_function(tmp_path):
    files = LogFiles(tmp_path / "logs")
    told = []
    for function in ("a", "b", "a"):
        LineLog(function, "env", told.append).write(f"from {function}")
    for line in told:
        files(line)
    files(MessageQueued("q", "1", "not a log line"))
    files.close()
    assert (tmp_path / "logs" / "a.log").read_text() == "from a\nfrom a\n"
    assert (tmp_path / "logs" / "b.log").read_text() == "from b\n"
    assert isinstance(told[0], LogLine)


def record(condition, answer, attempts=3):
    return destination_record(
        request_id="id",
        function_arn="arn:f",
        condition=condition,
        attempts=attempts,
        payload=b'{"a": 1}',
        answer=answer,
    )


def test_destination_record_of_a_failure_is_lambdas():
    answer = Answer(Outcome.ERROR, b'{"errorType": "ValueError", "errorMessage": "x"}', "ValueError")
    made = record(RETRIES_EXHAUSTED, answer)
    assert made.pop("timestamp").endswith("Z")
    assert made == {
        "version": "1.0",
        "requestContext": {
            "requestId": "id",
            "functionArn": "arn:f:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"a": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorType": "ValueError", "errorMessage": "x"},
    }
    assert json.dumps(made)


def test_destination_record_of_a_success_has_no_error():
    made = record(SUCCESS, Answer(Outcome.OK, b"null"), attempts=1)
    assert "functionError" not in made["responseContext"]
    assert made["responsePayload"] is None


def test_destination_record_without_an_attempt_has_no_response():
    made = record("EventAgeExceeded", None, attempts=0)
    assert "responseContext" not in made
    assert "responsePayload" not in made
