import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lambda_local.platform_events import telemetry_event
from lambda_local.runtime_api import ProtocolError
from lambda_local.subscription import parse_subscription
from lambda_local.telemetry_api import TelemetryFeed

ADDRESS = "127.9.8.7"
BUFFERING = {"maxItems": 1000, "maxBytes": 262_144, "timeoutMs": 25}


class Subscriber:
    """Takes deliveries, after it has refused or delayed as many as it is told to."""

    def __init__(self, host):
        self.deliveries = []
        self.refusals = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.may_answer.wait(10)
                outer.refusals -= 1
                is_taken = outer.refusals < 0
                if is_taken:
                    outer.deliveries.append(json.loads(body))
                self.send_response(200 if is_taken else 500)
                self.end_headers()

            def log_message(self, *_):
                return

        self.server = ThreadingHTTPServer((host, 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def records(self):
        return [event["record"] for delivery in self.deliveries for event in delivery]


@pytest.fixture(params=[ADDRESS, "127.0.0.1"], ids=["own address", "plain loopback"])
def subscriber(request):
    made = Subscriber(request.param)
    yield made
    made.may_answer.set()
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def feed():
    made = TelemetryFeed(ADDRESS, is_supported=True)
    yield made
    made.close()


def request(port, **changes):
    content = {
        "schemaVersion": "2025-01-29",
        "types": ["platform", "function"],
        "buffering": BUFFERING,
        "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port}/path"},
    }
    return json.dumps(content | changes).encode()


def until(condition, timeout_s=5):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


@pytest.mark.parametrize("version", ["2022-07-01", "2022-12-13", "2025-01-29"])
def test_subscription_has_lambdas_defaults(version):
    body = request(1, schemaVersion=version, buffering=None)
    subscription = parse_subscription(body, ADDRESS)
    assert (subscription.max_items, subscription.max_bytes, subscription.timeout_ms) == (1000, 262_144, 1000)
    assert (subscription.port, subscription.path) == (1, "/path")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schemaVersion": "2020-08-15"}, "`schemaVersion` is `2020-08-15`"),
        ({"types": []}, "`types` is `\\[\\]`"),
        ({"types": ["platform", "audit"]}, "`types` is"),
        ({"types": "platform"}, "`types` is"),
        ({"buffering": {"maxItems": 999}}, "`buffering.maxItems` is `999`; expected 1000 to 10000"),
        ({"buffering": {"maxBytes": 2_000_000}}, "`buffering.maxBytes` is `2000000`"),
        ({"buffering": {"timeoutMs": 24}}, "`buffering.timeoutMs` is `24`; expected 25 to 30000"),
        ({"buffering": {"timeoutMs": True}}, "`buffering.timeoutMs` is `True`"),
        ({"buffering": [1]}, "`buffering` is `\\[1\\]`"),
        ({"destination": None}, "`destination` is `None`"),
        ({"destination": {"protocol": "TCP", "port": 1}}, "only `HTTP` is emulated"),
        ({"destination": {"protocol": "HTTP", "URI": "http://example.com:80"}}, "`destination.URI` is"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain"}}, "`destination.URI` is"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox:99999999"}}, "`destination.URI` is"),
        ({"destination": {"protocol": "HTTP", "URI": "ftp://sandbox:21"}}, "`destination.URI` is"),
    ],
)
def test_subscription_that_lambda_would_refuse_is_refused(changes, message):
    with pytest.raises(ProtocolError, match=message) as refused:
        parse_subscription(request(1, **changes), ADDRESS)
    assert (refused.value.status, refused.value.error_type) == (400, "ValidationError")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
def test_subscription_that_is_no_object_is_refused(body):
    with pytest.raises(ProtocolError, match="the subscription is n"):
        parse_subscription(body, ADDRESS)


def test_feed_delivers_what_was_asked_for_from_the_beginning_on(feed, subscriber):
    feed.add(telemetry_event("platform.initStart", 1))
    feed.subscribe("probe", request(subscriber.port))
    feed.add(telemetry_event("extension", 2))
    feed.add(telemetry_event("function", 3))
    until(lambda: len(subscriber.records()) == 2)
    assert subscriber.records() == [1, 3]


