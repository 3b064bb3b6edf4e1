import json

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from lambda_otel.exporters._dead_letter import DeadLetter
from lambda_otel.exporters._post import Poster
from lambda_otel.exporters.http_api import HttpApiExporter

SUCCESS, FAILURE = SpanExportResult.SUCCESS, SpanExportResult.FAILURE


@pytest.fixture
def dead_letter(tmp_path):
    return DeadLetter(str(tmp_path / "dead.jsonl"), max_bytes=100_000)


@pytest.fixture
def refused(tmp_path):
    return DeadLetter(str(tmp_path / "refused.jsonl"), max_bytes=100_000)


@pytest.fixture
def exporter(api, dead_letter, refused):
    poster = Poster(api.url, {"Content-Type": "application/json"}, budget_s=2.0, pause=lambda _: None)
    made = HttpApiExporter(poster, dead_letter, refused, batch_size=2, budget_s=2.0)
    yield made
    made.shutdown()


def posted(api):
    return [[span["name"] for span in json.loads(body)["spans"]] for _, _, body in api.requests]


def names(letter):
    return [json.loads(line)["name"] for line in letter.first(100)]


def test_spans_are_posted_as_json_with_their_ids_in_hexadecimal(api, exporter, make_spans):
    (span,) = make_spans(1, answer=42)

    assert exporter.export([span]) is SUCCESS

    ((path, headers, body),) = api.requests
    (told,) = json.loads(body)["spans"]
    assert (path, headers["Content-Type"]) == ("/ingest", "application/json")
    assert told["trace_id"] == f"{span.context.trace_id:032x}"
    assert told["span_id"] == f"{span.context.span_id:016x}"
    assert (told["name"], told["service"], told["scope"], told["kind"]) == ("s0", "svc", "scope", "internal")
    assert told["attributes"] == {"answer": 42}
    assert told["duration_ms"] == pytest.approx((span.end_time - span.start_time) / 1e6)
    assert [(event["name"], event["attributes"]) for event in told["events"]] == [("e", {"k": "v"})]
    assert "parent_span_id" not in told


def test_spans_are_posted_in_batches(api, exporter, make_spans):
    exporter.export(make_spans(5))

    assert posted(api) == [["s0", "s1"], ["s2", "s3"], ["s4"]]


def test_failure_that_passes_in_time_costs_nothing(api, exporter, make_spans, dead_letter):
    api.answers += [503, 429]

    assert exporter.export(make_spans(1)) is SUCCESS
    assert posted(api) == [["s0"]] * 3
    assert names(dead_letter) == []


def test_what_cannot_be_posted_waits_and_is_posted_after_the_next_success(
    api, exporter, make_spans, dead_letter, caplog
):
    api.answers += [200, (503, {"Retry-After": "60"}, b"")]
    assert exporter.export(make_spans(5)) is SUCCESS
    assert names(dead_letter) == ["s2", "s3", "s4"]
    assert exporter.export([]) is SUCCESS
    (warning,) = caplog.records
    assert warning.getMessage() == "spans cannot be posted (status 503) and wait in the dead letter"

    exporter._poster._not_before = 0.0  # the minute has passed
    api.requests.clear()
    assert exporter.export(make_spans(1)) is SUCCESS

    assert posted(api) == [["s0"], ["s2", "s3"], ["s4"]]
    assert names(dead_letter) == []


def test_what_is_refused_is_kept_and_never_posted_again(api, exporter, make_spans, dead_letter, refused):
    api.answers += [400]

    assert exporter.export(make_spans(3)) is FAILURE
    assert posted(api) == [["s0", "s1"], ["s2"]]
    assert names(refused) == ["s0", "s1"]
    assert names(dead_letter) == []
    exporter.export(make_spans(1))
    assert len(api.requests) == 3


def test_what_is_refused_when_it_is_posted_again_does_not_block_the_rest(
    api, exporter, make_spans, dead_letter, refused
):
    dead_letter.add(['{"name":"old"}', '{"name":"older"}', '{"name":"good"}'])
    api.answers += [200, 400]

    exporter.export(make_spans(1))

    assert names(refused) == ["old", "older"]
    assert posted(api)[-1] == ["good"]
    assert names(dead_letter) == []


def test_line_that_a_crash_left_half_written_is_passed_over(api, exporter, make_spans, dead_letter, tmp_path):
    dead_letter.add(['{"name":"whole"}'])
    with (tmp_path / "dead.jsonl").open("a") as file:
        file.write('{"name":"ha\n{"name":"cut')

    exporter.export(make_spans(1))

    assert posted(api) == [["s0"], ["whole"]]
    assert not (tmp_path / "dead.jsonl").exists()


def test_exporter_without_an_endpoint_says_so(monkeypatch):
    monkeypatch.delenv("OTEL_LAMBDA_HTTP_API_ENDPOINT", raising=False)

    with pytest.raises(ValueError, match="OTEL_LAMBDA_HTTP_API_ENDPOINT"):
        HttpApiExporter()


def test_exporter_is_made_from_its_variables(api, monkeypatch, make_spans, tmp_path):
    monkeypatch.setenv("OTEL_LAMBDA_HTTP_API_ENDPOINT", api.url)
    monkeypatch.setenv("OTEL_LAMBDA_HTTP_API_HEADERS", "authorization=Bearer%20sesame")
    monkeypatch.setenv("OTEL_LAMBDA_HTTP_API_DEAD_LETTER", str(tmp_path / "dead.jsonl"))
    exporter = HttpApiExporter()

    assert exporter.export(make_spans(1)) is SUCCESS
    ((_, headers, _),) = api.requests
    assert headers["authorization"] == "Bearer sesame"
    exporter.shutdown()


def test_outage_is_told_once_and_the_next_one_again(api, exporter, make_spans, caplog):
    exporter._budget_s = 0.2
    for answers in ([503] * 50, [503] * 50, [200] * 50, [503] * 50):
        api.answers.clear()
        api.answers += answers
        exporter._poster._not_before = 0.0
        exporter.export(make_spans(1))

    assert len(caplog.records) == 2


# the dead letter by itself


def test_dead_letter_gives_the_oldest_first_and_forgets_them(dead_letter):
    assert dead_letter.add(["a", "b"]) == 0
    assert dead_letter.add(["c"]) == 0

    assert dead_letter.first(2) == ["a", "b"]
    dead_letter.remove_first(2)
    assert dead_letter.first(9) == ["c"]


def test_dead_letter_that_is_full_loses_the_oldest_and_says_how_many(tmp_path):
    letter = DeadLetter(str(tmp_path / "d"), max_bytes=30)

    assert letter.add(["a" * 9, "b" * 9, "c" * 9]) == 0
    assert letter.add(["d" * 9]) == 1

    assert [line[0] for line in letter.first(9)] == ["b", "c", "d"]
    assert (tmp_path / "d").stat().st_size == 30


def test_dead_letter_takes_nothing_larger_than_itself(tmp_path):
    letter = DeadLetter(str(tmp_path / "d"), max_bytes=30)

    assert letter.add(["x" * 100]) == 1
    assert letter.first(9) == []


def test_dead_letter_may_be_read_by_its_owner_only(tmp_path):
    letter = DeadLetter(str(tmp_path / "d"), max_bytes=20)

    letter.add(["a"])
    letter.add(["b" * 18])

    assert (tmp_path / "d").stat().st_mode & 0o077 == 0
