"""The connection to a Collector that is slow, hangs, breaks, refuses or answers garbage."""

import socket
import time

import pytest

from lambda_otel.export.channel import Channel, Request
from lambda_otel.export.drops import Drops

from ...ports import free_port
from .conftest import status

BODY = b"body"


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def request(signal="traces", body=BODY, items=3, **more):
    head = f"POST /v1/{signal} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return Request(signal, items, head + body, **more)


@pytest.fixture
def drops():
    return Drops()


@pytest.fixture
def make_channel(drops):
    def make(port, **settings):
        settings = {"ack_timeout_s": 2.0, "give_up_s": 10.0, "max_bytes": 10_000} | settings
        return Channel("127.0.0.1", port, drops, **settings)

    return make


def test_requests_are_pipelined_on_one_connection(make_channel, collector):
    channel = make_channel(collector.port)

    for _ in range(3):
        for signal in ("traces", "logs", "metrics"):
            channel.submit(request(signal))
        channel.exchange()

    assert [path for path, _, _ in collector.requests] == ["/v1/traces", "/v1/logs", "/v1/metrics"] * 3
    assert (collector.connections, channel.pending_bytes) == (1, 0)


def test_slow_collector_is_waited_for_only_so_long_and_its_answer_read_later(make_channel, collectors):
    collector = collectors([0.15])
    channel = make_channel(collector.port, ack_timeout_s=0.01)
    channel.submit(request())

    started = time.perf_counter()
    channel.exchange()
    waited_s = time.perf_counter() - started

    assert 0.009 < waited_s < 0.1
    assert channel.pending_bytes > 0
    time.sleep(0.2)
    channel.exchange()
    assert channel.pending_bytes == 0
    assert len(collector.requests) == 1


def test_collector_that_owes_an_answer_is_not_waited_for_again(make_channel, collectors):
    channel = make_channel(collectors(["hang"] * 9).port, ack_timeout_s=0.05)
    channel.submit(request())
    channel.exchange()

    channel.submit(request())
    started = time.perf_counter()
    channel.exchange()

    assert time.perf_counter() - started < 0.04


def test_answer_to_what_was_only_just_sent_is_waited_for(make_channel, collectors):
    channel = make_channel(collectors([0.03, 0.0]).port)
    channel.submit(request())
    channel.exchange(is_waiting=False)

    channel.submit(request())
    channel.exchange()

    assert channel.pending_bytes == 0


def test_wait_counts_from_the_beginning_of_the_export(make_channel, collectors):
    channel = make_channel(collectors(["hang"] * 9).port, ack_timeout_s=0.2)
    channel.submit(request())

    started = time.perf_counter()
    channel.exchange(spent_s=0.15)

    assert 0.04 < time.perf_counter() - started < 0.15


def test_export_that_took_long_itself_waits_a_little_nevertheless(make_channel, collectors):
    channel = make_channel(collectors([0.02]).port, ack_timeout_s=0.5)
    channel.submit(request())

    channel.exchange(spent_s=3.0)

    assert channel.pending_bytes == 0


def test_hanging_collector_is_given_up_and_what_it_owed_sent_to_the_next(make_channel, collectors, drops):
    clock = Clock()
    collector = collectors(["hang"] * 99)
    channel = make_channel(collector.port, ack_timeout_s=0.001, clock=clock)
    for exchanges in range(1, 20):  # noqa: B007  asserted below
        channel.submit(request())
        channel.exchange()
        if channel.is_closed:
            break
        clock.now += 4
    assert exchanges == 5
    assert drops.counts() == {}

    clock.now += 2
    collector.answers.clear()
    collector.requests.clear()
    channel.exchange()
    collector.wait_for(5)
    time.sleep(0.05)
    channel.exchange()

    assert channel.pending_bytes == 0


def test_freeze_is_no_reason_to_give_a_collector_up(make_channel, collectors):
    clock = Clock()
    collector = collectors([0.05])
    channel = make_channel(collector.port, ack_timeout_s=0.001, clock=clock)
    channel.submit(request())
    channel.exchange()
    clock.now += 3600
    time.sleep(0.1)

    channel.exchange()

    assert not channel.is_closed
    assert (channel.pending_bytes, collector.connections) == (0, 1)


def test_refused_connection_opens_the_breaker_until_its_pause_is_over(make_channel, collectors):
    clock = Clock()
    channel = make_channel(free_port(), clock=clock)
    channel.submit(request())

    channel.exchange()
    assert channel.is_closed
    started = time.process_time()
    channel.exchange()
    assert time.process_time() - started < 0.001
    clock.now += 1.1
    assert not channel.is_closed


def test_pause_grows_with_every_failure_up_to_half_a_minute(make_channel):
    clock = Clock()
    channel = make_channel(free_port(), clock=clock)
    pauses = []
    for _ in range(8):
        channel.submit(request())
        channel.exchange()
        started = clock.now
        while channel.is_closed:
            clock.now += 0.5
        pauses.append(clock.now - started)

    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_refused_connection_during_init_does_not_open_the_breaker(make_channel):
    channel = make_channel(free_port())
    channel.submit(request())

    channel.exchange(is_counted=False)

    assert not channel.is_closed
    assert channel.pending_bytes > 0


