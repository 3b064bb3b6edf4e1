import socket
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from lambda_otel.exporters._post import Poster

HEADERS = {"Content-Type": "text/plain", "Authorization": "Bearer sesame"}


class Time:
    """A clock that moves only when somebody waits."""

    def __init__(self):
        self.now, self.pauses = 100.0, []

    def clock(self):
        return self.now

    def pause(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def time():
    return Time()


def poster(api, time, budget_s=10.0, **more):
    return Poster(api.url, HEADERS, budget_s=budget_s, clock=time.clock, pause=time.pause, **more)


def test_post_sends_body_and_headers_on_one_connection(api, time):
    post = poster(api, time)

    assert [post.post(body).is_taken for body in (b"one", b"two")] == [True, True]
    assert [(path, headers["Authorization"], body) for path, headers, body in api.requests] == [
        ("/ingest", "Bearer sesame", b"one"),
        ("/ingest", "Bearer sesame", b"two"),
    ]
    assert api.connections == 1
    post.close()


def test_post_compresses_if_it_is_to(api, time):
    post = poster(api, time, is_compressed=True)

    post.post(b"a" * 1000)

    (_, headers, body) = api.requests[0]
    assert (headers["Content-Encoding"], body) == ("gzip", b"a" * 1000)
    assert int(headers["Content-Length"]) < 100
    post.close()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
def test_failure_that_may_pass_is_tried_again_after_growing_pauses(api, time, status):
    api.answers += [status, status, status]
    post = poster(api, time)

    assert post.post(b"x").is_taken
    assert len(api.requests) == 4
    first, second, third = time.pauses
    assert 0.1 <= first <= 0.2 <= second <= 0.4 <= third <= 0.8
    post.close()


def test_refusal_is_final(api, time):
    api.answers += [400]
    post = poster(api, time)

    answer = post.post(b"x")

    assert (answer.status, answer.is_final, answer.is_taken) == (400, True, False)
    assert len(api.requests) == 1
    post.close()


def test_pause_that_is_asked_for_in_seconds_is_kept(api, time):
    api.answers += [(429, {"Retry-After": "3"}, b"")]
    post = poster(api, time)

    assert post.post(b"x").is_taken
    assert time.pauses == [3.0]
    post.close()


def test_pause_that_is_asked_for_as_a_date_is_kept(api, time):
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=5), usegmt=True)
    api.answers += [(503, {"Retry-After": at}, b"")]
    post = poster(api, time)

    assert post.post(b"x").is_taken
    (pause,) = time.pauses
    assert 3.5 < pause <= 5.0
    post.close()


def test_pause_that_nobody_can_read_is_as_none(api, time):
    api.answers += [(503, {"Retry-After": "soon"}, b"")]
    post = poster(api, time)

    assert post.post(b"x").is_taken
    assert time.pauses[0] <= 0.2
    post.close()


def test_pause_longer_than_the_budget_ends_the_post_and_holds_for_the_next(api, time):
    api.answers += [(429, {"Retry-After": "60"}, b"")]
    post = poster(api, time)

    assert not post.post(b"x").is_taken
    assert not post.post(b"x").is_taken
    assert len(api.requests) == 1
    assert time.pauses == []
    time.now += 60
    assert post.post(b"x").is_taken
    post.close()


def test_budget_bounds_all_tries_together(api, time):
    api.answers += [503] * 1000
    post = poster(api, time, budget_s=3.0)

    answer = post.post(b"x")

    assert (answer.status, answer.is_final) == (503, False)
    assert time.now - 100.0 < 3.0
    post.close()


def test_connection_that_was_closed_while_idle_is_made_anew_at_once(api, time):
    post = poster(api, time)
    post.post(b"one")
    api.answers += [0]

    assert post.post(b"two").is_taken
    assert time.pauses == []
    assert api.connections == 2
    post.close()


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "\N{EURO SIGN}", "\x00"])
def test_header_that_cannot_be_sent_is_an_error_that_does_not_show_it(api, value):
    with pytest.raises(ValueError, match="expected headers") as caught:
        Poster(api.url, {"authorization": f"sesame{value}"}, budget_s=1.0)

    assert "sesame" not in str(caught.value)


def test_nobody_there_is_an_answer_that_is_not_final(time):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    post = Poster(f"http://127.0.0.1:{port}", {}, budget_s=0.5, clock=time.clock, pause=time.pause)

    answer = post.post(b"x")

    assert (answer.status, answer.is_final) == (0, False)
    assert "ConnectionRefusedError" in answer.reason


def test_silence_ends_with_the_budget():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        post = Poster(f"http://127.0.0.1:{listener.getsockname()[1]}", {}, budget_s=0.1)

        answer = post.post(b"x")

    assert (answer.status, answer.is_final) == (0, False)
    post.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(
        [*command.split(), "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def tls_api(api, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    api.server.socket = context.wrap_socket(api.server.socket, server_side=True)
    return api


def test_https_is_spoken_with_who_is_trusted_and_nobody_else(tls_api, certificate, time):
    url = tls_api.url.replace("http:", "https:")
    trusted = ssl.create_default_context(cafile=certificate[0])
    trusting = Poster(url, {}, budget_s=5.0, tls=trusted, clock=time.clock, pause=time.pause)
    wary = Poster(url, {}, budget_s=0.05, clock=time.clock, pause=time.pause)

    assert trusting.post(b"x").is_taken
    answer = wary.post(b"x")

    assert (answer.status, answer.is_final) == (0, False)
    assert "CERTIFICATE_VERIFY_FAILED" in answer.reason
    assert len(tls_api.requests) == 1
    trusting.close()