def test_feed_gathers_until_the_time_is_over(feed, subscriber):
    feed.subscribe("probe", request(subscriber.port, buffering=BUFFERING | {"timeoutMs": 300}))
    for number in range(5):
        feed.add(telemetry_event("function", number))
    time.sleep(0.1)
    assert not subscriber.deliveries
    until(lambda: subscriber.deliveries)
    assert [len(delivery) for delivery in subscriber.deliveries] == [5]


@pytest.mark.parametrize(
    ("count", "size", "first"), [(1500, 1, 1000), (300, 2000, None)], ids=["as many items", "as many bytes"]
)
def test_feed_delivers_at_once_when_the_buffer_is_full(feed, subscriber, count, size, first):
    feed.subscribe("probe", request(subscriber.port, buffering=BUFFERING | {"timeoutMs": 30_000}))
    for _ in range(count):
        feed.add(telemetry_event("function", "x" * size))
    until(lambda: subscriber.deliveries)
    delivered = subscriber.deliveries[0]
    assert len(delivered) == first or first is None
    assert len(delivered) < count
    assert len(json.dumps(delivered)) < 2 * 262_144


def test_feed_delivers_nothing_while_paused(feed, subscriber):
    feed.subscribe("probe", request(subscriber.port))
    feed.pause()
    feed.add(telemetry_event("function", 1))
    time.sleep(0.15)
    assert not subscriber.deliveries
    feed.resume()
    until(lambda: subscriber.deliveries)


def test_feed_tries_again_what_was_refused(feed, subscriber):
    subscriber.refusals = 2
    feed.subscribe("probe", request(subscriber.port))
    feed.add(telemetry_event("function", 1))
    until(lambda: subscriber.records() == [1])


def test_feed_tells_what_it_had_to_drop(feed, subscriber):
    subscriber.refusals = 4
    feed.subscribe("probe", request(subscriber.port))
    feed.add(telemetry_event("function", "lost"))
    until(lambda: subscriber.refusals == 0)
    feed.add(telemetry_event("function", "kept"))
    until(lambda: len(subscriber.records()) == 2)
    kept, dropped = subscriber.records()
    assert kept == "kept"
    assert dropped["droppedRecords"] == 1
    assert dropped["droppedBytes"] > 20


def test_feed_holds_a_bounded_amount_for_who_takes_nothing(feed, subscriber):
    subscriber.may_answer.clear()
    feed.subscribe("probe", request(subscriber.port))
    for _ in range(300):
        feed.add(telemetry_event("function", "x" * 10_000))
    subscriber.may_answer.set()
    until(lambda: any(isinstance(record, dict) for record in subscriber.records()))
    kept = sum(isinstance(record, str) for record in subscriber.records())
    (dropped,) = [record for record in subscriber.records() if isinstance(record, dict)]
    assert kept + dropped["droppedRecords"] == 300
    assert kept < 260


def test_feed_ends_while_a_subscriber_keeps_it_waiting(feed, subscriber):
    subscriber.may_answer.clear()
    feed.subscribe("probe", request(subscriber.port))
    feed.add(telemetry_event("function", 1))
    time.sleep(0.1)
    began = time.monotonic()
    feed.close()
    assert time.monotonic() - began < 2


def test_feed_takes_no_subscription_after_init(feed):
    feed.close_subscription()
    with pytest.raises(ProtocolError) as refused:
        feed.subscribe("probe", request(1))
    assert (refused.value.status, refused.value.error_type) == (403, "Telemetry.SubscriptionClosed")


def test_feed_replaces_the_subscription_of_an_extension(feed, subscriber):
    feed.subscribe("probe", request(subscriber.port))
    feed.subscribe("probe", request(subscriber.port, types=["extension"]))
    feed.add(telemetry_event("function", 1))
    feed.add(telemetry_event("extension", 2))
    until(subscriber.records)
    time.sleep(0.1)
    assert subscriber.records() == [2]
