"""The function over a bucket of moto's and a backend on loopback: nothing is removed that was not delivered or kept."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from pipeline.errors import ConfigError
from redrive import bundle as bundle_module
from redrive.app import handler
from redrive.bundle import read_requests

FOLDER = "telemetry/conform/2026/11/20"


def outcomes(answer) -> list[str]:
    return [entry["outcome"] for entry in answer["objects"]]


def log_lines(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


def requests_in(tmp_path, content: bytes) -> list[tuple[int, bytes]]:
    path = tmp_path / "object"
    path.write_bytes(content)
    with path.open("rb") as file:
        return list(read_requests(file))


def test_object_is_posted_by_signal_and_deleted(handed_over, fake_backend, make, clock, telemetry):
    key = handed_over.put(
        make.bundle(make.traces("a", "b"), make.counts(1, 2, 3), make.log_lines("x"), make.traces("c"))
    )

    answer = handler(handed_over.event(key), clock)

    assert outcomes(answer) == ["delivered"]
    assert handed_over.keys() == []
    assert [r.path for r in fake_backend.taken] == ["/v1/traces", "/v1/metrics", "/v1/logs", "/v1/traces"]
    assert fake_backend.spans() == ["a", "b", "c"]
    assert fake_backend.taken[0].headers["X-Scope-OrgID"] == "lab"
    assert fake_backend.taken[0].headers["Content-Type"] == "application/x-protobuf"
    counts = telemetry.counts()
    for signal, items in (("traces", 3), ("metrics", 3), ("logs", 1)):
        assert counts[("lambda_collector.redriven", (("outcome", "delivered"), ("signal", signal)))] == items
    assert counts[("lambda_collector.redriven.objects", (("outcome", "delivered"),))] == 1


def test_requests_of_an_invocation_share_a_connection(handed_over, fake_backend, make, clock):
    keys = [handed_over.put(make.bundle(make.traces("a"), make.traces("b")), f"{n}.otlp.gz") for n in range(3)]

    handler(handed_over.event(*keys), clock)

    assert (len(fake_backend.taken), fake_backend.connections) == (6, 1)


def test_schedule_redrives_what_waits_oldest_first_and_nothing_else(
    handed_over, fake_backend, make, clock, sample_event
):
    handed_over.put(make.bundle(make.traces("first")), folder="telemetry/z/2026/11/20")
    handed_over.put(make.bundle(make.traces("second")), "1.rest.gz", folder="telemetry/a/2026/11/20")
    others = [
        handed_over.put(b"for a person", "2.refused.gz"),
        handed_over.put(b"for a person", folder="poison/telemetry/f"),
    ]

    answer = handler(sample_event("schedule"), clock)

    assert outcomes(answer) == ["delivered", "delivered"]
    assert sorted(fake_backend.spans()) == ["first", "second"]
    assert sorted(handed_over.keys()) == sorted(others)


def test_waiting_objects_come_oldest_first(handed_over, make, clock, fake_backend, sample_event, monkeypatch):
    import datetime

    from moto.s3 import models

    for age, name in [(2, "b"), (3, "c"), (1, "a")]:
        key = handed_over.put(make.bundle(make.traces(f"age-{age}")), folder=f"telemetry/{name}")
        stored = next(iter(models.s3_backends.values()))["aws"].buckets["neuro-preprocess-telemetry"].keys[key]
        stored.last_modified = datetime.datetime(2026, 1, 10 - age)

    handler(sample_event("schedule"), clock)

    assert fake_backend.spans() == ["age-3", "age-2", "age-1"]


@pytest.mark.parametrize(
    "reply",
    [
        {"status": 503, "headers": {"Retry-After": "120"}},
        {"status": 429, "headers": {"Retry-After": "Wed, 25 Nov 2099 00:00:00 GMT"}},
        {"status": 503},
        {"status": 500},
        {"status": 502, "body": b"\xff\x00 bad gateway" * 1000},
        {"status": 408},
        {"is_reset": True},
    ],
    ids=["503-after", "429-date", "503", "500", "502", "408", "reset"],
)
def test_object_stays_as_it_is_while_the_backend_takes_nothing(handed_over, fake_backend, make, clock, reply, capsys):
    content = make.bundle(make.traces("a"), make.log_lines("x"))
    key = handed_over.put(content)
    fake_backend.answer = lambda _: make.reply(**reply)

    answer = handler(handed_over.event(key), clock)

    assert outcomes(answer) == ["waiting"]
    assert handed_over.keys() == [key]
    assert handed_over.get(key) == content
    warned = [line for line in log_lines(capsys) if line["message"] == "Backend takes no telemetry"]
    assert {line["signal"] for line in warned} == {"traces", "logs"}


def test_backend_that_is_not_there_or_hangs_leaves_the_object(handed_over, fake_backend, make, clock, monkeypatch):
    key = handed_over.put(make.bundle(make.traces("a")))
    fake_backend.answer = lambda _: make.reply(hang_s=3)
    clock.remaining_s = 10.6
    monkeypatch.setattr("redrive.delivery._MAX_POST_S", 0.6)
    assert outcomes(handler(handed_over.event(key), clock)) == ["waiting"]

    fake_backend.close()
    assert outcomes(handler(handed_over.event(key), clock)) == ["waiting"]
    assert handed_over.keys() == [key]


def test_backend_that_asked_for_time_is_left_alone_by_later_invocations(handed_over, fake_backend, make, clock):
    key = handed_over.put(make.bundle(make.traces("a")))
    fake_backend.answer = lambda _: make.reply(429, {"Retry-After": "600"})
    handler(handed_over.event(key), clock)
    fake_backend.answer = lambda _: make.reply()

    assert outcomes(handler(handed_over.event(key), clock)) == ["waiting"]
    assert len(fake_backend.requests) == 1


@pytest.mark.parametrize("reply", [{"status": 503}, {"status": 429}, {"is_reset": True}], ids=["503", "429", "reset"])
def test_backend_that_takes_nothing_is_not_asked_for_every_object(handed_over, fake_backend, make, clock, reply):
    keys = [handed_over.put(make.bundle(make.traces("a"), make.traces("b")), f"{n}.otlp.gz") for n in range(5)]
    fake_backend.answer = lambda _: make.reply(**reply)

    assert outcomes(handler(handed_over.event(*keys), clock)) == ["waiting"] * 5
    assert len(fake_backend.requests) <= 2, "one, and one more where a kept-alive connection might have been to blame"


def test_signal_that_is_refused_does_not_hold_up_the_others(handed_over, fake_backend, make, clock, tmp_path):
    key = handed_over.put(make.bundle(make.counts(1), make.traces("a"), make.counts(2), make.log_lines("x")))
    fake_backend.answer = lambda request: make.reply(429 if request.path == "/v1/metrics" else 200)

    assert outcomes(handler(handed_over.event(key), clock)) == ["waiting"]

    assert len(fake_backend.requests) == 3, "metrics were tried once"
    (rest,) = handed_over.keys()
    assert rest == key.replace(".otlp.gz", ".rest.gz")
    assert requests_in(tmp_path, handed_over.get(rest)) == [make.counts(1), make.counts(2)]

    fake_backend.answer = lambda _: make.reply()
    assert outcomes(handler(handed_over.event(rest), clock)) == ["delivered"]
    assert handed_over.keys() == []
    assert len(fake_backend.taken) == 4


def test_bad_request_is_kept_aside_and_the_others_go_on(
    handed_over, fake_backend, make, clock, tmp_path, capsys, telemetry
):
    key = handed_over.put(make.bundle(make.traces("a"), make.traces("bad", "worse"), make.traces("c")))
    fake_backend.answer = lambda request: (
        make.reply(400, body=b"label too long") if b"bad" in request.body else make.reply()
    )

    assert outcomes(handler(handed_over.event(key), clock)) == ["delivered"]

    assert fake_backend.spans() == ["a", "c"]
    (kept,) = handed_over.keys()
    assert kept.startswith(key.removesuffix(".otlp.gz"))
    assert kept.endswith(".refused.gz")
    assert requests_in(tmp_path, handed_over.get(kept)) == [make.traces("bad", "worse")]
    assert telemetry.counts()[("lambda_collector.redriven", (("outcome", "refused"), ("signal", "traces")))] == 2
    lines = log_lines(capsys)
    assert any(line["level"] == "ERROR" and line["message"] == "Telemetry refused" for line in lines)
    assert any("label too long" in line.get("error_message", "") for line in lines)


@pytest.mark.parametrize("status", [401, 403, 404, 301])
def test_wrong_key_or_address_keeps_the_object_and_is_an_error(handed_over, fake_backend, make, clock, status):
    key = handed_over.put(make.bundle(make.traces("a")))
    fake_backend.answer = lambda _: make.reply(status)

    with pytest.raises(ConfigError, match=f"status {status}"):
        handler(handed_over.event(key), clock)

    assert handed_over.keys() == [key]


def test_request_that_is_too_large_is_divided_until_it_is_taken(handed_over, fake_backend, make, clock):
    names = [f"span-{number:03}" for number in range(100)]
    key = handed_over.put(make.bundle(make.traces(*names)))
    fake_backend.answer = lambda request: make.reply(413 if len(request.body) > 300 else 200)

    assert outcomes(handler(handed_over.event(key), clock)) == ["delivered"]

    assert fake_backend.spans() == names
    assert len(fake_backend.taken) == 8
    assert handed_over.keys() == []


def test_single_span_that_is_too_large_is_kept_aside(handed_over, fake_backend, make, clock, tmp_path):
    key = handed_over.put(make.bundle(make.traces("a", "x" * 500, "b")))
    fake_backend.answer = lambda request: make.reply(413 if len(request.body) > 300 else 200)

    handler(handed_over.event(key), clock)

    assert fake_backend.spans() == ["a", "b"]
    (kept,) = handed_over.keys()
    assert kept.endswith(".refused.gz")
    ((_, refused),) = requests_in(tmp_path, handed_over.get(kept))
    assert b"x" * 500 in refused


def test_partial_success_is_logged_and_counted(handed_over, fake_backend, make, clock, capsys, telemetry):
    reply = ExportTraceServiceResponse()
    reply.partial_success.rejected_spans = 1
    reply.partial_success.error_message = "one was too old"
    key = handed_over.put(make.bundle(make.traces("a", "b", "c")))
    fake_backend.answer = lambda _: make.reply(body=reply.SerializeToString())

    assert outcomes(handler(handed_over.event(key), clock)) == ["delivered"]

    counts = telemetry.counts()
    assert counts[("lambda_collector.redriven", (("outcome", "delivered"), ("signal", "traces")))] == 2
    assert counts[("lambda_collector.redriven", (("outcome", "rejected"), ("signal", "traces")))] == 1
    assert any(line.get("error_message") == "one was too old" for line in log_lines(capsys))


def test_poison_is_moved_reported_and_never_tried_again(handed_over, fake_backend, make, clock, capsys, sample_event):
    whole = make.bundle(make.traces("a"), make.traces("b"))
    bad = {"cut.otlp.gz": whole[:-5], "plain.otlp.gz": b"hello", "empty.otlp.gz": b""}
    keys = [handed_over.put(content, name) for name, content in bad.items()]
    good = handed_over.put(make.bundle(make.traces("good")), "z.otlp.gz")

    answer = handler(handed_over.event(*keys, good), clock)

    assert outcomes(answer) == ["poison", "poison", "poison", "delivered"]
    assert fake_backend.spans() == ["good"], "nothing of a damaged object is posted"
    assert handed_over.keys() == sorted(f"poison/{key}" for key in keys)
    assert handed_over.get(f"poison/{keys[0]}") == whole[:-5]
    assert sum(line["message"] == "Telemetry unreadable" for line in log_lines(capsys)) == 3
    assert handler(sample_event("schedule"), clock)["objects"] == []


def test_object_that_is_too_large_is_poison_unread(handed_over, fake_backend, make, clock, monkeypatch):
    monkeypatch.setattr("redrive.delivery.MAX_OBJECT_BYTES", 10)
    key = handed_over.put(make.bundle(make.traces("a")))

    assert outcomes(handler(handed_over.event(key), clock)) == ["poison"]
    assert handed_over.keys() == [f"poison/{key}"]


def test_bomb_is_poison(handed_over, fake_backend, make, clock, monkeypatch):
    monkeypatch.setattr(bundle_module, "MAX_BUNDLE_BYTES", 2**20)
    key = handed_over.put(make.bundle(make.traces("x" * 2**21)))

    assert outcomes(handler(handed_over.event(key), clock)) == ["poison"]
    assert fake_backend.requests == []


def test_object_that_is_gone_is_no_error(handed_over, clock):
    assert outcomes(handler(handed_over.event(f"{FOLDER}/gone.otlp.gz"), clock)) == ["gone"]


def test_other_objects_are_ignored(handed_over, fake_backend, make, clock):
    kept = handed_over.put(make.bundle(make.traces("a")), "1.refused.gz")
    event = handed_over.event(kept, f"poison/{FOLDER}/1.otlp.gz", "elsewhere/1.otlp.gz")
    event["Records"] += handed_over.event(f"{FOLDER}/1.otlp.gz", bucket="another")["Records"]

    assert outcomes(handler(event, clock)) == ["ignored"] * 4
    assert fake_backend.requests == []
    assert handed_over.keys() == [kept]


def test_two_at_one_object_do_no_harm(handed_over, fake_backend, make, clock):
    names = {f"span-{number}" for number in range(20)}
    key = handed_over.put(make.bundle(*(make.traces(name) for name in sorted(names))))
    fake_backend.answer = lambda _: make.reply(hang_s=0.002)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: handler(handed_over.event(key), clock), range(4)))

    assert {outcome for answer in answers for outcome in outcomes(answer)} <= {"delivered", "gone"}
    assert set(fake_backend.spans()) == names
    assert handed_over.keys() == []


def test_no_time_left_leaves_objects_for_the_next_time(handed_over, fake_backend, make, clock, sample_event, capsys):
    keys = [handed_over.put(make.bundle(make.traces(f"span-{n}")), f"{n}.otlp.gz") for n in range(4)]

    def answer(_request):
        clock.remaining_s -= 20
        return make.reply()

    clock.remaining_s = 45
    fake_backend.answer = answer

    result = handler(sample_event("schedule"), clock)

    assert (outcomes(result), result["left"]) == (["delivered", "delivered"], 2)
    assert handed_over.keys() == keys[2:]
    assert any(line["message"] == "Left for the next time" for line in log_lines(capsys))


def test_no_time_left_within_an_object_keeps_the_rest_of_it(handed_over, fake_backend, make, clock, tmp_path):
    key = handed_over.put(make.bundle(*(make.traces(f"span-{n}") for n in range(5))))

    def answer(_request):
        clock.remaining_s -= 5
        return make.reply()

    clock.remaining_s = 16
    fake_backend.answer = answer

    assert outcomes(handler(handed_over.event(key), clock)) == ["waiting"]
    (rest,) = handed_over.keys()
    assert fake_backend.spans() == ["span-0", "span-1", "span-2"]
    assert requests_in(tmp_path, handed_over.get(rest)) == [make.traces("span-3"), make.traces("span-4")]


def test_one_request_that_the_backend_fails_on_does_not_hold_up_the_rest(
    handed_over, fake_backend, make, clock, tmp_path
):
    key = handed_over.put(make.bundle(make.traces("a"), make.traces("crash"), make.traces("c")))
    fake_backend.answer = lambda request: make.reply(500 if b"crash" in request.body else 200)

    assert outcomes(handler(handed_over.event(key), clock)) == ["waiting"]
    (rest,) = handed_over.keys()
    assert fake_backend.spans() == ["a", "c"]
    assert requests_in(tmp_path, handed_over.get(rest)) == [make.traces("crash")]


def test_error_of_s3_is_raised_after_the_other_objects(handed_over, fake_backend, make, clock, monkeypatch):
    keys = [handed_over.put(make.bundle(make.traces(f"span-{n}")), f"{n}.otlp.gz") for n in range(2)]
    from redrive.bucket import telemetry_bucket

    bucket = telemetry_bucket()
    delete = bucket.delete

    def refuse_one(key):
        if key == keys[0]:
            raise PermissionError("no")
        delete(key)

    monkeypatch.setattr(bucket, "delete", refuse_one)
    with pytest.raises(PermissionError):
        handler(handed_over.event(*keys), clock)

    assert handed_over.keys() == [keys[0]]


@pytest.mark.parametrize(("status", "method"), [(400, "keep_refused"), (429, "keep_rest")])
def test_object_is_not_removed_when_what_is_left_of_it_cannot_be_kept(
    handed_over, fake_backend, make, clock, monkeypatch, status, method
):
    from redrive.bucket import telemetry_bucket

    def refuse(*_args):
        raise PermissionError("no")

    content = make.bundle(make.traces("a"), make.traces("bad"))
    key = handed_over.put(content)
    fake_backend.answer = lambda request: make.reply(status if b"bad" in request.body else 200)
    monkeypatch.setattr(telemetry_bucket(), method, refuse)

    with pytest.raises(PermissionError):
        handler(handed_over.event(key), clock)

    assert handed_over.get(key) == content


def test_no_backend_is_an_error_only_when_something_waits(handed_over, clock, monkeypatch, sample_event, make):
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    assert handler(sample_event("schedule"), clock)["objects"] == []

    handed_over.put(make.bundle(make.traces("a")))
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        handler(sample_event("schedule"), clock)


@pytest.mark.parametrize("event", ["redrive-s3", "redrive-schedule"])
def test_sample_event_is_understood(handed_over, clock, sample_event, make, event, fake_backend):
    handed_over.put(make.bundle(make.traces("a")), "101530.123-0b1f9a52-6d3e-4c0f-9c57-2f1f6f0c8f11.otlp.gz")

    assert outcomes(handler(sample_event(event), clock)) == ["delivered"]
    assert fake_backend.spans() == ["a"]