def test_collector_that_comes_up_gets_what_was_queued(make_channel, collectors):
    port = free_port()
    clock = Clock()
    channel = make_channel(port, clock=clock)
    channel.submit(request())
    channel.exchange()
    clock.now += 2

    collector = collectors(port=port)
    channel.exchange()

    assert [body for _, _, body in collector.requests] == [BODY]


def test_connection_closed_while_idle_is_opened_anew_and_nothing_is_lost(make_channel, collector, drops):
    channel = make_channel(collector.port)
    channel.submit(request())
    channel.exchange()
    collector.break_connections()
    time.sleep(0.05)

    channel.submit(request(body=b"second"))
    channel.exchange()

    assert [body for _, _, body in collector.requests] == [BODY, b"second"]
    assert (collector.connections, drops.counts(), channel.is_closed) == (2, {}, False)


def test_connection_closed_instead_of_an_answer_is_retried_with_all_that_was_not_acknowledged(make_channel, collectors):
    collector = collectors([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "close"])
    channel = make_channel(collector.port)
    channel.submit(request())
    channel.exchange()
    channel.submit(request(body=b"a"))
    channel.submit(request(body=b"b"))

    channel.exchange()

    assert [body for _, _, body in collector.requests] == [BODY, b"a", b"a", b"b"]
    assert channel.pending_bytes == 0


@pytest.mark.parametrize("code", [429, 502, 503, 504])
def test_retriable_status_keeps_the_request_for_later(make_channel, collectors, drops, code):
    clock = Clock()
    collector = collectors([status(code)])
    channel = make_channel(collector.port, clock=clock)
    channel.submit(request())

    channel.exchange()
    assert channel.is_closed
    clock.now += 2
    channel.exchange()

    assert [body for _, _, body in collector.requests] == [BODY, BODY]
    assert (channel.pending_bytes, drops.counts()) == (0, {})


@pytest.mark.parametrize("code", [400, 404, 413, 500])
def test_final_status_drops_the_request_and_counts_its_items(make_channel, collectors, drops, code):
    collector = collectors([status(code)])
    channel = make_channel(collector.port)
    channel.submit(request())

    channel.exchange()

    assert drops.counts() == {("traces", "rejected"): 3}
    assert (channel.pending_bytes, channel.is_closed) == (0, False)


def test_partial_success_counts_what_was_rejected(make_channel, collectors, drops):
    body = b"\x0a\x07\x08\x02\x12\x03why"
    collector = collectors([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body])
    channel = make_channel(collector.port)
    channel.submit(request())

    channel.exchange()

    assert drops.counts() == {("traces", "rejected"): 2}


@pytest.mark.parametrize("garbage", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"x" * 70_000])
def test_garbage_is_a_failure_and_the_request_is_kept(make_channel, collectors, drops, garbage):
    channel = make_channel(collectors([garbage] * 2).port)
    channel.submit(request())

    channel.exchange()

    assert channel.is_closed
    assert channel.pending_bytes > 0
    assert drops.counts() == {}


def test_pending_bytes_are_bounded_and_the_oldest_goes_first(make_channel, collectors, drops):
    collector = collectors(["hang"] * 99)
    channel = make_channel(collector.port, ack_timeout_s=0.001, max_bytes=1000)
    for _ in range(10):
        channel.submit(request(body=b"x" * 200))
        channel.exchange()
        assert channel.pending_bytes <= 1000

    assert drops.counts()["traces", "no_collector"] >= 15


def test_answers_still_match_their_requests_after_one_was_dropped(make_channel, collectors, drops):
    collector = collectors([0.1, status(400), status(200)])
    channel = make_channel(collector.port, ack_timeout_s=0.001, max_bytes=700)
    for name in (b"a", b"b", b"c"):
        channel.submit(request(body=name * 250, items=ord(name)))
        channel.exchange()
    assert drops.counts() == {("traces", "no_collector"): ord("a")}
    collector.wait_for(3)
    time.sleep(0.05)

    channel.exchange()

    assert drops.counts()["traces", "rejected"] == ord("b")
    assert channel.pending_bytes == 0


def test_request_larger_than_all_that_may_wait_is_dropped_alone(make_channel, drops):
    channel = make_channel(free_port(), max_bytes=1000)
    channel.submit(request())
    channel.submit(request(body=b"x" * 2000, items=9))

    assert drops.counts() == {("traces", "too_large"): 9}
    assert channel.pending_bytes > 0


def test_request_without_items_is_not_sent_again(make_channel, collectors, drops):
    collector = collectors(["close"])
    channel = make_channel(collector.port)
    channel.submit(request(items=0))

    channel.exchange(is_waiting=True)
    channel.close()

    assert (channel.pending_bytes, drops.counts()) == (0, {})


def test_collector_that_stops_reading_does_not_block_for_longer_than_it_may(make_channel, drops):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        channel = make_channel(listener.getsockname()[1], ack_timeout_s=0.02, max_bytes=2**26)
        for _ in range(16):
            channel.submit(request(body=b"x" * 2**20))

        started = time.perf_counter()
        channel.exchange()

        assert time.perf_counter() - started < 1.0
        assert channel.pending_bytes > 2**23


def test_forgotten_channel_has_nothing_and_connects_anew(make_channel, collector):
    channel = make_channel(collector.port)
    channel.submit(request())
    channel.exchange()
    channel.submit(request())

    channel.forget()
    channel.exchange()

    assert (channel.pending_bytes, len(collector.requests)) == (0, 1)
